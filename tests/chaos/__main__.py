"""Do harm at random from a seed, and compare every bin and counter: python -m tests.chaos --seed 1 --rounds 20."""

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from redis import RedisError
from rich.console import Console
from rich.table import Table

from schemas.records import RawSpill, RunControl
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.simulator import SimulatedRun
from streams.daq.sources import read_source
from streams.process import process
from tests.chaos.cluster import RATE, Cluster
from tests.chaos.harm import HARMS

SPILLS_A_ROUND = 90
"""So many that a round's harm is done and mended while they come."""
RECOVERY_S = 120.0
FIRST_RUN = 900_501
Record = RawSpill | RunControl


@dataclass(slots=True, kw_only=True)
class Round:
    """What was done, and how long the books stood still after it."""

    harm: str
    harm_s: float
    recovery_s: float


def write_run(path: Path, rounds: int, seed: int) -> list[Record]:
    """Write a file of two runs with duplicates, losses and disorder of its own; return its records."""
    spills = SPILLS_A_ROUND * rounds
    faults = ["duplicated_spills@11-14", "lost_spills@20-22", "reordered_spills@30-45", f"change_of_run@{spills // 2}"]
    run = SimulatedRun(run=FIRST_RUN, spills=spills, seed=seed, mean_triggers=4).with_faults(faults)
    path.write_bytes(b"".join(record.payload for record in run.records()))
    return list(read_source(path))


def counted(books: BookReader) -> int:
    """Return how many messages of spills.raw are in the books."""
    try:
        return sum(p.raw_end for p in books.progress())
    except RedisError:
        return -1


def until_it_moves(cluster: Cluster, books: BookReader, before: int) -> float:
    """Wait until the books have more than before, or all is in them; return for how long."""
    start = time.monotonic()
    while counted(books) <= before and cluster.producer.exit_status != 0:
        assert time.monotonic() - start < RECOVERY_S, "nothing moves"
        cluster.look_after()
        time.sleep(0.05)
    return time.monotonic() - start


def chaos(seed: int, rounds: int, console: Console) -> bool:
    """Do so many rounds of harm; say whether all came out identical."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="spilldeck-chaos-") as name:
        source = Path(name) / "run.000"
        records = write_run(source, rounds, seed)
        expected = process(records, ConditionsStore([]).for_run)
        done: list[Round] = []
        with Cluster(Path(name), source) as cluster, connect(cluster.settings()) as redis:
            settings = cluster.settings()
            books = BookReader(redis, settings.redis.key_prefix, settings.session, settings.kafka.partitions)
            until_it_moves(cluster, books, 0)
            try:
                for number in range(rounds):
                    harm = HARMS[number] if rounds >= len(HARMS) > number else rng.choice(HARMS)
                    start, before = time.monotonic(), counted(books)
                    harm(cluster, rng)
                    harmed_s = time.monotonic() - start
                    # Redis that was emptied begins anew.
                    recovery_s = until_it_moves(cluster, books, min(before, counted(books)))
                    done.append(Round(harm=harm.__name__.replace("_", " "), harm_s=harmed_s, recovery_s=recovery_s))
                    console.print(f"{number + 1}/{rounds} {done[-1].harm}: moves again after {recovery_s:.1f} s")
                    time.sleep(rng.uniform(0, 3))
                found = _finish(cluster, books, records, expected)
            except AssertionError as error:
                found = [str(error), *cluster.said()]
    table = Table(title=f"Chaos, seed {seed}: {len(records)} records, {RATE:.0f} spills a second")
    for column in ("fault", "it took, s", "books move again after, s"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for one in done:
        table.add_row(one.harm, f"{one.harm_s:.1f}", f"{one.recovery_s:.1f}")
    console.print(table)
    for difference in found:
        console.print(difference, markup=False)
    console.print("differs" if found else "identical")
    return not found


def _finish(cluster: Cluster, books: BookReader, records: list[Record], expected: dict) -> list[str]:  # type: ignore[type-arg]
    """Let the producer end and the workers count; return what differs from the pure calculation."""
    deadline = time.monotonic() + 2 * len(records) / RATE + RECOVERY_S
    while cluster.producer.exit_status != 0:
        assert time.monotonic() < deadline, "the producer does not end"
        cluster.look_after()
        time.sleep(0.2)
    partitions = cluster.settings().kafka.partitions
    wanted = sum(partitions if isinstance(record, RunControl) else 1 for record in records)
    last, since = -1, time.monotonic()
    while (now := counted(books)) < wanted:
        cluster.look_after()
        if now != last:
            last, since = now, time.monotonic()
        assert time.monotonic() - since < RECOVERY_S, f"{now} of {wanted} messages are counted, and no more come"
        time.sleep(0.2)
    time.sleep(2)
    found = []
    for run, result in expected.items():
        stored = books.run(run, result.book.ranges)
        found += [f"run {run}: {difference}" for difference in differences(result.run_book(), stored)]
    unexpected = books.runs().keys() - expected.keys()
    return found + [f"run {run} should not be there" for run in unexpected]


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    sys.exit(not chaos(arguments.seed, arguments.rounds, Console(highlight=False, soft_wrap=True)))


if __name__ == "__main__":
    main()
