"""How tests reach the servers of a local stack."""

import json

from ops.stack import LocalStack
from streams.settings import RedisSettings


def redis_url(stack: LocalStack) -> str:
    """Return the address of a stack's Redis, with its user and password."""
    redis = stack.access.redis
    return redis.url.get_secret_value().replace("://", f"://{redis.user}:{redis.password.get_secret_value()}@")


def redis_environment(redis: RedisSettings) -> dict[str, str]:
    """Return how Redis is reached as the environment gives it."""
    said: dict[str, object] = {
        "user": redis.user,
        "password": redis.password.get_secret_value(),
        "sentinels": redis.sentinels,
        "sentinel_password": redis.sentinel_password.get_secret_value(),
        "cluster": redis.cluster,
    }
    given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in said.items() if value}
    where = {"url": redis.url.get_secret_value(), "key_prefix": redis.key_prefix}
    return {f"SPILLDECK_REDIS__{name.upper()}": value for name, value in (where | given).items()}
