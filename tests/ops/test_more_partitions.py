"""More partitions: the spills that are there stay where they are, are found, and are counted once."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from ops.inputs import Inputs
from ops.production import Production
from ops.replay.checks import make_plan
from ops.topics import apply
from schemas.records import ControlKind, RawSpill, RunControl
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.books.replays import Origin
from streams.books.sessions import Sessions
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.process import process
from streams.settings import ProducerSettings, Settings
from streams.topics import Topics, partition_of
from tests.conftest import wait_until_counted
from tests.kafka import messages
from tests.live import Record, small_run
from tests.ops.conftest import Spilldeck
from tests.servers import environment
from tests.wire import decode
from tests.workers import Workers

pytestmark = pytest.mark.servers

BEFORE, BETWEEN, AFTER = 900_371, 900_372, 900_373
NOW, THEN = 4, 6


def with_partitions(settings: Settings, partitions: int) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"partitions": partitions})})


def count(settings: Settings, logs: Path, sent: list[Record]) -> None:
    """Have a worker count some more, and end."""
    workers = Workers(settings, logs)
    workers.start()
    try:
        with SpillProducer(settings) as producer:
            for record in sent:
                producer.send(record)
        with connect(settings) as redis:
            wait_until_counted(settings, BookReader.of(redis, settings))
    finally:
        workers.stop()


def places(settings: Settings) -> dict[tuple[int, int], set[int]]:
    """Return the partitions in which each spill lies, by run and number."""
    found: dict[tuple[int, int], set[int]] = {}
    for message in messages(settings, Topics.of(settings).raw):
        record = decode(message.value() or b"")
        if isinstance(record, RawSpill):
            found.setdefault((record.run, record.spill), set()).add(message.partition() or 0)
    return found


def test_old_spills_stay_are_found_and_are_counted_once_when_partitions_are_added(
    settings: Settings, spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    runs = {run: small_run(run) for run in (BEFORE, BETWEEN, AFTER)}
    half = len(runs[BETWEEN]) // 2
    few, many = with_partitions(settings, NOW), with_partitions(settings, THEN)
    env = environment(few) | {"SPILLDECK_KAFKA__PARTITIONS": str(NOW)}
    assert spilldeck_here("topics", "apply", env=env).returncode == 0
    count(few, tmp_path, [*runs[BEFORE], *runs[BETWEEN][:half]])
    old = places(few)
    with connect(few) as redis:
        # Of a replay that is to go on afterwards.
        plan = make_plan(few, redis, "replay-old", [BEFORE], Origin.RAW, None)
        Sessions(few, redis, origin="a test").save(plan)

    env["SPILLDECK_KAFKA__PARTITIONS"] = str(THEN)
    applied = json.loads(spilldeck_here("topics", "apply", "--json", env=env).stdout)
    assert {(one["change"], one["now"], one["wanted"]) for one in applied} == {("add partitions", "4", "6")}
    count(many, tmp_path, [*runs[BETWEEN][half:], *runs[AFTER]])

    now = places(many)
    assert {spill: now[spill] for spill in old} == old
    assert set().union(*(now[spill] for spill in now.keys() - old.keys())) == set(range(THEN))
    moved = [spill for spill in old if old[spill] != {partition_of(spill[1], THEN)}]
    assert moved
    for run, spill in moved[:2]:
        place = ("--run", str(run), "--spill", str(spill))
        assert spilldeck_here("spills", "get", *place, "--out", tmp_path / "spill", env=env).returncode == 0
        payload = next(r.payload for r in runs[run] if isinstance(r, RawSpill) and r.spill == spill)
        assert (tmp_path / "spill").read_bytes() == payload
        shown = json.loads(spilldeck_here("spills", "get", *place, "--json", env=env).stdout)
        assert (shown["run"], shown["spill"]) == (run, spill)

    expected = process([r for records in runs.values() for r in records], ConditionsStore([]).for_run)
    with connect(many) as redis:
        reader = BookReader.of(redis, many)
        for run, result in expected.items():
            assert differences(result.run_book(), reader.run(run, result.book.ranges)) == []
        done = spilldeck_here("verify", str(BETWEEN), "--workers", "1", env=env)
        assert done.stdout == f"run {BETWEEN}: identical\n", done.stderr
        done = spilldeck_here("replay", "--resume", "--name", "old", "--workers", "1", env=env)
        assert done.returncode == 0, done.stderr
        again = BookReader.of(redis, many, "replay-old").run(BEFORE, {})
        assert differences(reader.run(BEFORE, {}), again) == []


def on(settings: Settings, run: int) -> tuple[set[int], set[int], set[int]]:
    """Return the partitions in which the spills of a run lie, and its start; and how many its start says."""
    spills, starts, said = set(), set(), set()
    for message in messages(settings, Topics.of(settings).raw):
        record = decode(message.value() or b"")
        if isinstance(record, RawSpill) and record.run == run:
            spills.add(message.partition() or 0)
        if isinstance(record, RunControl) and record.run == run and record.kind is ControlKind.START:
            starts.add(message.partition() or 0)
            said.add(record.partitions)
    return spills, starts, said


def test_a_run_stays_in_its_partitions_and_the_next_one_takes_them_all(settings: Settings) -> None:
    few, many = with_partitions(settings, NOW), with_partitions(settings, THEN)
    apply(few)
    first, second = (small_run(run, 2 * THEN) for run in (BEFORE, AFTER))
    with SpillProducer(settings) as producer:
        for record in first[:4]:
            producer.send(record)
        apply(many)
        for record in [*first[4:], *second]:
            producer.send(record)
    assert on(settings, BEFORE) == (set(range(NOW)), set(range(NOW)), {NOW})
    assert on(settings, AFTER) == (set(range(THEN)), set(range(THEN)), {THEN})


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_run_that_is_resumed_stays_in_its_partitions(settings: Settings, tmp_path: Path, is_noted: bool) -> None:
    few, many = with_partitions(settings, NOW), with_partitions(settings, THEN)
    apply(few)
    own = settings.model_copy(update={"producer": ProducerSettings(journals=tmp_path / "journals")})
    file = tmp_path / "runs.000"
    file.write_bytes(b"".join(r.payload for run in (BEFORE, AFTER) for r in small_run(run, 2 * THEN)))

    def produce(until: int | None = None) -> None:
        """Send the file, or so many of its records, and die then."""
        production = Production(own, on_acknowledged=lambda _: None, on_waiting=lambda _seconds, _messages: None)
        inputs = Inputs([file])
        records = list(inputs.records())
        inputs.records_of = lambda _: iter(records[:until])  # type: ignore[method-assign]
        production.play(inputs, resume=True, rate=None, as_recorded=False)

    produce(until=4)
    (journal,) = (tmp_path / "journals").glob("*.json")
    noted = journal.read_text()
    if not is_noted:  # it died before it took note of anything
        at_first = json.loads(noted) | {"byte": 0, "read": 0, "head": sha256(b"").hexdigest(), "partitions": {}}
        journal.write_text(json.dumps(at_first | {"offsets": dict.fromkeys(range(NOW), 0)}))
    apply(many)
    written = journal.read_text()
    produce()
    assert on(settings, BEFORE) == (set(range(NOW)), set(range(NOW)), {NOW})
    assert on(settings, AFTER) == (set(range(THEN)), set(range(THEN)), {THEN})
    # It dies again before it takes note of what went to the partitions that were added.
    sent = len(messages(settings, Topics.of(settings).raw))
    journal.write_text(written)
    produce()
    assert len(messages(settings, Topics.of(settings).raw)) == sent
