"""More partitions: the spills that are there stay where they are, are found, and are counted once."""

import json
from pathlib import Path

import pytest

from ops.replay.checks import make_plan
from ops.replay.sessions import Sessions
from schemas.records import RawSpill
from schemas.wire import decode
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.books.replays import Origin
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer, partition_of
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics
from tests.conftest import wait_until_counted
from tests.kafka import messages
from tests.live import Record, small_run
from tests.ops.conftest import Spilldeck
from tests.workers import Workers, environment

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
    here = {"SPILLDECK_REDIS__KEY_PREFIX": settings.redis.key_prefix}

    env = here | environment(few) | {"SPILLDECK_KAFKA__PARTITIONS": str(NOW)}
    assert spilldeck_here("topics", "apply", env=env).returncode == 0
    count(few, tmp_path, [*runs[BEFORE], *runs[BETWEEN][:half]])
    old = places(few)
    with connect(few) as redis:
        # Of a replay that is to go on afterwards.
        plan = make_plan(few, redis, "replay-old", [BEFORE], Origin.RAW, None)
        Sessions(few, redis).save(plan)

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
        done = spilldeck_here("verify", str(BETWEEN), env=env)
        assert done.stdout == f"run {BETWEEN}: identical\n", done.stderr
        done = spilldeck_here("replay", "--resume", "--name", "old", env=env)
        assert done.returncode == 0, done.stderr
        again = BookReader.of(redis, many, "replay-old").run(BEFORE, {})
        assert differences(reader.run(BEFORE, {}), again) == []
