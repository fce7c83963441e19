"""Speed by stage over a run, on one core, and of a worker on a real Kafka: python -m tests.bench [FILE...]."""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar, cast

from rich.console import Console
from rich.table import Table

from ops.demo import playground, wait_until_counted
from ops.inputs import paced
from schemas.records import RawSpill, RunControl
from streams import metrics
from streams.books.book import count_channels, fill, new_histogram
from streams.books.connect import connect
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.daq.sources import read_source
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.unpack.date import unpack_date
from streams.plots.batch import Batch
from streams.plots.model import Plot
from streams.process import process
from streams.reconstruct import reconstruct
from streams.settings import load_settings
from tests.bench.checkpoints import measure_checkpoints
from tests.bench.growth import cpu_s
from tests.catalogue import DETECTORS as CATALOGUE
from tests.wire import decode, encode

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "06008.000"
REPEATS = 9
"""The quickest of so many is printed: others were disturbed."""
WORKER_SPILLS = 1000
CALM_SPILLS, CALM_S = 30, 5.0
DETECTOR_SPILLS, DETECTOR_TRIGGERS = 8, 150

_T = TypeVar("_T")


def quickest(step: Callable[[], _T]) -> tuple[float, _T]:
    """Return the seconds that a step takes, and what it returns."""
    best, result = float("inf"), step()
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = step()
        best = min(best, time.perf_counter() - start)
    return best, result


def measure(path: Path) -> Table:
    """Return the table of one file."""
    conditions_of = ConditionsStore.from_settings(load_settings()).for_run
    records = list(read_source(path))
    raw = [record for record in records if isinstance(record, RawSpill)]
    conditions = conditions_of(raw[0].run)
    beam_s = (raw[-1].time_us - raw[0].time_us) / 1e6 * len(raw) / (len(raw) - 1)
    size = path.stat().st_size
    spills = [reconstruct(record, conditions) for record in raw]
    ranges = conditions.plot_ranges if conditions is not None else {}
    messages = [encode(spill) for spill in spills]
    book = fill(spills, ranges).book
    stages: list[tuple[str, Callable[[], object]]] = [
        ("read: frame events, group spills", lambda: list(read_source(path))),
        ("unpack: words to columns", lambda: [unpack_date(record.payload) for record in raw]),
        ("unpack and reconstruct", lambda: [reconstruct(record, conditions) for record in raw]),
        ("fill all plots", lambda: fill(spills, ranges)),
        ("process: all of the above", lambda: process(read_source(path), conditions_of)),
        ("encode for spills.reco", lambda: [encode(spill) for spill in spills]),
        ("decode from spills.reco", lambda: [decode(message) for message in messages]),
        ("encode histograms of a checkpoint", lambda: [cells.pack() for cells in book.cells.values()]),
    ]
    table = Table(title=f"{path.name}: {size / 1e6:.1f} MB, {len(raw)} spills, {beam_s:.1f} s of beam, one core")
    for column in ("stage", "ms a spill", "MB/s", "× real time"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, step in stages:
        seconds, _ = quickest(step)
        row = (f"{seconds / len(raw) * 1e3:.2f}", f"{size / seconds / 1e6:.0f}", f"{beam_s / seconds:,.0f}")
        table.add_row(name, *row)
    return table


def measure_detectors() -> Table:
    """Return what each detector costs in a spill of many particle triggers."""
    run = SimulatedRun(spills=DETECTOR_SPILLS, mean_triggers=DETECTOR_TRIGGERS)
    raw = [run.spill(number).raw for number in range(DETECTOR_SPILLS)]
    conditions = run.conditions
    hits = [unpack_date(record.payload, conditions.pulses) for record in raw]
    spills = [reconstruct(record, conditions) for record in raw]
    table = Table(
        title=f"A spill of {DETECTOR_TRIGGERS} particle triggers with all detectors: "
        f"{sum(len(r.payload) for r in raw) / len(raw) / 1e6:.2f} MB, one core"
    )
    for column in ("detector", "reconstruct, ms", "fill, ms"):
        table.add_column(column, justify="left" if column == "detector" else "right")
    plots = {name: len(detector.plots) for name, detector in CATALOGUE.items()}
    for name in plots:
        made = 0.0
        if (its := experiment().reconstructions.get(name)) is not None:
            step = its.step
            made, _ = quickest(lambda step=step: [step(one, conditions) for one in hits])  # type: ignore[misc]
        entries = CATALOGUE[name].plots if name in CATALOGUE else ()

        def fill_all(entries: tuple[Plot, ...] = entries) -> None:
            batch = Batch(spills)
            for plot in entries:
                new_histogram(plot.name, {}).fill(*plot.fill(batch))

        filled, _ = quickest(fill_all)
        per_spill = (made / len(raw) * 1e3, filled / len(raw) * 1e3)
        table.add_row(name, *(f"{ms:.2f}" for ms in per_spill))
    table.add_section()
    unpacked, _ = quickest(lambda: [unpack_date(record.payload, conditions.pulses) for record in raw])
    made, _ = quickest(lambda: [reconstruct(record, conditions) for record in raw])
    filled, _ = quickest(lambda: [fill([spill], {}) for spill in spills])
    told, _ = quickest(_tell_of_a_spill)
    counted, _ = quickest(lambda: [count_channels(spill, {}) for spill in spills])
    table.add_row("unpack all boards", f"{unpacked / len(raw) * 1e3:.2f}", "")
    table.add_row("all, unpacking included", f"{made / len(raw) * 1e3:.2f}", f"{filled / len(raw) * 1e3:.2f}")
    table.add_row("of it, hits by channel counted", "", f"{counted / len(raw) * 1e3:.2f}")
    table.add_row("metrics, a checkpoint each", f"{told * 1e3:.3f}", "")
    table.add_row("together", f"{(made + filled) / len(raw) * 1e3:.2f}", "")
    return table


def _tell_of_a_spill() -> None:
    """Do what a worker does for its metrics when it counts a spill."""
    with metrics.WORKER_RECONSTRUCT.time():
        pass
    metrics.WORKER_DELAY.observe(0.1)
    metrics.WORKER_CHECKPOINT.observe(0.01)
    for counter in (metrics.WORKER_COUNTED, metrics.WORKER_BYTES, metrics.WORKER_DUPLICATES):
        counter.inc()


def measure_worker() -> Table:
    """Return what one worker does when all comes at once, the most memory that it takes, and how Redis is rebuilt.

    Its CPU is that of all its threads.
    """
    records = list(SimulatedRun(spills=WORKER_SPILLS).records())
    plain_s = _plain_s(records)
    with playground(workers=1) as running:
        worker = running.parts[0].process
        assert worker is not None
        warm_up = SimulatedRun(run=900_002, spills=4)
        with SpillProducer(running.settings) as producer:
            for record in warm_up.records():
                producer.send(record)
        wait_until_counted(running)
        before, start = cpu_s(worker.pid), time.perf_counter()
        with SpillProducer(running.settings) as producer:
            for record in records:
                producer.send(record)
        wait_until_counted(running)
        seconds, taken_s = time.perf_counter() - start, cpu_s(worker.pid) - before
        with connect(running.settings) as redis:
            redis.flushall()
        start = time.perf_counter()
        wait_until_counted(running)
        rebuilt_s = time.perf_counter() - start
        status = Path(f"/proc/{worker.pid}/status").read_text()
        most_mb = int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    table = Table(title="One worker, from spills.raw to the books in Redis, all on this machine")
    for column in (
        "spills",
        "spills/s",
        "MB/s",
        "CPU a spill, ms",
        "× a plain loop's",
        "most memory, MB",
        "an emptied Redis rebuilt after, s",
    ):
        table.add_column(column, justify="right")
    size = sum(len(record.payload) for record in records)
    speed, rate = f"{WORKER_SPILLS / seconds:.0f}", f"{size / seconds / 1e6:.0f}"
    cpu, ratio = f"{taken_s / WORKER_SPILLS * 1e3:.2f}", f"{taken_s / plain_s:.2f}"
    table.add_row(str(WORKER_SPILLS), speed, rate, cpu, ratio, f"{most_mb:.0f}", f"{rebuilt_s:.1f}")
    return table


def measure_calm() -> Table:
    """Return what one worker takes while nothing comes, and with a spill a second, with all that it does besides."""
    run = SimulatedRun(run=900_003, spills=CALM_SPILLS)
    records = list(run.records())
    plain_s = _plain_s(records)
    with playground(workers=1) as running:
        worker = running.parts[0].process
        assert worker is not None
        with SpillProducer(running.settings) as producer:
            for record in SimulatedRun(run=900_002, spills=4).records():
                producer.send(record)
        wait_until_counted(running)
        time.sleep(CALM_S)  # what it does once more for what has come
        before, start = cpu_s(worker.pid), time.perf_counter()
        time.sleep(4 * CALM_S)
        idle = (cpu_s(worker.pid) - before) / (time.perf_counter() - start)
        before = cpu_s(worker.pid)
        with SpillProducer(running.settings) as producer:
            for record in paced(iter(records), 1.0):
                producer.send(record)
        wait_until_counted(running)
        taken_s = cpu_s(worker.pid) - before
    table = Table(title="One worker, when little comes")
    for column in ("idle, % of a core", "a spill a second: CPU a spill, ms", "× a plain loop's"):
        table.add_column(column, justify="right")
    table.add_row(f"{100 * idle:.1f}", f"{taken_s / CALM_SPILLS * 1e3:.1f}", f"{taken_s / plain_s:.2f}")
    return table


def _plain_s(records: Sequence[RawSpill | RunControl]) -> float:
    """Return the seconds of CPU of a plain loop, which decodes the same messages and does what `process` does."""
    messages = [encode(record) for record in records]
    begun = time.process_time()
    process((cast("RawSpill | RunControl", decode(message)) for message in messages), ConditionsStore([]).for_run)
    return time.process_time() - begun


def main() -> None:
    """Measure the named files; else the real run, where it lies beside the project, and a simulated one."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="DATE files")
    files: list[Path] = parser.parse_args().files
    console = Console(highlight=False)
    console.print(measure_worker())
    console.print(measure_calm())
    console.print(measure_checkpoints())
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with TemporaryDirectory() as directory:
        if not files:
            simulated = Path(directory) / "simulated.000"
            simulated.write_bytes(b"".join(record.payload for record in SimulatedRun(spills=20).records()))
            if REAL.is_file():
                files.append(REAL)
            else:
                console.print("skipped: the experiment's run 6008 is not beside the project")
            files.append(simulated)
        console.print(measure_detectors())
        for file in files:
            console.print(measure(file))


if __name__ == "__main__":
    main()
