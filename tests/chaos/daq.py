"""What is sent while harm is done: a file that grows, as a DAQ writes it, for as long as it is wanted."""

import heapq
import random
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Self

from schemas.records import RawSpill, RunControl
from streams.conditions.store import ConditionsStore
from streams.daq.sources import read_source
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.simulator import SimulatedRun
from streams.source_format import FirstCounts

FIRST_RUN = 700_501
SPILLS_A_RUN = 60
"""So few that a run changes while each harm is done and mended."""
DISORDER = 100
"""Records come up to so many others too late or too early, across runs too."""
SOON = 40
"""So many records, the first ones, are there from the beginning."""
STOP_S = 10.0

Record = RawSpill | RunControl
SIMULATED_RUN = 900_001


class OwnRun(SimulatedRun):
    """A simulated run with a number that tables of its own are for."""

    @property
    def conditions(self) -> Conditions:
        conditions = ConditionsStore([]).for_run(SIMULATED_RUN)
        assert conditions is not None
        return conditions


class Daq:
    """Writes short runs into a file until its block ends: spills with duplicates, losses and disorder of their own.

    Parameters
    ----------
    file
        What it writes, for the producer to follow.
    seed, rate
        Of the simulated runs; records a second.
    """

    def __init__(self, file: Path, *, seed: int, rate: float) -> None:
        self.file, self._period_s = file, 1 / rate
        self._formers: list[Path] = []
        self._stream = shuffled(_runs(seed), DISORDER, random.Random(seed))
        self._written: list[Record] = []
        self._asked: deque[Record] = deque()
        with file.open("wb", buffering=0) as new:
            for _ in range(SOON):
                self._write_next(new)
        self._ended, self._to_replace, self._writing = threading.Event(), threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._write, name="daq")

    def _write(self) -> None:
        while not self._ended.is_set():
            with self.file.open("ab", buffering=0) as file:
                while not self._ended.wait(self._period_s) and not self._to_replace.is_set():
                    with self._writing:
                        self._write_next(file)
            if self._to_replace.is_set():
                self._begin_a_file()

    def _begin_a_file(self) -> None:
        """Go on in another file of the same name; the former one keeps what it has, elsewhere."""
        former = self.file.parent / f"former-{len(self._formers)}" / self.file.name
        former.parent.mkdir()
        former.hardlink_to(self.file)
        self._formers.append(former)
        new = self.file.with_suffix(".new")
        new.touch()
        new.rename(self.file)
        self._to_replace.clear()

    def replace_the_file(self) -> None:
        """Have what comes next written into another file of the same name."""
        self._to_replace.set()

    def _write_next(self, file) -> None:  # type: ignore[no-untyped-def]
        record = self._asked.popleft() if self._asked else next(self._stream)
        file.write(record.payload)
        self._written.append(record)

    def write(self, records: Iterable[Record]) -> None:
        """Write these as the next ones."""
        self._asked.extend(records)

    def add(self, records: Sequence[Record]) -> None:
        """Write some more at once, when all else is written."""
        assert not self._thread.is_alive()
        with self.file.open("ab", buffering=0) as file:
            for record in records:
                self._asked.append(record)
                self._write_next(file)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Write nothing until the block ends."""
        with self._writing:
            yield

    @property
    def written(self) -> Sequence[Record]:
        """What was written so far, in its order."""
        return self._written

    def records(self) -> list[Record]:
        """Return the records that were written, as they are read, while none is written."""
        assert self._writing.locked() or not self._thread.is_alive()
        firsts: FirstCounts = {}
        read = [record for file in (*self._formers, self.file) for record in read_source(file, firsts)]
        assert [record.payload for record in read] == [record.payload for record in self._written]
        return read

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(STOP_S)


def _runs(seed: int) -> Iterator[Record]:
    """Yield the records of one run after the other, for ever."""
    for number in count():
        start_us = OwnRun.start_us + number * 1_000_000_000
        run = OwnRun(run=FIRST_RUN + number, spills=SPILLS_A_RUN, seed=seed, mean_triggers=4, start_us=start_us)
        yield from run.with_faults(["duplicated_spills@11-14", "lost_spills@20-22"]).records()


def shuffled(records: Iterable[Record], most: int, rng: random.Random) -> Iterator[Record]:
    """Yield the records up to so many places from where they were."""
    waiting: list[tuple[float, int, Record]] = []
    for place, record in enumerate(records):
        # None that is still to come may have a place before this one.
        while waiting and waiting[0][0] < place:
            yield heapq.heappop(waiting)[2]
        heapq.heappush(waiting, (place + rng.uniform(0, most), place, record))
