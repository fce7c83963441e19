"""What is asked of a Redis before anything is trusted to it."""

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from ops.stack.certificates import Authority
from streams.books import sentinels
from streams.books.connect import (
    AWAY,
    PATIENCE_S,
    check_redis,
    check_redis_keeps,
    connect,
    connect_async,
    place,
    risks_of,
)
from streams.errors import ServerError, UsageError
from streams.settings import RedisSettings, Settings, load_settings
from tests.ended import is_away_for_whom_it_has_ended

pytestmark = pytest.mark.servers


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Return settings that name the Redis of these tests."""
    return load_settings(redis=RedisSettings(url=SecretStr(redis_url)))


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
def test_a_redis_that_throws_keys_away_is_refused_by_name(settings: Settings, redis_url: str, policy: str) -> None:
    with Redis.from_url(redis_url) as redis:
        before = redis.config_get("maxmemory-policy")["maxmemory-policy"]
        try:
            redis.config_set("maxmemory-policy", policy)
            check_redis(settings)
            with pytest.raises(ServerError, match=f"maxmemory-policy {policy}.*: set maxmemory-policy noeviction"):
                check_redis_keeps(settings)
        finally:
            redis.config_set("maxmemory-policy", before)


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru"])
def test_a_redis_that_keeps_what_has_no_time_to_live_is_taken(settings: Settings, redis_url: str, policy: str) -> None:
    with Redis.from_url(redis_url) as redis:
        before = redis.config_get("maxmemory-policy")["maxmemory-policy"]
        try:
            redis.config_set("maxmemory-policy", policy)
            check_redis_keeps(settings)
        finally:
            redis.config_set("maxmemory-policy", before)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ()),
        ({"appendonly": "no", "save": ""}, ("writes nothing to disk.*: set appendonly yes",)),
        ({"appendonly": "no", "save": "60 1"}, ()),
        ({"maxmemory": "1.05"}, ("nearly full, 9[0-9]% of maxmemory.*: raise maxmemory",)),
        ({"maxmemory": "2"}, ()),
        ({"maxmemory": "1.05", "maxmemory-policy": "allkeys-lfu"}, ("throws keys away", "nearly full")),
    ],
)
def test_how_a_redis_will_lose_what_it_has_is_said(
    redis_url: str, changes: dict[str, str], said: tuple[str, ...]
) -> None:
    with Redis.from_url(redis_url) as redis:
        before = {
            name: redis.config_get(name)[name] for name in ("appendonly", "save", "maxmemory", "maxmemory-policy")
        }
        redis.setrange("large", 20_000_000, "x")  # so that what clients take meanwhile is little beside it
        used = int(redis.info("memory")["used_memory"])
        try:
            for name, value in changes.items():
                redis.config_set(name, int(used * float(value)) if name == "maxmemory" else value)
            found = risks_of(redis).all
        finally:
            for name, value in before.items():
                redis.config_set(name, value)
            redis.delete("large")
    assert len(found) == len(said)
    assert all(re.search(pattern, risk) for pattern, risk in zip(said, found, strict=True))


def test_a_reader_who_may_not_ask_is_told_nothing_and_reads(settings: Settings, redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.acl_setuser(
            "reader", enabled=True, passwords=["+right"], categories=["+@read"], commands=["+ping"], keys=["*"]
        )
    url = redis_url.replace("redis://", "redis://reader:right@")
    reader = load_settings(redis=RedisSettings(url=SecretStr(url)))
    check_redis(reader)
    check_redis_keeps(reader)


NAMED = {"url": SecretStr("redis://Main/0"), "sentinels": ["127.0.0.1:26379", "[::1]:26380"]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (NAMED | {"cluster": True}, "sentinels and cluster do not go together"),
        (NAMED | {"url": "redis://127.0.0.1:6379/0"}, r"url has the master's name .*: redis://NAME/0"),
        (NAMED | {"url": "unix:///run/redis.sock"}, r"url has the master's name"),
        ({"sentinels": ["127.0.0.1:26379"]}, r"url has the master's name"),
        (NAMED | {"sentinels": ["127.0.0.1"]}, "should match pattern"),
        (NAMED | {"sentinel_user": "asker"}, "sentinel_user needs sentinel_password"),
        ({"cluster": True, "url": "redis://host:6379/3"}, "a Cluster has one database"),
        ({"cluster": True, "url": "unix:///run/redis.sock"}, "a Cluster has one database"),
        ({"cluster": True, "key_password": "hunter2"}, "with cluster, key has to be without a password"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_in_words(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        load_settings(redis=given)
    assert "hunter2" not in str(refused.value)


def test_all_of_how_it_is_reached_holds_for_sentinels_too(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Authority.new("ours").pem)
    own = {"user": "ours", "password": "of-redis", "sentinel_user": "asker", "sentinel_password": "of-sentinels"}
    settings = load_settings(redis=NAMED | own | {"url": "rediss://Main/3", "ca": ca})
    assert place(settings) == "Main/3 by the sentinels 127.0.0.1:26379, [::1]:26380"
    for client in (connect(settings), connect_async(settings)):
        pool: Any = client.connection_pool
        assert pool.service_name == "Main"  # in its own letters
        assert pool.connection_kwargs["db"] == 3
        reached = [(pool, "ours", "of-redis", PATIENCE_S)]
        reached += [
            (each.connection_pool, "asker", "of-sentinels", sentinels.PATIENCE_S)
            for each in pool.sentinel_manager.sentinels
        ]
        assert len(reached) == 3
        for its, user, password, patience_s in reached:
            there = its.connection_kwargs
            assert "SSL" in its.connection_class.__name__
            assert there["ssl_ca_certs"] == str(ca)
            assert (there["username"], there["password"]) == (user, password)
            assert there["socket_timeout"] == there["socket_connect_timeout"] == patience_s


@pytest.fixture
def hung() -> Iterator[str]:
    """Return the address of a server that takes connections and answers nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["one", "sentinels", "cluster"])
def test_every_client_has_the_same_patience_with_a_redis_that_hangs(
    hung: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    async def ask_later() -> None:
        async with connect_async(settings) as redis:
            await redis.ping()

    monkeypatch.setattr("streams.books.connect.PATIENCE_S", 0.2)
    monkeypatch.setattr("streams.books.sentinels.PATIENCE_S", 0.2)
    given = {
        "one": {"url": f"redis://{hung}/0"},
        "sentinels": {"url": "redis://Main/0", "sentinels": [hung]},
        "cluster": {"url": f"redis://{hung}/0", "cluster": True},
    }
    settings = load_settings(redis=given[kind])
    began_s = time.monotonic()
    with connect(settings) as redis, pytest.raises(AWAY):
        redis.ping()
    with pytest.raises(AWAY):
        asyncio.run(ask_later())
    assert time.monotonic() - began_s < PATIENCE_S


def test_a_connection_that_has_ended_is_a_redis_that_is_away(settings: Settings) -> None:
    assert is_away_for_whom_it_has_ended(settings)
