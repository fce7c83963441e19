"""The connection to Redis."""

from typing import Any, cast
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from streams.errors import ServerError, UsageError
from streams.settings import Settings

CONNECT_S = 5.0
_EVICTS = "allkeys"
"""So begin the policies by which keys go that have no time to live, as all of ours."""


def connect(settings: Settings) -> Redis:
    """Return a client that returns bytes; it connects when it is first used.

    Raises
    ------
    UsageError
        When the setting is no address of a Redis.
    """
    url = settings.redis.url.get_secret_value()
    try:
        client = Redis.from_url(url, socket_connect_timeout=CONNECT_S, socket_timeout=CONNECT_S)
        client.connection_pool.make_connection()  # it does not connect, and refuses what it does not know
    except (ValueError, TypeError, RedisError):
        # Without a word of the address: it may hold a password.
        raise UsageError(
            "redis.url is no address of a Redis: redis://[[user]:password@]host:port/database is one"
        ) from None
    return client


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
        raise no_redis(settings, error) from error


def no_redis(settings: Settings, error: RedisError) -> ServerError:
    """Return the words for a Redis that does not answer, or does and refuses what was asked."""
    where = place(settings)
    if isinstance(error, AuthenticationError):
        return ServerError(f"Redis at {where} refuses who asks ({error}): correct user and password in redis.url")
    if isinstance(error, NoPermissionError):
        return ServerError(f"Redis at {where} does not let its user do this ({error}): give the user the right (ACL)")
    if isinstance(error, ResponseError):
        return ServerError(f"Redis at {where} refuses ({error}): look at its settings and its log")
    return ServerError(f"no Redis answers at {where} ({error}): start one (spilldeck up) or correct redis.url")


def place(settings: Settings) -> str:
    """Return host, port and database (or a socket's path) and nothing else: the rest may hold a password."""
    url = urlsplit(settings.redis.url.get_secret_value())
    return f"{url.netloc.rpartition('@')[2]}{url.path}"
