"""What a worker has in memory of one partition: how far it is, and its parts of runs, the last ones touched."""

from collections import OrderedDict
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from streams.books.book import Book, Ranges
from streams.books.checkpoint import RunChanges
from streams.books.layout import Place
from streams.books.run import Handling
from streams.books.store import CheckpointStore, DamagedPartError
from streams.books.stored import PartitionState, StoredPart
from streams.transform import Outcome

RUNS_IN_MEMORY = 4
"""Runs a partition: the live one, and some with late spills. Others are loaded again."""
WINDOWS_IN_MEMORY = 4
"""Windows a partition and run."""

Books = MutableMapping[Any, Book]
"""Live books: of runs by (run, partition), of windows by ((run, partition), (start, end)), as in Faust's tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What all partitions of a worker fill, and how."""

    run_books: Books
    window_books: Books
    ranges_of: Callable[[int], Ranges]
    """Gives a run's own ranges of plots."""
    window_s: int
    windows_kept: int
    """See the settings."""
    handling: Callable[[int], Handling]
    """Says of a spill that was produced at a time, Unix milliseconds, how it was handled, now that it is filled."""
    in_thread: Callable[..., Any]
    """Awaitable: calls a function with arguments, so that others may go on meanwhile."""

    def window_of(self, time_us: int) -> int:
        """Return the start of the window of a spill's time, seconds."""
        return time_us // (self.window_s * 1_000_000) * self.window_s


class Parts:
    """The parts of runs that a partition has in memory.

    Parameters
    ----------
    partition
        Its number.
    store
        Where all of them are.
    filling
        The live books.
    """

    def __init__(self, partition: int, store: CheckpointStore, filling: Filling) -> None:
        self._partition = partition
        self._store = store
        self._filling = filling
        self._parts: OrderedDict[int, StoredPart] = OrderedDict()
        self._windows: OrderedDict[tuple[int, int], None] = OrderedDict()

    async def get(self, run: int, state: PartitionState) -> StoredPart:
        """Return the part of a run, empty if the partition has none yet.

        Raises
        ------
        DamagedPartError
            When there is one, and it is not whole.
        """
        if run not in self._parts:
            ranges = self._filling.ranges_of(run)
            found = await self._store.load_part(self._partition, run, ranges)
            if found is None:
                if run not in state.repairs and await self._store.load_place(self._partition, run) is not None:
                    raise DamagedPartError(run, "all of it is gone")
                found = StoredPart(book=Book(ranges), log=state.log)
            elif found.log != state.log:  # its offsets are those of a topic that is gone
                found.log, found.upto = state.log, 0
                for offsets in (found.part.totals.first_raw, found.part.totals.last_raw):
                    offsets.pop(self._partition, None)
            elif run not in state.repairs and found.place is not None and found.place.last >= found.upto:
                raise DamagedPartError(run, "it is older than the list of runs")
            self._parts[run] = found
            self._filling.run_books[run, self._partition] = found.book
        self._parts.move_to_end(run)
        return self._parts[run]

    async def count(self, run: int, outcomes: Sequence[Outcome], state: PartitionState, upto: int) -> "Change":
        """Count messages of a run, in the order of their offsets; those that are in its part already change nothing.

        Parameters
        ----------
        upto
            The first offset that is not in the part then.
        """
        stored = await self.get(run, state)
        new = [outcome for outcome in outcomes if outcome.message.offset >= stored.upto]
        filling = self._filling
        counted = await filling.in_thread(stored.part.count, new, stored.book.ranges, filling.window_of)
        stored.upto = max(stored.upto, upto)
        changes = RunChanges(stored=stored, place=Place.of(stored.part.totals, self._partition, state.log))
        changes.ledger = counted.entries
        changes.handling = {spill: filling.handling(at_ms) for spill, at_ms in counted.produced_ms.items()}
        for start, spills, filled in counted.filled:
            changes.key_numbers |= filled.key_numbers
            await self._add(run, start, spills, filled.book, changes)
        self._expire(run, changes)
        return Change(changes=changes, rejected=counted.rejected)

    async def _add(self, run: int, start: int, spills: int, added: Book, changes: RunChanges) -> None:
        """Add what spills of one window fill to the books of run and window."""
        stored, books, windows = changes.stored, self._filling.run_books, self._filling.window_books
        stored.book += added
        key = self._window_key(run, start)
        if start not in stored.windows:
            window = added
        else:
            if (run, start) not in self._windows:
                windows[key] = await self._store.load_window(self._partition, run, start, stored)
            window = windows[key]
            window += added
        self._windows[run, start] = None
        self._windows.move_to_end((run, start))
        # A table learns of a change by assignment alone.
        books[run, self._partition], windows[key] = stored.book, window
        stored.windows[start] = stored.windows.get(start, 0) + spills
        changes.plots |= {name: stored.book[name] for name in added}
        changes.windows.setdefault(start, {}).update({name: window[name] for name in added})

    def _expire(self, run: int, changes: RunChanges) -> None:
        counts = changes.stored.windows
        for start in sorted(counts)[: -self._filling.windows_kept]:
            del counts[start]
            self._forget_window(run, start)
            changes.windows.pop(start, None)
            changes.expired.append(start)

    def _window_key(self, run: int, start: int) -> tuple[tuple[int, int], tuple[float, float]]:
        return (run, self._partition), (float(start), float(start + self._filling.window_s))

    def _forget_window(self, run: int, start: int) -> None:
        self._windows.pop((run, start), None)
        self._filling.window_books.pop(self._window_key(run, start), None)

    def forget(self, run: int) -> None:
        """Keep nothing of a run in memory."""
        self._parts.pop(run, None)
        self._filling.run_books.pop((run, self._partition), None)
        for window in [w for w in self._windows if w[0] == run]:
            self._forget_window(*window)

    def forget_all(self) -> None:
        """Keep nothing in memory."""
        for run in list(self._parts):
            self.forget(run)

    def evict(self) -> None:
        """Keep in memory only what was touched last; the checkpoint has the rest."""
        while len(self._parts) > RUNS_IN_MEMORY:
            self.forget(next(iter(self._parts)))
        while len(self._windows) > WINDOWS_IN_MEMORY:
            self._forget_window(*next(iter(self._windows)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What messages changed in a part of a run."""

    changes: RunChanges
    rejected: list[Outcome]
    """What is in no histogram; each record says why."""


@dataclass(slots=True, kw_only=True)
class Partition:
    """One partition of a worker. Times are monotonic seconds."""

    number: int
    state: PartitionState
    parts: Parts
    reading: int
    """The offset that is to be read next: what is before it is in the books, or on its way there."""
    awaited: int | None = None
    """The offset that was sought, as nothing is before it."""
    gone_below: int = 0
    """Kafka's low watermark when it was sought."""
    sought_at: float = -inf
    moved_at: float = -inf
    """When a message of it was last taken."""
    behind_since: float | None = None
    """Since when Kafka has messages that are not in the books, as far as was looked after."""

    def with_fence(self, writer: str) -> PartitionState:
        """Return the state with the fence of the checkpoint that is to be written next."""
        return replace(self.state, fence=f"{writer}:{self.state.number + 1}")


Partitions = dict[int, Partition]
"""Those of a worker, by number; one that is not there is to be taken over."""
