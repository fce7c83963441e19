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
    return {
        "SPILLDECK_REDIS__URL": redis.url.get_secret_value(),
        "SPILLDECK_REDIS__USER": redis.user,
        "SPILLDECK_REDIS__PASSWORD": redis.password.get_secret_value(),
        "SPILLDECK_REDIS__SENTINEL_PASSWORD": redis.sentinel_password.get_secret_value(),
        "SPILLDECK_REDIS__SENTINELS": json.dumps(redis.sentinels),
        "SPILLDECK_REDIS__CLUSTER": json.dumps(redis.cluster),
        "SPILLDECK_REDIS__KEY_PREFIX": redis.key_prefix,
    }
