"""The whole way of a spill on this machine: local stack, topics, workers, page, and a run played through."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from rich.table import Table

from ops.console import out, progress
from ops.inputs import Inputs, paced
from ops.stack import LocalStack, free_port
from ops.stack.processes import die_with_parent
from ops.topics import ensure_topics
from schemas.records import RawSpill, RunControl
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.lag import behind, to_be_read_again
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.errors import ServerError, UsageError
from streams.experiment import Simulation, simulator
from streams.kafka import topic_spans
from streams.process import RunResult, process
from streams.settings import Settings, load_settings
from streams.told import told_later
from streams.topics import Topics

WORKERS = 2
RESTARTS = 5
"""A worker that dies more often than this has a fault that starting it again does not cure."""
STALL_S = 90.0
"""Without a spill more in the books for so long, the check gives up: a dead worker's partitions move within 10 s."""
END_S = 10.0
"""A part that has not ended within it is killed."""
PAGE_S = 60.0
"""The page answers well within it, or never."""
CHECKED_SPILLS = 200
LIVE_SPILLS = 600
"""Spills of a simulated run: ten minutes at one a second."""


@dataclass(slots=True)
class Part:
    """A process of ours: a worker, or the page."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    restarts: int = 0

    def start(self) -> None:
        """Start it; it ends when we do, however we end."""
        with self.log.open("ab") as log, told_later():
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - a system call, nothing that could lock
                start_new_session=True,
            )

    def look_after(self) -> None:
        """Start it again if it has died.

        Raises
        ------
        ServerError
            When it dies again and again.
        """
        if self.process is None or self.process.poll() is None:
            return
        if self.restarts == RESTARTS:
            raise ServerError(f"the {self.name} ended {RESTARTS + 1} times, the last time with: {self.last_words()}")
        self.restarts += 1
        out.print(f"[yellow]The {self.name} ended with status {self.process.returncode}: starting it again[/]")
        self.start()

    def last_words(self) -> str:
        """Return the last line of its log."""
        return self.log.read_text(errors="replace").strip().rpartition("\n")[2] or "nothing"

    def ask_to_end(self) -> None:
        """Ask it to end."""
        if self.process is not None:
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for its end, and insist if it has not come by then."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(slots=True)
class Running:
    """What `playground` has started."""

    settings: Settings
    directory: Path
    environment: dict[str, str]
    parts: list[Part] = field(default_factory=list)

    def start(self, name: str, *arguments: str) -> Part:
        """Start a part: this same command with other arguments."""
        # -P: a folder `ops` of the user's, where he stands, is not ours.
        command = [sys.executable, "-P", "-m", "ops", *arguments]
        part = Part(name, command, self.environment, self.directory / f"{name.replace(' ', '-')}.log")
        self.parts.append(part)
        part.start()
        return part

    def look_after_parts(self) -> None:
        """Start again what has died."""
        for part in self.parts:
            part.look_after()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # At the same time: a worker that ends waits for those that its partitions move to.
        for part in self.parts:
            part.ask_to_end()
        deadline = time.monotonic() + END_S
        for part in self.parts:
            part.end(deadline)


@contextmanager
def playground(workers: int = WORKERS, *, secure: bool = False) -> Iterator[Running]:
    """Start a Kafka, a Redis and workers of our own; end all of them, and leave nothing behind."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spilldeck-demo-")))
        kafka_port, redis_port, page_port = free_port(), free_port(), free_port()
        local = stack.enter_context(LocalStack(directory, kafka_port, redis_port, secure=secure))
        changes = {
            "SPILLDECK_LOCAL__DIRECTORY": str(local.directory),
            "SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": local.access.kafka.bootstrap_servers,
            "SPILLDECK_REDIS__URL": local.access.redis.url.get_secret_value(),
            "SPILLDECK_DASHBOARD__PORT": os.environ.get("SPILLDECK_DASHBOARD__PORT", str(page_port)),
        }
        os.environ |= changes
        settings = load_settings()
        ensure_topics(settings)
        running = stack.enter_context(Running(settings, directory, dict(os.environ)))
        for number in range(workers):
            running.start(f"worker {number + 1}", "worker")
        yield running


def demo(files: list[Path], *, secure: bool = False) -> None:
    """Show the page of a run that is played through, until we are stopped."""
    inputs = Inputs(files)
    with playground(secure=secure) as running:
        settings = running.settings
        page = running.start("page", "dashboard")
        address = f"http://{settings.dashboard.address}"
        _wait_for_page(address, page)
        running.start("watcher of alarms", "alarms", "watch")
        out.print(f"\n[bold]The page: {address}[/]")
        out.print("Look at the status strip (run, spills, freshness), the overview, a plot's own page, the alarms.")
        out.print("Stop with Ctrl-C.\n")
        records = paced(inputs.records(), None, as_recorded=True) if files else _simulated()
        with SpillProducer(settings) as producer:
            for record in records:
                producer.send(record)
                if isinstance(record, RawSpill) and record.spill % 60 == 0:
                    out.print(f"run {record.run}: spill {record.spill}")
                running.look_after_parts()
            producer.flush()
        out.print("All is played. The page stays until Ctrl-C.")
        while True:
            time.sleep(1)
            running.look_after_parts()


def _simulated() -> Iterator[RawSpill | RunControl]:
    """Yield one simulated run after the other, a spill a second, as if it were now."""
    run = _first_run()
    while True:
        simulated = simulator().simulate(run, LIVE_SPILLS, run).at(time.time_ns() // 1000, 1.0)
        yield from paced(simulated.records(), 1.0)
        run += 1


def _wait_for_page(address: str, page: Part) -> None:
    deadline = time.monotonic() + PAGE_S
    while time.monotonic() < deadline:
        page.look_after()
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310 - our own page
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ServerError(f"the page does not answer at {address}; it last said: {page.last_words()}")


def check(files: list[Path], *, secure: bool = False) -> bool:
    """Play runs through as fast as they go, compare every histogram with the pure calculation; say if identical."""
    conditions = ConditionsStore.from_settings(load_settings())
    inputs = Inputs(files)
    records = list(inputs.records()) if files else list(_checked_run().records())
    if not records:
        raise UsageError("there is nothing to play: no file holds a spill")
    expected = process(records, conditions.for_run)
    with playground(secure=secure) as running:
        started = time.monotonic()
        with SpillProducer(running.settings) as producer:
            for record in records:
                producer.send(record)
        wait_until_counted(running)
        seconds = time.monotonic() - started
        with connect(running.settings) as redis:
            return _report(expected, BookReader.of(redis, running.settings), seconds) and not inputs.exit_status


def _checked_run() -> Simulation:
    return simulator().simulate(_first_run(), CHECKED_SPILLS, 1)


def _first_run() -> int:
    return simulator().runs[1]


def wait_until_counted(running: Running, stall_s: float = STALL_S) -> None:
    """Wait until the books hold all that spills.raw holds; without one more for so long it is given up.

    Raises
    ------
    ServerError
        When nothing more is counted for a long time.
    """
    settings = running.settings
    wanted = topic_spans(settings, Topics.of(settings).raw)
    of = sum(end - low for low, end in wanted)
    with connect(settings) as redis, progress() as bar:
        books = BookReader.of(redis, settings)
        task = bar.add_task("counting", total=of)
        counted, since = -1, time.monotonic()
        while True:
            running.look_after_parts()
            there = books.progress()
            now = of - behind(wanted, there) - to_be_read_again(there)
            bar.update(task, completed=max(now, 0))
            if now == of and not any(its.repairs for its in there.values()):
                return
            if now > counted:
                counted, since = now, time.monotonic()
            elif time.monotonic() - since > stall_s:
                words = "; ".join(f"the {part.name} last said: {part.last_words()}" for part in running.parts)
                raise ServerError(
                    f"{of - now} of {of} messages are not in the books and nothing has moved for "
                    f"{stall_s:.0f} s; {words}"
                )
            time.sleep(0.1)


def _report(expected: dict[int, RunResult], books: BookReader, seconds: float) -> bool:
    table = Table(title="Played through Kafka, workers and Redis")
    for column in ("run", "spills", "rejected", "entries", "spills/s", "compared"):
        table.add_column(column, justify="right")
    wrong = []
    for run, result in expected.items():
        stored = books.run(run, result.book.ranges)
        found = differences(result.run_book(), stored)
        wrong += [f"run {run}: {difference}" for difference in found]
        entries = sum(int(stored.book[name].sum(flow=True)) for name in stored.book)
        totals = stored.totals
        table.add_row(
            str(run),
            str(totals.filled),
            str(totals.all_rejected),
            f"{entries:,}",
            f"{totals.filled / seconds:.1f}",
            "differs" if found else "identical",
        )
    unexpected = books.places().keys() - expected.keys()
    wrong += [f"run {run}: is in the books and should not be" for run in sorted(unexpected)]
    out.print(table)
    for difference in wrong:
        out.print(f"[red]{difference}[/]  (here: process; there: the books)")
    out.print("[bold red]differs[/]" if wrong else "[bold green]identical[/]")
    return not wrong
