"""A connection to Redis that has ended since it was taken."""

from typing import Any

import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from streams.books.connect import connect_async
from streams.settings import Settings


def is_away_for_whom_it_has_ended(settings: Settings) -> bool:
    """Say whether who writes to one of a worker's connections that has ended hears that Redis is away."""

    async def write() -> bool:
        async with connect_async(settings) as redis:
            await redis.ping()
            made = [each for each in _connections(redis) if each.is_connected]
            assert made
            for connection in made:
                connection._writer.transport.abort()
                try:
                    await connection.send_command("PING")
                except RedisConnectionError:
                    continue
                return False
            return bool(await redis.ping())  # it is made again

    return uvloop.run(write())


def _connections(redis: Any) -> list[Any]:
    if hasattr(redis, "connection_pool"):
        return [*redis.connection_pool._available_connections]
    return [each for node in redis.get_nodes() for each in node._connections]
