"""Messages in batches that fit into memory, however large they are."""

from collections.abc import Iterable, Iterator
from math import inf
from typing import Protocol, TypeVar

BYTES_AT_ONCE = 16 << 20
"""Of messages that are taken together: some batches of usual spills, or one large message."""


class HasValue(Protocol):
    """A message, wherever it was read."""

    @property
    def value(self) -> bytes:
        """Its bytes."""


_M = TypeVar("_M", bound=HasValue)


def by_bytes(messages: Iterable[_M], most: float = inf) -> Iterator[list[_M]]:
    """Yield messages in their order, at most so many at once as have `BYTES_AT_ONCE`, or one that has more."""
    some: list[_M] = []
    size = 0
    for message in messages:
        if some and (len(some) == most or size + len(message.value) > BYTES_AT_ONCE):
            yield some
            some, size = [], 0
        some.append(message)
        size += len(message.value)
    if some:
        yield some
