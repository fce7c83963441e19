"""What a run of 100,000 spills costs page and worker beside one of 100: python -m tests.bench.long_run."""

import argparse
import asyncio
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

import psutil
from rich.console import Console
from rich.table import Table

from ops.demo import playground
from schemas.records import RawSpill
from streams.books.connect import connect_async
from streams.books.layout import Keys
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from tests.bench.checkpoints import LOG
from tests.bench.stored_runs import COUNTED, CPU, PERIOD_US, TIMES, Site
from tests.stored import checkpoint

FEW, MANY = 100, 100_000
"""Spills of the run before it is measured."""
TRIGGERS, UPDATES = 60, 60
UPDATE, BEGIN = "a page's update", "the first spill after a restart"


def _site(servers: Settings, spills: int) -> Site:
    """Return a site with a run of so many spills: the same hundred again and again, each with a number of its own."""
    redis = servers.redis.model_copy(update={"key_prefix": f"long-{spills}"})
    settings = servers.model_copy(update={"redis": redis})
    current = SimulatedRun(run=990_001, spills=FEW, mean_triggers=TRIGGERS, seed=3)
    records = [record for record in current.records() if isinstance(record, RawSpill)]
    its = process(records, lambda _run: current.conditions)[current.run].run_book()
    ledger = {}
    for number in range(spills):
        entry = its.ledger[number % FEW]
        ledger[number] = replace(entry, time_us=entry.time_us + PERIOD_US * (number - number % FEW))
    totals = replace(
        its.totals,
        received=spills,
        filled=spills,
        triggers=its.totals.triggers * spills // FEW,
        last_spill=spills - 1,
        last_came=spills - 1,
        last_us=ledger[spills - 1].time_us,
        last_raw={0: spills - 1},
    )
    numbers = {number: its.key_numbers[number % FEW] for number in ledger}
    book = replace(its, totals=totals, ledger=ledger, key_numbers=numbers)
    checkpoint(settings, {current.run: book}, next=spills, log=LOG)
    return Site(runs=1, settings=settings, current=current, sent=spills)


async def measure(servers: Settings, sites: Mapping[int, Site]) -> dict[str, dict[int, float]]:
    """Return what each takes at the median, ms, for each number of spills; and what Redis has of it, MB."""
    took: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    async with AsyncExitStack() as stack:
        counters = {spills: await stack.enter_async_context(site.counting()) for spills, site in sites.items()}
        for site in sites.values():
            site.update()
            while not site.is_judged:  # the page follows a run from its begin on
                site.update()
        for _ in range(UPDATES):
            for spills, site in sites.items():  # in turn, so that whatever else goes on meets both
                for what, seconds in zip((COUNTED, CPU), await site.count_one(counters[spills]), strict=True):
                    took[what][spills].append(seconds)
                began_s = time.perf_counter()
                site.update()
                took[UPDATE][spills].append(time.perf_counter() - began_s)
        for spills, site in sites.items():
            async with site.counting() as counter:
                took[BEGIN][spills].append((await site.count_one(counter))[0])
        found = {what: {n: statistics.median(each) * 1e3 for n, each in its.items()} for what, its in took.items()}
        async with connect_async(servers) as redis:
            for spills, site in sites.items():
                keys = Keys(site.settings.redis.key_prefix, site.settings.session, 0)
                parts = (keys.book, keys.spills, keys.key_numbers, keys.run)
                sizes = [await redis.memory_usage(key(site.current.run), samples=0) or 0 for key in parts]
                found.setdefault("MB in Redis, without windows", {})[spills] = sum(sizes) / 1e6
    return found


def main() -> None:
    """Print the table; fail if what is done at each spill exceeds its bound."""
    argparse.ArgumentParser(prog="python -m tests.bench.long_run", description=__doc__).parse_args()
    with playground(0) as running:
        sites = {spills: _site(running.settings, spills) for spills in (FEW, MANY)}
        found = asyncio.run(measure(running.settings, sites))
    table = Table(title="One run, one partition, all on this machine; ms where nothing else is said")
    for column in ("what", f"{FEW} spills", f"{MANY:,} spills", "times"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, its in found.items():
        table.add_row(what, *(f"{its[spills]:.1f}" for spills in (FEW, MANY)), f"{its[MANY] / its[FEW]:.2f}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"load of the machine: {psutil.getloadavg()[0]:.1f}")
    grows = any(found[what][MANY] > TIMES * found[what][FEW] for what in (UPDATE, COUNTED, CPU))
    sys.exit(1 if grows else 0)


if __name__ == "__main__":
    main()
