"""Rounds of harm to a cluster while spills come, what each cost, and whether all is counted in the end."""

import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from redis import RedisError
from rich.console import Console
from rich.table import Table

from ops.stack import jars
from schemas.records import RawSpill
from streams.topics import Topics
from tests.chaos.alarms import judge_alarms
from tests.chaos.cluster import Cluster, Places
from tests.chaos.daq import SOON, Daq, Record
from tests.chaos.harm.model import Harm
from tests.chaos.judge import judge
from tests.chaos.network import HERE, Network
from tests.chaos.persons import WHO, Persons, judge_persons
from tests.kafka import ends, messages
from tests.servers import HOSTS_OF_REDIS, KIND
from tests.wire import decode

PATIENCE_S = 120.0
"""Nothing new in the books for so long is a failure."""
WORKERS_HOSTS, PAGES_HOST = ("work-1", "work-2"), "page"
MENDED_S = 300.0
"""Harm that is not mended after it is a failure, whatever moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large all is."""

    brokers: int
    workers: int
    """On each host for them, if there are several hosts."""
    rate: float
    """Records a second."""
    on_hosts: bool = False
    """Have each broker, each server of Redis, the page, and twice workers, on a host of their own; judge each round."""

    @contextmanager
    def places(self) -> Iterator[Places]:
        """Have the hosts there."""
        if not self.on_hosts:
            yield Places(brokers=[HERE] * self.brokers, workers=[HERE] * self.workers)
            return
        with Network(["desk"]):
            pass  # where none can be made, nothing is done
        jars.class_path()  # fetched, if need be: from a host of ours nobody could
        brokers = [f"kafka-{number}" for number in range(1, self.brokers + 1)]
        redis = [f"redis-{number}" for number in range(1, HOSTS_OF_REDIS[KIND] + 1)]
        with Network(["desk", *brokers, *redis, *WORKERS_HOSTS, PAGES_HOST]) as network:
            its = network.hosts
            yield Places(
                brokers=[its[name] for name in brokers],
                workers=[its[name] for name in WORKERS_HOSTS for _ in range(self.workers)],
                redis=[its[name] for name in redis],
                page=its[PAGES_HOST],
                network=network,
            )


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
    watched: list[str] = []
    start = time.monotonic()
    with scale.places() as places, tempfile.TemporaryDirectory(prefix="spilldeck-chaos-") as name:
        daq = Daq(Path(name) / "run.000", seed=seed, rate=scale.rate)
        with Cluster(Path(name), daq, places) as cluster:
            persons = Persons(cluster.settings, seed)
            try:
                with daq, persons:
                    # A harm that harms books needs some.
                    _wait(cluster, lambda nexts: sum(nexts) > 2 * SOON)
                    for harm in harms:
                        done.append(_do(harm, cluster, rng))
                        console.print(f"{len(done)}/{len(harms)} {done[-1].harm}: {done[-1].recovery_s:.1f} s")
                        if scale.on_hosts:
                            _judge_meanwhile(cluster)
                        time.sleep(rng.uniform(0, 3))
                watched, told = judge_alarms(cluster, seed, rng) if cluster.watchers else ([], [])
                records = daq.records() + cluster.sent_again
                _wait_for_all(cluster, records)
                found = judge(cluster, records) + judge_persons(cluster.settings, persons) + told
            except Exception as error:  # noqa: BLE001 - whatever it is, what was done until then is told
                found = [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ()), *cluster.said()]
            if found:
                found.append(f"the logs are in {cluster.keep_logs()}")
            seen = (
                f"{len(persons.noted)} actions of {len(WHO)} persons noted, {persons.passed_over} passed over, "
                f"{cluster.count_said('checkpoint refused')} checkpoints refused, "
                f"{cluster.count_said('making it again')} parts of runs made again"
            )
    runs, seconds = len({record.run for record in records}), time.monotonic() - start
    console.print(_table(done, f"Chaos, seed {seed}: {len(records)} records of {runs} runs, {seconds:.0f} s"))
    if watched:
        console.print(f"Alarms of a run meanwhile: {', '.join(watched)}", markup=False)
    for line in (seen, *cluster.died, *found):
        console.print(line, markup=False)
    console.print("differs" if found else "identical")
    return not found


def _judge_meanwhile(cluster: Cluster) -> None:
    """Compare every bin while the DAQ pauses."""
    with cluster.daq.paused():
        records = cluster.daq.records() + cluster.sent_again
        _wait_for_all(cluster, records)
        if found := judge(cluster, records):
            raise AssertionError("; ".join(found))


def _do(harm: Harm, cluster: Cluster, rng: random.Random) -> Round:
    before, start = _nexts(cluster), time.monotonic()
    mended = harm(cluster, rng)
    after, ended = _nexts(cluster), time.monotonic()
    # A Redis that was emptied begins anew: it must have again what it had.
    held = [max(pair) for pair in zip_longest(before, after, fillvalue=0)]

    def is_over(nexts: list[int]) -> bool:
        is_on = all(now > then for now, then in zip_longest(nexts, held, fillvalue=0))
        return is_on and not _repairs(cluster) and (mended is None or mended())

    _wait(cluster, is_over)
    name = harm.__name__.replace("_", " ")
    return Round(harm=name, counted=sum(before), harm_s=ended - start, recovery_s=time.monotonic() - ended)


def _nexts(cluster: Cluster) -> list[int]:
    """Return the first offset of each partition that is not in the books; none if Redis does not answer."""
    try:
        return cluster.nexts()
    except RedisError:
        return []


def _repairs(cluster: Cluster) -> dict[int, int]:
    """Return the runs that are made again."""
    return {run: first for its in cluster.books.progress().values() for run, first in its.repairs.items()}


def _where(cluster: Cluster) -> str:
    """Return how far all is, in words."""
    try:
        return f"{cluster.nexts()} are next of {ends(cluster.settings)}, {_repairs(cluster)} are made again"
    except RedisError as error:
        return f"Redis does not answer ({error})"


def _wait(cluster: Cluster, enough: Callable[[list[int]], bool]) -> None:
    """Wait until enough is in the books, and as long as more and more comes in each partition."""
    last, start = _nexts(cluster), time.monotonic()
    moved = [start] * cluster.settings.kafka.partitions
    while True:
        now, now_s = _nexts(cluster), time.monotonic()
        with suppress(RedisError):
            if enough(now):
                return
        for partition, pair in enumerate(zip_longest(now, last, fillvalue=0)):
            if pair[0] != pair[1]:
                moved[partition] = now_s
        assert now_s - min(moved) < PATIENCE_S, f"something does not move: {_where(cluster)}"
        assert now_s - start < MENDED_S, f"not mended: {_where(cluster)}"
        last = now
        cluster.look_after()
        time.sleep(0.05)


def _wait_for_all(cluster: Cluster, sent: Sequence[Record]) -> None:
    """Wait until spills.raw has all that was sent, each once, and the books have all of spills.raw."""
    wanted = Counter((record.run, record.spill) for record in sent if isinstance(record, RawSpill))
    there = Counter[tuple[int, int]]()

    def is_sent() -> bool:
        if sum(ends(cluster.settings)) < wanted.total():
            return False
        raw = messages(cluster.settings, Topics.of(cluster.settings).raw)
        there.clear()
        there.update(
            (record.run, record.spill)
            for record in (decode(message.value() or b"") for message in raw)
            if isinstance(record, RawSpill)
        )
        return there == wanted

    try:
        cluster.until(is_sent, "the producer")
    except AssertionError as error:
        error.add_note(f"lacking {dict(wanted - there)}, too many {dict(there - wanted)}")
        raise
    _wait(cluster, lambda _nexts: cluster.is_counted())


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
