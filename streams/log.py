"""How the parts that run on their own say what they do: a line each, with names and values, to standard error.

While a server is away, its client fails many times a second, and so does whatever is tried again. Of that a line is
written when it begins, one a minute, and, of Kafka, one when it is over.
"""

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from streams.printable import printable

AGAIN_S = 60.0
"""What was said is said again after it, if it is still so."""
QUIET_S = 5.0
"""Without a failure for so long Kafka is back: its client tries again within a second."""
LOOK_S = 1.0
"""Time between two looks whether it is."""
_AWAY = re.compile(
    "Unable connect|Unable to (request|update) metadata|NodeNotReadyError|KafkaConnectionError|RequestTimedOutError"
    "|TimeoutError|No broker metadata|Heartbeat session expired|coordinator dead"
)
_COORDINATOR_LOST, _COORDINATOR_FOUND = "coordinator dead", "Discovered coordinator"
_NUMBER = re.compile("[0-9]+")

Event = MutableMapping[str, Any]


def log_to_stderr(*, as_json: bool = False) -> None:
    """Have what is logged written so, and what Kafka's client and other libraries say, too.

    Parameters
    ----------
    as_json
        Write each line as an object of JSON, for programs.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            Repeats(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _printable_values,
            _renderer(as_json=as_json),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.root.setLevel(logging.WARNING)
    logging.root.handlers = [each for each in logging.root.handlers if not isinstance(each, Libraries)] + [Libraries()]
    client = logging.getLogger("aiokafka")
    client.setLevel(logging.INFO)  # as such it says that it has found the coordinator again
    client.propagate = False
    client.handlers = [KafkaClient(structlog.get_logger("kafka"))]


def _renderer(*, as_json: bool) -> structlog.typing.Processor:
    if as_json:
        return structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer(sort_keys=False)
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])


def _printable_values(_logger: object, _method: str, event: Event) -> Event:
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


class Repeats:
    """Drops a warning of an error that was written within `AGAIN_S`; the next one says how many were dropped.

    Warnings with other values are other ones, whatever the error's words are; those without an error are kept.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: dict[tuple[str, ...], tuple[float, int]] = {}

    def __call__(self, _logger: object, method: str, event: Event) -> Event:
        """Return the event if it is to be written.

        Raises
        ------
        structlog.DropEvent
            If it is not.
        """
        if method != "warning" or "error" not in event:
            return event
        values = {name: value for name, value in event.items() if name != "pause_s"}
        kind = str(event["error"]).partition(":")[0]
        key = tuple(f"{name}={value}" for name, value in sorted((values | {"error": kind}).items()))
        now_s = self._clock()
        written_s, dropped = self._written.get(key, (-AGAIN_S, 0))
        if now_s - written_s < AGAIN_S:
            self._written[key] = written_s, dropped + 1
            raise structlog.DropEvent
        self._written = {k: v for k, v in self._written.items() if now_s - v[0] < AGAIN_S} | {key: (now_s, 0)}
        return {**event, "left_out": dropped} if dropped else event


class Libraries(logging.Handler):
    """Has what libraries log written like all else."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take what one logs."""
        _pass(structlog.get_logger(record.name), record, record.getMessage())


def _pass(say: Any, record: logging.LogRecord, said: str) -> None:
    more = {"traceback": logging.Formatter().formatException(record.exc_info)} if record.exc_info else {}
    say.log(record.levelno, said, logger=record.name, **more)


class KafkaClient(logging.Handler):
    """Takes what aiokafka logs, and says once that no broker answers, and that one does again.

    What else it warns of is passed on, the same words once in `AGAIN_S`. That Kafka is back is known by the client's
    silence; while it has no coordinator of its group, silence means that it waits for an answer.

    Parameters
    ----------
    say
        The logger that takes it.
    """

    def __init__(self, say: Any) -> None:
        super().__init__()
        self._say = say
        self._since_s: float | None = None
        """Since when a broker is away."""
        self._failed_s = self._said_s = 0.0
        self._failures, self._why = 0, ""
        self._has_coordinator = True
        self._passed_on: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take what the client logs."""
        said = record.getMessage()
        if _COORDINATOR_FOUND in said:
            self._has_coordinator = True
        if record.levelno < logging.WARNING:
            return
        if _AWAY.search(said):
            self._fail(said)
        else:
            self._pass_on(record, said)

    def _fail(self, said: str) -> None:
        self._has_coordinator &= _COORDINATOR_LOST not in said
        self._failed_s, self._why = time.monotonic(), said
        self._failures += 1
        if self._since_s is None:
            self._since_s = self._said_s = self._failed_s
            self._say.warning("a broker of Kafka does not answer", why=said)
            threading.Thread(target=self._watch, daemon=True, name="kafka-is-away").start()

    def _watch(self) -> None:
        while self._is_away():
            time.sleep(LOOK_S)

    def _is_away(self) -> bool:
        """Say what has become of the brokers, and return whether one is still away."""
        self.acquire()
        try:
            now_s, since_s = time.monotonic(), self._since_s or 0.0
            if self._has_coordinator and now_s - self._failed_s >= QUIET_S:
                self._say.info("Kafka answers again", after_s=round(self._failed_s - since_s))
                self._since_s, self._failures = None, 0
                return False
            if now_s - self._said_s >= AGAIN_S:
                how_often = {"for_s": round(now_s - since_s), "failures": self._failures}
                self._say.warning("a broker of Kafka still does not answer", **how_often, why=self._why)
                self._said_s = now_s
            return True
        finally:
            self.release()

    def _pass_on(self, record: logging.LogRecord, said: str) -> None:
        now_s, words = time.monotonic(), _NUMBER.sub("N", said)
        if now_s - self._passed_on.get(words, -AGAIN_S) < AGAIN_S:
            return
        self._passed_on = {w: s for w, s in self._passed_on.items() if now_s - s < AGAIN_S} | {words: now_s}
        _pass(self._say, record, said)
