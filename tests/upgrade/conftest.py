"""A Redis that has what c7218c2 left."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from ops.upgrade.carry import carry_over
from ops.upgrade.found import Found
from streams.books.connect import connect
from streams.settings import Settings
from tests.upgrade.left import PARTITIONS, WINDOWS_KEPT, Log, fill, sources

Upgrade = Callable[..., list[Found]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of a test of its own, as it was left with them."""
    kafka = settings.kafka.model_copy(update={"partitions": PARTITIONS})
    books = settings.books.model_copy(update={"windows_kept": WINDOWS_KEPT})
    return settings.model_copy(update={"kafka": kafka, "books": books})


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    """Return a client of a Redis that has what was left, under the prefix of the settings."""
    with connect(settings) as client:
        fill(client, settings.redis.key_prefix)
        yield client


@pytest.fixture
def upgrade(settings: Settings, redis: Redis) -> Upgrade:
    """Return a function that carries over beside a Kafka in memory, or says what it would do."""

    async def go(log: Log, *, do: bool, client: AsyncRedis) -> list[Found]:
        try:
            return [one async for one in carry_over(client, settings, sources(settings, redis, log), do=do)]
        finally:
            await client.aclose()

    def run(log: Log, *, do: bool = True, client: AsyncRedis | None = None) -> list[Found]:
        client = client or AsyncRedis.from_url(settings.redis.url.get_secret_value())
        return asyncio.run(go(log, do=do, client=client))

    return run
