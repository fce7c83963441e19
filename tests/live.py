"""Runs that live has counted, with workers killed meanwhile, for replays to equal."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from redis import Redis

from ops.topics import ensure_topics
from schemas.records import RawSpill, RunControl
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import Settings
from tests.conftest import wait_until_counted
from tests.servers import environment
from tests.unreadable import no_board_can_be_read
from tests.workers import Workers

Record = RawSpill | RunControl
RUNS = range(900_301, 900_311)
OWN_TABLES = 77
"""A run whose tables are copies that a test may change."""
SPILLS = 8
FAULTS = ("reordered_spills@1-2", "duplicated_spills@3", *no_board_can_be_read("5", "tof"))


@dataclass(frozen=True, kw_only=True)
class Live:
    """A session with what it has counted."""

    settings: Settings
    redis: Redis
    reader: BookReader
    records: list[Record]
    env: dict[str, str]
    workers: Workers
    senders: dict[int, str] = field(default_factory=dict)
    """Run → the file of the test that sent it: another that sends it too would find what it did not send."""

    def books(self, session: str) -> BookReader:
        return BookReader.of(self.redis, self.settings, session)

    def send(self, *sent: Record) -> None:
        """Have live count some more."""
        file = os.environ["PYTEST_CURRENT_TEST"].partition("::")[0]
        for run in {record.run for record in sent}:
            assert self.senders.setdefault(run, file) == file, f"run {run} is of {self.senders[run]}: take another"
        with SpillProducer(self.settings) as producer:
            for record in sent:
                producer.send(record)
        wait_until_counted(self.settings, self.reader)


def small_run(number: int, spills: int = SPILLS) -> list[Record]:
    """Return a run with a duplicate, a spill that is rejected, and two that changed places."""
    run = SimulatedRun(run=number, spills=spills, mean_triggers=4, detectors=("tof",)).with_faults(FAULTS)
    return list(run.records())


def own_run() -> list[Record]:
    """Return the records of the run `OWN_TABLES`."""
    return [replace(record, run=OWN_TABLES) for record in small_run(900_300)]


def interleaved(runs: list[list[Record]]) -> list[Record]:
    """Return the records of runs one after the other, a run after the other."""
    longest = max(map(len, runs))
    return [run[i] for i in range(longest) for run in runs if i < len(run)]


@contextmanager
def count_live(settings: Settings, logs: Path, batches: list[list[Record]], env: dict[str, str]) -> Iterator[Live]:
    """Have two workers count what is produced, one of which is killed between the batches and comes back."""
    ensure_topics(settings)
    workers = Workers(settings, logs, env)
    try:
        with connect(settings) as redis:
            reader = BookReader.of(redis, settings)
            workers.start()
            workers.start()
            for number, batch in enumerate(batches):
                with SpillProducer(settings) as producer:
                    for record in batch:
                        producer.send(record)
                if number == 0 and len(batches) > 1:
                    while not reader.runs():
                        time.sleep(0.05)
                    workers.kill(0)
                    workers.start()
            wait_until_counted(settings, reader)
            yield Live(
                settings=settings,
                redis=redis,
                reader=reader,
                records=[record for batch in batches for record in batch],
                env=environment(settings) | env,
                workers=workers,
            )
    finally:
        workers.stop()
