"""What is sent while harm is done: short runs with duplicates, losses and disorder of their own."""

import random
from collections.abc import Sequence
from pathlib import Path

from schemas.records import RawSpill, RunControl
from streams.daq.simulator import SimulatedRun
from streams.daq.sources import read_source

FIRST_RUN = 900_501
SPILLS_A_RUN = 60
"""So few that a run changes while each harm is done and mended."""
DISORDER = 100
"""Records come up to so many others too late or too early, across runs too."""
AGAIN = 40

Record = RawSpill | RunControl


def write_source(path: Path, spills: int, seed: int) -> list[Record]:
    """Write a file of runs; return its records."""
    changes = [f"change_of_run@{first}" for first in range(SPILLS_A_RUN, spills, SPILLS_A_RUN)]
    simulated = SimulatedRun(run=FIRST_RUN, spills=spills, seed=seed, mean_triggers=4)
    records = list(simulated.with_faults(["duplicated_spills@11-14", "lost_spills@20-22", *changes]).records())
    rng = random.Random(seed)
    places = [place + rng.uniform(0, DISORDER) for place in range(len(records))]
    order = sorted(range(len(records)), key=places.__getitem__)
    return _write(path, [records[at] for at in order])


def write_again(path: Path, records: Sequence[Record]) -> list[Record]:
    """Write the first of these records into a file of another name; return them as they are read from there."""
    return _write(path, records[:AGAIN])


def _write(path: Path, records: Sequence[Record]) -> list[Record]:
    path.write_bytes(b"".join(record.payload for record in records))
    read = list(read_source(path))
    assert [record.payload for record in read] == [record.payload for record in records]
    return read


def out_of_order(records: Sequence[Record], partitions: int) -> dict[int, int]:
    """Return, for each run, how many spills come after one with a higher number in the same partition."""
    last: dict[tuple[int, int], int] = {}
    seen: set[tuple[int, int]] = set()
    found: dict[int, int] = {}
    for record in records:
        if isinstance(record, RunControl) or (record.run, record.spill) in seen:
            continue
        seen.add((record.run, record.spill))
        place = record.run, record.spill % partitions
        found[record.run] = found.get(record.run, 0) + (record.spill < last.get(place, -1))
        last[place] = max(last.get(place, -1), record.spill)
    return found
