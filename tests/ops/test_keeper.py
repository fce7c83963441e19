"""spilldeck keeper: the records of the runs, and the archive of each at its end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.keeper import Keeper, registry_key, stored_records
from schemas.records import RunRecord, RunState
from schemas.wire import decode
from streams.daq.producer import SpillProducer
from streams.daq.simulator import SimulatedRun
from streams.settings import KeeperSettings, Settings
from streams.topics import Topics
from tests.kafka import messages
from tests.live import RUNS, Live, Record, small_run, wait_until_counted

pytestmark = pytest.mark.servers

STEP_BY_STEP, ARCHIVED, REFUSED = 900_391, 900_392, 900_393


def records(settings: Settings, run: int) -> list[RunRecord]:
    """Return what the topic has of a run, the oldest first."""
    one_partition = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"partitions": 1})})
    found = [decode(message.value() or b"") for message in messages(one_partition, Topics.of(settings).runs)]
    return [record for record in found if isinstance(record, RunRecord) and record.run == run]


def send(live: Live, *sent: Record) -> None:
    with SpillProducer(live.settings) as producer:
        for record in sent:
            producer.send(record)
    wait_until_counted(live.settings, live.reader)


def with_archive(live: Live, directory: Path) -> Settings:
    return live.settings.model_copy(update={"keeper": KeeperSettings(archive=directory)})


def test_each_change_of_a_runs_state_is_a_record_and_nothing_is_written_twice(live: Live) -> None:
    start, *spills, end = SimulatedRun(run=STEP_BY_STEP, spills=3, mean_triggers=2, detectors=("tof",)).records()
    keeper = Keeper(live.settings, live.redis)
    for sent in ([start], spills[:1], spills[1:2], [end], [spills[2]]):
        send(live, *sent)
        keeper.look()
        keeper.look()
    # The second spill changed counters alone, for which a record waits.
    assert [(r.state, r.spills) for r in records(live.settings, STEP_BY_STEP)] == [
        (RunState.ANNOUNCED, 0),
        (RunState.RUNNING, 1),
        (RunState.ENDED, 2),
        (RunState.REOPENED, 3),
    ]
    newest = records(live.settings, STEP_BY_STEP)[-1]
    assert (newest.late_spills, newest.last_spill, newest.received) == (True, 2, 3)
    assert stored_records(live.redis, registry_key(live.settings))[STEP_BY_STEP] == newest
    Keeper(live.settings, live.redis).look()
    assert len(records(live.settings, STEP_BY_STEP)) == 4
    (done,) = records(live.settings, RUNS[0])
    assert (done.state, done.spills, done.duplicates, sum(done.rejected.values())) == (RunState.ENDED, 7, 1, 1)


def test_a_run_that_ends_is_archived_byte_for_byte_once(live: Live, tmp_path: Path) -> None:
    settings, directory = with_archive(live, tmp_path / "archive"), tmp_path / "archive"
    keeper = Keeper(settings, live.redis)
    start, *spills, end = SimulatedRun(run=ARCHIVED, spills=3, mean_triggers=2, detectors=("tof",)).records()
    send(live, start, *spills)
    keeper.look()
    assert not (directory / f"{ARCHIVED:08d}.000").exists()
    send(live, end)
    keeper.look()
    file = directory / f"{ARCHIVED:08d}.000"
    assert file.read_bytes() == b"".join(record.payload for record in (start, *spills, end))
    assert records(live.settings, ARCHIVED)[-1].products == [file.name]
    written = file.stat().st_mtime_ns
    for _ in range(2):
        Keeper(settings, live.redis).look()
    # Redis forgets it, the file is still there.
    live.redis.hdel(registry_key(settings), str(ARCHIVED))
    Keeper(settings, live.redis).look()
    assert file.stat().st_mtime_ns == written
    assert records(live.settings, ARCHIVED)[-1].products == [file.name]
    assert (directory / f"{RUNS[0]:08d}.000").exists()


def test_a_directory_that_cannot_be_written_is_said_once_and_costs_no_record(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    send(live, *small_run(REFUSED))
    keeper = Keeper(with_archive(live, tmp_path / "file" / "archive"), live.redis)
    keeper.look()
    keeper.look()
    lines = [line for line in capsys.readouterr().out.splitlines() if str(REFUSED) in line and "no archive" in line]
    assert len(lines) == 1
    (record,) = records(live.settings, REFUSED)
    assert (record.state, record.products) == (RunState.ENDED, [])


def test_the_command_keeps_the_account_until_it_is_told_to_stop(live: Live) -> None:
    live.redis.delete(registry_key(live.settings))
    command = [sys.executable, "-m", "ops", "keeper"]
    keeping = subprocess.Popen(command, env={**os.environ, **live.env}, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while RUNS[-1] not in stored_records(live.redis, registry_key(live.settings)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        keeping.send_signal(signal.SIGTERM)
        assert keeping.wait(20) == 0
    finally:
        keeping.kill()
        keeping.communicate()
