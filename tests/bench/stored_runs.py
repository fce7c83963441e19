"""What 2,000 stored runs cost whoever looks again and again, and a command: python -m tests.bench.stored_runs."""

import argparse
import asyncio
import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from dashboards.data import Data
from dashboards.data.books import collect_seldom
from dashboards.live import Live, Look
from dashboards.make import FigureCache
from dashboards.threads import Threads
from ops.demo import playground
from ops.keeper import Keeper
from schemas.records import RawSpill
from streams.agents.registry import Registry
from streams.books.connect import connect, connect_async
from streams.books.counter import Counter
from streams.books.products import Product, Products
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.books.store import CheckpointStore
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.run import DETECTORS
from streams.process import process
from streams.settings import KeeperSettings, Settings
from streams.transform import Message, Outcome, outcome
from tests.bench.checkpoints import LOG, counter_of
from tests.stored import checkpoint

FEW, MANY = 20, 2000
COUNTED, CPU = "a spill is counted", "CPU of it"
TIMES = 1.2
"""A page's update among many may take so many times as long as among few."""
PARTITIONS, SPILLS, TRIGGERS = 4, 100, 60
"""Of the current run, before it is measured."""
PERIOD_US = 2_560_000
UPDATES, LOOKS = 60, 20
Steps = dict[int, Callable[[], object]]
"""Number of runs → what is measured."""


@dataclass(slots=True, kw_only=True)
class Site:
    """A Redis with so many runs, and the page, as it stands in its process without its threads."""

    runs: int
    settings: Settings
    current: SimulatedRun
    data: Data = field(init=False)
    live: Live = field(init=False)
    sent: int = 0
    has: str = ""
    answer: bytes = b""
    """What the browser was told last."""
    _raws: list[RawSpill] = field(init=False)

    def __post_init__(self) -> None:
        collect_seldom()  # as the page does
        self._raws = [self.current.spill(number).raw for number in range(SPILLS)]
        self.data = Data(self.settings)
        self.live = Live(self.data, FigureCache(), 1.0, Threads())

    async def count(self, spills: int) -> None:
        """Bring some spills of the current run into the books, as a worker does."""
        async with self.counting() as counter:
            known = await counter.begin(0)
            for _ in range(spills):
                await counter.take(0, [self.next_at(known.state.next)])

    async def count_one(self, counter: Counter) -> tuple[float, float]:
        """Bring the next spill into the books; return the seconds that it takes, and those of CPU."""
        known = await counter.begin(0)
        one = self.next_at(known.state.next)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        await counter.take(0, [one])
        return time.perf_counter() - began_s, time.process_time() - began_cpu_s

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[Counter]:
        """Give what counts the spills of its partition."""
        async with connect_async(self.settings) as redis:
            yield counter_of(CheckpointStore(redis, self.settings.redis.key_prefix, self.settings.session))

    def next_at(self, offset: int) -> Outcome:
        """Return the next spill of the current run, as a worker brings it into the books; the browser has heard."""
        if self.answer:  # its work, and no part of an update here
            self.has = json.loads(gzip.decompress(self.answer))["has"]
        message = Message(partition=0, offset=offset, start=offset, produced_ms=time.time_ns() // 1_000_000, value=b"")
        raw = self._raws[self.sent % SPILLS]
        raw = replace(raw, spill=self.sent, time_us=raw.time_us + PERIOD_US * (self.sent - raw.spill))
        self.sent += 1
        return outcome(message, raw, lambda _run: self.current.conditions)

    @property
    def is_judged(self) -> bool:
        """Whether the page has judged all spills that it read."""
        return not any(each.left for each in self.data._store.judgements.values())

    def update(self) -> None:
        """Read what is new, and make what a browser with the overview is told."""
        self.data._look_at_redis()
        look = Look.of({"path": "/"})
        shown = self.live._look(look)
        self.answer = self.live._make(look, shown, shown.new(self.has))


def _site(servers: Settings, runs: int) -> Site:
    """Return a site with so many runs before the current one."""
    redis = servers.redis.model_copy(update={"key_prefix": f"bench-{runs}"})
    keeper = KeeperSettings(archive=Path("/nowhere"))
    settings = servers.model_copy(update={"redis": redis, "keeper": keeper})
    old = _run_of_long_ago()
    for partition in range(PARTITIONS):
        books = {run: _at(old, run) for run in range(900_001, 900_001 + runs)}
        checkpoint(settings, books, partition=partition, next=10, log=LOG)
    site = Site(runs=runs, settings=settings, current=SimulatedRun(run=990_001, mean_triggers=TRIGGERS, seed=3))
    asyncio.run(site.count(SPILLS))
    with connect(settings) as redis:
        for run in range(900_001, 900_001 + runs):
            Products(redis, settings.redis.key_prefix, settings.session).note(run, Product.ARCHIVE, [f"{run}"], run)
    return site


def _run_of_long_ago() -> RunBook:
    run = SimulatedRun(spills=3, mean_triggers=TRIGGERS, detectors=tuple(DETECTORS))
    found = process(run.records(), ConditionsStore([]).for_run)[run.run].run_book()
    found.totals.triggers = 5000
    return found


def _at(book: RunBook, run: int) -> RunBook:
    """Return a run's books with another number's times; of its histograms a few, as nobody looks at them."""
    kept = replace(book, totals=replace(book.totals, first_ms=run, produced_ms=run, ended_ms=run))
    return kept if run % 10 == 0 else replace(kept, book=type(book.book)(book.book.ranges), key_numbers={})


def _median_ms(steps: Steps, number: int, between: Callable[[int], object]) -> dict[int, float]:
    """Return how long each step takes; they take turns, so that whatever else goes on meets all of them."""
    seconds: dict[int, list[float]] = {runs: [] for runs in steps}
    for _ in range(number):
        for runs, step in steps.items():
            between(runs)
            start = time.perf_counter()
            step()
            seconds[runs].append(time.perf_counter() - start)
    return {runs: statistics.median(each) * 1e3 for runs, each in seconds.items()}


def measure() -> list[tuple[str, dict[int, float]]]:
    """Return what was measured, and in how many milliseconds for each number of runs."""
    with playground(0) as running:
        sites = {runs: _site(running.settings, runs) for runs in (FEW, MANY)}
        clients = {runs: connect(site.settings) for runs, site in sites.items()}

        def one_more(runs: int) -> None:
            asyncio.run(sites[runs].count(1))

        def nothing(_runs: int) -> None:
            pass

        for site in sites.values():
            site.update()
        rows = [("a page's update", _median_ms({runs: site.update for runs, site in sites.items()}, UPDATES, one_more))]
        counted, cpu = asyncio.run(_counted(sites))
        rows += [(COUNTED, counted), (CPU, cpu)]
        registries = {runs: Registry(clients[runs], site.settings) for runs, site in sites.items()}
        for registry in registries.values():
            for record, what in registry.changed(time.time(), {}):
                registry.note(record.run, what)
        looks: Steps = {
            runs: lambda r=registry: r.changed(time.time(), {})  # type: ignore[misc]
            for runs, registry in registries.items()
        }
        rows.append(("a look of the worker at what becomes of the runs", _median_ms(looks, LOOKS, one_more)))
        keepers = {runs: Keeper(site.settings, clients[runs]) for runs, site in sites.items()}
        for runs, keeper in keepers.items():
            Products(clients[runs], f"bench-{runs}", "live").note(990_001, Product.ARCHIVE, ["x"], 2_000_000_000_000)
            keeper.look()
        rows.append(("a look of the keeper", _median_ms({r: k.look for r, k in keepers.items()}, LOOKS, one_more)))
        fresh: Steps = {
            runs: lambda s=site, c=clients[runs]: BookReader.of(c, s.settings).places()  # type: ignore[misc]
            for runs, site in sites.items()
        }
        rows.append(("the whole list, as a process reads it once", _median_ms(fresh, 5, nothing)))
        lists: Steps = {
            runs: lambda s=site: _list(s.settings)  # type: ignore[misc]
            for runs, site in sites.items()
        }
        rows.append(("spilldeck runs list, with Python's start", _median_ms(lists, 3, nothing)))
        for client in clients.values():
            client.close()
    return rows


async def _counted(sites: Mapping[int, Site]) -> tuple[dict[int, float], dict[int, float]]:
    """Return how long it takes to count a spill, ms, and the CPU of it, for each number of runs."""
    took: dict[int, list[tuple[float, float]]] = {runs: [] for runs in sites}
    async with AsyncExitStack() as stack:
        counters = {runs: await stack.enter_async_context(site.counting()) for runs, site in sites.items()}
        for _ in range(UPDATES):
            for runs, site in sites.items():
                took[runs].append(await site.count_one(counters[runs]))

    def median_ms(at: int) -> dict[int, float]:
        return {runs: 1e3 * statistics.median(each[at] for each in its) for runs, its in took.items()}

    return median_ms(0), median_ms(1)


def _list(settings: Settings) -> None:
    env = os.environ | {
        "SPILLDECK_REDIS__URL": settings.redis.url.get_secret_value(),
        "SPILLDECK_REDIS__KEY_PREFIX": settings.redis.key_prefix,
    }
    subprocess.run([sys.executable, "-m", "ops", "runs", "list"], env=env, check=True, capture_output=True)


def main() -> None:
    """Print the table; fail if a page's update exceeds its bound."""
    argparse.ArgumentParser(prog="python -m tests.bench.stored_runs", description=__doc__).parse_args()
    rows = measure()
    table = Table(title="Runs that are stored, four partitions, all on this machine")
    for column in ("what", f"{FEW} runs, ms", f"{MANY:,} runs, ms", "times"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, found in rows:
        table.add_row(what, *(f"{found[runs]:.1f}" for runs in (FEW, MANY)), f"{found[MANY] / found[FEW]:.2f}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"load of the machine: {psutil.getloadavg()[0]:.1f}")
    (_, update), *_ = rows
    sys.exit(0 if update[MANY] <= TIMES * update[FEW] else 1)


if __name__ == "__main__":
    main()
