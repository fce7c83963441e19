"""The page behind a real nginx, below a prefix and by TLS, as ops/proxy/nginx.conf has it."""

import re
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from dashboards.access.accounts import Accounts
from dashboards.access.roles import Role
from dashboards.access.sessions import COOKIE
from ops.demo import Part
from ops.stack import free_port
from streams.books.connect import connect
from streams.books.decided import newest
from streams.experiments.mice.simulator import SimulatedRun
from tests.browser.conftest import WAIT_S, Site, environment, until_drawn
from tests.browser.test_flags import PASSWORD, log_in
from tests.conftest import PROJECT
from tests.lanes import first

pytestmark = [pytest.mark.servers, pytest.mark.browser]

PREFIX = "/spilldeck/"
SPILLS = 12


@dataclass
class Behind:
    """An nginx, and the page behind it."""

    address: str
    page: Part
    access: Path
    log: Path


@pytest.fixture(scope="module")
def nginx() -> str:
    """Return where nginx is; skip where it is absent."""
    found = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or shutil.which("nginx")
    if found is None:
        pytest.skip("no nginx on this machine: the page behind a proxy is not tested")
    return found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate made for these tests, with its key beside it."""
    directory = tmp_path_factory.mktemp("certificate")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run(["openssl", *words.split()], cwd=directory, check=True, capture_output=True)
    return directory / "cert.pem"


# The one that takes the prefix away has the page at the loopback of IPv6.
@pytest.fixture(scope="module", params=first(["::1", "127.0.0.1"], 1), ids=["stripped, IPv6", "not stripped"])
def behind(
    request: pytest.FixtureRequest, site: Site, nginx: str, certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Behind]:
    """Return a page behind an nginx."""
    directory, host = tmp_path_factory.mktemp("behind"), str(request.param)
    port, page_port = free_port(), free_port()
    where = f"[{host}]:{page_port}" if ":" in host else f"{host}:{page_port}"
    address = f"https://localhost:{port}"
    env = environment(site.settings) | {
        "SPILLDECK_DASHBOARD__HOST": host,
        "SPILLDECK_DASHBOARD__PORT": str(page_port),
        "SPILLDECK_DASHBOARD__PREFIX": PREFIX,
        "SPILLDECK_DASHBOARD__URL": f"{address}{PREFIX}",
        "SPILLDECK_ACCESS__DIRECTORY": str(directory / "access"),
        "SPILLDECK_ACCESS__PROXY_PEERS": f'["{host}"]',
    }
    part = Part("page", site.page.command, env, directory / "page.log")
    part.start()
    (directory / "nginx.conf").write_text(_configuration(directory, certificate, port, where, strips=":" in host))
    with (directory / "nginx.log").open("wb") as log:
        command = [nginx, "-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf")]
        proxy = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(f"{address}{PREFIX}", directory)
        yield Behind(address, part, directory / "access", directory / "access.log")
    finally:
        proxy.terminate()
        proxy.wait(20)
        part.ask_to_end()
        part.end(time.monotonic() + 20)


def _configuration(directory: Path, certificate: Path, port: int, page: str, *, strips: bool) -> str:
    """Return what nginx runs with: our example, at ports and with files of these tests."""
    server = (PROJECT / "ops/proxy/nginx.conf").read_text()
    for example, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server_name data.example.org", "server_name localhost"),
        ("/etc/ssl/certs/data.example.org.pem", str(certificate)),
        ("/etc/ssl/private/data.example.org.key", str(certificate.with_name("key.pem"))),
        ("http://127.0.0.1:8050", f"http://{page}{'/' if strips else ''}"),
    ):
        assert example in server
        server = server.replace(example, here)
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; worker_processes 1; pid {directory}/pid;\nevents {{ worker_connections 256; }}\n"
        f"http {{\n{temporary}log_format short '$status $server_protocol $request_uri';\n"
        f"access_log {directory}/access.log short;\n{server}}}\n"
    )


def _wait(address: str, directory: Path) -> None:
    trusting = ssl._create_unverified_context()
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5, context=trusting):
                return
        except OSError:
            time.sleep(0.1)
        logs = [(directory / name).read_text() for name in ("nginx.log", "page.log")]
        assert time.monotonic() < deadline, logs


@pytest.fixture
def played(site: Site) -> SimulatedRun:
    run = site.new_run(spills=2 * SPILLS)
    site.play(run, 0, SPILLS)
    site.book(run)
    return run


@pytest.fixture
def browser_page(chromium: Browser, behind: Behind) -> Iterator[Page]:
    """Return an empty page of a browser that takes the certificate."""
    context = chromium.new_context(base_url=behind.address, ignore_https_errors=True)
    context.set_default_timeout(WAIT_S * 1000)
    yield context.new_page()
    context.close()


def test_behind_a_proxy_the_page_draws_live_and_lets_act_and_nothing_is_missing(
    site: Site, behind: Behind, browser_page: Page, played: SimulatedRun
) -> None:
    page, refused, asked = browser_page, [], []

    def note(response: Response) -> None:
        asked.append(urlsplit(response.url).path)
        if response.status >= 400:
            refused.append(f"{response.status} {response.url}")

    page.on("response", note)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    Accounts(behind.access).add_user("anna", Role.SHIFTER, PASSWORD)
    page.goto(f"{PREFIX}detector/tof?run={played.run}", wait_until="commit")
    until_drawn(page, "ht01", played, SPILLS - 1)
    site.play(played, SPILLS, 2 * SPILLS)
    until_drawn(page, "ht01", played, 2 * SPILLS - 1)
    page.locator("#navigation a").first.click()
    expect(page).to_have_url(re.compile(rf"^{behind.address}{PREFIX}(\?|$)"))

    log_in(page, "anna")
    expect(page.locator("#who")).to_contain_text("shifter anna")
    (cookie,) = page.context.cookies()
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == (PREFIX, True, True)
    assert cookie["name"].startswith(COOKIE)
    page.locator("button.flag").click()
    page.locator("#flag-form").get_by_label("✕ bad").check()
    page.locator("#flag-form").get_by_label("Reason").fill("it tripped")
    page.locator("#flag-form button").click()
    expect(page.locator("#flag-status")).to_contain_text("Noted")
    with connect(site.settings) as redis:
        (flag,) = newest(site.settings, redis)().flags[played.run]
    assert flag.who == "anna"
    page.keyboard.press("Escape")
    for part in ("alarms", "replays", "issues", "handover"):
        page.goto(f"{PREFIX}{part}")
        expect(page.locator("body")).not_to_contain_text("nothing at this address")
    page.goto(PREFIX)
    page.locator("#who button").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    assert page.context.cookies() == []

    assert not refused
    assert not errors
    assert all(path.startswith(PREFIX) for path in asked), [path for path in asked if not path.startswith(PREFIX)]
    # By HTTP/2 the browser alone asks; 499 stands where it did not wait for an answer, as it left the page.
    by_browser = [line for line in behind.log.read_text().splitlines() if "HTTP/2.0" in line]
    assert by_browser
    assert not [line for line in by_browser if line[0] in "45" and not line.startswith("499")]


def test_a_proxy_that_has_the_page_elsewhere_is_told_so(behind: Behind) -> None:
    port = behind.page.environment["SPILLDECK_DASHBOARD__PORT"]
    host = behind.page.environment["SPILLDECK_DASHBOARD__HOST"]
    where = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    asked = urllib.request.Request(where, headers={"X-Forwarded-Prefix": "/other"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    assert refused.value.code == 400
    assert "below /other: dashboard.prefix says /spilldeck" in refused.value.read().decode()
