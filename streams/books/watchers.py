"""Who watches for alarms: each watcher says again and again in Redis that it is at work, and takes it back at its end.

The times are those of Redis's own clock, for who writes and for who reads, if that may ask for it: so of two watchers
whose clocks differ both go by the same. What a watcher said last stays for a day, so that one that was killed is told
from none; it is no fact that has to last: it goes with Redis. So does what it says of a way of telling that fails.
"""

import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple, cast

from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from streams.books.layout import not_told_key, watchers_key
from streams.freshness import WATCHER_SILENT_S, Freshness, Observed, alarms

OFF_S = 2.0
"""A clock that is off by more goes by Redis's."""
LONGEST_WHY = 200
REMEMBERED_S = 86_400
"""For so long somebody is told since when a watcher has been silent; then there is none."""
_MS = 1000


class Watching(NamedTuple):
    """What watchers said."""

    at_work: int = 0
    """Watchers that are not silent."""
    silent_s: float | None = None
    """Since the last word of any; None if there is none."""
    not_told: tuple[str, ...] = ()
    """Ways of telling by which something was not taken last, when and why, in words."""


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
    said_of = cast("dict[bytes, bytes]", redis.hgetall(not_told_key(prefix, session)))
    not_told = tuple(said_of[way].decode(errors="replace") for way in sorted(said_of))
    return Watching(sum(age_s <= late_s for age_s in ages_s), min(ages_s, default=None), not_told)


def watched(redis: Redis, prefix: str, session: str) -> Freshness:
    """Say whether anybody watches the alarms of a session; Redis's errors are passed on."""
    found, now_s = watching(redis, prefix, session, WATCHER_SILENT_S), time.time()
    watched_s = 0.0 if found.silent_s is None else now_s - found.silent_s
    return alarms(Observed(now_s=now_s, watchers=found.at_work, watched_s=watched_s, not_told=found.not_told))


class Heartbeat:
    """What one watcher says.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    """

    def __init__(self, redis: Redis, prefix: str, session: str) -> None:
        self._redis, self._key, self._not_told = redis, watchers_key(prefix, session), not_told_key(prefix, session)
        self._name = secrets.token_hex(8)
        self._ahead_us = 0
        """By so much Redis's clock is ahead of ours, when it is off."""
        self._fails: dict[str, str] = {}
        """Way of telling → why it fails."""
        self.rank = 0
        """How many that are at work tell before this one."""

    def now_us(self) -> int:
        """Return the time by Redis's clock, as far as that is known; microseconds since 1970 UTC."""
        return time.time_ns() // 1000 + self._ahead_us

    def hear(self) -> None:
        """Ask Redis for the time, if it answers."""
        with suppress(RedisError):
            self._set_clock(_ms(self._redis.time()))

    def _set_clock(self, now_ms: int) -> None:
        ahead_us = 1000 * now_ms - time.time_ns() // 1000
        # The way of the answer is no difference of clocks.
        self._ahead_us = ahead_us if abs(ahead_us) > OFF_S * 1_000_000 else 0

    def beat(self) -> None:
        """Say that it is at work; forget who has been silent for long."""
        now_ms = _ms(self._redis.time())
        self._set_clock(now_ms)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.zadd(self._key, {self._name: now_ms})
            pipe.zremrangebyscore(self._key, "-inf", now_ms - REMEMBERED_S * _MS)
            pipe.expire(self._key, REMEMBERED_S)
            pipe.zrangebyscore(self._key, now_ms - round(WATCHER_SILENT_S * _MS), "+inf")
            at_work = pipe.execute()[-1]
        self.rank = sorted(at_work).index(self._name.encode())

    def say(self, way: str, why: str) -> None:
        """Say why a way of telling fails, for who looks at the page; empty if it does not any more."""
        if self._fails.get(way) == why:
            return
        at = f"{datetime.fromtimestamp(self.now_us() / 1e6, UTC):%d %b %H:%M} UTC"
        with suppress(RedisError):  # it is said at the next time
            if why:
                self._redis.hset(self._not_told, way, f"the {way} was not taken, {at}: {why[:LONGEST_WHY]}")
                self._redis.expire(self._not_told, REMEMBERED_S)
            else:
                self._redis.hdel(self._not_told, way)
            self._fails[way] = why

    def end(self) -> None:
        """Say that it is not at work any more."""
        self._redis.zrem(self._key, self._name)


def _ms(at: tuple[int, int]) -> int:
    seconds, microseconds = at
    return seconds * _MS + microseconds // _MS
