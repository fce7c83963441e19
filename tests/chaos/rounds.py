"""Rounds of harm to a cluster while spills come, what each cost, and whether all is counted in the end."""

import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from redis import RedisError
from rich.console import Console
from rich.table import Table

from schemas.records import ReconstructedSpill, RunControl
from schemas.wire import decode
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics
from tests.chaos.cluster import Cluster
from tests.chaos.daq import AGAIN, Daq, Record
from tests.chaos.harm import Harm
from tests.kafka import messages

PATIENCE_S = 120.0
"""Nothing new in the books for so long is a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large all is."""

    brokers: int
    workers: int
    rate: float
    """Records a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What was done, and when the books had in each partition all that they had before or after it, and more."""

    harm: str
    counted: int
    """Messages of spills.raw that the books had before it."""
    harm_s: float
    recovery_s: float


def chaos(seed: int, harms: Sequence[Harm], scale: Scale, console: Console) -> bool:
    """Do these harms, one after the other, while a DAQ writes spills; say whether all came out identical."""
    rng = random.Random(seed)
    done: list[Round] = []
    records: list[Record] = []
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="spilldeck-chaos-") as name:
        cluster = Cluster(Path(name), brokers=scale.brokers, workers=scale.workers)
        daq = Daq(cluster.file, cluster.again, seed=seed, rate=scale.rate)
        with cluster, connect(cluster.settings) as redis:
            settings = cluster.settings
            books = BookReader.of(redis, settings)
            try:
                with daq:
                    # What a second producer sends must have been sent, or the order of the spills were not known.
                    _wait(cluster, books, lambda ends: sum(ends) > 2 * AGAIN)
                    for harm in harms:
                        done.append(_do(harm, cluster, books, rng))
                        console.print(f"{len(done)}/{len(harms)} {done[-1].harm}: {done[-1].recovery_s:.1f} s")
                        time.sleep(rng.uniform(0, 3))
                records = daq.records()
                found = _finish(cluster, books, records + records[:AGAIN] * cluster.produced_again)
            except Exception as error:  # noqa: BLE001 - whatever it is, what was done until then is told
                found = [f"{type(error).__name__}: {error}", *cluster.said()]
            seen = f"{cluster.refused()} checkpoints refused, {cluster.gone_back()} times gone back in spills.raw"
    runs, seconds = len({record.run for record in records}), time.monotonic() - start
    console.print(_table(done, f"Chaos, seed {seed}: {len(records)} records of {runs} runs, {seconds:.0f} s"))
    for line in (seen, *cluster.died, *found):
        console.print(line, markup=False)
    console.print("differs" if found else "identical")
    return not found


def _do(harm: Harm, cluster: Cluster, books: BookReader, rng: random.Random) -> Round:
    before, start = _ends(books), time.monotonic()
    harm(cluster, rng)
    after, ended = _ends(books) or before, time.monotonic()
    # A Redis that was emptied begins anew: it must have again what it had.
    held = [max(pair) for pair in zip(before, after, strict=True)]
    _wait(cluster, books, lambda ends: all(now > then for now, then in zip_longest(ends, held, fillvalue=0)))
    name = harm.__name__.replace("_", " ")
    return Round(harm=name, counted=sum(before), harm_s=ended - start, recovery_s=time.monotonic() - ended)


def _ends(books: BookReader) -> list[int]:
    """Return how many messages of each partition of spills.raw are in the books; none if Redis does not answer."""
    try:
        return [p.raw_end for p in books.progress()]
    except RedisError:
        return []


def _wait(cluster: Cluster, books: BookReader, enough: Callable[[list[int]], bool]) -> None:
    """Wait until enough is in the books, and as long as more and more comes in each partition."""
    last, start = _ends(books), time.monotonic()
    moved = [start] * cluster.settings.kafka.partitions
    while not enough(now := _ends(books)):
        for partition, pair in enumerate(zip_longest(now, last, fillvalue=0)):
            if pair[0] != pair[1]:
                moved[partition] = time.monotonic()
        assert time.monotonic() - min(moved) < PATIENCE_S, f"something does not move: {now} messages are counted"
        last = now
        cluster.look_after()
        time.sleep(0.05)


def _finish(cluster: Cluster, books: BookReader, sent: Sequence[Record]) -> list[str]:
    """Wait until all is counted; return what differs from the pure calculation."""
    partitions = cluster.settings.kafka.partitions
    wanted = sum(partitions if isinstance(record, RunControl) else 1 for record in sent)
    _wait(cluster, books, lambda ends: sum(ends) >= wanted)
    time.sleep(2)  # for what should not come
    found = []
    expected, order = process(sent, ConditionsStore([]).for_run), _out_of_order(cluster.settings)
    for run, result in expected.items():
        stored = books.run(run, result.book.ranges)
        found += [f"run {run}: {difference}" for difference in differences(result.run_book(), stored)]
        totals = stored.totals
        if totals.filled + totals.all_rejected != totals.received - totals.duplicates:
            found.append(f"run {run}: the counters do not add up: {totals}")
        if totals.out_of_order != order[run]:
            found.append(f"run {run}: out of order: {order[run]} here, {totals.out_of_order} there")
    unexpected = books.runs().keys() - expected.keys()
    found += [f"run {run} should not be there" for run in unexpected]
    # Kafka has lost nothing: three brokers, each killed as it was, have all that they acknowledged.
    return found + [loss.what for progress in books.progress() for loss in progress.lost]


def _out_of_order(settings: Settings) -> Counter[int]:
    """Return, for each run, how many spills come after one with a higher number in the same partition of spills.reco.

    Not of spills.raw: a worker that lost a partition may still send what it reconstructed, between what the next sends.
    """
    last: dict[tuple[int, int], int] = {}
    seen: set[tuple[int, int]] = set()
    found: Counter[int] = Counter()
    for message in messages(settings, Topics.of(settings).reco):
        record = decode(message.value() or b"")
        if not isinstance(record, ReconstructedSpill) or record.rejection or (record.run, record.spill) in seen:
            continue
        seen.add((record.run, record.spill))
        place = record.run, message.partition() or 0
        found[record.run] += record.spill < last.get(place, -1)
        last[place] = max(last.get(place, -1), record.spill)
    return found


def _table(rounds: Sequence[Round], title: str) -> Table:
    """Return each kind of harm with the times of its rounds."""
    table = Table(title=title)
    for column in ("fault", "done", "messages in the books", "it took, s", "they move again after, s", "median, s"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for harm in dict.fromkeys(one.harm for one in rounds):
        theirs = [one for one in rounds if one.harm == harm]
        counted = ", ".join(f"{one.counted:,}" for one in theirs)
        took = ", ".join(f"{one.harm_s:.1f}" for one in theirs)
        recoveries = [one.recovery_s for one in theirs]
        each, median = ", ".join(f"{s:.1f}" for s in recoveries), f"{statistics.median(recoveries):.1f}"
        table.add_row(harm, str(len(theirs)), counted, took, each, median)
    return table
