"""spilldeck produce --resume, --follow: after kill -9, and while a file grows; nothing lost, nothing twice."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from ops.inputs import Inputs
from ops.production import Production
from ops.stack import LocalStack
from ops.topics import ensure_topics
from schemas.records import RawSpill
from streams.daq.producer import SpillProducer
from streams.daq.source import Source
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import ProducerSettings, Settings
from streams.topics import Topics
from tests.begun import Heard
from tests.kafka import messages
from tests.ops.conftest import Spilldeck
from tests.servers import environment
from tests.wire import decode

pytestmark = pytest.mark.servers
PATIENCE_S = 60.0


def spills(settings: Settings) -> Counter[int]:
    """Return how often each spill is in spills.raw."""
    records = (decode(message.value() or b"") for message in messages(settings, Topics.of(settings).raw))
    return Counter(record.spill for record in records if isinstance(record, RawSpill))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def env(settings: Settings, tmp_path: Path) -> dict[str, str]:
    ensure_topics(settings)
    return environment(settings) | {"SPILLDECK_PRODUCER__JOURNALS": str(tmp_path / "journals")}


def write_run(path: Path, count: int) -> Path:
    path.write_bytes(
        b"".join(r.payload for r in SimulatedRun(spills=count, mean_triggers=4, detectors=("tof",)).records())
    )
    return path


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run.000", 60)


Start = Callable[..., AbstractContextManager[Heard]]


@pytest.fixture
def start(env: dict[str, str], tmp_path: Path) -> Start:
    """Return what produces in a process of its own, which is ended with the block at the latest."""

    @contextmanager
    def begin(*arguments: str | Path) -> Iterator[Heard]:
        producer = Heard(["produce", *map(str, arguments)], env=os.environ | env, said=tmp_path)
        try:
            yield producer
        finally:
            producer.kill()
            producer.wait()

    return begin


def test_after_kill_9_a_producer_goes_on_behind_the_last_acknowledged_spill(
    spilldeck_here: Spilldeck, settings: Settings, env: dict[str, str], start: Start, tmp_path: Path
) -> None:
    count = 400  # twenty seconds of sending: the kill comes long before the end on a slow machine too
    run_file = write_run(tmp_path / "long.000", count)
    with start(run_file, "--rate", "20") as producer:
        wait_for(lambda: len(spills(settings)) > 15)
        producer.kill()
        producer.wait()
    there = len(spills(settings))
    assert there < count
    done = spilldeck_here("produce", run_file, "--resume", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{count - there} spills acknowledged\n"
    assert spills(settings) == Counter(range(count))
    # All is there: nothing more is sent. Without --resume, it is sent once more, as somebody may want.
    assert spilldeck_here("produce", run_file, "--resume", env=env).stdout == "0 spills acknowledged\n"
    assert spilldeck_here("produce", run_file, env=env).stdout == f"{count} spills acknowledged\n"


def test_a_file_that_grows_is_followed_until_ctrl_c_and_resumed(
    settings: Settings, start: Start, tmp_path: Path
) -> None:
    records = list(SimulatedRun(spills=6, mean_triggers=4, detectors=("tof",)).records())
    path = tmp_path / "growing.000"
    path.write_bytes(records[0].payload + records[1].payload + records[2].payload[:1000])
    for options, more, last in ((["--follow"], 4, 2), (["--follow", "--resume"], 8, 5)):
        with start(path, *options) as producer:
            wait_for(lambda: bool(spills(settings)))
            whole = b"".join(r.payload for r in records[:more])
            with path.open("ab") as grown:  # written anew, it would be empty for a moment, and another file
                grown.write(whole[path.stat().st_size :])
            wait_for(lambda wanted=last: max(spills(settings)) == wanted)
            producer.send_signal(signal.SIGINT)
            _, err = producer.communicate(timeout=PATIENCE_S)
            assert (producer.poll(), err) == (0, "")
    assert spills(settings) == Counter(range(6))


def test_a_name_that_becomes_another_file_is_followed_into_it(settings: Settings, start: Start, tmp_path: Path) -> None:
    """A link that moves, a file that is replaced, and one that is written anew; each a file of the same run.

    The last two while nobody follows.
    """
    pieces = [r.payload for r in SimulatedRun(spills=9, mean_triggers=4, detectors=("tof",)).records()]
    files = [b"".join(pieces[start:stop]) for start, stop in ((0, 4), (4, 6), (6, 7), (7, 8), (8, 11))]
    (tmp_path / "0.000").write_bytes(files[0])
    name = tmp_path / "current.000"
    name.symlink_to("0.000")
    with start(name, "--follow") as producer:
        wait_for(lambda: len(spills(settings)) == 3)
        (tmp_path / "1.000").write_bytes(files[1])
        (tmp_path / "link").symlink_to("1.000")
        (tmp_path / "link").rename(name)
        wait_for(lambda: len(spills(settings)) == 5)
        producer.kill()
    with (tmp_path / "1.000").open("ab") as former:
        former.write(files[2])
    (tmp_path / "2.000").write_bytes(files[3])
    (tmp_path / "link").symlink_to("2.000")
    (tmp_path / "link").rename(name)
    with start(name, "--follow", "--resume") as producer:
        wait_for(lambda: len(spills(settings)) == 7)
        producer.kill()
    (tmp_path / "2.000").write_bytes(files[4])
    with start(name, "--follow", "--resume") as producer:
        wait_for(lambda: len(spills(settings)) == 9)
        producer.send_signal(signal.SIGINT)
        out, err = producer.communicate(timeout=PATIENCE_S)
        assert (producer.poll(), out) == (0, "2 spills acknowledged\n")
        assert "is another file than the one that was sent up to byte" in err
    assert spills(settings) == Counter(range(9))


def test_a_broker_that_hangs_is_told_and_waited_for(
    settings: Settings, stack: LocalStack, env: dict[str, str], run_file: Path, tmp_path: Path
) -> None:
    told: list[tuple[float, int]] = []
    (kafka,) = [psutil.Process(s.pid) for s in stack.status() if s.name == "kafka" and s.pid is not None]
    journals = ProducerSettings(journals=tmp_path / "journals")

    def wait(seconds: float, waiting: int) -> None:
        told.append((seconds, waiting))
        if len(told) == 2:
            kafka.resume()

    production = Production(
        settings.model_copy(update={"producer": journals}), on_acknowledged=lambda _: None, on_waiting=wait
    )
    inputs = Inputs([run_file])
    records = inputs.records_of

    def stopping(source: Source):
        for number, record in enumerate(records(source)):
            if number == 30:
                kafka.suspend()
            yield record

    inputs.records_of = stopping  # type: ignore[method-assign]
    try:
        production.play(inputs, resume=False, rate=None, as_recorded=False)
    finally:
        kafka.resume()
    assert production.spills == 60
    assert spills(settings) == Counter(range(60))
    (first, waiting), (second, _) = told[:2]
    assert waiting > 0
    assert second >= 2 * first


def test_a_run_that_begins_while_the_broker_hangs_waits_for_it(settings: Settings, stack: LocalStack) -> None:
    ensure_topics(settings)
    (kafka,) = [psutil.Process(s.pid) for s in stack.status() if s.name == "kafka" and s.pid is not None]
    with SpillProducer(settings, on_waiting=lambda _seconds, _messages: kafka.resume()) as producer:
        kafka.suspend()
        try:
            for record in SimulatedRun(spills=3, mean_triggers=4, detectors=("tof",)).records():
                producer.send(record)
        finally:
            kafka.resume()
    assert spills(settings) == Counter(range(3))
