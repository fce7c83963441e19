"""A whole site of our own to look at: Kafka, Redis, a worker, the page's process, and Chromium."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    Request,
    Response,
    Route,
    expect,
    sync_playwright,
)

from ops.demo import Part, Running
from ops.stack import LocalStack, free_port, processes
from ops.topics import ensure_topics
from schemas.records import RawSpill, RunControl
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import (
    AccessSettings,
    ChecklistSettings,
    DashboardSettings,
    Settings,
    load_settings,
)
from tests.conftest import wait_until_counted
from tests.redis_servers import Servers
from tests.servers import environment as of_servers
from tests.servers import own_redis

WAIT_S = 60.0
"""Nothing here takes longer on a busy machine."""
AXE, AXE_FILE = "axe-core@4.14.1", "package/axe.min.js"
FETCH_S = 60
LOG_TAIL = 8_000
LONG_AGO_US = 60 * 86_400_000_000
COUNTS = "plot.data[0].y.slice(0, -1)"
"""The bins of a histogram of one axis, in a figure; see `drawn`."""
# A click changes the address at once, and for a while the page that is left stands below it: with figures of the same
# names, and often of the same numbers.
STANDS = """(() => {
    const its = window.dash_clientside?.spilldeck, page = document.querySelector("#page > [data-path]");
    return page?.dataset.path === location.pathname && its.made === page.dataset.made && its.after != null
        && its.wanted.get("search") === location.search
        && its.wanted.get("theme") === document.documentElement.dataset.theme;
})()"""
"""Whether the page that the address names is there, and was told what there is to show of what is chosen in it."""
LISTENS = """window.acting?.who() && !document.querySelector("#sound:disabled")"""
"""Whether the scripts have come for who acts and for who hears; they come last."""
expect.set_options(timeout=WAIT_S * 1000)


@dataclass(slots=True)
class Site:
    """The servers, and the runs that were played on them."""

    settings: Settings
    running: Running
    page: Part
    redis: Servers
    kafka: processes.Process
    runs: int = 0

    @property
    def address(self) -> str:
        return f"http://{self.settings.dashboard.host}:{self.settings.dashboard.port}"

    def new_run(self, **what: Any) -> SimulatedRun:
        """Return a run that begins after all before it; nothing of it is sent."""
        self.runs += 1
        number = 900_100 + self.runs
        # Long ago, as that of a file that is played: nobody asks by how much the spills' clock is off.
        start_us = time.time_ns() // 1000 + self.runs * 3_600_000_000 - LONG_AGO_US
        usual: dict[str, Any] = {"spills": 1000, "period_s": 1.0, "mean_triggers": 20}
        return SimulatedRun(run=number, start_us=start_us, **usual | what)

    def play(self, run: SimulatedRun, first: int, stop: int) -> None:
        """Send some spills of a run."""
        self.send(run.spill(number).raw for number in range(first, stop))

    def send(self, records: Iterable[RawSpill | RunControl]) -> None:
        with SpillProducer(self.settings) as producer:
            for record in records:
                producer.send(record)

    def book(self, run: SimulatedRun) -> RunBook:
        """Return a run's books once they hold all that was sent."""
        with self.reader() as reader:
            return reader.run(run.run, {})

    @contextmanager
    def reader(self) -> Iterator[BookReader]:
        """Give a reader of the books once they hold all that was sent."""
        with connect(self.settings) as redis:
            reader = BookReader.of(redis, self.settings)
            wait_until_counted(self.settings, reader)
            yield reader


def environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        **of_servers(settings),
        "SPILLDECK_DASHBOARD__PORT": str(settings.dashboard.port),
        "SPILLDECK_DASHBOARD__REFRESH_S": str(settings.dashboard.refresh_s),
        "SPILLDECK_ACCESS__DIRECTORY": str(settings.access.directory),
        "SPILLDECK_CHECKLIST__LINES": json.dumps(settings.checklist.lines),
    }


@pytest.fixture(scope="session")
def site(stack: LocalStack, program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site whose Redis may be stopped; its Kafka is that of all tests."""
    directory = tmp_path_factory.mktemp("site")
    redis = own_redis(directory)
    settings = load_settings(
        kafka=stack.access.kafka.model_copy(update={"topic_prefix": "browser."}),
        redis=redis.settings("browser"),
        dashboard=DashboardSettings(port=free_port(), refresh_s=0.4),
        access=AccessSettings(directory=directory / "access"),
        checklist=ChecklistSettings(lines=["Magnets as in the <b>run plan</b>"]),
    )
    ensure_topics(settings)
    kafka = processes.find("kafka", stack.directory)
    assert kafka is not None
    with Running(settings, directory, environment(settings)) as running:
        running.start("worker", "worker")
        site = Site(settings, running, running.start("page", "dashboard"), redis, kafka)
        until_served(f"{site.address}/who")
        yield site
    redis.end()


def until_served(address: str) -> None:
    """Wait until somebody answers at an address."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with urlopen(address, timeout=WAIT_S):
                return
        except OSError:
            assert time.monotonic() < deadline, f"nobody answers at {address}"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def program() -> str:
    """Return where Debian's Chromium is; skip where it is absent."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium on the PATH: the page is not tested in a browser")
    return found


# While it is there, the process has an event loop at work, and no other test can have one.
@pytest.fixture(scope="module")
def chromium(program: str) -> Iterator[Browser]:
    """Return Debian's Chromium."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@dataclass
class Seen:
    """What the browser did besides showing."""

    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    server_may_be_away: bool = False

    def watch(self, page: Page) -> None:
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    def _response(self, response: Response) -> None:
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.errors.append(f"{response.status} was answered to {response.request.method} {response.url}")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"}:
            self.hosts.add(address.hostname or "")


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def kept(chromium: Browser, site: Site) -> Iterator[Page]:
    """Return a page that stays open: the others of its context share its process, which has read all scripts."""
    with _context(chromium, site) as context:
        page = context.new_page()
        go_to(page, "/who")
        yield page


@contextmanager
def _context(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1920, "height": 1080}, base_url=site.address)
    context.set_default_timeout(WAIT_S * 1000)
    yield context
    context.close()


@contextmanager
def _watched(context: BrowserContext, site: Site, seen: Seen) -> Iterator[Page]:
    page = context.new_page()
    seen.watch(page)
    yield page
    for each in context.pages:
        if each.url != f"{site.address}/who":
            each.close()
    assert seen.hosts <= {"127.0.0.1"}
    # What the browser cannot say, why an answer could not be made, stands in the log of the page.
    assert seen.server_may_be_away or not seen.errors, "\n".join([*seen.errors, text(site.page.log)[-LOG_TAIL:]])


@pytest.fixture
def page(kept: Page, site: Site, seen: Seen) -> Iterator[Page]:
    """Return an empty browser page; afterwards nothing may have left this machine, and no error been logged."""
    context = kept.context
    with _watched(context, site, seen) as page:
        yield page
    # The next one comes to a browser that knows nobody.
    context.clear_cookies()
    context.clear_permissions()
    kept.evaluate("localStorage.clear()")


@pytest.fixture
def new_page(chromium: Browser, site: Site, seen: Seen) -> Iterator[Callable[[], Page]]:
    """Return what gives an empty page of a browser that has loaded nothing before, each time it is asked."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(_watched(opened.enter_context(_context(chromium, site)), site, seen))


@pytest.fixture
def fresh_page(new_page: Callable[[], Page]) -> Page:
    """Return an empty page of a browser that has loaded nothing before."""
    return new_page()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the script that looks for faults of accessibility, fetched with npm; skip where it cannot be had."""
    directory = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"no npm to fetch {AXE} with: accessibility is not tested")
    command = [npm, "pack", "--silent", AXE]
    if subprocess.run(command, cwd=directory, capture_output=True, timeout=FETCH_S, check=False).returncode:
        pytest.skip(f"npm cannot fetch {AXE}: accessibility is not tested")
    with tarfile.open(next(Path(directory).glob("*.tgz"))) as archive:
        script = archive.extractfile(AXE_FILE)
        assert script is not None
        return script.read().decode()


def faults(page: Page, where: str, theme: str) -> list[str]:
    """Return the serious faults; in the dark, those of colour alone, as all else is the same."""
    rules = {"runOnly": ["color-contrast"]} if theme == "dark" else {}
    told = page.evaluate(
        """async rules => (await axe.run(rules)).violations
        .filter(fault => ["serious", "critical"].includes(fault.impact))
        .map(fault => [fault.id, fault.help, fault.nodes.slice(0, 3).map(node => node.html.slice(0, 200))])""",
        rules,
    )
    return [f"{where}, {theme}: {json.dumps(each)}" for each in told]


def drawn(page: Page, name: str, expression: str) -> Any:
    """Return something of a figure as it stands on the page of the address: `plot` is its element."""
    return page.evaluate(f"""() => {{
        const plot = {STANDS} && document.querySelector(`.figure[id*='"{name}"']`);
        return plot && plot.layout ? {expression} : null;
    }}""")


def until_equal(page: Page, name: str, expression: str, wanted: Any) -> None:
    """Wait until something of a figure is as wanted."""
    deadline = time.monotonic() + WAIT_S
    while (found := drawn(page, name, expression)) != wanted:
        assert time.monotonic() < deadline, f"{found} is not {wanted}"
        page.wait_for_timeout(100)


def until(page: Page, true: Callable[[], Any]) -> None:
    """Wait until something is so that only Python knows, while the page goes on."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


@contextmanager
def held(page: Page, address: str) -> Iterator[Callable[[], None]]:
    """Hold back what the page asks for at an address; give what waits for the first and passes all on from then on."""
    waiting: list[Route] = []
    is_over = False

    def hold(route: Route) -> None:
        if is_over:
            route.continue_()
        else:
            waiting.append(route)

    def pass_on() -> None:
        nonlocal is_over
        until(page, lambda: waiting)
        is_over = True
        for each in waiting:
            each.continue_()

    page.route(address, hold)
    yield pass_on


def until_theme(page: Page, theme: str) -> None:
    """Have the page in a theme, its figures too."""
    if page.locator("html").get_attribute("data-theme") != theme:
        page.click("#switch-theme")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        page.wait_for_function(f"() => {STANDS}")


def until_fits(page: Page, width: int, height: int) -> None:
    """Have a screen of this size, and wait until nothing lies beside it: pictures follow a frame later."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)


def until_handed_over(page: Page, is_so: Callable[[str], bool]) -> None:
    """Look at the hand-over again and again: it stays as it was made, and is the same for some seconds."""
    deadline = time.monotonic() + WAIT_S
    while not is_so(found := page.locator("body").inner_text()):
        assert time.monotonic() < deadline, found
        page.wait_for_timeout(500)
        page.reload()


def until_pointed_at(page: Page, name: str, point: str, words: str) -> None:
    """Point at a place of a figure, an expression of `xaxis` and `yaxis` in pixels, until it says these words."""
    place = f"""(() => {{
        const area = plot.querySelector(".nsewdrag")?.getBoundingClientRect();
        if (!area) return null;
        const {{xaxis, yaxis}} = plot.querySelector(".graph")._fullLayout;
        const larger = area.width / xaxis._length, [x, y] = {point};
        return [area.x + larger * x, area.y + larger * y];
    }})()"""
    deadline, said = time.monotonic() + WAIT_S, ""
    while not re.search(words, said):
        # Again, if the plot was drawn anew only after one had pointed at it, or was that of the page that was left.
        assert time.monotonic() < deadline, said
        until_taken(page, name)
        page.mouse.move(0, 0)
        if at := drawn(page, name, place):
            page.mouse.move(*at)
            page.wait_for_timeout(200)
            said = drawn(page, name, "plot.querySelector('.hoverlayer')?.textContent") or ""


def until_taken(page: Page, name: str) -> None:
    """Point at a figure until it is plotly's: it is painted as long as nobody does anything with it."""
    figure, deadline = f".figure[id*='\"{name}\"']", time.monotonic() + WAIT_S
    while not page.locator(f"{figure}[data-taken]").count():
        # Again, if one had pointed at the plot of the page that was left.
        assert time.monotonic() < deadline, f"{name} is not plotly's"
        page.mouse.move(0, 0)
        page.locator(figure).hover()
        page.wait_for_timeout(1000)


def until_drawn(page: Page, name: str, run: SimulatedRun, last_spill: int) -> None:
    """Wait until a plot on the page of the address shows a run up to a spill; those before it may still come."""
    page.wait_for_function(
        f"""([id, words]) => {{
            const graph = {STANDS} && document.getElementById(id);
            return graph && graph.textContent.includes(words) && document.querySelector("#controls .group");
        }}""",
        arg=[f'{{"name":"{name}","type":"figure"}}', f"Run {run.run} · spills 0–{last_spill} "],
    )


def go_to(page: Page, address: str) -> None:
    """Go to an address as soon as somebody answers there."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            page.request.get(address)
        except Error:
            assert time.monotonic() < deadline, "the page's process does not answer"
            time.sleep(0.1)
        else:
            break
    page.goto(address)


def open_page(page: Page, address: str = "/") -> None:
    """Go to an address as soon as somebody answers there, and wait until all that it shows and hears is there."""
    go_to(page, address)
    expect(page.locator("#controls .choice").first).to_be_attached()
    page.wait_for_function(f"() => {STANDS} && {LISTENS}")


def text(log: Path) -> str:
    return log.read_text(errors="replace")
