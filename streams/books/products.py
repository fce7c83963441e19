"""Which files were written of each run, beside the books in Redis."""

import json
from collections.abc import Sequence
from typing import cast

from redis import Redis


class Products:
    """The files' names.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    prefix, session
        Part of the key's name.
    """

    def __init__(self, redis: Redis, prefix: str, session: str) -> None:
        self._redis = redis
        self.key = f"{prefix}:{session}:products"
        """Name of the hash, run → names."""

    def all(self) -> dict[int, list[str]]:
        """Return the files of each run of which somebody has tried to write some."""
        stored = cast("dict[bytes, bytes]", self._redis.hgetall(self.key))
        return {int(run): json.loads(names) for run, names in stored.items()}

    def note(self, run: int, names: Sequence[str]) -> None:
        """Note the files of a run in place of those that it had."""
        self._redis.hset(self.key, str(run), json.dumps([*names]))
