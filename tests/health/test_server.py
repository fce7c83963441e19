"""What serves /metrics, /live and /ready answers, whatever else comes in."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse

import pytest
import structlog
from structlog.testing import capture_logs

from ops.stack import free_port
from streams import metrics
from streams.health import server
from streams.health.server import HealthServer, serve
from streams.health.state import Health
from streams.metrics import Part, Value
from streams.settings import MetricsSettings, Settings, load_settings

US, WAIT_S = "127.0.0.1", 60.0
FAULTS: list[str] = []


def health_of(settings: Settings) -> Health:
    return Health(
        Part.KEEPER,
        settings,
        faults=lambda: FAULTS,
        does=lambda: "at work",
        figures=lambda: (Value(metrics.KEEPER_BEHIND, 3),),
    )


@pytest.fixture
def served() -> Iterator[HealthServer]:
    """Return what serves one."""
    FAULTS.clear()
    settings = load_settings(metrics=MetricsSettings(port=free_port()))
    health = health_of(settings)
    served = serve(settings, health)
    assert served is not None
    yield served
    health.end()


@pytest.fixture
def port(served: HealthServer) -> int:
    return served.port


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    with closing(HTTPConnection(US, port, timeout=WAIT_S)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()


def test_it_says_how_the_process_is_in_words_and_as_json(port: int) -> None:
    assert ask(port, "/live")[1] == b"lives\nthe loop turns\n"
    answer, body = ask(port, "/ready")
    assert (answer.status, body) == (200, b"ready\nat work\n")
    FAULTS.append("Redis: does not answer")
    answer, body = ask(port, "/ready?verbose=1")
    assert (answer.status, body) == (503, b"not ready\nRedis: does not answer\n")
    answer, body = ask(port, "/ready", Accept="application/json")
    assert (answer.status, json.loads(body)) == (503, {"ready": False, "why": ["Redis: does not answer"]})
    assert answer.getheader("Content-Type") == "application/json"
    told = ask(port, "/metrics")[1].decode()
    assert "\nspilldeck_ready 0.0\n" in told
    assert "\nspilldeck_keeper_behind_runs 3.0\n" in told


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metrics/../etc", 404), ("POST", "/metrics", 405), ("DELETE", "/live", 405)],
)
def test_what_is_not_there_and_what_changes_something_is_refused(
    port: int, method: str, path: str, status: int
) -> None:
    answer, body = ask(port, path, method)
    assert answer.status == status
    assert body.endswith(b".\n")


def test_a_head_has_no_body(port: int) -> None:
    answer, body = ask(port, "/live", "HEAD")
    assert (answer.status, answer.getheader("Content-Length"), body) == (200, "21", b"")


def said(port: int, words: bytes) -> bytes:
    with socket.create_connection((US, port), WAIT_S) as connection:
        connection.sendall(words)
        return connection.recv(1000)


def test_what_is_no_request_is_refused(port: int) -> None:
    assert said(port, b"\x16\x03\x01\x02\x00 hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert said(port, b"GET /live HTTP/1.1\r\nX: " + b"x" * 20_000).startswith(b"HTTP/1.1 431 ")
    assert ask(port, "/live")[0].status == 200


def is_ended(connection: socket.socket, said: bytes) -> bool:
    """Say whether a connection over which this is said again and again is ended within half a minute."""
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s:
        try:
            connection.sendall(said)
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_who_says_nothing_or_one_byte_now_and_then_is_ended(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTION_S", 0.5)
    with socket.create_connection((US, port), WAIT_S) as silent, socket.create_connection((US, port), WAIT_S) as slow:
        assert is_ended(slow, b"G")
        assert silent.recv(1) == b""


def test_who_does_not_read_the_answer_is_ended(served: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTION_S", 0.5)
    with socket.create_connection((US, served.port), WAIT_S) as lazy:
        lazy.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        until_s = time.monotonic() + 30
        while not lazy.recv(1, socket.MSG_PEEK):
            time.sleep(0.01)
        while served._open:
            assert time.monotonic() < until_s
            time.sleep(0.05)


def test_a_thousand_that_say_nothing_keep_nobody_out(port: int) -> None:
    with ExitStack() as stack:
        those = [stack.enter_context(socket.create_connection((US, port), WAIT_S)) for _ in range(1000)]
        assert ask(port, "/ready")[0].status == 200
        assert sum(map(is_open, those)) <= server.MOST


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def test_a_figure_that_cannot_be_read_takes_no_other_with_it() -> None:
    settings = load_settings(metrics=MetricsSettings(port=free_port()))

    def figures() -> Iterator[Value]:
        yield Value(metrics.KEEPER_BEHIND, 3)
        raise RuntimeError("what is this")

    Health(Part.KEEPER, settings, faults=tuple, figures=figures)
    with capture_logs() as logs:
        told = metrics.scraped(Part.KEEPER).decode()
    assert "spilldeck_keeper_behind_runs 3.0" in told
    assert "spilldeck_keeper_written_total" in told
    assert [each["event"] for each in logs] == ["some metrics cannot be read"]


def served_on(settings: Settings) -> HealthServer | None:
    structlog.configure(processors=[lambda _logger, _method, event: str(event)])
    return serve(settings, health_of(settings))


def test_a_port_that_is_taken_is_passed_over_and_where_all_are_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "PORTS", 2)
    with socket.create_server((US, 0)) as first:
        its = MetricsSettings(port=first.getsockname()[1])
        assert its.port is not None
        try:
            second = socket.create_server((US, its.port + 1))
        except OSError:
            pytest.skip("somebody else has the next port")
        with second:
            assert served_on(load_settings(metrics=its)) is None
            assert f"ports {its.port} to {its.port + 1} are taken" in capsys.readouterr().out
        served = served_on(load_settings(metrics=its))
        assert served is not None
        assert served.port == its.port + 1


def test_a_host_that_is_none_is_said_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert served_on(load_settings(metrics=MetricsSettings(host="no.such.invalid", port=free_port()))) is None
    assert "metrics.host is no address of this machine" in capsys.readouterr().out
    assert served_on(load_settings(metrics=MetricsSettings(host="192.0.2.1", port=free_port()))) is None


def test_without_a_port_nothing_is_served() -> None:
    assert served_on(load_settings()) is None
