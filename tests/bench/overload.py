"""A producer ten times faster than a worker, for minutes: python -m tests.bench.overload [--minutes N]."""

import argparse
import os
import time
from collections.abc import Callable, Iterable

import psutil
from rich.console import Console
from rich.table import Table

from ops.demo import Running, playground, wait_until_counted
from schemas.records import RawSpill
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from tests.bench.repeated import RepeatedRun

RUN = SimulatedRun(run=900_801, spills=40, mean_triggers=5.0, detectors=("tof", "ckov", "scalers"))
"""Small spills: what is sent in some minutes at ten times a worker's speed must have room on a disk."""
FASTER = 10
TRIAL_SPILLS = 2000
"""Counted by the worker at its own speed, which is measured so."""
ROWS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long the producer is faster")
    minutes: float = parser.parse_args().minutes
    run = RepeatedRun(RUN)
    with playground(workers=1) as running, connect(running.settings) as redis:
        worker = running.parts[0].process
        assert worker is not None
        processes = {"worker": psutil.Process(worker.pid), "producer": psutil.Process(os.getpid())}
        seen: list[tuple[float, int, int, dict[str, float]]] = []
        books = BookReader.of(redis, running.settings)
        began_s = 0.0

        def look(sent: int) -> None:
            now_s = time.monotonic() - began_s
            if not seen or now_s - seen[-1][0] >= 1:
                memory = {name: process.memory_info().rss / 1e6 for name, process in processes.items()}
                seen.append((now_s, sent, sum(its.next for its in books.progress().values()), memory))

        with SpillProducer(running.settings) as producer:
            producer.send(run.start)
            trial_s = _seconds(lambda: _count(running, producer, map(run.spill, range(TRIAL_SPILLS))))
            rate = FASTER * TRIAL_SPILLS / trial_s
            began_s, sent = time.monotonic(), TRIAL_SPILLS
            while (now_s := time.monotonic() - began_s) < 60 * minutes:
                while sent < TRIAL_SPILLS + rate * now_s:
                    producer.send(run.spill(sent))
                    sent += 1
                look(sent)
                time.sleep(0.01)
            flushed_s = _seconds(producer.flush)
            producer.send(run.end)
        while sum(its.next for its in books.progress().values()) < sent:
            look(sent)
            time.sleep(0.5)
            running.look_after_parts()
        wait_until_counted(running)
        expected = process((run.start, *map(run.spill, range(sent)), run.end), ConditionsStore([]).for_run)[RUN.run]
        found = differences(expected.run_book(), books.run(RUN.run, expected.book.ranges))
    console = Console(highlight=False)
    table = Table(
        title=f"{sent} spills, sent in {minutes:g} min at {FASTER} times what one worker counts "
        f"({TRIAL_SPILLS / trial_s:.0f} a second); what was sent last was acknowledged after {flushed_s:.1f} s"
    )
    for column in ("after, min", "sent", "in the books", *(f"{name}, MB" for name in processes)):
        table.add_column(column, justify="right")
    for at in sorted({round(row * (len(seen) - 1) / ROWS) for row in range(ROWS + 1)}):
        now_s, there, counted, memory = seen[at]
        table.add_row(f"{now_s / 60:.1f}", f"{there:,}", f"{counted:,}", *(f"{mb:.0f}" for mb in memory.values()))
    console.print(table)
    for name in processes:
        console.print(f"most memory of the {name}: {max(memory[name] for *_, memory in seen):.0f} MB")
    for line in found:
        console.print(line, markup=False)
    console.print("differs" if found else "identical")


def _count(running: Running, producer: SpillProducer, spills: Iterable[RawSpill]) -> None:
    for one in spills:
        producer.send(one)
    producer.flush()
    wait_until_counted(running)


def _seconds(step: Callable[[], object]) -> float:
    start_s = time.monotonic()
    step()
    return time.monotonic() - start_s


if __name__ == "__main__":
    main()
