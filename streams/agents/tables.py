"""Faust tables of live books that Redis and the source topic stand behind, in place of a changelog."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import faust
from faust.stores.memory import Store as MemoryStore
from faust.types import TP

from streams.books.aggregator import BookKey, WindowKey
from streams.books.book import Book

OnRebalance = Callable[[TP], Awaitable[None]]
"""Told of each partition, of any topic, that comes or goes."""


class _LiveStore(MemoryStore):
    """Keeps the objects in memory. What a partition held is dropped when it comes or goes."""

    async def on_rebalance(
        self,
        assigned: set[TP],  # noqa: ARG002 - the signature is Faust's
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        """Drop the partitions that are no longer ours, or newly so: Redis has what is true of them now."""
        for tp in revoked | newly_assigned:
            await self.table.forget(tp)


class BookTable(faust.Table):
    """A Faust table whose values are live books.

    It writes nothing to its changelog topic: the values are large and change with every micro-batch, and Redis and
    the source topic hold all that a changelog would.
    """

    forget: OnRebalance
    """Set by who fills the table."""

    def _new_store(self) -> MemoryStore:
        return _LiveStore("memory://", self.app, self, table_name=self.name, loop=self.loop)

    def on_key_set(self, key: Any, value: Any) -> None:
        """Count the change for the sensors, and write no changelog."""
        self._sensor_on_set(self, key, value)

    def on_key_del(self, key: Any) -> None:
        """Count the change for the sensors, and write no changelog."""
        self._sensor_on_del(self, key)


class RunBooks(MutableMapping[BookKey, Book]):
    """The table of run books, by run and partition."""

    def __init__(self, table: BookTable) -> None:
        self._table = table

    def __getitem__(self, key: BookKey) -> Book:
        book: Book = self._table.data[key]
        return book

    def __setitem__(self, key: BookKey, book: Book) -> None:
        self._table[key] = book

    def __delitem__(self, key: BookKey) -> None:
        del self._table[key]

    def __iter__(self) -> Iterator[BookKey]:
        return iter(list(self._table.data))

    def __len__(self) -> int:
        return len(self._table.data)


class WindowBooks(MutableMapping[WindowKey, Book]):
    """The windowed table, by run, partition and start of the window in the spills' own time.

    Faust finds the window of a value by the wall clock or the message's; ours is found by the spill's, so the window
    is named in the key, in Faust's own form: ``((run, partition), (start, end))``.
    """

    def __init__(self, table: BookTable) -> None:
        self._table = table

    def _key(self, key: WindowKey) -> tuple[BookKey, tuple[float, float]]:
        run, partition, start = key
        (window,) = self._table.window.ranges(float(start))
        return (run, partition), window

    def __getitem__(self, key: WindowKey) -> Book:
        book: Book = self._table.data[self._key(key)]
        return book

    def __setitem__(self, key: WindowKey, book: Book) -> None:
        self._table[self._key(key)] = book

    def __delitem__(self, key: WindowKey) -> None:
        del self._table[self._key(key)]

    def __iter__(self) -> Iterator[WindowKey]:
        return iter([(run, partition, int(window[0])) for (run, partition), window in self._table.data])

    def __len__(self) -> int:
        return len(self._table.data)
