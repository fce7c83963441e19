#!/usr/bin/env python3
"""Take the pictures of the page that the documentation shows, of a simulated run on servers of our own."""

import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

from ops.console import err, out
from ops.demo import playground
from streams.daq.producer import SpillProducer
from streams.daq.simulator import SimulatedRun

PICTURES = Path(__file__).resolve().parent / "pictures"
SHOTS = {
    "overview": "/",
    "tof": "/detector/tof",
    "cherenkov": "/detector/ckov",
    "daq": "/detector/daq",
    "plot": "/plot/ht01",
    "overview-dark": "/",
}
WIDTH, HEIGHT = 1920, 1080
SPILLS = 120
WAIT_S = 60
ALL_DRAWN = """spill => {
  const drawn = [...document.querySelectorAll(".js-plotly-plot")];
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
        with SpillProducer(running.settings) as producer, sync_playwright() as playwright:
            # Without the end of the run, and the last spill is now: as it looks in a control room.
            start_us = time.time_ns() // 1000 - SPILLS * 1_000_000
            run = SimulatedRun(run=900_017, spills=SPILLS, start_us=start_us, period_s=1.0)
            for number in range(SPILLS):
                producer.send(run.spill(number).raw)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            for spill, (name, path) in enumerate(SHOTS.items(), start=SPILLS):
                _open(page, f"http://{dashboard.host}:{dashboard.port}{path}")
                if name.endswith("dark"):
                    page.click("#switch-theme")
                producer.send(run.spill(spill).raw)
                page.wait_for_function(ALL_DRAWN, arg=spill, timeout=WAIT_S * 1000)
                page.wait_for_timeout(1000)
                picture = PICTURES / f"{name}.png"
                page.screenshot(path=picture)
                out.print(f"{picture.name}: {picture.stat().st_size / 1000:.0f} kB")
            browser.close()


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
