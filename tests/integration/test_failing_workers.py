"""A worker that cannot go on ends, with a status and a reason, so that another takes its partitions over."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.agents.watch import DEAF_STATUS
from streams.books.compare import differences
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from tests.kafka import wait_until_shared
from tests.lanes import first
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = 900_060
END_S = 60.0
"""A worker that cannot go on ends within it."""
DEAF_S = 6.0
"""What a deaf worker waits here, in place of a minute."""
RAISES = """
from streams.books.counter import Counter

async def take(self, number, outcomes):
    raise RuntimeError("a fault that is no spill's")

Counter.take = take
"""
HANGS = f"""
import asyncio
from streams.agents import watch
from streams.books.reading import Reading

watch.DEAF_S = {DEAF_S}

async def accept(self, arrived):
    await asyncio.Event().wait()

Reading.accept = accept
"""
BLOCKS = f"""
import time
from streams.agents import reconstruct, watch
from tests.lanes import first

watch.DEAF_S = {DEAF_S}

def transform_all(messages, conditions_of):
    time.sleep(1000)

reconstruct.transform_all = transform_all
"""


def ended(worker: subprocess.Popen[bytes]) -> int:
    """Return the status of a worker once it has ended."""
    start = time.monotonic()
    status = worker.wait(END_S)
    assert time.monotonic() - start < END_S
    return status


def check_that_another_counts_all(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None], plugin: str
) -> int:
    """Have a worker with a plug-in share the partitions with a good one; return its status when it has ended."""
    records = list(SimulatedRun(run=RUN, spills=40, mean_triggers=3, detectors=("tof",)).records())
    bad = workers.running[workers.start(plugin=plugin)]
    good = workers.running[workers.start()]
    wait_until_shared(settings, 2)
    with SpillProducer(settings) as producer:
        for record in records:
            producer.send(record)
    status = ended(bad)
    until_counted()
    (expected,) = process(records, ConditionsStore([]).for_run).values()
    assert differences(expected.run_book(), reader.run(RUN, {})) == []
    assert good.poll() is None
    return status


def test_what_is_no_spills_fault_ends_the_worker_with_the_reason_and_another_counts_all(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    assert check_that_another_counts_all(settings, workers, reader, until_counted, RAISES) > 0
    assert "a fault that is no spill's" in workers.log(0)


@pytest.mark.parametrize("plugin", first([HANGS, BLOCKS], 1), ids=["waits for ever", "blocks a thread for ever"])
def test_a_worker_that_takes_nothing_ends_itself_with_a_sentence_and_another_counts_all(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None], plugin: str
) -> None:
    assert check_that_another_counts_all(settings, workers, reader, until_counted, plugin) == DEAF_STATUS
    assert "though there is something: ending" in workers.log(0)


HOLDS_MESSAGES_UNTIL_THEY_MOVED = """
import asyncio
from pathlib import Path
from streams.books.reading import Reading

accept = Reading.accept

async def accept_late(self, arrived):
    while not Path("moved").exists():
        await asyncio.sleep(0.1)
    return await accept(self, arrived)

Reading.accept = accept_late
"""


def test_a_worker_that_holds_messages_of_a_partition_that_moved_goes_on_with_its_own(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None], tmp_path: Path
) -> None:
    records = list(SimulatedRun(run=RUN, spills=40, mean_triggers=3, detectors=("tof",)).records())
    workers.start(plugin=HOLDS_MESSAGES_UNTIL_THEY_MOVED)
    wait_until_shared(settings, 1)
    with SpillProducer(settings) as producer:
        for record in records:
            producer.send(record)
    workers.start()
    while sum(progress.next > 0 for progress in reader.progress().values()) < 2:
        time.sleep(0.1)
    (tmp_path / "moved").touch()
    until_counted()
    (expected,) = process(records, ConditionsStore([]).for_run).values()
    assert differences(expected.run_book(), reader.run(RUN, {})) == []
    assert [worker.poll() for worker in workers.running] == [None, None]
    assert "No current assignment" not in workers.log(0)
