"""Who watches for alarms: each watcher says again and again in Redis that it is at work, and takes it back at its end.

The times are those of Redis's own clock, for who writes and for who reads, if that may ask for it. What a watcher said
last stays for a day, so that one that was killed is told from none; it is no fact that has to last: it goes with Redis.
"""

import secrets
import time
from typing import NamedTuple, cast

from redis import Redis
from redis.exceptions import NoPermissionError

from streams.books.layout import watchers_key
from streams.freshness import WATCHER_SILENT_S, Freshness, Observed, alarms

REMEMBERED_S = 86_400
"""For so long somebody is told since when a watcher has been silent; then there is none."""
_MS = 1000


class Watching(NamedTuple):
    """What watchers said."""

    at_work: int = 0
    """Watchers that are not silent."""
    silent_s: float | None = None
    """Since the last word of any; None if there is none."""


def watching(redis: Redis, prefix: str, session: str, late_s: float) -> Watching:
    """Return who watches the alarms of a session; Redis's errors are passed on.

    Parameters
    ----------
    redis
        Client that returns bytes.
    late_s
        Whose last word is older is silent.
    """
    said = cast("list[tuple[bytes, float]]", redis.zrange(watchers_key(prefix, session), 0, -1, withscores=True))
    try:
        now_ms = _ms(redis.time())
    except NoPermissionError:  # who may only read may not ask for the time: then it is that of our own clock
        now_ms = time.time_ns() // 1_000_000
    ages_s = [max(0.0, (now_ms - at_ms) / _MS) for _, at_ms in said]
    ages_s = [age_s for age_s in ages_s if age_s < REMEMBERED_S]
    return Watching(sum(age_s <= late_s for age_s in ages_s), min(ages_s, default=None))


def watched(redis: Redis, prefix: str, session: str) -> Freshness:
    """Say whether anybody watches the alarms of a session; Redis's errors are passed on."""
    found, now_s = watching(redis, prefix, session, WATCHER_SILENT_S), time.time()
    watched_s = 0.0 if found.silent_s is None else now_s - found.silent_s
    return alarms(Observed(now_s=now_s, watchers=found.at_work, watched_s=watched_s))


class Heartbeat:
    """What one watcher says.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    """

    def __init__(self, redis: Redis, prefix: str, session: str) -> None:
        self._redis, self._key = redis, watchers_key(prefix, session)
        self._name = secrets.token_hex(8)

    def beat(self) -> None:
        """Say that it is at work; forget who has been silent for long."""
        now_ms = _ms(self._redis.time())
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zadd(self._key, {self._name: now_ms})
            pipe.zremrangebyscore(self._key, "-inf", now_ms - REMEMBERED_S * _MS)
            pipe.expire(self._key, REMEMBERED_S)
            pipe.execute()

    def end(self) -> None:
        """Say that it is not at work any more."""
        self._redis.zrem(self._key, self._name)


def _ms(at: tuple[int, int]) -> int:
    seconds, microseconds = at
    return seconds * _MS + microseconds // _MS
