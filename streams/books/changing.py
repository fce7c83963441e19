"""A hash in Redis that is looked at again and again: it is read whole only after somebody has changed it."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from redis import Redis
from redis.exceptions import ResponseError

from streams.books.connect import is_other_type

_STAMP = ""
"""The field that is another after each change: nothing else has such a name."""

T = TypeVar("T")


class ChangingHash(Generic[T]):
    """A hash, and what it was read as when it had changed last.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    key
        The hash's name.
    unpack
        Makes of its fields what is wanted.
    """

    def __init__(self, redis: Redis, key: str, unpack: Callable[[Mapping[bytes, bytes]], T]) -> None:
        self._redis = redis
        self._key = key
        self._unpack = unpack
        self._stamp: bytes | None = None
        self._value: T | None = None

    def read(self) -> T:
        """Return what it holds; the same object again if nothing has changed. A key of another type holds nothing."""
        try:
            return self._read()
        except ResponseError as error:
            if not is_other_type(error):
                raise
            return self._unpack({})

    def _read(self) -> T:
        stamp = cast("bytes | None", self._redis.hget(self._key, _STAMP))
        if self._value is None or stamp is None or stamp != self._stamp:
            stored = cast("dict[bytes, bytes]", self._redis.hgetall(self._key))
            stamp = stored.pop(_STAMP.encode(), None)
            self._value, self._stamp = self._unpack(stored), stamp
        return self._value

    def set(self, values: Mapping[str, str]) -> None:
        """Set some fields."""
        fields: dict[Any, Any] = {**values, _STAMP: uuid.uuid4().hex}
        try:
            self._redis.hset(self._key, mapping=fields)
        except ResponseError as error:
            if not is_other_type(error):
                raise
            self._redis.delete(self._key)  # nobody misses what it holds
            self._redis.hset(self._key, mapping=fields)

    def remove(self, field: str) -> bool:
        """Remove a field; return whether it was there."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.hdel(self._key, field)
        pipe.hset(self._key, _STAMP, uuid.uuid4().hex)
        return bool(pipe.execute()[0])
