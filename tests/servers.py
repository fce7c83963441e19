"""How tests reach the servers of a local stack."""

import json
import os
import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from ops.stack import LocalStack
from streams.settings import RedisSettings, Settings, load_settings

IS_SECURED = bool(os.environ.get("SECURED"))
"""Whether the stack of all tests speaks TLS alone, as in ``make test-secured``."""


def redis_url(stack: LocalStack) -> str:
    """Return the address of a stack's Redis, with its user and password."""
    redis = stack.access.redis
    return redis.url.get_secret_value().replace("://", f"://{redis.user}:{redis.password.get_secret_value()}@")


def settings_on(stack: LocalStack, name: str = "", kafka: Mapping[str, Any] = {}, **changes: Any) -> Settings:
    """Return settings that name a stack, with topics and keys of a name's own, and changes of those of Kafka."""
    name = name or f"test-{uuid.uuid4().hex[:12]}"
    reached = stack.access
    files = reached.redis.model_dump(include={"ca", "certificate", "key"}, exclude_none=True)
    return load_settings(
        kafka=reached.kafka.model_copy(update={"topic_prefix": f"{name}.", **kafka}),
        redis=RedisSettings(url=SecretStr(redis_url(stack)), key_prefix=name, **files),
        **changes,
    )


def environment(settings: Settings) -> dict[str, str]:
    """Return how both servers are reached, as far as settings say it, as the environment gives it."""
    return {
        f"SPILLDECK_{section.upper()}__{name.upper()}": _plain(value)
        for section in ("kafka", "redis")
        for name in sorted(getattr(settings, section).model_fields_set)
        if (value := getattr(getattr(settings, section), name)) is not None
    }


def _plain(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps(value) if isinstance(value, list | bool) else str(value)
