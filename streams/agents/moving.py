"""A worker looks whether it is to move to another release, and when its turn comes, ends so that it can."""

import asyncio
import os
import signal
import time
from typing import Any, cast

import faust
import structlog
from redis.asyncio import Redis

from streams.agents.common import SERVER_ERRORS
from streams.moving import WAITS_S, Start, hand_over, myself
from streams.settings import Settings

LOOK_S = 0.5
"""Time between two looks."""
COUNTS_FIRST_S = 5.0
"""What waited while Redis was away is counted first: to move then, too, would have it wait for both."""
ENDS_S = 0.5
"""Faust has taken a signal within it."""

_log = structlog.get_logger(__name__)


class Moving:
    """Moves a worker, in its turn.

    Parameters
    ----------
    redis
        Client that returns bytes.
    settings
        Name the key that says whose turn it is.
    start
        How this process was started.
    """

    def __init__(self, redis: Redis, settings: Settings, start: Start) -> None:
        self._redis, self._key, self._start = redis, hand_over(settings), start
        self._joined = False
        self._is_done = False
        """Whether others may move."""
        self._waits_since_s: float | None = None
        self._away_s: float | None = None
        """When Redis was away last."""
        self.begun = False
        """Whether the process is to become another, when it has ended."""

    def joined(self) -> None:
        """Take note that partitions were shared, maybe none to us."""
        self._joined = True

    def was_away(self) -> None:
        """Take note that Redis is."""
        self._away_s = time.monotonic()

    async def look(self) -> None:
        """Let others move if this worker has; and move, if it is to and nobody else does."""
        if self.begun:
            return
        if self._joined and not self._is_done:
            if await self._redis.get(self._key) == myself().encode():
                await self._redis.delete(self._key)
                _log.info("moved", to=str(self._start.prefix))
            self._is_done = True
        to = self._start.moved_to()
        if to is None or not self._joined:
            self._waits_since_s = None
            return
        if self._away_s is not None and time.monotonic() < self._away_s + COUNTS_FIRST_S:
            return
        if await self._redis.set(self._key, myself(), nx=True):
            _log.info("moving to another release", to=str(to))
            self.begun = True
            self._end()
        else:
            await self._wait(to.name)

    async def _wait(self, to: str) -> None:
        now_s = time.monotonic()
        if self._waits_since_s is None:
            self._waits_since_s = now_s
        if now_s - self._waits_since_s > WAITS_S:
            self._waits_since_s = now_s
            who = cast("bytes | None", await self._redis.get(self._key)) or b"nobody"
            _log.error(
                "staying: a worker that moved has not come back; spilldeck release back, or release use again",
                to=to,
                worker=who.decode(errors="replace"),
            )

    def _end(self) -> None:
        """Have Faust end as when it is told to; told so once more, by whoever supervises us, that is the end."""
        os.kill(os.getpid(), signal.SIGTERM)
        loop = asyncio.get_running_loop()
        loop.call_later(ENDS_S, loop.add_signal_handler, signal.SIGTERM, self._stay_ended)

    def _stay_ended(self) -> None:
        self.begun = False

    def become(self) -> None:
        """Have this process be the other release, if it is to move."""
        if self.begun:
            self._start.become()


def add_moving(app: faust.App, redis: Redis, settings: Settings, start: Start) -> Moving:
    """Give the application the timer that looks; return what moves the worker at its end."""
    moving = Moving(redis, settings, start)

    @app.on_partitions_assigned.connect
    async def joined(*_: Any, **__: Any) -> None:
        moving.joined()

    @app.timer(LOOK_S)
    async def look() -> None:
        try:
            await moving.look()
        except SERVER_ERRORS as error:
            moving.was_away()
            _log.warning("cannot look whether to move", error=f"{type(error).__name__}: {error}")

    return moving
