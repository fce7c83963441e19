"""The connection to Redis."""

from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from streams.errors import ServerError
from streams.settings import Settings

CONNECT_S = 5.0
_EVICTS = "allkeys"
"""So begin the policies by which keys go that have no time to live, as all of ours."""


def connect(settings: Settings) -> Redis:
    """Return a client that returns bytes; it connects when it is first used."""
    return Redis.from_url(
        settings.redis.url.get_secret_value(), socket_connect_timeout=CONNECT_S, socket_timeout=CONNECT_S
    )


def is_other_type(error: object) -> bool:
    """Say whether Redis refused a command since its key has another type than what was written there."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def check_redis(settings: Settings) -> None:
    """See whether Redis answers.

    Raises
    ------
    ServerError
        When it does not.
    """
    _ask(settings)


def check_redis_keeps(settings: Settings) -> None:
    """See whether Redis answers, and keeps what it is given.

    Raises
    ------
    ServerError
        When it does not.
    """
    policy = str(_ask(settings).get("maxmemory_policy", ""))
    if policy.startswith(_EVICTS):
        raise ServerError(
            f"the Redis at {place(settings)} throws keys away when its memory is full (maxmemory-policy {policy}), and "
            f"with them plots: set maxmemory-policy noeviction there"
        )


def _ask(settings: Settings) -> dict[str, Any]:
    try:
        with connect(settings) as redis:
            return cast("dict[str, Any]", redis.info("memory"))
    except RedisError as error:
        raise ServerError(
            f"no Redis answers at {place(settings)} ({error}): start one (spilldeck up) or correct redis.url"
        ) from error


def place(settings: Settings) -> str:
    """Return host, port and database, without the password."""
    return settings.redis.url.get_secret_value().rpartition("@")[2].removeprefix("redis://")
