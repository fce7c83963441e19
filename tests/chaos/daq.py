"""What is sent while harm is done: a file that grows, as a DAQ writes it, for as long as it is wanted."""

import heapq
import random
import threading
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Self

from schemas.records import RawSpill, RunControl
from streams.daq.simulator import SimulatedRun
from streams.daq.sources import read_source

FIRST_RUN = 900_501
SPILLS_A_RUN = 60
"""So few that a run changes while each harm is done and mended."""
DISORDER = 100
"""Records come up to so many others too late or too early, across runs too."""
AGAIN = 40
"""So many, the first ones, are there from the beginning; a second producer may send them again."""
STOP_S = 10.0

Record = RawSpill | RunControl


class Daq:
    """Writes short runs into a file until its block ends: spills with duplicates, losses and disorder of their own.

    Parameters
    ----------
    file
        What it writes, for the producer to follow.
    again
        Gets the first `AGAIN` records, whole, at once.
    seed, rate
        Of the simulated runs; records a second.
    """

    def __init__(self, file: Path, again: Path, *, seed: int, rate: float) -> None:
        self.file, self._period_s = file, 1 / rate
        self._payloads = (record.payload for record in shuffled(_runs(seed), DISORDER, random.Random(seed)))
        self._written = list(islice(self._payloads, AGAIN))
        file.write_bytes(b"".join(self._written))
        again.write_bytes(b"".join(self._written))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, name="daq")

    def _write(self) -> None:
        with self.file.open("ab", buffering=0) as file:
            while not self._ended.wait(self._period_s):
                self._written.append(next(self._payloads))
                file.write(self._written[-1])

    def records(self) -> list[Record]:
        """Return the records that were written, in their order, once the block has ended."""
        assert not self._thread.is_alive()
        read = list(read_source(self.file))
        assert [record.payload for record in read] == self._written
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
        start_us = SimulatedRun.start_us + number * 1_000_000_000
        run = SimulatedRun(run=FIRST_RUN + number, spills=SPILLS_A_RUN, seed=seed, mean_triggers=4, start_us=start_us)
        yield from run.with_faults(["duplicated_spills@11-14", "lost_spills@20-22"]).records()


def shuffled(records: Iterable[Record], most: int, rng: random.Random) -> Iterator[Record]:
    """Yield the records up to so many places from where they were."""
    waiting: list[tuple[float, int, Record]] = []
    for place, record in enumerate(records):
        # None that is still to come may have a place before this one.
        while waiting and waiting[0][0] < place:
            yield heapq.heappop(waiting)[2]
        heapq.heappush(waiting, (place + rng.uniform(0, most), place, record))
