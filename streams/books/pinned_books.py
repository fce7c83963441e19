"""The books that somebody pinned: in the record of what people decided, for ever, and at hand in Redis.

A replay is removed, a file is gone, Kafka drops a run's spills: what was pinned of them is there, as it was then.
Redis may lose its copy, which is taken from Kafka again; what Kafka lost with its topic, from Redis.
"""

import base64
import binascii
import hashlib
import json
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import cast

import structlog
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from schemas.known import WireError
from schemas.records import MAX_DECIDED_TEXT, Action, ActionKind
from schemas.wire import decode
from streams.books.actions import ActionLog, append, new_action
from streams.books.cells import MAX_BYTES
from streams.books.kept_book import KeptBook
from streams.errors import SpilldeckError, UsageError
from streams.plain import read_json
from streams.settings import Settings

KEPT = 8
"""Books that are remembered."""
LONGEST_NAME = 100
"""Characters of whence a book is."""
AGAIN_S = 10.0
"""Time after which one that could not be had is asked for again."""

_log = structlog.get_logger(__name__)


class PinnedBooks:
    """Gives the books that were pinned.

    Parameters
    ----------
    settings
        Where Kafka is, prefix of keys.
    redis
        Client that returns bytes; its errors are passed on.
    """

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings, self._redis = settings, redis
        self._known: dict[str, KeptBook] = {}
        self._absent: dict[str, tuple[float, SpilldeckError]] = {}
        """Books that could not be had: until when that is believed, monotonic, and why."""

    def read(self, sha256: str) -> KeptBook:
        """Return one; the same each time, as long as it is remembered.

        Raises
        ------
        UsageError
            When neither Redis has it nor Kafka.
        ServerError
            When Redis does not have it, and Kafka does not answer.
        """
        if sha256 not in self._known:
            if sha256 in self._absent and time.monotonic() < self._absent[sha256][0]:
                why = self._absent[sha256][1]
                raise type(why)(str(why))
            try:
                self._known[sha256] = self._found(sha256)
            except SpilldeckError as error:
                self._absent[sha256] = time.monotonic() + AGAIN_S, error
                raise
            while len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
        return self._known[sha256]

    def _found(self, sha256: str) -> KeptBook:
        stored = stored_action(self._settings, self._redis, sha256)
        text = book_of(stored, sha256) if stored is not None else None
        if text is None:
            stored, text = self._of_kafka(sha256)
            keep(self._settings, self._redis, sha256, stored)
        return KeptBook.from_text(text, f"the book {sha256[:12]} that was pinned")

    def _of_kafka(self, sha256: str) -> tuple[bytes, bytes]:
        with ActionLog(self._settings) as log:
            for _, message in log.read(*log.span()):
                if sha256.encode() in message and (text := book_of(message, sha256)) is not None:
                    return message, text
        raise UsageError(f"the book {sha256[:12]} that was pinned is neither in Kafka nor in Redis: pin it again")


def pinning(run_type: str, run: int, text: str, *, called: str, before: str, **by: str) -> Action:
    """Return the action that pins a book for a type of runs.

    Parameters
    ----------
    run
        That the book is of.
    text
        The book, see `kept_book.book_text`.
    called
        Whence it is, in words.
    before
        What is pinned, JSON.
    by
        As `new_action` takes it.

    Raises
    ------
    UsageError
        When it is larger than can be kept.
    """
    content = text.encode()
    its = {"run": run, "called": called[:LONGEST_NAME], "sha256": hashlib.sha256(content).hexdigest()}
    after = json.dumps({**its, "book": base64.b64encode(zlib.compress(content, 9)).decode()})
    if len(after) > MAX_DECIDED_TEXT:
        raise UsageError(
            f"the book of run {run} is larger than one that is pinned may be ({MAX_DECIDED_TEXT >> 20} MiB)"
        )
    return new_action(ActionKind.PIN_BOOK, run_type, before=before, after=after, **by)


def book_of(message: bytes, sha256: str) -> bytes | None:
    """Return the text of a book from the action that pinned it; None if it is another's, or damaged."""
    with suppress(WireError, ValueError, TypeError, KeyError, zlib.error, binascii.Error):
        action = decode(message)
        if not isinstance(action, Action) or action.kind != ActionKind.PIN_BOOK:
            return None
        its = read_json(action.after)
        text = zlib.decompressobj().decompress(base64.b64decode(its["book"], validate=True), MAX_BYTES)
        if its["sha256"] == sha256 == hashlib.sha256(text).hexdigest():
            return text
    return None


def stored_action(settings: Settings, redis: Redis, sha256: str) -> bytes | None:
    """Return the action that Redis has of a book, as it stands; None if it has none."""
    try:
        return cast("bytes | None", redis.get(_key(settings, sha256)))
    except ResponseError:  # a key of another kind
        return None


def keep(settings: Settings, redis: Redis, sha256: str, message: bytes) -> None:
    """Have Redis have it at hand; who may only read leaves it as it is."""
    with suppress(NoPermissionError):
        redis.set(_key(settings, sha256), message)


def write_again(settings: Settings, redis: Redis, books: Iterable[str]) -> None:
    """Write books to a topic that has lost them: there the pins hold already, so that these actions say nothing new."""
    for sha256 in books:
        message = stored_action(settings, redis, sha256)
        action = decode(message) if message is not None and book_of(message, sha256) is not None else None
        if isinstance(action, Action):
            append(settings, action)
        else:
            _log.error("a book that was pinned is neither in Kafka nor in Redis", book=sha256)


def _key(settings: Settings, sha256: str) -> str:
    return f"{settings.redis.key_prefix}:pinned:{sha256}"
