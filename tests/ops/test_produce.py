"""spilldeck produce and simulate: into a real Kafka."""

import gzip
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import cramjam
import lz4.frame
import pytest

from ops.daq_file import write_daq_file
from ops.inputs import Inputs, paced
from ops.topics import ensure_topics
from schemas.records import NO_RUN, RawFormat, RawSpill, RunControl
from streams.books.connect import place
from streams.daq.source import Source
from streams.date.framing import headers
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import Settings
from streams.topics import Topics, partition_of
from tests.date_builder import end_of_run, spill, start_of_run
from tests.kafka import messages
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_resume import wait_for
from tests.records import raw_spill
from tests.servers import environment, without_redis
from tests.wire import decode

RUN = SimulatedRun(spills=9, mean_triggers=4)


def produced(settings: Settings) -> list[tuple[int, RawSpill | RunControl]]:
    """Return partition and record of each message in spills.raw."""
    found = []
    for message in messages(settings, Topics.of(settings).raw):
        record = decode(message.value() or b"")
        assert isinstance(record, RawSpill | RunControl)
        assert message.key() == str(record.run).encode()
        found.append((message.partition() or 0, record))
    return found


@pytest.mark.servers
def test_simulate_gives_a_file_and_produce_brings_it_into_kafka(
    spilldeck: Spilldeck, settings: Settings, tmp_path: Path
) -> None:
    env = environment(settings)
    assert spilldeck("simulate", "--spills", "9", "--out", "run.000").stdout == "run 900001: 9 spills to run.000\n"
    expected = list(SimulatedRun(spills=9).records())
    assert (tmp_path / "run.000").read_bytes() == b"".join(record.payload for record in expected)
    done = spilldeck("produce", "run.000", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "9 spills acknowledged\n", "")
    found = produced(settings)
    spills = {r.spill: (p, r.payload) for p, r in found if isinstance(r, RawSpill)}
    assert spills == {
        r.spill: (partition_of(r.spill, settings.kafka.partitions), r.payload)
        for r in expected
        if isinstance(r, RawSpill)
    }
    control = sorted((r.kind, p) for p, r in found if isinstance(r, RunControl))
    assert control == [(kind, p) for kind in ("end", "start") for p in range(settings.kafka.partitions)]


@pytest.mark.servers
def test_simulate_goes_straight_into_kafka(spilldeck: Spilldeck, settings: Settings) -> None:
    done = spilldeck("simulate", "--run", "900005", "--spills", "3", "--rate", "50", env=environment(settings))
    assert (done.returncode, done.stdout) == (0, "run 900005: 3 spills acknowledged\n")
    assert sorted(r.spill for _, r in produced(settings) if isinstance(r, RawSpill)) == [0, 1, 2]


@pytest.mark.servers
def test_bytes_without_a_spill_are_produced_too(spilldeck: Spilldeck, settings: Settings, tmp_path: Path) -> None:
    whole = b"".join(record.payload for record in RUN.records())
    (tmp_path / "cut.000").write_bytes(whole[: len(whole) // 2])
    assert spilldeck("produce", "cut.000", env=environment(settings)).returncode == 0
    (unreadable,) = [r for _, r in produced(settings) if isinstance(r, RawSpill) and r.format is RawFormat.UNREADABLE]
    assert unreadable.spill == NO_RUN
    assert "cut.000" in unreadable.problem


@pytest.mark.servers
@pytest.mark.parametrize("packed", [False, True])
def test_spills_go_out_as_they_come_through_a_pipe(settings: Settings, tmp_path: Path, packed: bool) -> None:
    ensure_topics(settings)
    (tmp_path / "daq").mkdir()
    pipe = tmp_path / "daq" / "pipe"
    os.mkfifo(pipe)
    records = list(RUN.records())
    command = [sys.executable, "-m", "ops", "produce", str(pipe) if packed else "-"]
    env = os.environ | environment(settings) | {"SPILLDECK_PRODUCER__JOURNALS": str(tmp_path)}
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as producer:
        assert producer.stdin is not None
        pack = zlib.compressobj(wbits=31) if packed else None
        with pipe.open("wb") if packed else producer.stdin as writer:
            for some, count in ((records[:4], 3), (records[4:], 9)):
                content = b"".join(record.payload for record in some)
                writer.write(pack.compress(content) + pack.flush(zlib.Z_SYNC_FLUSH) if pack else content)
                writer.flush()
                wait_for(lambda wanted=count: sum(isinstance(r, RawSpill) for _, r in produced(settings)) == wanted)
            writer.write(pack.flush() if pack else b"")
        out = producer.stdout.read() if producer.stdout is not None else b""
    assert (producer.returncode, out) == (0, b"9 spills acknowledged\n")


@pytest.mark.servers
def test_of_a_directory_is_read_what_can_be_and_the_rest_is_told(
    spilldeck: Spilldeck, settings: Settings, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    parts = [b"".join(r.payload for r in SimulatedRun(run=900001 + n, spills=3).records()) for n in range(3)]
    (data / "0.000.lz4").write_bytes(lz4.frame.compress(parts[0]))
    (data / "1.000.zst").write_bytes(bytes(cramjam.zstd.compress(parts[1])))
    (data / "2").write_bytes(gzip.compress(parts[2], mtime=0))
    (data / "2.sha256").write_text("checksum")
    (data / ".2.part").write_text("half of it")
    document = {"daq_event_type": "physics_event", "run_number": 5, "spill_number": 0, "daq_data": {"trigger": []}}
    (data / "3.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(document, indent=1).encode() * 2)
    (data / "4.root").write_bytes(b"root" + bytes(5000))
    env = environment(settings) | {"SPILLDECK_PRODUCER__JOURNALS": str(tmp_path / "journals")}
    done = spilldeck("produce", data, env=env)
    assert (done.returncode, done.stdout) == (1, "11 spills acknowledged\n")
    assert done.stderr.splitlines() == [
        "spilldeck: framing at byte 0: 4.root is a ROOT file: what the DAQ wrote is read, not what was made of it"
    ]
    assert spilldeck("produce", data, "--resume", env=env).stdout == "0 spills acknowledged\n"


@pytest.mark.servers
def test_a_file_that_becomes_shorter_while_it_is_produced_is_said(
    settings: Settings, spilldeck_here: Spilldeck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(settings)
    path = tmp_path / "run.000"
    path.write_bytes(b"".join(record.payload for record in RUN.records()) + bytes(9 << 20))
    records_of = Inputs.records_of

    def cut_meanwhile(self: Inputs, source: Source) -> Iterator[RawSpill | RunControl]:
        for number, record in enumerate(records_of(self, source)):
            if number == 3:
                os.truncate(path, 10_000)
            yield record

    monkeypatch.setattr(Inputs, "records_of", cut_meanwhile)
    env = environment(settings) | {"SPILLDECK_PRODUCER__JOURNALS": str(tmp_path)}
    done = spilldeck_here("produce", path, env=env)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"spilldeck: {path} has become shorter, or was written anew, while it was read: produce it again\n"
    )
    assert produced(settings)


@pytest.mark.servers
def test_a_run_in_several_files_is_numbered_as_one_and_archived(
    spilldeck: Spilldeck, settings: Settings, tmp_path: Path
) -> None:
    """Together, in three processes, and with the middle one resumed: the DAQ counts from 1."""
    env = environment(settings) | {"SPILLDECK_PRODUCER__JOURNALS": str(tmp_path / "journals")}
    for run, ways in ((7, ["0 1 2"]), (8, ["0", "1", "1 --resume", "2"])):
        parts = [start_of_run(run) + spill(1, run=run), spill(2, run=run) + spill(3, run=run), spill(4, run=run)]
        for number, part in enumerate(parts):
            (tmp_path / f"{number}").write_bytes(part + (end_of_run(run) if number == 2 else b""))
        for way in ways:
            assert spilldeck("produce", *way.split(), env=env).returncode == 0
        there = sorted(r.spill for _, r in produced(settings) if isinstance(r, RawSpill) and r.run == run)
        assert there == [0, 1, 2, 3]
    # As the worker counts it, and as the file that is read back has it.
    records = [record for _, record in produced(settings) if record.run == 8]
    (tmp_path / "out").mkdir()
    made = write_daq_file(8, records, tmp_path / "out")
    assert made.spills == 4
    assert made.file.read_bytes() == b"".join((tmp_path / f"{number}").read_bytes() for number in range(3))


@pytest.mark.servers
def test_an_impossible_time_is_said_and_replaced(spilldeck: Spilldeck, settings: Settings, tmp_path: Path) -> None:
    right = list(RUN.records())
    broken = [bytearray(record.payload) for record in right]
    for record in (0, 4):  # the run's start, and all events of a spill
        for at, header in headers(bytes(broken[record]), 0, len(broken[record])):
            if record or header.is_super:
                broken[record][at + 75] ^= 0x80
                if not record:
                    break
    (tmp_path / "run.000").write_bytes(b"".join(broken))
    done = spilldeck("produce", "run.000", env=environment(settings))
    assert (done.returncode, done.stdout) == (0, "9 spills acknowledged\n")
    start, spill = sorted(done.stderr.splitlines(), key=lambda line: "spill 3" in line)
    assert start.startswith("spilldeck: run.000, run 900001, start of run, byte 0: its own, 2083-")
    assert f"run.000, run 900001, spill 3, byte {right[4].byte}: its own, 2083-" in spill
    found = {record.byte: record for _, record in produced(settings)}
    assert [found[record.byte].time_us for record in right] == [
        (right[3] if index == 4 else record).time_us for index, record in enumerate(right)
    ]
    assert [record.byte for record in found.values() if record.time_problem] == [0, right[4].byte]


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("command", [["produce", "run.000"], ["simulate", "--spills", "1"], ["worker"]])
def test_without_a_kafka_one_sentence_says_what_to_do(
    spilldeck_here: Spilldeck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.000").write_bytes(RUN.spill(0).raw.payload)
    line = assert_one_sentence(spilldeck_here(*command, env={"SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}), 3)
    assert "no Kafka answers at 127.0.0.1:1: start one (spilldeck up)" in line


@pytest.mark.servers
def test_without_a_redis_a_worker_says_what_to_do(spilldeck: Spilldeck, settings: Settings) -> None:
    away = without_redis(settings)
    line = assert_one_sentence(spilldeck("worker", env=environment(away)), 3)
    assert f"no Redis answers at {place(away)}" in line
    _, _, secret = away.redis.url.get_secret_value().rpartition("@")[0].rpartition(":")
    assert (secret or away.redis.password.get_secret_value()) not in line


@pytest.mark.servers
def test_whoever_produces_a_run_says_what_it_is_for(spilldeck: Spilldeck, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "run.000").write_bytes(b"".join(record.payload for record in RUN.records()))
    env = environment(settings)
    assert_one_sentence(spilldeck("produce", "run.000", "--type", "a\x1bb", env=env), 2)
    assert spilldeck("produce", "run.000", "--type", "physics", env=env).returncode == 0
    assert {r.run_type for _, r in produced(settings) if isinstance(r, RunControl)} == {"physics"}


def test_rate_and_as_recorded_exclude_each_other(spilldeck: Spilldeck) -> None:
    line = assert_one_sentence(spilldeck("produce", "x", "--rate", "1", "--as-recorded"), 2)
    assert "--rate" in line


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return what is slept, without sleeping: time stands still but for it."""
    slept = [0.0]
    monkeypatch.setattr("ops.inputs.time.monotonic", lambda: sum(slept))
    monkeypatch.setattr("ops.inputs.time.sleep", slept.append)
    return slept


def test_spills_come_at_the_pace_they_were_recorded_at(naps: list[float]) -> None:
    times = [10_000_000, 12_500_000, 0, 13_000_000, 12_000_000, 900_000_000]
    records = [raw_spill(spill=n, time_us=t) for n, t in enumerate(times)]
    # Another run, another clock: it begins at once.
    records.append(raw_spill(run=900002, spill=0, time_us=5_000_000_000))
    assert list(paced(records, None, as_recorded=True)) == records
    assert naps[1:] == pytest.approx([0.0, 2.5, 0.0, 0.5, 0.0, 60.0, 0.0])


def test_spills_come_at_the_rate_that_is_asked_for(naps: list[float]) -> None:
    records = [raw_spill(spill=n) for n in range(4)]
    assert list(paced(records, 2.0)) == records
    assert naps[1:] == pytest.approx([0.0, 0.5, 0.5, 0.5])
