"""What is asked of a Redis before anything is trusted to it."""

import re

import pytest
from pydantic import SecretStr
from redis import Redis

from streams.books.connect import check_redis, check_redis_keeps, risks_of
from streams.errors import ServerError
from streams.settings import RedisSettings, Settings, load_settings

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
