"""The connection to Redis: every client is made here, by one block of settings."""

from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

import structlog
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from streams import tls
from streams.errors import ServerError, UsageError
from streams.settings import RedisSettings, Settings

CONNECT_S = 5.0
AWAY = (RedisConnectionError, RedisTimeoutError)
"""What a client raises while no Redis answers."""
SECTION = "redis"
"""Where the settings stand."""
_PORT = 6379
"""Of an address that says none."""
_GREETING = b"PING\r\n"
_EVICTS = "allkeys"
"""So begin the policies by which keys go that have no time to live, as all of ours."""
_FULL = 0.9
"""Of its memory: a run takes some megabytes."""

_Client = TypeVar("_Client", Redis, AsyncRedis)

_log = structlog.get_logger(__name__)


def connect(settings: Settings) -> Redis:
    """Return a client that returns bytes; it connects when it is first used.

    Raises
    ------
    UsageError
        When the setting is no address of a Redis, or a file of its TLS cannot be used.
    """
    return client(settings.redis, CONNECT_S)


def client(redis: RedisSettings, patience_s: float) -> Redis:
    """Return such a client, which waits so long for each answer; raises as `connect` does."""
    return _made(Redis, redis, socket_connect_timeout=patience_s, socket_timeout=patience_s)


def connect_async(settings: Settings) -> AsyncRedis:
    """Return such a client for the event loop that runs; raises as `connect` does."""
    return _made(AsyncRedis, settings.redis)


def _made(kind: type[_Client], redis: RedisSettings, **own: Any) -> _Client:
    if is_encrypted(redis):
        tls.context(redis, SECTION)  # says what is wrong with a file, in words
        files = {"ca_certs": redis.ca, "certfile": redis.certificate, "keyfile": redis.key}
        own |= {f"ssl_{name}": str(path) for name, path in files.items() if path is not None}
        own |= {"ssl_password": redis.key_password.get_secret_value()}
    if password := redis.password.get_secret_value():
        own |= {"username": redis.user or None, "password": password}
    try:
        made: _Client = kind.from_url(redis.url.get_secret_value(), **own)
        # It does not connect, and refuses what it does not know.
        made.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, RedisError):
        # Without a word of the address: it may hold a password.
        raise UsageError(
            "redis.url is no address of a Redis: redis://[[user]:password@]host:port/database is one"
        ) from None
    return made


def is_encrypted(redis: RedisSettings) -> bool:
    """Say whether a Redis is reached by TLS."""
    return redis.url.get_secret_value().startswith("rediss://")


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
    if why := refusal(settings, error):
        return ServerError(f"Redis at {where}: {why}")
    if isinstance(error, ResponseError):
        return ServerError(f"Redis at {where} refuses ({error}): look at its settings and its log")
    return ServerError(f"no Redis answers at {where} ({error}): start one (spilldeck up) or correct redis.url")


def refusal(settings: Settings, error: RedisError) -> str:
    """Return why a Redis that takes connections does not do what was asked, and what to correct; empty for all else."""
    if isinstance(error, AuthenticationError):
        return f"it refuses who asks ({str(error).rstrip('.')}): correct user and password, in redis.url or beside it"
    if isinstance(error, NoPermissionError):
        return f"it does not let its user do this ({error}): give the user the right (ACL)"
    if not isinstance(error, AWAY):
        return ""
    url = urlsplit(settings.redis.url.get_secret_value())
    host, port = url.hostname or "localhost", url.port or _PORT
    if url.scheme == "unix" or not tls.listens(host, port):
        return ""
    redis = settings.redis
    return tls.refusal(host, port, redis, SECTION, is_encrypted=is_encrypted(redis), greeting=_GREETING)


def place(settings: Settings) -> str:
    """Return host, port and database (or a socket's path) and nothing else: the rest may hold a password."""
    url = urlsplit(settings.redis.url.get_secret_value())
    return f"{url.netloc.rpartition('@')[2]}{url.path}"
