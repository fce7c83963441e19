"""While a server is away the log has a line now and then, none is left out that says more, none gives orders."""

import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from rich.table import Table
from rich.text import Text
from structlog.testing import CapturingLogger

from ops.console import complain, out
from streams import log
from streams.log import AGAIN_S, KafkaClient, Repeats, log_to_stderr

Line = dict[str, Any]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[logging.Logger, list[Line]]]:
    """Return a logger of Kafka's client, and the lines that are written of what it logs; a minute is half a second."""
    monkeypatch.setattr(log, "AGAIN_S", 0.5)
    monkeypatch.setattr(log, "QUIET_S", 1.0)  # longer than a busy machine keeps a test waiting
    monkeypatch.setattr(log, "LOOK_S", 0.02)
    written: list[Line] = []

    def write(_logger: object, method: str, event: Line) -> str:
        written.append({"level": method, **event})
        return ""

    handler = KafkaClient(structlog.wrap_logger(CapturingLogger(), processors=[write]))
    logger = logging.getLogger("tests.client")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, written
    logger.removeHandler(handler)


def fail(logger: logging.Logger, seconds: float) -> None:
    """Log as the client does while no broker answers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        logger.error("Unable connect to node with id %s: %s", 1, OSError(111, "Connection refused"))
        logger.error("Unable to update metadata from %s", [1])
        time.sleep(0.01)


def events(written: list[Line]) -> list[str]:
    return [line["event"] for line in written]


def until_back(written: list[Line]) -> None:
    deadline = time.monotonic() + 60
    while events(written)[-1] != "Kafka answers again":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_kafka_that_is_away_is_said_once_then_now_and_then_and_that_it_is_back(
    client: tuple[logging.Logger, list[Line]],
) -> None:
    logger, written = client
    for _ in range(2):
        written.clear()
        began_s = time.monotonic()
        fail(logger, 1.2)
        until_back(written)
        first, *still, last = events(written)
        assert (first, last) == ("a broker of Kafka does not answer", "Kafka answers again")
        assert still == ["a broker of Kafka still does not answer"] * len(still)
        assert 1 <= len(still) <= (time.monotonic() - began_s) / log.AGAIN_S
    assert "Connection refused" in written[0]["why"]
    assert written[1]["failures"] > 20


def test_kafka_is_not_back_while_the_client_waits_for_its_coordinator(
    client: tuple[logging.Logger, list[Line]],
) -> None:
    logger, written = client
    fail(logger, 0.05)
    logger.warning("Marking the coordinator dead (node %s)for group %s.", 1, "g")
    time.sleep(1.2)
    assert "Kafka answers again" not in events(written)
    logger.info("Discovered coordinator %s for group %s", 1, "g")
    until_back(written)


def test_what_else_the_client_warns_of_is_written_while_a_broker_is_away_too(
    client: tuple[logging.Logger, list[Line]], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, written = client
    monkeypatch.setattr(log, "AGAIN_S", 60.0)
    fail(logger, 0.05)
    for offset in range(10):
        logger.error("Topic %s is not authorized for this client", "raw")
        logger.warning("Got error produce response: MessageSizeTooLargeError at %s", offset)
    fault = ValueError("a fault of its own")
    logger.error("Unexpected error in coordinator routine", exc_info=fault)
    assert events(written)[1:] == [
        "Topic raw is not authorized for this client",
        "Got error produce response: MessageSizeTooLargeError at 0",
        "Unexpected error in coordinator routine",
    ]
    assert [line["level"] for line in written[1:]] == ["error", "warning", "error"]
    assert "a fault of its own" in written[-1]["traceback"]
    monkeypatch.setattr(log, "AGAIN_S", 0.0)
    logger.error("Topic %s is not authorized for this client", "raw")
    assert "Topic raw is not authorized for this client" in events(written)[3:]


def test_a_warning_that_is_tried_again_is_written_once_a_minute() -> None:
    now_s = 1000.0
    repeats = Repeats(lambda: now_s)

    def written(method: str = "warning", **event: object) -> Line | None:
        try:
            return dict(repeats(None, method, {"event": "a server is away", **event}))
        except structlog.DropEvent:
            return None

    assert written(error="RedisError: 1", pause_s=0.2) is not None
    for pause_s in range(7):
        now_s += 5
        assert written(error="RedisError: 2", pause_s=pause_s) is None
    # Another error, another place, another level, none at all: each says something else.
    assert written(error="KafkaError: 1") is not None
    assert written(error="RedisError: 1", partition=3) is not None
    assert written("error", error="RedisError: 1") is not None
    assert written("error", error="RedisError: 1") is not None
    assert written() == written() == {"event": "a server is away"}
    now_s = 1000.0 + AGAIN_S
    assert written(error="RedisError: 3") == {"event": "a server is away", "error": "RedisError: 3", "left_out": 7}
    now_s += AGAIN_S
    assert written(error="RedisError: 4") == {"event": "a server is away", "error": "RedisError: 4"}


@pytest.fixture
def as_before() -> Iterator[None]:
    client, root = logging.getLogger("aiokafka"), logging.root
    before = client.level, client.propagate, client.handlers
    of_root = root.level, root.handlers
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    client.level, client.propagate, client.handlers = before
    root.level, root.handlers = of_root


@pytest.mark.usefixtures("as_before")
def test_what_somebody_wrote_into_a_message_gives_a_terminal_no_orders(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    structlog.get_logger().warning("a message", why="\x1b[2Jcleared \x9b31m \u202eturned", error="\x1b]0;title\x07")
    line = capsys.readouterr().err
    assert line.isascii()
    assert not {"\x1b", "\x07"} & set(line)
    assert r"\x1b[2Jcleared" in line.replace(r"\\", "\\")


@pytest.mark.usefixtures("as_before")
def test_each_line_is_an_object_where_json_is_asked_for_whoever_logs_it(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(as_json=True)
    with structlog.contextvars.bound_contextvars(run=7, spill=3):
        structlog.get_logger().info("counted", path=Path("/x"), said="a\nb \x1b[2J “µ”")
    logging.getLogger("somebody.else").warning("not %s", "well")
    try:
        int("what is this")
    except ValueError:
        logging.getLogger("asyncio").exception("a task failed")
    logging.getLogger("somebody.else").info("chatter")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    first, second, third = lines
    assert (first["event"], first["level"], first["run"], first["spill"]) == ("counted", "info", 7, 3)
    assert first["said"] == "a\nb \\x1b[2J “µ”"
    assert (second["event"], second["level"], second["logger"]) == ("not well", "warning", "somebody.else")
    assert third["event"] == "a task failed"
    assert "ValueError: invalid literal" in third["traceback"]


@pytest.mark.usefixtures("as_before")
def test_a_terminal_gets_what_people_read_and_a_file_what_programs_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log_to_stderr()
    structlog.get_logger().info("counted", run=7)
    assert re.fullmatch(r"timestamp=\S+ level=info event=counted run=7\n", capsys.readouterr().err)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    log_to_stderr()
    structlog.get_logger().info("counted", run=7, why="\x1b[2J")
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)  # colours alone
    assert "counted" in said
    assert "run=7" in said
    assert "\x1b" not in said


def test_a_terminal_shows_every_text_letter_by_letter(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title="\x1b[2J")
    table.add_column("\x1b]0;title\x07")
    table.add_row("\x9b31m \u202eturned")
    for printed in (table, Text("\x1b[2J"), "plain \x1b[2J"):
        out.print(printed)
    complain("\x1b[2J")
    said = "".join(capsys.readouterr())
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said)
    assert r"\x1b[2J" in said
