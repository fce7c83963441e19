"""spilldeck runs archive: an archive is the run, whatever there was in it, when Kafka has nothing of it any more."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from ops.archive import write_archive
from ops.replay.checks import where_they_lie
from ops.replay.checksum import check_archive
from ops.stack import LocalStack
from schemas.records import NO_RUN, ControlKind, RawSpill, RunControl, RunState
from streams.books import layout
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.archive_file import contents_of, read_messages
from streams.daq.producer import SpillProducer
from streams.daq.sources import read_source
from streams.errors import SpilldeckError
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.spill_json import json_lines
from streams.process import process
from streams.topics import Topics
from tests import begun
from tests.conftest import wait_until_counted
from tests.kafka import admin as admin_of
from tests.kafka import messages
from tests.lanes import again
from tests.live import OWN_TABLES, RUNS, Live, Record, count_live, small_run
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.servers import environment, settings_on
from tests.wire import decode

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]  # workers and replays, on a machine that may be busy

PLAIN, TYPED, BY_HAND, TWICE, CONFLICTING, DAMAGED, AS_JSON, MIXED, WITHOUT_SPILLS = range(900_321, 900_330)
OURS, WAITING, REPLACED = range(900_331, 900_334)


def sent_twice(run: int) -> list[Record]:
    return [*small_run(run), *small_run(run)]


def of_two_sources(run: int) -> list[Record]:
    """Return a run of which another file has spills of the same numbers, some with other bytes."""
    other = [replace(r, source="another") for r in SimulatedRun(run=run, spills=6, mean_triggers=3, seed=2).records()]
    start, *spills, end = small_run(run)
    return [start, *spills, *other[1:-1], end]


def as_json(run: int) -> list[bytes]:
    simulated = SimulatedRun(run=run, spills=4, mean_triggers=2, detectors=("tof",))
    return [json_lines(record, simulated.conditions.detectors) for record in simulated.records()]


def read(directory: Path, content: bytes) -> list[Record]:
    file = directory / "source"
    file.write_bytes(content)
    return list(read_source(file))


def damaged(run: int, directory: Path) -> list[Record]:
    """Return a run of whose file some stretches cannot be read."""
    content = bytearray(b"".join(record.payload for record in small_run(run)))
    for at in (len(content) // 3, len(content) // 2):
        content[at : at + 3000] = b"\xff" * 3000
    return read(directory, bytes(content))


def mixed(run: int, directory: Path) -> list[Record]:
    """Return a run of which some spills came from a DATE file and others as JSON."""
    *date, end = small_run(run)
    later = [replace(r, spill=r.spill + 20) for r in read(directory, b"".join(as_json(run))) if isinstance(r, RawSpill)]
    return [*date, *later, end]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Runs that Kafka has no longer, and their archives."""

    live: Live
    directory: Path

    def archive(self, run: int) -> Path:
        return self.directory / f"{run:08d}.spills.avro"


def drop_all(live: Live) -> None:
    """Have Kafka drop all messages."""
    admin = admin_of(live.settings)
    topics, partitions = Topics.of(live.settings), range(live.settings.kafka.partitions)
    everything = [
        TopicPartition(topic, partition, -1) for topic in (topics.raw, topics.reco) for partition in partitions
    ]
    for future in admin.delete_records(everything).values():
        future.result()


@pytest.fixture(scope="module")
def kept(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Return runs that were archived, of which Kafka has nothing any more."""
    directory = tmp_path_factory.mktemp("kept")
    logs = tmp_path_factory.mktemp("logs")
    typed, archives = logs / "typed.000", directory / "archives"
    typed.write_bytes(b"".join(record.payload for record in small_run(TYPED)))
    archives.mkdir()
    sent = [*small_run(PLAIN), *sent_twice(TWICE), *of_two_sources(CONFLICTING), *damaged(DAMAGED, logs)]
    sent += [*read(logs, b"".join(as_json(AS_JSON))), *mixed(MIXED, logs), *small_run(BY_HAND)[:-1]]
    sent += [record for record in small_run(WITHOUT_SPILLS) if isinstance(record, RunControl)]
    with count_live(settings_on(stack), logs, [sent], {}) as live:
        env = os.environ | live.env | {"SPILLDECK_PRODUCER__JOURNALS": str(logs)}
        for command in (["runs", "end", str(BY_HAND)], ["produce", str(typed), "--type", "calibration"]):
            done = begun.run(command, env=env, cwd=logs, stdin=Path(os.devnull), said=logs, timeout=100)
            assert done.returncode == 0, done.stderr
        wait_until_counted(live.settings, live.reader)
        for run in live.reader.runs():
            if run != NO_RUN:
                write_archive(live.settings, live.reader, run, archives)
        drop_all(live)
        yield Kept(live=live, directory=archives)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (CONFLICTING, {"rejected": {"unpack": 1, "conflict": 5}}),
        (DAMAGED, {}),
        pytest.param(BY_HAND, {"state": RunState.ENDED, "duplicates": 1}, marks=again),
        pytest.param(MIXED, {"spills": 11}, marks=again),
        pytest.param(PLAIN, {"duplicates": 1, "rejected": {"unpack": 1}}, marks=again),
        pytest.param(TYPED, {"run_type": "calibration"}, marks=again),
        pytest.param(TWICE, {"duplicates": 9, "rejected": {"unpack": 2}}, marks=again),
        pytest.param(AS_JSON, {"spills": 4}, marks=again),
        pytest.param(WITHOUT_SPILLS, {"spills": 0, "received": 0}, marks=again),
    ],
)
def test_a_run_that_kafka_has_no_longer_is_made_again_from_its_archive(
    spilldeck_here: Spilldeck, kept: Kept, run: int, said: dict[str, object]
) -> None:
    live = kept.live
    shown = json.loads(spilldeck_here("runs", "show", str(run), "--json", env=live.env).stdout)
    assert {name: shown[name] for name in said} == said
    if run == DAMAGED:
        assert {"framing", "unpack"} <= shown["rejected"].keys()
    done = spilldeck_here("verify", str(run), "--archive", kept.archive(run), "--keep", "--workers", "1", env=live.env)
    assert (done.returncode, done.stdout) == (0, f"run {run}: identical\n"), done.stderr
    # Also when it was in Kafka, which is not compared.
    again, then = live.books(f"verify-{run}").runs()[run], live.reader.runs()[run]
    assert (again.produced_ms, again.ended_ms) == (then.produced_ms, then.ended_ms)


def test_a_run_that_kafka_has_no_longer_is_refused_by_name(
    spilldeck_here: Spilldeck, kept: Kept, tmp_path: Path
) -> None:
    for run, what in (
        (PLAIN, "7 of its 7 spills are gone: 0, 1, 2, 3, 4 and 2 more"),
        (WITHOUT_SPILLS, "all its spills are there, and other messages of it are gone"),
    ):
        for command in (["runs", "archive", str(run), "--out", tmp_path], ["replay", str(run)]):
            line = assert_one_sentence(spilldeck_here(*command, env=kept.live.env), 1)
            assert f"Kafka no longer holds run {run} whole: {what}" in line
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_is_refused_before_anything_is_made_of_it(
    spilldeck_here: Spilldeck, kept: Kept, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    content = bytearray(kept.archive(PLAIN).read_bytes())
    content[-40] ^= 1
    for harmed, said in (
        (content, "archive at byte [0-9]+: archive is damaged: "),
        (content[:-9], f"archive at byte {len(content) - 9}: archive is damaged: it was cut: "),
    ):
        archive.write_bytes(harmed)
        for command in (["verify"], ["replay", "--name", "harmed"]):
            line = assert_one_sentence(spilldeck_here(*command, str(PLAIN), "--archive", archive, env=kept.live.env), 1)
            assert re.search(said, line)
    archive.write_bytes(kept.archive(PLAIN).read_bytes())
    archive.with_name("archive.sha256").write_text("0" * 64)
    command = ["verify", str(PLAIN), "--archive", archive]
    assert "its SHA-256 is not the one in" in assert_one_sentence(spilldeck_here(*command, env=kept.live.env), 1)
    command = ["verify", str(TYPED), "--archive", kept.archive(PLAIN)]
    line = assert_one_sentence(spilldeck_here(*command, env=kept.live.env), 2)
    assert f"run {TYPED} is not in {kept.archive(PLAIN)}: it is the archive of run {PLAIN}" in line
    few = kept.live.env | {"SPILLDECK_KAFKA__PARTITIONS": "2"}
    # An archive says itself of how many partitions it is, whatever a topic would be made with here.
    command = ["replay", str(PLAIN), "--archive", kept.archive(PLAIN), "--name", "elsewhere", "--workers", "1"]
    done = spilldeck_here(*command, env=few)
    assert (done.returncode, "17 messages of 17 read" in done.stdout) == (0, True), done.stderr
    assert not list(kept.live.redis.scan_iter(match="*harmed*"))


def test_a_file_of_the_daq_is_made_of_an_archive_where_one_file_can_hold_the_run(
    spilldeck_here: Spilldeck, kept: Kept, tmp_path: Path
) -> None:
    def as_daq(run: int, of: int) -> "subprocess.CompletedProcess[str]":
        return spilldeck_here("runs", "archive", str(run), "--as-daq", "--archive", kept.archive(of), "--out", tmp_path)

    for run in (PLAIN, TYPED, TWICE):
        assert as_daq(run, run).returncode == 0
        file = tmp_path / f"{run:08d}.000"
        assert file.read_bytes() == b"".join(record.payload for record in small_run(run))
        check_archive(file)
        assert file.with_name(f"{file.name}.sha256").exists()
    assert "is there already" in assert_one_sentence(as_daq(PLAIN, PLAIN), 2)
    assert "one file cannot hold both" in assert_one_sentence(as_daq(MIXED, MIXED), 1)
    assert f"is the archive of run {TYPED}, not of run {PLAIN}" in assert_one_sentence(as_daq(PLAIN, TYPED), 2)
    command = ["runs", "archive", str(PLAIN), "--archive", kept.archive(PLAIN), "--out", tmp_path]
    assert "give --as-daq too" in assert_one_sentence(spilldeck_here(*command), 2)


def test_an_archive_is_a_source_like_any_file_of_the_daq(
    spilldeck_here: Spilldeck, kept: Kept, stack: LocalStack, tmp_path: Path
) -> None:
    archive = kept.archive(TWICE)
    # A START tells of how many partitions its topic was when it was sent.
    sent = [
        replace(r, partitions=4) if isinstance(r, RunControl) and r.kind is ControlKind.START else r
        for r in sent_twice(TWICE)
    ]
    found = list(read_source(archive))
    # What was sent within a millisecond to several partitions has no order that anybody knows.
    assert (found[0], sorted(map(repr, found))) == (sent[0], sorted(map(repr, sent)))
    (again,) = process(sent, ConditionsStore([]).for_run).values()
    done = spilldeck_here("process", archive, "--json")
    assert json.loads(done.stdout) == again.to_json()
    elsewhere = settings_on(stack)
    env = environment(elsewhere) | {"SPILLDECK_REDIS__KEY_PREFIX": elsewhere.redis.key_prefix}
    done = spilldeck_here("produce", archive, env=env)
    assert (done.returncode, done.stdout) == (0, "18 spills acknowledged\n"), done.stderr
    there = [decode(message.value() or b"") for message in messages(elsewhere, Topics.of(elsewhere).raw)]
    control = [record for record in sent if isinstance(record, RunControl)]
    assert sorted(map(repr, there)) == sorted(map(repr, sent + 3 * control))
    line = assert_one_sentence(spilldeck_here("produce", archive, "--resume", env=env), 2)
    assert "it is produced from its begin, without --resume" in line


def of_run(live: Live, run: int) -> list[tuple[int, int, int, bytes, bytes]]:
    """Return what Kafka has of a run: partition, offset, time, key, value."""
    found = []
    for message in messages(live.settings, Topics.of(live.settings).raw):
        value = message.value() or b""
        record = decode(value)
        if isinstance(record, RawSpill | RunControl) and record.run == run:
            place = message.partition() or 0, message.offset() or 0
            found.append((*place, message.timestamp()[1], message.key() or b"", value))
    return found


def test_an_archive_has_each_message_of_its_run_and_is_the_same_file_each_time(
    spilldeck_here: Spilldeck, live: Live, tmp_path: Path
) -> None:
    live.send(*small_run(OURS))
    files = []
    for directory in (tmp_path / "a", tmp_path / "b"):
        directory.mkdir()
        command = ["runs", "archive", str(OURS), "--out", directory]
        done = spilldeck_here(*command, env=live.env)
        file = directory / f"{OURS:08d}.spills.avro"
        sha256 = (directory / f"{file.name}.sha256").read_text().split()[0]
        assert done.stdout.splitlines() == [
            f"{file}: 9 spills, {file.stat().st_size:,} bytes",
            f"SHA-256 {sha256}",
        ]
        subprocess.run(["sha256sum", "--check", "--quiet", f"{file.name}.sha256"], cwd=directory, check=True)
        assert sorted(path.name for path in directory.iterdir()) == [file.name, f"{file.name}.sha256"]
        files.append(file)
    assert files[0].read_bytes() == files[1].read_bytes()
    there = [message for partition in contents_of(files[0]).parts for message in read_messages(files[0], partition)]
    assert [(m.partition, m.offset, m.time_ms, m.key, m.value) for m in there] == of_run(live, OURS)
    assert "is there already" in assert_one_sentence(spilldeck_here(*command, env=live.env), 2)
    command[-1] = tmp_path / "nosuch"
    assert "cannot be written" in assert_one_sentence(spilldeck_here(*command, env=live.env), 2)
    command[2] = "4711"
    command[-1] = tmp_path
    assert "is not in Kafka" in assert_one_sentence(spilldeck_here(*command, env=live.env), 2)
    # A run that the books do not know is looked for in the whole topic.
    nobody = BookReader.of(live.redis, live.settings, "nobody")
    assert write_archive(live.settings, nobody, OURS, tmp_path).file.read_bytes() == files[0].read_bytes()


def test_only_where_a_run_lies_is_read_and_all_that_nobody_has_counted(live: Live, tmp_path: Path) -> None:
    for run in (RUNS[2], RUNS[4], OWN_TABLES):
        offsets: dict[int, list[int]] = {}
        for partition, offset, *_ in of_run(live, run):
            offsets.setdefault(partition, []).append(offset)
        assert where_they_lie(live.settings, live.reader, [run]) == tuple(
            (min(offsets[partition]), max(offsets[partition]) + 1) for partition in range(4)
        )
    both = where_they_lie(live.settings, live.reader, [RUNS[4], OWN_TABLES])
    parts = [where_they_lie(live.settings, live.reader, [run]) for run in (RUNS[4], OWN_TABLES)]
    assert both == tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(*parts, strict=True))
    start, *spills, end = small_run(WAITING)
    live.send(start, *spills[1:], end)
    with stopped(live):
        with SpillProducer(live.settings) as producer:
            producer.send(spills[0])
        written = write_archive(live.settings, live.reader, WAITING, tmp_path)
    assert len(list(read_source(written.file))) == len(small_run(WAITING))
    wait_until_counted(live.settings, live.reader)


@contextmanager
def stopped(live: Live) -> Iterator[None]:
    running = [worker for worker in live.workers.running if worker.poll() is None]
    for worker in running:
        worker.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in running:
            worker.send_signal(signal.SIGCONT)


def test_an_archive_has_all_that_is_in_the_book_or_is_none(live: Live, tmp_path: Path) -> None:
    # As if the topic had been made anew since, and had grown as long.
    keys = layout.Keys(live.settings.redis.key_prefix, "live", 1).spills(RUNS[5])
    entry = live.redis.hget(keys, "1")
    assert entry is not None
    live.redis.hset(keys, "99", entry)
    try:
        with pytest.raises(
            SpilldeckError, match=f"no longer holds run {RUNS[5]} whole: 1 of its 8 spills are gone: 99"
        ):
            write_archive(live.settings, live.reader, RUNS[5], tmp_path)
    finally:
        live.redis.hdel(keys, "99")
    assert list(tmp_path.iterdir()) == []
    # So with messages that are in no book: here the first one, of the totals.
    part = layout.Keys(live.settings.redis.key_prefix, "live", 0).run(RUNS[5])
    good = live.redis.hget(part, "totals")
    assert isinstance(good, bytes)
    totals = layout.unpack_totals(good)
    totals.first_raw[0] -= 1
    live.redis.hset(part, "totals", layout.pack_totals(totals))
    try:
        with pytest.raises(SpilldeckError, match="all its spills are there, and other messages of it are gone"):
            write_archive(live.settings, live.reader, RUNS[5], tmp_path)
    finally:
        live.redis.hset(part, "totals", good)
    assert write_archive(live.settings, live.reader, RUNS[5], tmp_path).spills == 9


def test_a_whole_archive_is_there_at_each_moment_while_another_takes_its_place(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *before, late, end = small_run(REPLACED)
    live.send(*before, end)
    file = tmp_path / f"{REPLACED:08d}.spills.avro"
    write_archive(live.settings, live.reader, REPLACED, tmp_path)
    former = tmp_path / f"{REPLACED:08d}.000"
    former.write_bytes(b"".join(record.payload for record in (*before, end)))
    live.send(late, end)
    steps = []

    def watched(step: Callable[..., object]) -> Callable[..., object]:
        def watching(path: Path, *arguments: object, **options: object) -> object:
            steps.append(path.name)
            check_archive(file)
            done = step(path, *arguments, **options)
            check_archive(file)
            return done

        return watching

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink"):
            patch.setattr(Path, name, watched(getattr(Path, name)))
        written = write_archive(live.settings, live.reader, REPLACED, tmp_path, replace=True)
    assert len(steps) >= 5
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, f"{file.name}.sha256"]
    assert written.contents == contents_of(file)
    assert len(list(read_source(file))) == len(small_run(REPLACED)) + 1


def test_an_archive_is_not_replaced_by_one_that_has_less(kept: Kept, tmp_path: Path) -> None:
    live, run = kept.live, PLAIN
    archive = tmp_path / kept.archive(run).name
    archive.write_bytes(kept.archive(run).read_bytes())
    with SpillProducer(live.settings) as producer:
        for record in small_run(run)[-3:]:
            producer.send(record)
    # As they are when Redis was emptied, too: of what Kafka has left.
    rebuilt = BookReader.of(live.redis, live.settings, "rebuilt")
    with pytest.raises(SpilldeckError, match=f"{archive.name} stays: it has spills that Kafka no longer has "):
        write_archive(live.settings, rebuilt, run, tmp_path, replace=True)
    assert archive.read_bytes() == kept.archive(run).read_bytes()
    assert list(tmp_path.iterdir()) == [archive]
