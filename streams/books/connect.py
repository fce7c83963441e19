"""The connection to Redis: every client is made here, by one block of settings.

All have the same patience: who does not connect or answer within `PATIENCE_S` is away, and nothing is tried again here,
since whoever needs it asks again soon. Who does not, a command in the middle of its work, says for how long a client is
to try again.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import structlog
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.connection import parse_url
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from streams import tls
from streams.books import clusters, sentinels
from streams.books.ended import saying_so
from streams.books.patience import AsyncPatient, Patient, lacks_replicas
from streams.errors import ServerError, UsageError
from streams.settings import RedisSettings, Settings

PATIENCE_S = 5.0
"""To connect, and for each answer."""
AWAY = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, ClusterError, AskError, TryAgainError)
"""What a client raises while no Redis answers, or none that may write: another becomes the master, or slots move."""
COMMAND_S = 20.0
"""So long a command that is at work waits for a Redis that is away: another has its place after some seven."""
_SLOTS_TRIES = 2
"""A Cluster's client tries a command again when it has learnt that a slot has moved, or who the new master is."""
SECTION = "redis"
"""Where the settings stand."""
_PORT = 6379
"""Of an address that says none."""
_GREETING = b"PING\r\n"
_EVICTS = "allkeys"
"""So begin the policies by which keys go that have no time to live, as all of ours."""
_FULL = 0.9
"""Of its memory: a run takes some megabytes."""

_NEEDED = "min-replicas-to-write"
"""With fewer replicas that follow it, a master takes nothing."""
_SYNC, _SYNC_DELAY = "repl-diskless-sync", "repl-diskless-sync-delay"
"""So a master waits for further replicas before the first one gets what it has, if without a file in between."""

_log = structlog.get_logger(__name__)


class _AsyncOne(AsyncRedis):
    """The library's client of one server."""

    @classmethod
    def from_url(cls, *url: Any, **own: Any) -> Any:
        made = super().from_url(*url, **own)
        pool: Any = made.connection_pool
        pool.connection_class = saying_so(pool.connection_class)
        return made


class _Kinds(NamedTuple):
    """The library's classes."""

    plain: Any
    sentinels: Any
    pool: Any
    cluster: Any
    retry: Any
    patient: Any


_WAITS = _Kinds(Redis, sentinels.Sentinels, sentinels.MasterPool, clusters.LateCluster, Retry, Patient)
_OF_A_LOOP = _Kinds(
    _AsyncOne, sentinels.AsyncSentinels, sentinels.AsyncMasterPool, clusters.AsyncCluster, AsyncRetry, AsyncPatient
)


def connect(settings: Settings, again_s: float = 0.0) -> Redis:
    """Return a client that returns bytes; it connects when it is first used.

    Parameters
    ----------
    again_s
        For how long it tries again while no Redis answers. One of a Cluster asks other nodes at once, and gives up.

    Raises
    ------
    UsageError
        When the setting is no address of a Redis, or a file of its TLS cannot be used.
    """
    return cast("Redis", _made(_WAITS, settings.redis, PATIENCE_S, again_s))


def client(redis: RedisSettings, patience_s: float) -> Redis:
    """Return such a client, which waits so long for each answer; raises as `connect` does."""
    return cast("Redis", _made(_WAITS, redis, patience_s))


def connect_async(settings: Settings, again_s: float = 0.0) -> AsyncRedis:
    """Return such a client for the event loop that runs; raises as `connect` does."""
    return cast("AsyncRedis", _made(_OF_A_LOOP, settings.redis, PATIENCE_S, again_s))


def _made(kinds: _Kinds, redis: RedisSettings, patience_s: float, again_s: float = 0.0) -> Any:
    own = _waiting(patience_s) | _encryption(redis)
    url = redis.url.get_secret_value()
    if password := redis.password.get_secret_value():
        own |= {"username": redis.user or None, "password": password}
    if again_s and not redis.cluster:
        own["retry"] = kinds.patient(again_s)
    try:
        if redis.sentinels:
            return _of_sentinels(kinds, redis, own)
        if redis.cluster:
            parse_url(url)  # type: ignore[no-untyped-call]
            return kinds.cluster.from_url(url, retry=kinds.retry(NoBackoff(), _SLOTS_TRIES), **own)
        made = kinds.plain.from_url(url, **own)
        # It does not connect, and refuses what it does not know.
        made.connection_pool.make_connection()
    except (ValueError, TypeError, RedisError):
        # Without a word of the address: it may hold a password.
        raise UsageError(
            "redis.url is no address of a Redis: redis://[[user]:password@]host:port/database is one"
        ) from None
    return made


def _waiting(patience_s: float) -> dict[str, Any]:
    return {"socket_connect_timeout": patience_s, "socket_timeout": patience_s}


def _encryption(redis: RedisSettings) -> dict[str, Any]:
    if not is_encrypted(redis):
        return {}
    tls.context(redis, SECTION)  # says what is wrong with a file, in words
    files = {"ca_certs": redis.ca, "certfile": redis.certificate, "keyfile": redis.key}
    own = {f"ssl_{name}": str(path) for name, path in files.items() if path is not None}
    if password := redis.key_password.get_secret_value():
        own["ssl_password"] = password
    return own


def _of_sentinels(kinds: _Kinds, redis: RedisSettings, own: Mapping[str, Any]) -> Any:
    """Return a client of the master that sentinels know by a name."""
    ours = _sentinels(kinds, redis)
    said = parse_url(redis.url.get_secret_value())  # type: ignore[no-untyped-call]
    for known in ("host", "connection_class"):
        said.pop(known, None)
    made = ours.master_for(redis.named, kinds.plain, kinds.pool, **{"ssl": is_encrypted(redis)} | dict(own) | said)
    made.connection_pool.make_connection()
    return made


def _sentinels(kinds: _Kinds, redis: RedisSettings) -> Any:
    asking = (
        _waiting(sentinels.PATIENCE_S)
        | _encryption(redis)
        | {"ssl": is_encrypted(redis), "retry": kinds.retry(NoBackoff(), 0)}
    )
    if password := redis.sentinel_password.get_secret_value():
        asking |= {"username": redis.sentinel_user or None, "password": password}
    return kinds.sentinels(_addresses(redis), sentinel_kwargs=asking)


def sentinels_of(redis: RedisSettings) -> sentinels.Sentinels:
    """Return clients of the sentinels themselves; raises as `connect` does."""
    return cast("sentinels.Sentinels", _sentinels(_WAITS, redis))


def masters(redis: Redis | RedisCluster) -> list[Redis]:
    """Return a client of each server that what is kept is on: of a Cluster several. Redis's errors are passed on."""
    if isinstance(redis, RedisCluster):
        return [redis.get_redis_connection(node) for node in redis.get_primaries()]  # type: ignore[no-untyped-call]
    return [redis]


def is_encrypted(redis: RedisSettings) -> bool:
    """Say whether a Redis is reached by TLS."""
    return redis.url.get_secret_value().startswith("rediss://")


def is_other_type(error: object) -> bool:
    """Say whether Redis refused a command since its key has another type than what was written there."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def check_redis(settings: Settings, again_s: float = 0.0) -> None:
    """See whether Redis answers, or does within so long.

    Raises
    ------
    ServerError
        When it does not.
    """
    try:
        with connect(settings, again_s) as redis:
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
    splits: str = ""
    pauses: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        """Those that there are."""
        return tuple(filter(None, self))


def risks_of(redis: Redis) -> Risks:
    """Return how a Redis will lose what it is given; nothing of what its user may not ask. Its errors are passed on."""
    try:
        found = [_risks_of(each, has_others=_has_others(redis)) for each in masters(redis)]
    except ResponseError:
        return Risks()
    return Risks(*(next(filter(None, of_each), "") for of_each in zip(*found, strict=True)))


def _has_others(redis: Redis | RedisCluster) -> bool:
    """Say whether another server may take a master's place, while that goes on for those who reach it."""
    return not isinstance(redis, RedisCluster) and isinstance(redis.connection_pool, sentinels.MasterPool)


def _risks_of(redis: Redis, *, has_others: bool) -> Risks:
    info: dict[str, Any] = {**redis.info("memory"), **redis.info("persistence")}
    save, needed, sync, delay_s = (
        cast("dict[str, str]", redis.config_get(name)).get(name, "") for name in ("save", _NEEDED, _SYNC, _SYNC_DELAY)
    )
    evicts = fills = forgets = splits = pauses = ""
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
    if has_others and needed == "0":
        splits = (
            f"cut off from its replicas, it goes on taking what is lost when another has its place ({_NEEDED} 0): "
            f"set {_NEEDED} 1 on all of them"
        )
    if has_others and sync == "yes" and delay_s != "0":
        pauses = (
            f"when another has its place, that takes nothing for {delay_s} s more, as it keeps its replicas waiting "
            f"({_SYNC_DELAY} {delay_s}): set {_SYNC_DELAY} 0 on all of them"
        )
    return Risks(evicts, fills, forgets, splits, pauses)


def no_redis(settings: Settings, error: RedisError) -> ServerError:
    """Return the words for a Redis that does not answer, or does and refuses what was asked."""
    where = place(settings)
    if why := refusal(settings, error):
        return ServerError(f"Redis at {where}: {why}")
    if isinstance(error, ResponseError) and not isinstance(error, AWAY):
        return ServerError(f"Redis at {where} refuses ({error}): look at its settings and its log")
    if settings.redis.sentinels or settings.redis.cluster:
        return ServerError(f"no Redis answers at {where} ({error}): try again in some seconds, or ask spilldeck doctor")
    return ServerError(f"no Redis answers at {where} ({error}): start one (spilldeck up) or correct redis.url")


def refusal(settings: Settings, error: RedisError) -> str:
    """Return why a Redis that takes connections does not do what was asked, and what to correct; empty for all else."""
    if isinstance(error, AuthenticationError):
        return f"it refuses who asks ({str(error).rstrip('.')}): correct user and password, in redis.url or beside it"
    if isinstance(error, NoPermissionError):
        return f"it does not let its user do this ({error}): give the user the right (ACL)"
    if lacks_replicas(error):
        return (
            f"it takes nothing, as fewer replicas follow it than {_NEEDED} says: start those that are away, else look "
            f"at their logs and at INFO replication of the master"
        )
    if not isinstance(error, AWAY):
        return ""
    redis = settings.redis
    for host, port in _addresses(redis):
        if tls.listens(host, port):
            return tls.refusal(host, port, redis, SECTION, is_encrypted=is_encrypted(redis), greeting=_GREETING)
    return ""


def _addresses(redis: RedisSettings) -> list[tuple[str, int]]:
    """Return where the settings say that somebody listens; nothing of a socket."""
    if redis.sentinels:
        return [(host.strip("[]"), int(port)) for host, _, port in (each.rpartition(":") for each in redis.sentinels)]
    url = urlsplit(redis.url.get_secret_value())
    return [] if url.scheme == "unix" else [(url.hostname or "localhost", url.port or _PORT)]


def place(settings: Settings) -> str:
    """Return what says where it is, and nothing else: the rest may hold a password."""
    redis = settings.redis
    return f"{redis.place} by the sentinels {', '.join(redis.sentinels)}" if redis.sentinels else redis.place
