"""The page's server and those who ask it for too much, for nothing, or by another name."""

import asyncio
import gzip
import json
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlencode

import pytest
from structlog.testing import capture_logs

from dashboards import connections, threads
from dashboards.app import server_of
from dashboards.choices import Choices
from dashboards.connections import Connection
from dashboards.data import Data, View
from dashboards.data.trying import AT_MOST_S, MOST_BYTES
from dashboards.guard import BODY_BYTES
from dashboards.threads import PEER_THREADS, Threads, TooManyError
from ops.stack import LocalStack, free_port
from streams.settings import DashboardSettings
from tests.dashboards.views import RUN, run_book
from tests.servers import settings_on
from tests.stored import checkpoint

pytestmark = pytest.mark.servers

US, OTHERS = "127.0.0.1", "127.0.0.2"
"""Two peers."""
WAIT_S = 10.0
SLOW, BROKEN = RUN + 1, RUN + 2
"""Runs of which the books do not come until somebody lets them, or make the page fail."""


@dataclass
class Page:
    """A server of the page, in a thread of ours."""

    port: int
    data: Data
    prefix: str = ""
    slow: threading.Event = field(default_factory=threading.Event)
    """Lets go of what asks for the books that are slow."""

    def ask(
        self, path: str, peer: str = US, method: str = "GET", wait_s: float = WAIT_S, **what: Any
    ) -> tuple[HTTPResponse, bytes]:
        with closing(HTTPConnection(US, self.port, timeout=wait_s, source_address=(peer, 0))) as connection:
            connection.request(method, path, **what)
            answer = connection.getresponse()
            return answer, answer.read()

    def update(self, search: str = "", path: str = "/") -> bytes:
        """Return what Dash posts when the address changes."""
        (callback,) = (
            each
            for each in json.loads(self.ask(f"{self.prefix}/_dash-dependencies")[1])
            if "page.children" in each["output"]
        )
        values = {"pathname": path, "search": search, "data": "light"}
        said = {of: [each | {"value": values[each["property"]]} for each in callback[of]] for of in ("inputs", "state")}
        outputs = dict(zip(("id", "property"), callback["output"].split("."), strict=True))
        return json.dumps({"output": callback["output"], "outputs": outputs, "changedPropIds": [], **said}).encode()

    def post(self, body: bytes, **headers: str) -> tuple[HTTPResponse, bytes]:
        return self.ask(
            f"{self.prefix}/_dash-update-component",
            method="POST",
            body=body,
            headers={"Content-Type": "application/json"} | headers,
        )

    @contextmanager
    def raw(self, said: bytes, peer: str = US) -> Iterator[socket.socket]:
        """Give a connection over which this was said."""
        with socket.create_connection((US, self.port), WAIT_S, source_address=(peer, 0)) as connection:
            connection.sendall(said)
            yield connection


@pytest.fixture(scope="module")
def page(stack: LocalStack) -> Iterator[Page]:
    settings = settings_on(stack, "server", dashboard=DashboardSettings(port=free_port(), names=["daq.example"]))
    checkpoint(settings, {RUN: run_book(4)}, next=4)
    with Data(settings) as data:
        really, slow = data.view, threading.Event()

        def view(choices: Choices = Choices(), *what: Any) -> View:  # noqa: B008 - frozen
            if choices.run == SLOW:
                slow.wait(WAIT_S)
            if choices.run == BROKEN:
                raise ArithmeticError("this run breaks\x1b[2J the page")
            return really(choices, *what)

        data.view = view  # type: ignore[method-assign]
        server = server_of(settings, data)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not (server.started and data.has_run(RUN)):
            time.sleep(0.02)
        yield Page(settings.dashboard.port, data, slow=slow)
        server.should_exit = True
        thread.join()


def is_ended(connection: socket.socket) -> bool:
    """Say whether the server ends a connection within a while, having answered or not."""
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize(
    "path", ["/", "/detector/tof", "/detector/tof/", "/plot/ht01", "/plot/daq_triggers", "/replays"]
)
def test_a_page_is_answered_with_200(page: Page, path: str) -> None:
    assert page.ask(path)[0].status == 200


@pytest.mark.parametrize("path", ["/", "/abc", "/export/ht01.csv", "/live?path=/"])
def test_head_is_answered_as_get_is_without_its_body(page: Page, path: str) -> None:
    (head, nothing), (get, body) = page.ask(path, method="HEAD"), page.ask(path)
    assert head.status == get.status
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert body
    assert not nothing


@pytest.mark.parametrize(
    "path", ["/metrics/", "/healthz", "/abc", "/plot/none", "/detector/none", "/_dash-component-suites/dash/none.js"]
)
def test_an_address_that_is_none_is_answered_with_404(page: Page, path: str) -> None:
    assert page.ask(path)[0].status == 404
    assert page.ask("/_dash-component-suites/none/none.js")[0].status == 404


@pytest.mark.parametrize(
    "path", [f"/?{'x' * 6000}", f"/plot/ht01?run={'9' * 5000}", f"/{'y' * 5000}", "/?" + "%20" * 2000]
)
def test_an_address_that_is_too_long_is_refused_in_words_and_not_waited_for(page: Page, path: str) -> None:
    answer, said = page.ask(path)
    assert answer.status == 414
    assert f"it has {len(path.replace('?', '')):,} characters, and at most 4,096 are read" in said.decode()


def test_12_limits_are_tried_on_the_last_runs_one_at_a_time_and_what_is_wrong_is_said(page: Page) -> None:
    def tried(limits: bytes, last: str = "1") -> tuple[int, str]:
        # The process is below all else, and the machine may be busy.
        answer, said = page.ask(f"/try?last={last}", method="POST", body=limits, wait_s=AT_MOST_S)
        return answer.status, said.decode()

    assert tried(b"[physics")[0] == 400
    assert "physics.matter" in tried(b"[physics]\nmatter = 1")[1]
    assert tried(b"#" * (MOST_BYTES + 1))[0] == 413
    for last in ("0", "21", "x", "-1", ""):
        assert tried(b"", last) == (400, "Of the last 1 to 20 runs it can be told.")
    with ThreadPoolExecutor(2) as pool:
        both = sorted(pool.map(tried, [b"[physics]\npercent = 50\n"] * 2))
    assert [status for status, _ in both] == [200, 429]
    # Whatever fails in the process is said: here nobody has made the topic of what people decide.
    assert "It cannot be tried: Kafka has no topic server.quality" in both[0][1]
    assert page.ask("/try")[0].status == 200


@pytest.mark.parametrize(
    "name", ["run", "window", "reference", "mode", "log", "errors", "against", "rotate", "frozen", "anything"]
)
def test_what_an_address_says_of_a_choice_may_be_as_long_as_an_address(page: Page, name: str) -> None:
    for value in ("9" * 3900, "x" * 3900, f"7.{'x' * 3900}", f"file:{'x' * 3900}", "%26" * 1300):
        assert page.ask(f"/?{name}={value}")[0].status == 200
        answer, said = page.post(page.update(search=f"?{name}={value}"))
        assert answer.status == 200
        is_chosen = name in {"log", "anything"}  # each of its letters is an axis or none
        assert (f"of {name} cannot be chosen".encode() in said) is not is_chosen
        asked = urlencode({"path": "/", "search": f"?{name}={value}", "theme": "light", "has": "", "after": ""})
        assert page.ask(f"/live?{asked}")[0].status == 200


def test_all_that_a_page_needs_is_compressed_for_who_takes_it_so_and_the_same_for_others(page: Page) -> None:
    index = page.ask("/")[1].decode()
    paths = [part.split('"')[0] for part in index.split('src="')[1:]] + ["/_dash-layout", "/live?path=/"]
    paths += re.findall(r'src: "([^"]*plotly[^"]*)"', index)
    assert any("plotly" in path for path in paths)
    for path in paths:
        answer, body = page.ask(path, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == "gzip", path
        plain, as_it_is = page.ask(path)
        assert plain.headers["Content-Encoding"] is None
        if not path.startswith("/live"):
            assert gzip.decompress(body) == as_it_is


@pytest.mark.parametrize("path", ["/", "/live?path=/", "/abc", "/assets/style.css", "/export/ht01.csv"])
def test_each_answer_says_what_a_browser_may_do_with_it(page: Page, path: str) -> None:
    headers = page.ask(path)[0].headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert "unsafe" not in scripts
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store" or "ETag" in headers


def test_a_foreign_name_is_refused_and_what_is_to_be_set_is_said(page: Page) -> None:
    for path in ("/", "/live?path=/"):
        for host in ("attacker.example", "attacker.example:8050", "127.0.0.1.attacker.example", "", "["):
            answer, words = page.ask(path, headers={"Host": host})
            assert answer.status == 400, host
            assert b"dashboard.names" in words
        for host in ("localhost", "127.0.0.1:8050", "[::1]:8050", "daq.example", "10.1.2.3"):
            assert page.ask(path, headers={"Host": host})[0].status == 200, host


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 1000000000000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + (b"%x\r\n" % BODY_BYTES + b" " * BODY_BYTES + b"\r\n") * 2,
    ],
)
def test_a_body_beyond_the_bound_is_refused_announced_or_not(page: Page, body: bytes) -> None:
    with page.raw(b"POST /_dash-update-component HTTP/1.1\r\nHost: localhost\r\n" + body) as post:
        assert post.recv(100).startswith(b"HTTP/1.1 413")
        assert is_ended(post)
    assert page.post(page.update())[0].status == 200


def test_what_no_page_posts_is_answered_with_400_and_a_line(page: Page) -> None:
    right = json.loads(page.update())
    wrong: list[Any] = [
        None, 5, [], {}, {"output": 5}, right | {"output": "none.children"}, right | {"inputs": []},
        right | {"inputs": [{"id": "page", "property": "children", "value": None}]},
        right | {"inputs": [right["inputs"][0] | {"value": {"a": 1}}]}, right | {"state": "x"},
    ]  # fmt: skip
    for body in [*(json.dumps(each).encode() for each in wrong), b"", b"{", b"\xff", b"[" * 100_000]:
        with capture_logs() as logged:
            answer, words = page.post(body)
        assert answer.status == 400, body[:80]
        assert words.startswith(b"This is nothing that the page asks")
        assert len(logged) == 1
        assert "exception" not in logged[0]


def test_an_error_of_the_page_is_told_on_it_and_logged_once_with_what_was_asked(page: Page) -> None:
    with capture_logs() as logged:
        for _ in range(3):
            answer, body = page.post(page.update(f"?run={BROKEN}"))
            assert answer.status == 200
            assert b"This page cannot be made: the server's log says why" in body
            assert page.ask(f"/live?path=/&search=%3Frun={BROKEN}")[0].status == 500
            assert page.ask(f"/export/ht01.csv?run={BROKEN}")[0].status == 500
    (line,) = logged
    assert f"run={BROKEN}" in line["asked"]
    assert "ArithmeticError: this run breaks" in line["error"]
    assert "\x1b" not in line["error"]
    assert page.ask("/live?path=/")[0].status == 200


def test_what_is_slow_for_one_peer_lets_no_other_wait(page: Page) -> None:
    slow = page.update(f"?run={SLOW}")
    with ThreadPoolExecutor(2 * PEER_THREADS) as pool:
        asking = [pool.submit(page.post, slow) for _ in range(2 * PEER_THREADS)]
        time.sleep(0.3)
        try:
            assert page.ask("/_dash-layout")[0].status == 200
            for path in ("/live?path=/", "/export/ht01.csv"):
                assert page.ask(path, OTHERS)[0].status == 200
            assert not any(each.done() for each in asking)
        finally:
            page.slow.set()
        assert [each.result()[0].status for each in asking] == [200] * len(asking)
    page.slow.clear()


def test_a_session_that_nobody_made_is_not_waited_for(page: Page) -> None:
    page.data.view()
    start = time.monotonic()
    for number in range(20):
        assert not page.data.view(Choices(run=RUN, session=f"x{number}")).is_stored
        assert not page.data.view(Choices(reference=RUN, reference_session=f"x{number}")).reference
    assert time.monotonic() - start < 1.0


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\nHost: loc", b"POST /abc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345"],
)
def test_a_request_that_does_not_come_is_given_up(page: Page, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    with page.raw(said) as first:
        assert is_ended(first)
    with page.raw(b"GET /_dash-layout HTTP/1.1\r\nHost: localhost\r\n\r\n") as second:
        assert second.recv(100).startswith(b"HTTP/1.1 200")
        with suppress(ConnectionError):  # given up already, where this comes late
            second.sendall(said or b"G")  # after an answer, too
        assert is_ended(second)


def test_a_head_without_an_end_is_given_up(page: Page) -> None:
    with page.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n") as endless, suppress(ConnectionError):
        for _ in range(10_000):
            endless.sendall(b"X: " + b"x" * 1000 + b"\r\n")
        pytest.fail("ten megabytes of a head were taken")


def test_a_peer_with_too_many_connections_leaves_room_for_others(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "most", 20)
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(page.raw(b"", OTHERS))  # one too many is ended before anything could be said
        assert page.ask("/")[0].status == 200
        with pytest.raises(ConnectionError):
            page.ask("/", OTHERS)


def test_the_limit_of_open_files_is_raised() -> None:
    program = (
        "import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard));"
        "from dashboards.connections import raise_file_limit; print(raise_file_limit(), *resource.getrlimit(7))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert int(said[0]) == int(said[1]) == min(connections.FILES, hard if hard > 0 else connections.FILES)


def test_a_peer_gets_its_share_of_threads_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PEER_WAITS", 6)

    async def scenario() -> None:
        shared, go = Threads(), threading.Event()
        try:
            theirs = [asyncio.create_task(shared.run("them", lambda: go.wait(WAIT_S))) for _ in range(6)]
            await asyncio.sleep(0)
            with pytest.raises(TooManyError):
                await shared.run("them", lambda: None)
            assert await asyncio.wait_for(shared.run("us", lambda: 5), 1.0) == 5
        finally:
            go.set()
        assert all(await asyncio.gather(*theirs))
        assert await shared.run("them", lambda: 6) == 6

    asyncio.run(scenario())


def test_a_peer_that_asks_for_too_much_gets_429(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "PEER_WAITS", 0)
    for ask in (
        lambda: page.post(page.update()),
        lambda: page.ask("/live?path=/plot/ht01"),
        lambda: page.ask("/export/ht01.csv"),
    ):
        answer, _ = ask()
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"
