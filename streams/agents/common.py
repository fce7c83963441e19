"""What the agents share: topics, waiting for a server that is away, and the end of a worker that cannot go on."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from redis.exceptions import RedisError

from streams import metrics
from streams.errors import ServerError
from streams.settings import Settings
from streams.topics import Topics

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 1.0
"""Pauses between tries while Kafka or Redis does not answer, each twice the one before: what is shown must not be old
because a worker sleeps while the server is back."""

SERVER_ERRORS = (RedisError, KafkaError, ProducerSendError, ServerError)
"""What says that a server is away. Faust wraps the producer's error in one of its own."""

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """The topics that a worker reads and writes, as Faust has them: keys and values are bytes."""

    raw: Any
    reco: Any
    rejected: Any
    runs: Any


def channels(app: faust.App, settings: Settings) -> Channels:
    """Return the topics of these settings."""
    names = Topics.of(settings)

    def topic(name: str, partitions: int = settings.kafka.partitions) -> Any:
        raw: dict[str, Any] = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
        }
        return app.topic(name, partitions=partitions, **raw)

    return Channels(
        raw=topic(names.raw), reco=topic(names.reco), rejected=topic(names.rejected), runs=topic(names.runs, 1)
    )


async def until_it_works(step: Callable[[], Awaitable[_T]]) -> _T:
    """Do a step; while a server that it needs is away, do it again: it must be one that can be repeated."""
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await step()
        except SERVER_ERRORS as error:
            metrics.WORKER_WAITS.inc()
            _log.warning("a server is away: waiting", error=f"{type(error).__name__}: {error}", pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


def one_after_another() -> Callable[..., Awaitable[Any]]:
    """Return what calls a function with arguments in a thread of its own: what computes, one after another.

    Two threads that compute take Python's lock from each other a thousand times a second, and each has histograms of
    its own to fill: together they are slower than one, and take more memory.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="computing")

    async def in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(thread, call, *arguments)

    return in_thread
