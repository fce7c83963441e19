"""What more partitions and more workers cost, processes of this machine: python -m tests.bench.growth [PxW ...].

Spills are small, so that what is measured is what grows: what workers do besides reconstruction.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import cast

import psutil
from rich.console import Console
from rich.table import Table

from ops.demo import Running, playground, wait_until_counted
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.layout import Keys
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.books.stored import unpack_state
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from tests.bench.killed import PACE_S, produce
from tests.kafka import wait_until_shared

SIZES = ((1, 1), (4, 1), (4, 4), (16, 4), (64, 1), (64, 8), (64, 32))
"""Partitions, workers."""
RUN = 900_713
CALM_S, SPILLS_S, SETTLES_S = 15.0, 20.0, 6.0
"""How long nothing comes, spills come, and they come after a harm."""
READS = 9
COLUMNS = (
    "partitions",
    "workers",
    "shared after, s",
    "idle, % of a core, each",
    "CPU a spill, ms: workers",
    "Kafka",
    "Redis",
    "checkpoints a spill",
    "waits, ms, median",
    "p95",
    "one comes: longest, s",
    "one is killed: longest, s",
    "a run is read, ms",
)


SMALL = SimulatedRun(run=RUN, spills=100_000, mean_triggers=4, detectors=("tof",))
WHOLE, WHOLE_PACE_S = SimulatedRun(run=RUN, spills=100_000), 0.4
"""Spills of 570 kB with all detectors, and the time between two: more than two cores can count are no use."""


def measure(partitions: int, workers: int, run: SimulatedRun, pace_s: float) -> Sequence[str]:
    """Return a row of the table.

    Parameters
    ----------
    run, pace_s
        Whose spills are sent, and the time between two.

    Raises
    ------
    SystemExit
        When what was counted is not what the pure calculation counts.
    """
    os.environ["SPILLDECK_KAFKA__PARTITIONS"] = str(partitions)
    with playground(0) as running:
        began = time.monotonic()
        parts = [running.start(f"worker {number + 1}", "worker") for number in range(workers)]
        wait_until_shared(running.settings, workers)
        shared_s = time.monotonic() - began
        sent = list[int]()
        with _producing(running, run, sent, pace_s):
            time.sleep(SETTLES_S)
        wait_until_counted(running)
        time.sleep(SETTLES_S)
        of_workers = [part.process.pid for part in parts if part.process is not None]
        taking = {"workers": of_workers, "Kafka": _servers("java"), "Redis": _servers("valkey-server")}
        before = {what: cpu_s(*its) for what, its in taking.items()}
        time.sleep(CALM_S)
        idle = {what: (cpu_s(*its) - before[what]) / CALM_S for what, its in taking.items()}
        with _producing(running, run, sent, pace_s):
            time.sleep(1.0)
            before = {what: cpu_s(*its) for what, its in taking.items()}
            first, written, since = len(sent), _checkpoints(running), time.monotonic()
            time.sleep(SPILLS_S)
            spills, seconds = len(sent) - first, time.monotonic() - since
            cpu_ms = {w: 1e3 * (cpu_s(*its) - before[w] - idle[w] * seconds) / spills for w, its in taking.items()}
            checkpoints = (_checkpoints(running) - written) / spills
            comes = time.time()
            one = running.start("one more", "worker").process
            wait_until_shared(running.settings, workers + 1)
            time.sleep(SETTLES_S)
            killed = time.time()
            running.parts.pop()  # it is not to be started again
            assert one is not None
            one.kill()
            one.wait()
            time.sleep(SETTLES_S)
        wait_until_counted(running)
        (expected,) = process((run.spill(n).raw for n in sent), ConditionsStore([]).for_run).values()
        with connect(running.settings) as redis:
            times = []
            for _ in range(READS):
                began = time.perf_counter()
                book = BookReader.of(redis, running.settings).run(RUN, expected.book.ranges)
                times.append(time.perf_counter() - began)
        if different := list(differences(expected.run_book(), book)):
            raise SystemExit(f"{partitions} partitions, {workers} workers: {'; '.join(different)}")
        waits = sorted(book.handling[number].delay_s for number in sent[first : first + spills])
        return (
            str(partitions),
            str(workers),
            f"{shared_s:.1f}",
            f"{100 * idle['workers'] / workers:.1f}",
            *(f"{each:.1f}" for each in cpu_ms.values()),
            f"{checkpoints:.2f}",
            f"{1e3 * statistics.median(waits):.0f}",
            f"{1e3 * waits[int(0.95 * len(waits))]:.0f}",
            f"{_longest(book, comes, killed):.2f}",
            f"{_longest(book, killed, time.time()):.2f}",
            f"{1e3 * statistics.median(times):.0f}",
        )


@contextmanager
def _producing(running: Running, run: SimulatedRun, sent: list[int], pace_s: float) -> Iterator[None]:
    """Send spills until the block ends."""
    ended = Event()
    thread = Thread(target=produce, args=(running, run, ended, sent, pace_s))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _servers(name: str) -> list[int]:
    """Return the servers that we have started."""
    return [each.pid for each in psutil.Process().children(recursive=True) if each.name() == name]


def cpu_s(*processes: int) -> float:
    """Return the seconds of CPU that processes have taken, all their threads."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in processes)


def _checkpoints(running: Running) -> int:
    """Return how many were written."""
    with connect(running.settings) as redis:
        keys = (
            Keys(running.settings.redis.key_prefix, running.settings.session, number)
            for number in range(running.settings.kafka.partitions)
        )
        return sum(unpack_state(cast("dict[bytes, bytes]", redis.hgetall(its.state))).number for its in keys)


def _longest(book: RunBook, since_s: float, until_s: float) -> float:
    """Return the longest that a spill waited which was acknowledged then, s."""
    return max(h.delay_s for h in book.handling.values() if since_s - 1 <= h.produced_ms / 1000 < until_s)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("sizes", nargs="*", metavar="PxW", help="partitions and workers, as 16x4")
    parser.add_argument("--whole", action="store_true", help="spills of 570 kB with all detectors")
    asked = parser.parse_args()
    sizes = [tuple(map(int, size.split("x"))) for size in asked.sizes] or SIZES
    run, pace_s = (WHOLE, WHOLE_PACE_S) if asked.whole else (SMALL, PACE_S)
    of = "all detectors" if asked.whole else "one detector"
    table = Table(title=f"A spill of {of} every {1e3 * pace_s:.0f} ms, all on this machine")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for partitions, workers in sizes:
        table.add_row(*measure(partitions, workers, run, pace_s))
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
