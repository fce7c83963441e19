"""What is asked of a Redis before anything is trusted to it."""

import pytest
from pydantic import SecretStr
from redis import Redis

from streams.books.connect import check_redis, check_redis_keeps
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
