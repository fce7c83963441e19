"""What both agents share: topics, micro-batches, and waiting for a server that is away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from streams.errors import ServerError
from streams.settings import Settings
from streams.topics import Topics

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
"""Pauses between tries while Kafka or Redis does not answer; each is twice the one before."""

SERVER_ERRORS = (RedisError, KafkaError, ServerError)

_log = structlog.get_logger(__name__)


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


async def each_batch(stream: Any, settings: Settings, step: Callable[[list[Any]], Awaitable[None]]) -> None:
    """Take micro-batches for ever; acknowledge each when the step has made it safe.

    While a server that the step needs is away, the step is tried again: it must be one that can be repeated.
    """
    books = settings.books
    events: list[Any]
    batches: AsyncIterator[list[Any]] = stream.noack_take(books.batch_spills, within=books.batch_wait_s)
    async for events in batches:
        await _until_it_works(step, events)
        for event in events:
            await stream.ack(event)


async def _until_it_works(step: Callable[[list[Any]], Awaitable[None]], events: list[Any]) -> None:
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await step(events)
        except SERVER_ERRORS as error:
            _log.warning("a server is away: waiting", error=f"{type(error).__name__}: {error}", pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
