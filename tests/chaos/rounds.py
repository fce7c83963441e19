"""Rounds of harm to a cluster while spills come, what each cost, and whether all is counted in the end."""

import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redis import RedisError
from rich.console import Console
from rich.table import Table

from schemas.records import RunControl
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.process import process
from tests.chaos.cluster import Cluster
from tests.chaos.harm import Harm
from tests.chaos.source import AGAIN, Record, out_of_order, write_again, write_source

RECOVERY_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large all is."""

    brokers: int
    workers: int
    spills_a_round: int
    """So many that a round's harm is done and mended while they come."""
    rate: float
    """Spills a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What was done, and how long the books stood still after it."""

    harm: str
    harm_s: float
    recovery_s: float


def chaos(seed: int, harms: Sequence[Harm], scale: Scale, console: Console) -> bool:
    """Do these harms, one after the other; say whether all came out identical."""
    rng = random.Random(seed)
    done: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="spilldeck-chaos-") as name:
        source = Path(name) / "run.000"
        records = write_source(source, scale.spills_a_round * len(harms), seed)
        cluster = Cluster(Path(name), source, brokers=scale.brokers, workers=scale.workers, rate=scale.rate)
        again = write_again(cluster.again, records)
        with cluster, connect(cluster.settings()) as redis:
            settings = cluster.settings()
            books = BookReader(redis, settings.redis.key_prefix, settings.session, settings.kafka.partitions)
            try:
                for harm in harms:
                    done.append(_do(harm, cluster, books, rng))
                    console.print(f"{len(done)}/{len(harms)} {done[-1].harm}: {done[-1].recovery_s:.1f} s")
                    time.sleep(rng.uniform(0, 3))
                cluster.hurry()
                found = _finish(cluster, books, records + again * cluster.produced_again)
            except AssertionError as error:
                found = [str(error), *cluster.said()]
    runs = len({record.run for record in records})
    console.print(_table(done, f"Chaos, seed {seed}: {len(records)} records of {runs} runs"))
    for difference in found:
        console.print(difference, markup=False)
    console.print("differs" if found else "identical")
    return not found


def _do(harm: Harm, cluster: Cluster, books: BookReader, rng: random.Random) -> Round:
    # What a second producer sends must have been sent, or the order of the spills were not known.
    _until_it_moves(cluster, books, 2 * AGAIN)
    start, before = time.monotonic(), _counted(books)
    harm(cluster, rng)
    harm_s = time.monotonic() - start
    # Redis that was emptied begins anew.
    recovery_s = _until_it_moves(cluster, books, min(before, _counted(books)))
    return Round(harm=harm.__name__.replace("_", " "), harm_s=harm_s, recovery_s=recovery_s)


def _counted(books: BookReader) -> int:
    """Return how many messages of spills.raw are in the books."""
    try:
        return sum(p.raw_end for p in books.progress())
    except RedisError:
        return -1


def _until_it_moves(cluster: Cluster, books: BookReader, before: int) -> float:
    """Wait until the books have more than before; return for how long."""
    start = time.monotonic()
    while _counted(books) <= before:
        assert cluster.producer.exit_status != 0, "all was sent before all harm was done"
        assert time.monotonic() - start < RECOVERY_S, "nothing moves"
        cluster.look_after()
        time.sleep(0.05)
    return time.monotonic() - start


def _finish(cluster: Cluster, books: BookReader, sent: Sequence[Record]) -> list[str]:
    """Let the producer end and the workers count; return what differs from the pure calculation."""
    start = time.monotonic()
    while cluster.producer.exit_status != 0:
        assert time.monotonic() - start < RECOVERY_S, "the producer does not end"
        cluster.look_after()
        time.sleep(0.2)
    partitions = cluster.settings().kafka.partitions
    wanted = sum(partitions if isinstance(record, RunControl) else 1 for record in sent)
    last, since = -1, time.monotonic()
    while (now := _counted(books)) < wanted:
        cluster.look_after()
        if now != last:
            last, since = now, time.monotonic()
        assert time.monotonic() - since < RECOVERY_S, f"{now} of {wanted} messages are counted, and no more come"
        time.sleep(0.2)
    time.sleep(2)  # for what should not come
    found = []
    expected, order = process(sent, ConditionsStore([]).for_run), out_of_order(sent, partitions)
    for run, result in expected.items():
        stored = books.run(run, result.book.ranges)
        found += [f"run {run}: {difference}" for difference in differences(result.run_book(), stored)]
        if stored.totals.out_of_order != order[run]:
            found.append(f"run {run}: out of order: {order[run]} here, {stored.totals.out_of_order} there")
    unexpected = books.runs().keys() - expected.keys()
    return found + [f"run {run} should not be there" for run in unexpected]


def _table(rounds: Sequence[Round], title: str) -> Table:
    """Return each kind of harm with the times of its rounds."""
    table = Table(title=title)
    for column in ("fault", "done", "it took, s", "books move again after, s", "median, s"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for harm in dict.fromkeys(one.harm for one in rounds):
        theirs = [one for one in rounds if one.harm == harm]
        took = ", ".join(f"{one.harm_s:.1f}" for one in theirs)
        recoveries = [one.recovery_s for one in theirs]
        each, median = ", ".join(f"{s:.1f}" for s in recoveries), f"{statistics.median(recoveries):.1f}"
        table.add_row(harm, str(len(theirs)), took, each, median)
    return table
