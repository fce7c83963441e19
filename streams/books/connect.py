"""The connection to Redis."""

from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import structlog
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from streams.errors import ServerError, UsageError
from streams.settings import Settings

CONNECT_S = 5.0
AWAY = (RedisConnectionError, RedisTimeoutError)
"""What a client raises while no Redis answers."""
_EVICTS = "allkeys"
"""So begin the policies by which keys go that have no time to live, as all of ours."""
_FULL = 0.9
"""Of its memory: a run takes some megabytes."""

_log = structlog.get_logger(__name__)


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
    try:
        with connect(settings) as redis:
            redis.ping()
    except RedisError as error:
        raise no_redis(settings, error) from error


def check_redis_keeps(settings: Settings) -> None:
    """See whether Redis answers, and keeps what it is given; log what else it may lose.

    Raises
    ------
    ServerError
        When it does not.
    """
    try:
        with connect(settings) as redis:
            risks = risks_of(redis)
    except RedisError as error:
        raise no_redis(settings, error) from error
    if risks.evicts:
        raise ServerError(f"the Redis at {place(settings)} will lose plots: {risks.evicts}")
    for risk in risks.all:
        _log.warning("what Redis holds is not safe", why=risk)


class Risks(NamedTuple):
    """How a Redis is set so that it will lose what it is given, a sentence each; empty where it will not."""

    evicts: str = ""
    fills: str = ""
    forgets: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        """Those that there are."""
        return tuple(filter(None, self))


def risks_of(redis: Redis) -> Risks:
    """Return how a Redis will lose what it is given; nothing of what its user may not ask. Its errors are passed on."""
    try:
        info: dict[str, Any] = {**redis.info("memory"), **redis.info("persistence")}
        save = cast("dict[str, str]", redis.config_get("save")).get("save", "")
    except ResponseError:
        return Risks()
    evicts = fills = forgets = ""
    policy, used, limit = str(info.get("maxmemory_policy", "")), int(info["used_memory"]), int(info.get("maxmemory", 0))
    if policy.startswith(_EVICTS):
        evicts = (
            f"it throws keys away when its memory is full (maxmemory-policy {policy}): set maxmemory-policy noeviction"
        )
    if limit and used >= _FULL * limit:
        fills = (
            f"its memory is nearly full, {used / limit:.0%} of maxmemory, and then no spill counts until it has more: "
            f"raise maxmemory"
        )
    if not int(info.get("aof_enabled", 0)) and not save:
        forgets = (
            "it writes nothing to disk, so a restart empties it, and Kafka has to give all runs again: "
            "set appendonly yes"
        )
    return Risks(evicts, fills, forgets)


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
