"""How tests reach the servers of a local stack, or those that they have for themselves, of the kind of `SERVERS`."""

import json
import os
import signal
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ops.stack import LocalStack, access, free_port, processes
from ops.stack.access import Access
from streams.settings import RedisSettings, Settings, load_settings
from tests.chaos.network import HERE, Host
from tests.redis_servers import Alone, Cluster, Replicated, Servers

KIND = os.environ.get("SERVERS", "")
"""Which servers the tests share: `secured`, with TLS; a Redis by `sentinel`, or a `cluster`; else a local stack."""
IS_SECURED = KIND == "secured"
HOSTS_OF_REDIS = {"": 1, "sentinel": 3}
"""On how many hosts a Redis is, by kind, where there are several; what is not named here is put on none."""
_ALWAYS = {"kafka": {"partitions", "replication"}, "redis": set[str]()}
"""Settings that a process is always given: others of before may be in its environment."""
_GROUPS: dict[str, type[Replicated | Cluster]] = {"sentinel": Replicated, "cluster": Cluster}
_running: list[Replicated | Cluster] = []
"""The Redis of those kinds, while it runs."""
assert KIND in {"", "secured", *_GROUPS}, f"SERVERS is none of secured, {', '.join(_GROUPS)}: {KIND}"


@contextmanager
def shared_stack(directory: Path) -> Iterator[LocalStack]:
    """Have a Kafka and a Redis of that kind in a ``with`` block."""
    with ExitStack() as until_end:
        if KIND in _GROUPS:
            _running.append(_GROUPS[KIND](directory, as_at_a_site=True))
            until_end.callback(lambda: _running.pop().end())
        yield until_end.enter_context(LocalStack(directory, free_port(), free_port(), secure=IS_SECURED))


def own_access(directory: Path) -> Access:
    """Make how servers of that kind are reached that a test starts for itself, one of each, in a directory."""
    return access.make(directory, free_port(), free_port(), secure=IS_SECURED)


def own_redis(directory: Path, reached: RedisSettings | None = None, hosts: Sequence[Host] = (HERE,)) -> Servers:
    """Start a Redis of that kind, to be harmed, on hosts; one that is alone is reached so, if that is said."""
    if KIND == "sentinel":
        return Replicated(directory, as_at_a_site=True, hosts=hosts)
    if KIND == "cluster":
        return Cluster(directory, as_at_a_site=True)
    return Alone(directory, own_access(directory).redis if reached is None else reached, *hosts)


@contextmanager
def hung(server: processes.Process) -> Iterator[None]:
    """Have a server take connections, and answer nothing."""
    server.send(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send(signal.SIGCONT)


@contextmanager
def all_hung(stack: LocalStack) -> Iterator[None]:
    """Have the Kafka and the Redis that tests share take connections, and answer nothing."""
    with ExitStack() as until_end:
        if _running:
            until_end.enter_context(_running[0].hung(*_running[0].holding))
        for name in ("kafka", "redis"):
            its = processes.find(name, stack.directory)
            assert its is not None
            until_end.enter_context(hung(its))
        yield


def redis_url(stack: LocalStack) -> str:
    """Return the address of a stack's Redis, with its user and password."""
    redis = stack.access.redis
    return redis.url.get_secret_value().replace("://", f"://{redis.user}:{redis.password.get_secret_value()}@")


def settings_on(stack: LocalStack, name: str = "", kafka: Mapping[str, Any] = {}, **changes: Any) -> Settings:
    """Return settings that name a stack, with topics and keys of a name's own, and changes of those of Kafka."""
    name = name or f"test-{uuid.uuid4().hex[:12]}"
    return load_settings(
        kafka=stack.access.kafka.model_copy(update={"topic_prefix": f"{name}.", **kafka}),
        redis=_running[0].settings(name) if _running else _redis_on(stack, name),
        **changes,
    )


def _redis_on(stack: LocalStack, key_prefix: str) -> RedisSettings:
    files = stack.access.redis.model_dump(include={"ca", "certificate", "key"}, exclude_none=True)
    return RedisSettings(url=SecretStr(redis_url(stack)), key_prefix=key_prefix, **files)


def without_redis(settings: Settings) -> Settings:
    """Return the same settings but that nobody listens where they say that Redis, or a sentinel, is."""
    its, nobody = settings.redis, f"127.0.0.1:{free_port()}"
    scheme, _, rest = its.url.get_secret_value().partition("://")
    user, at, _ = rest.rpartition("@")
    away = {"sentinels": [nobody]} if its.sentinels else {"url": SecretStr(f"{scheme}://{user}{at}{nobody}/0")}
    return settings.model_copy(update={"redis": its.model_copy(update=away)})


def environment(settings: Settings) -> dict[str, str]:
    """Return how both servers are reached, as far as settings say it, as the environment gives it."""
    return {
        f"SPILLDECK_{section.upper()}__{name.upper()}": _plain(value)
        for section in ("kafka", "redis")
        for name in sorted(getattr(settings, section).model_fields_set | _ALWAYS[section])
        if (value := getattr(getattr(settings, section), name)) is not None
    }


def _plain(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps(value) if isinstance(value, list | bool) else str(value)
