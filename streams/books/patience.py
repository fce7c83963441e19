"""Trying again while no Redis answers, inside a client: for whoever works at something long and has nobody to ask anew.

A command may have been done though its answer was lost. So what is done through such a client can be done twice: it
sets what it means to set, or, as a checkpoint, says what it follows.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

PAUSE_S = 0.5
_MAY_PASS = (RedisConnectionError, RedisTimeoutError, TimeoutError, ResponseError)

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


def lacks_replicas(error: Exception) -> bool:
    """Say whether a master takes nothing since too few replicas follow it: a new one does so for a moment."""
    return isinstance(error, ResponseError) and str(error).startswith("NOREPLICAS")


class _Outage:
    """What went wrong since one thing was first tried."""

    def __init__(self, patience_s: float) -> None:
        self._ends_s = time.monotonic() + patience_s
        self.errors = 0

    def is_over(self, error: Exception) -> bool:
        """Take note of an error, and say whether to give up."""
        self.errors += 1
        if isinstance(error, AuthenticationError) or time.monotonic() > self._ends_s:
            return True
        if self.errors == 1:
            _log.warning("Redis is away: waiting", error=f"{type(error).__name__}: {error}")
        return False


class Patient(Retry):
    """Tries again for so long."""

    def __init__(self, patience_s: float) -> None:
        super().__init__(NoBackoff(), -1)
        self._patience_s = patience_s

    def call_with_retry(
        self, do: Callable[[], _T], fail: Callable[..., Any], *_: Any, with_failure_count: bool = False, **__: Any
    ) -> _T:
        """Do it; when it fails, say so, and do it again."""
        outage = _Outage(self._patience_s)
        while True:
            try:
                return do()
            except _MAY_PASS as error:
                if isinstance(error, ResponseError) and not lacks_replicas(error):
                    raise
                gives_up = outage.is_over(error)
                fail(error, outage.errors) if with_failure_count else fail(error)
                if gives_up:
                    raise
            time.sleep(PAUSE_S)


class AsyncPatient(AsyncRetry):
    """What `Patient` is, for an event loop."""

    def __init__(self, patience_s: float) -> None:
        super().__init__(NoBackoff(), -1)
        self._patience_s = patience_s

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[_T]],
        fail: Callable[..., Any],
        *_: Any,
        with_failure_count: bool = False,
        **__: Any,
    ) -> _T:
        """Do what `Patient` does."""
        outage = _Outage(self._patience_s)
        while True:
            try:
                return await do()
            except _MAY_PASS as error:
                if isinstance(error, ResponseError) and not lacks_replicas(error):
                    raise
                gives_up = outage.is_over(error)
                await (fail(error, outage.errors) if with_failure_count else fail(error))
                if gives_up:
                    raise
            await asyncio.sleep(PAUSE_S)
