"""Speed of the page in Chromium, on a real stack, all plots and a spill a second: python -m tests.bench.page."""

import argparse
import asyncio
import gzip
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from ops.demo import playground
from ops.stack import free_port
from schemas.records import RawSpill, RunControl
from streams.daq.producer import SpillProducer
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.run import DETECTORS
from streams.settings import Settings

WAIT_S = 60.0
LOADS, CLIENTS, UPDATES = 9, 20, 60
USABLE_S, PIXELS_S, MAIN_THREAD_MS, WRITTEN_MS, TIMES_CPU = 1.5, 0.7, 80.0, 10.0, 2.0
"""What must not be exceeded."""
FIRST_LOAD_KB, UPDATE_KB, SLOW_S = 400.0, 40.0, 8.0
SLOW_LINK = {"latency": 560, "downloadThroughput": 1.4e6 / 8, "uploadThroughput": 1.4e6 / 8}
"""A link of 1.4 Mbit/s, for CDP: ms, bytes/s."""
TABS, HEARS_S = 12, 1.5
"""Of one page in one browser, and how long each may hear nothing."""
VIEWS, STORED, STORED_SPILLS, NEWEST_S = 30, 10, 3, 2.0
"""Different ones that are looked at at once, so many of them of runs that are over, of so many spills; how late a new
spill may come to any of the others."""
GROWTH_MB = 30.0
"""Memory that may come and go by itself between two collections."""
OVERVIEW = "path=/&search="
SPILLS = re.compile(rb"spills \d+\\u2013(\d+)")
"""What the title of a plot of an answer says: from which spill to which."""

USABLE = """() => {
    const plots = [...document.querySelectorAll('.figure')];
    return plots.length && plots.every(plot => plot.painted)
        && document.querySelector('#strip .value') && document.querySelector('#controls .group');
}"""
# How long it takes to write what is no plot: what is wrong is among it.
WRITTEN = """() => {
    const page = window.dash_clientside.spilldeck, write = page.writeAll;
    window.written_ms = 0;
    page.writeAll = function (...parts) {
        const began = performance.now();
        write.apply(page, parts);
        window.written_ms += performance.now() - began;
    };
}"""
# After the frame in which all plots stood with a spill; the spill is the last number in a plot's title.
WATCH = """() => {
    window.seen = {};
    const plots = [...document.querySelectorAll('.figure')];
    const last = plot => Number((/\\u2013(\\d+) /.exec(plot.painted?.layout.title.text) || [])[1] ?? -1);
    const look = () => {
        const spill = Math.min(...plots.map(last));
        if (spill < 0 || spill in window.seen) return;
        window.seen[spill] = 0;
        requestAnimationFrame(() => requestAnimationFrame(() => { window.seen[spill] = Date.now(); }));
    };
    for (const plot of plots) plot.addEventListener('painted', look);
}"""
HEAR = """() => {
    const page = window.dash_clientside.spilldeck, show = page.show;
    window.heard = [Date.now()];
    page.show = function (told) { window.heard.push(Date.now()); return show.call(this, told); };
}"""
SILENCE_S = """() => {
    const times = [...window.heard, Date.now()];
    window.heard = [Date.now()];
    return Math.max(...times.slice(1).map((time, at) => time - times[at])) / 1000;
}"""
DEFAULT_PAGE = """
import sys
from dash import Dash, dcc
app = Dash()
app.layout = dcc.Graph(figure={"data": [{"type": "bar", "y": list(range(200))}], "layout": {}})
app.run(port=int(sys.argv[1]))
"""


@dataclass
class Beam:
    """A run that goes on, a spill a second, until it is stopped."""

    settings: Settings
    acknowledged: dict[int, float] = field(default_factory=dict)
    """Spill → when Kafka acknowledged it, s since 1970 UTC."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def play(self) -> None:
        run = SimulatedRun(spills=100_000, start_us=time.time_ns() // 1000, period_s=1.0, detectors=tuple(DETECTORS))
        with SpillProducer(self.settings, on_acknowledged=self._note) as producer:
            for number in range(run.spills):
                record = run.spill(number).raw
                if self._stop.wait(1.0):
                    return
                producer.send(record)
                producer.flush()

    def _note(self, record: RawSpill | RunControl, _offsets: dict[int, int]) -> None:
        assert isinstance(record, RawSpill)
        self.acknowledged[record.spill] = time.time()

    @contextmanager
    def on(self) -> Iterator[None]:
        thread = threading.Thread(target=self.play)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


@dataclass
class Clients:
    """Browsers that draw nothing: they ask like one, and read their answers to the last byte."""

    port: int
    arrived: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    """View → the last spill of each answer with figures, and when its last byte was there, s since 1970 UTC."""

    @contextmanager
    def connected(self, views: Sequence[str]) -> Iterator[None]:
        """Ask for some views, ``path=…&search=…`` each, until the block ends."""
        stop, failed = threading.Event(), list[object]()

        async def ask_until_stopped() -> None:
            tasks = [asyncio.create_task(self._ask_for_ever(view)) for view in views]
            await asyncio.to_thread(stop.wait)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            failed.extend(error for error in ended if not isinstance(error, asyncio.CancelledError))

        thread = threading.Thread(target=lambda: asyncio.run(ask_until_stopped()))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not failed, failed

    async def _ask_for_ever(self, view: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        has, after = "", ""
        while True:
            query = f"{view}&theme=light&has={has}&after={after}"
            asked = f"GET /live?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n"
            writer.write(asked.encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 200"), head
            body = await reader.readexactly(int(head.split("content-length:")[1].split()[0]))
            now = time.time()
            body = gzip.decompress(body)
            # Not parsed as a whole, twenty times a second: this machine has other things to do.
            has = body.split(b'"has":"', 1)[1].split(b'"', 1)[0].decode()
            after = body.split(b'"at":', 1)[1].split(b",", 1)[0].decode()
            if b'"figures":{' in body:
                told = SPILLS.search(body)
                if told is None and b'"text":"loading"' in body:
                    continue
                assert told is not None, view
                self.arrived[view].append((int(told[1]), now))


class Wire:
    """What comes to a page over the wire from now on, and how long until all stands.

    Parameters
    ----------
    slow
        Over a slow link.
    """

    def __init__(self, page: Page, *, slow: bool) -> None:
        self._page = page
        self._start = time.perf_counter()
        self._sizes: list[float] = []
        self.addresses: list[str] = []
        self.seconds = 0.0
        session = page.context.new_cdp_session(page)
        session.on("Network.loadingFinished", lambda end: self._sizes.append(end["encodedDataLength"]))
        session.on("Network.responseReceived", lambda answer: self.addresses.append(answer["response"]["url"]))
        session.send("Network.enable")
        if slow:
            session.send("Network.emulateNetworkConditions", {"offline": False, **SLOW_LINK})

    def until_usable(self) -> None:
        """Wait until the page's plots stand."""
        self._page.wait_for_function(USABLE, polling="raf")
        self.seconds = time.perf_counter() - self._start

    @property
    def kilobytes(self) -> float:
        """All that came, heads included."""
        return sum(self._sizes) / 1000

    @property
    def largest_kilobytes(self) -> float:
        """The largest answer."""
        return max(self._sizes, default=0) / 1000


def new_page(browser: Browser) -> Page:
    return browser.new_context(viewport={"width": 1920, "height": 1080}).new_page()


def open_page(browser: Browser, address: str) -> Page:
    page = new_page(browser)
    page.goto(address, wait_until="commit")
    page.wait_for_function(
        USABLE if address.endswith("/") else "() => document.querySelector('.main-svg')",
        polling="raf",
    )
    return page


def seconds_to_open(browser: Browser, address: str) -> float:
    start = time.perf_counter()
    page = open_page(browser, address)
    seconds = time.perf_counter() - start
    page.context.close()
    return seconds


class Tabs:
    """Tabs of one page in one browser."""

    def __init__(self, first: Page, address: str, number: int) -> None:
        self._tabs = [first, *(first.context.new_page() for _ in range(number - 1))]
        for tab in self._tabs:
            tab.goto(address, wait_until="commit")
        for tab in self._tabs:
            tab.wait_for_function("() => document.querySelector('#browser.good')")
        for tab in self._tabs:
            tab.evaluate(HEAR)

    def silence_s(self, seconds: float) -> float:
        """Return how long one of them hears nothing from the server at most, while so many seconds pass."""
        for tab in self._tabs:
            tab.evaluate(SILENCE_S)
        self._tabs[0].wait_for_timeout(seconds * 1000)
        return float(max(tab.evaluate(SILENCE_S) for tab in self._tabs))


@contextmanager
def default_page() -> Iterator[str]:
    """Serve Dash's default page with one plot."""
    port = free_port()
    command = [sys.executable, "-c", DEFAULT_PAGE, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_S
        while not any(c.laddr.port == port for c in psutil.Process(process.pid).net_connections()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/?"
    finally:
        process.terminate()
        process.wait()


def metrics(session: CDPSession) -> dict[str, float]:
    """Return what Chromium says of a page: ``TaskDuration`` in s, ``JSHeapUsedSize`` in bytes after a collection."""
    session.send("HeapProfiler.collectGarbage")
    return {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}


def delays(beam: Beam, seen: list[tuple[int, float]]) -> np.ndarray:
    """Return from acknowledgement to when each was seen, s."""
    return np.array([when - beam.acknowledged[spill] for spill, when in seen if when and spill in beam.acknowledged])


def watch(page: Page, seconds: float) -> list[tuple[int, float]]:
    """Return the spills that come onto a page, and when, s since 1970 UTC."""
    page.evaluate(WATCH)
    page.wait_for_timeout(seconds * 1000)
    found: dict[str, float] = page.evaluate("window.seen")
    # The first stood there before.
    return [(int(spill), when / 1000) for spill, when in sorted(found.items(), key=lambda each: int(each[0]))[1:]]


def cpu(process: psutil.Process, wait: Any) -> tuple[float, float]:
    """Return the shares of a core, by itself and in the kernel, that a process takes meanwhile."""
    before, start = process.cpu_times(), time.perf_counter()
    wait()
    after, seconds = process.cpu_times(), time.perf_counter() - start
    return (after.user - before.user) / seconds, (after.system - before.system) / seconds


def _stored_runs(settings: Settings) -> list[int]:
    """Have runs that are over, and return their numbers."""
    start_us = time.time_ns() // 1000 - 86_400_000_000
    runs = [
        SimulatedRun(run=900_101 + n, spills=STORED_SPILLS, start_us=start_us + n, detectors=tuple(DETECTORS))
        for n in range(STORED)
    ]
    with SpillProducer(settings) as producer:
        for run in runs:
            for record in run.records():
                producer.send(record)
    return [run.run for run in runs]


def _different_views(port: int, beam: Beam, stored: Sequence[int], seconds: float) -> tuple[list[str], float]:
    """Return the views that told a wrong number while many are looked at, and how late a spill came to one, s."""
    of_stored = [f"path=/&search=%3Frun%3D{run}" for run in stored]
    of_beam = [f"path=/plot/{name}&search=" for name in [*experiment().plots][: VIEWS - len(stored)]]
    clients, late = Clients(port), list[float]()
    with clients.connected([*of_stored, *of_beam]):
        time.sleep(seconds)
    wrong = [view for view in of_stored if {spill for spill, _ in clients.arrived[view]} != {STORED_SPILLS - 1}]
    for view in of_beam:
        its = clients.arrived[view]
        wrong += [view] if its != sorted(its) or any(spill > max(beam.acknowledged) for spill, _ in its) else []
        # A spill is there with the first answer that has it, or a later one; what was there before is not waited for.
        for spill in range(its[0][0] + 1, max(beam.acknowledged)):
            there = next((when for last, when in its if last >= spill), time.time())
            late.append(there - beam.acknowledged[spill])
    return wrong, max(late)


def measure(minutes: float, loads: int, updates: int) -> list[tuple[str, str, str, bool]]:
    """Return what was measured, how much, what it must not exceed, and whether it does not."""
    rows: list[tuple[str, str, str, bool]] = []

    def row(what: str, value: float, bound: float, unit: str, beside: str = "") -> None:
        rows.append((what, f"{value:.2f} {unit}{beside}", f"≤ {bound:g} {unit}", bool(value <= bound)))

    program = shutil.which("chromium")
    assert program is not None, "no chromium on the PATH"
    with playground(1) as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        part = running.start("page", "dashboard")
        port = running.settings.dashboard.port
        address = f"http://127.0.0.1:{port}/"
        beam = Beam(running.settings)
        stored = _stored_runs(running.settings)
        while not any(c.laddr.port == port for c in psutil.Process(part.process.pid).net_connections()):  # type: ignore[union-attr]
            part.look_after()
            time.sleep(0.2)
        server = psutil.Process(part.process.pid)  # type: ignore[union-attr]
        with beam.on():
            time.sleep(10)
            with default_page() as default:
                seconds_to_open(browser, address), seconds_to_open(browser, default)
                ours, theirs = [], []
                for _ in range(loads):
                    ours.append(seconds_to_open(browser, address))
                    theirs.append(seconds_to_open(browser, default))
            row(
                "page usable, median",
                median(ours),
                USABLE_S,
                "s",
                f" (Dash's default, one plot: {median(theirs):.2f} s)",
            )
            page = new_page(browser)
            wire = Wire(page, slow=True)
            page.goto(address, wait_until="commit")
            wire.until_usable()
            row("plots at 1.4 Mbit/s and 560 ms", wire.seconds, SLOW_S, "s")
            row("first load on the wire", wire.kilobytes, FIRST_LOAD_KB, "kB")
            wire = Wire(page, slow=False)
            page.wait_for_timeout(10_000)
            row("an update on the wire, largest", wire.largest_kilobytes, UPDATE_KB, "kB")
            page.context.close()
            page = new_page(browser)
            tabs = Tabs(page, f"{address}plot/ht01", TABS)
            page.wait_for_timeout(3000)
            row(f"{TABS} tabs, the longest that one hears nothing", tabs.silence_s(updates), HEARS_S, "s")
            page.context.close()
            page = open_page(browser, address)
            page.wait_for_timeout(3000)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})  # of the processor, not of the wall
            page.evaluate(WRITTEN)
            begin, seen = metrics(session), []
            user, system = cpu(server, lambda: seen.extend(watch(page, updates)))
            busy = (metrics(session)["TaskDuration"] - begin["TaskDuration"]) / len(seen) * 1000
            written = page.evaluate("window.written_ms") / len(seen)
            late = delays(beam, seen)
            beside = f" (median {np.median(late):.2f} s, {len(late)} spills)"
            row("spill acknowledged → pixels, p95", float(np.percentile(late, 95)), PIXELS_S, "s", beside)
            row("main thread, an update of 12 plots", busy, MAIN_THREAD_MS, "ms")
            row("of it, strip, badges, banners, tiles are written in", written, WRITTEN_MS, "ms")
            clients, seen = Clients(port), []
            with clients.connected([OVERVIEW] * CLIENTS):
                user_20, system_20 = cpu(server, lambda: seen.extend(watch(page, updates)))
            late, last_byte = delays(beam, seen), delays(beam, clients.arrived[OVERVIEW])
            beside = f" (median {np.median(late):.2f} s)"
            row(f"the same with {CLIENTS} clients", float(np.percentile(late, 95)), PIXELS_S, "s", beside)
            beside = f" (median {np.median(last_byte):.2f} s)"
            row(f"last byte at {CLIENTS} clients, p95", float(np.percentile(last_byte, 95)), PIXELS_S, "s", beside)
            beside = f" ({user:.2f} → {user_20:.2f} cores; in the kernel, {system:.2f} → {system_20:.2f})"
            row(f"server's CPU, {CLIENTS + 1} clients against 1", user_20 / user, TIMES_CPU, "×", beside)
            page.context.close()
            wrong, latest = _different_views(port, beam, stored, updates)
            row(f"{VIEWS} different views at once, with a wrong number", len(wrong), 0, "", f" {', '.join(wrong)}")
            row("the newest spill on each, longest", latest, NEWEST_S, "s")
            page = open_page(browser, address)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            begin, resident = metrics(session), server.memory_info().rss
            page.wait_for_timeout(minutes * 60_000)
            grown = (metrics(session)["JSHeapUsedSize"] - begin["JSHeapUsedSize"]) / 1e6
            row(f"browser's heap, growth in {minutes:g} min", grown, GROWTH_MB, "MB")
            grown = (server.memory_info().rss - resident) / 1e6
            row(f"server's memory, growth in {minutes:g} min", grown, GROWTH_MB, "MB", f" (of {resident / 1e6:.0f} MB)")
        page.context.close()
        page = new_page(browser)
        tabs = Tabs(page, f"{address}plot/ht01", TABS)
        page.wait_for_timeout(3000)
        row(f"{TABS} tabs without beam, the same", tabs.silence_s(updates), HEARS_S, "s")
        browser.close()
    return rows


def main() -> None:
    """Print the table; fail if something exceeds its bound."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long memory is watched")
    parser.add_argument("--loads", type=int, default=LOADS, help="how often the page is opened")
    parser.add_argument("--updates", type=int, default=UPDATES, help="seconds that updates are watched, twice")
    said = parser.parse_args()
    rows = measure(said.minutes, said.loads, said.updates)
    table = Table(title="The page, all plots, a spill a second, all on this machine")
    for column in ("what", "measured", "bound", ""):
        table.add_column(column)
    for *words, kept in rows:
        table.add_row(*words, "kept" if kept else "missed")
    Console(highlight=False).print(table)
    load = " ".join(f"{each:.1f}" for each in psutil.getloadavg())
    Console(highlight=False).print(json.dumps({"cores": psutil.cpu_count(), "load of the machine": load}))
    sys.exit(0 if all(kept for *_, kept in rows) else 1)


if __name__ == "__main__":
    main()
