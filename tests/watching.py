"""Somebody who watches for alarms, as long as a test needs it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis import Redis, RedisError

from streams.books.watchers import Heartbeat
from streams.settings import Settings

BEATS_S = 1.0
"""As often as a watcher says so: one that said it once is silent when a busy machine comes to look."""


@contextmanager
def watched(redis: Redis, settings: Settings) -> Iterator[None]:
    """Have somebody watch a session's alarms, and say in the end that nobody does."""
    heart, is_over = Heartbeat(redis, settings.redis.key_prefix, settings.session), threading.Event()
    heart.beat()

    def go_on() -> None:
        while not is_over.wait(BEATS_S):
            with suppress(RedisError):  # it may be full, or hang
                heart.beat()

    beats = threading.Thread(target=go_on)
    beats.start()
    try:
        yield
    finally:
        is_over.set()
        beats.join()
        with suppress(RedisError):
            heart.end()
