#!/usr/bin/env python3
"""Take the pictures of the page that the documentation shows, of a simulated run on servers of our own."""

import re
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

from ops.console import err, out
from ops.demo import WORKERS, playground
from schemas.records import RawSpill
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun

PICTURES = Path(__file__).resolve().parent / "pictures"
SHOTS = {
    "overview": "/",
    "tof": "/detector/tof",
    "cherenkov": "/detector/ckov",
    "daq": "/detector/daq",
    "plot": "/plot/ht01",
    "ratio": "/detector/kl?mode=ratio",
    "overview-dark": "/",
}
WIDTH, HEIGHT, SCALE = 1920, 1080, 0.64
LOW = 400
"""Height of what stands on a page that is empty below."""
SPILLS, EARLIER_SPILLS = 120, 200
FAULTS = ("dead_pmt:tof1/0/3/0@80-119", "hot_channel:kl/10/0@90-119", "dead_pmt:emr/20/30@70-119")
WAIT_S = 60
ALL_DRAWN = """spill => {
  const drawn = [...document.querySelectorAll(".figure")].filter(plot => !plot.closest(".histories"));
  return drawn.length && drawn.every(plot => plot.textContent.includes(`spills 0–${spill} `));
}"""


def main() -> None:
    """Play a run, take the pictures, end everything."""
    chromium = shutil.which("chromium")
    if chromium is None:
        err.print("no chromium on the PATH: install it")
        sys.exit(2)
    PICTURES.mkdir(exist_ok=True)
    with playground() as running:
        running.start("page", "dashboard")
        dashboard = running.settings.dashboard
        address = f"http://{dashboard.host}:{dashboard.port}"
        with SpillProducer(running.settings) as producer, sync_playwright() as playwright:
            earlier_us = _now_us() - (SPILLS + 2 * EARLIER_SPILLS) * 1_000_000
            earlier = SimulatedRun(run=900_016, spills=EARLIER_SPILLS, start_us=earlier_us, period_s=1.0)
            for record in earlier.records():
                producer.send(record)
            # Without the end of the run, and the last spill is now: as it looks in a control room.
            run = SimulatedRun(run=900_017, spills=SPILLS, start_us=_now_us() - SPILLS * 1_000_000, period_s=1.0)
            for number in range(SPILLS):
                producer.send(run.spill(number).raw)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE)
            for spill, (name, path) in enumerate(SHOTS.items(), start=SPILLS):
                _open(page, f"{address}{path}")
                if name.endswith("dark"):
                    page.click("#switch-theme")
                page.get_by_text("All spills processed").wait_for(timeout=WAIT_S * 1000)
                producer.send(replace(run.spill(spill).raw, time_us=_now_us()))
                page.wait_for_function(ALL_DRAWN, arg=spill, timeout=WAIT_S * 1000)
                page.wait_for_timeout(1000)
                _take(page, name)
            page.click("#switch-theme")
            # A replay while it is at work, and then over what live made.
            replaying = running.start("replay", "replay", str(earlier.run), "--name", "new-t0", "--workers", "1")
            _open(page, f"{address}/replays")
            page.get_by_text(re.compile("a second, .* left")).wait_for(timeout=WAIT_S * 1000)
            _take(page, "replays", LOW)
            if replaying.process is not None:
                replaying.process.wait(WAIT_S)
            _open(page, f"{address}/plot/ht01?run={earlier.run}.replay-new-t0&reference={earlier.run}&mode=absolute")
            page.get_by_text(f"– – run {earlier.run}").wait_for(timeout=WAIT_S * 1000)
            _take(page, "replay")
            _show_faults(page, address, producer)
            # As it looks when the workers die while spills go on, and then the store.
            for worker in running.parts[:WORKERS]:
                worker.ask_to_end()
            for worker in running.parts[:WORKERS]:
                worker.end(time.monotonic() + WAIT_S)
            for spill in range(SPILLS + len(SHOTS), SPILLS + len(SHOTS) + 4):
                producer.send(replace(run.spill(spill).raw, time_us=_now_us()))
            producer.flush()
            _open(page, f"{address}/plot/hspxy_1?frozen={time.time_ns() // 1_000_000}&run={run.run}")
            page.get_by_text(re.compile(r"Processing \d+ s behind")).wait_for(timeout=WAIT_S * 1000)
            _take(page, "behind")
            browser.close()


def _show_faults(page: Page, address: str, producer: SpillProducer) -> None:
    """Take the overview as it looks when something is wrong with detectors."""
    run = SimulatedRun(run=900_018, spills=SPILLS, start_us=_now_us() - SPILLS * 1_000_000, period_s=1.0)
    for record in run.with_faults(FAULTS).records():
        if isinstance(record, RawSpill):
            producer.send(record)
    producer.flush()
    _open(page, f"{address}/")
    page.wait_for_function("count => document.querySelectorAll('.tile.bad').length == count", arg=len(FAULTS))
    page.wait_for_function(ALL_DRAWN, arg=SPILLS - 1, timeout=WAIT_S * 1000)
    _take(page, "faults")


def _now_us() -> int:
    return time.time_ns() // 1000


def _take(page: Page, name: str, height: int = HEIGHT) -> None:
    picture = PICTURES / f"{name}.png"
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    out.print(f"{picture.name}: {picture.stat().st_size / 1000:.0f} kB")


def _open(page: Page, address: str) -> None:
    """Go to an address as soon as somebody answers there."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            page.goto(address)
        except Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    main()
