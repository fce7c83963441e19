"""How tests reach the servers of a local stack."""

import json

from ops.stack import LocalStack
from streams.settings import RedisSettings


def redis_url(stack: LocalStack) -> str:
    """Return the address of a stack's Redis, with its user and password."""
    redis = stack.access.redis
    return redis.url.get_secret_value().replace("://", f"://{redis.user}:{redis.password.get_secret_value()}@")


def redis_environment(redis: RedisSettings) -> dict[str, str]:
    """Return how Redis is reached as the environment gives it; of one server `url` says who asks, too."""
    said: dict[str, str] = {"url": redis.url.get_secret_value(), "key_prefix": redis.key_prefix}
    if redis.sentinels or redis.cluster:
        said |= {
            "password": redis.password.get_secret_value(),
            "sentinels": json.dumps(redis.sentinels),
            "sentinel_password": redis.sentinel_password.get_secret_value(),
            "cluster": json.dumps(redis.cluster),
        }
    return {f"SPILLDECK_REDIS__{name.upper()}": value for name, value in said.items()}
