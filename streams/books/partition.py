"""What a worker has in memory of one partition: how far it is, and its parts of runs, the last ones touched."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from streams.books.book import Book, Ranges
from streams.books.checkpoint import RunChanges
from streams.books.layout import Place
from streams.books.part_store import DamagedPartError
from streams.books.run import Handling
from streams.books.store import CheckpointStore, DamagedStateError
from streams.books.stored import PartitionState, StoredPart
from streams.books.windows import Window, window_at
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
    compute: Callable[..., Any]
    """Awaitable: calls a function with arguments, so that others may go on meanwhile."""

    def window_of(self, time_us: int) -> int:
        """Return the start of the short window of a spill's time, seconds."""
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
        self._windows: OrderedDict[tuple[int, Window], None] = OrderedDict()

    async def get(self, run: int, state: PartitionState) -> StoredPart:
        """Return the part of a run, empty if the partition has none yet.

        Raises
        ------
        DamagedPartError
            When there is one, and it is not whole.
        """
        if run not in self._parts:
            self._parts[run] = await self._load(run, state)
            self._filling.run_books[run, self._partition] = self._parts[run].book
        self._parts.move_to_end(run)
        return self._parts[run]

    async def _load(self, run: int, state: PartitionState) -> StoredPart:
        ranges, place = self._filling.ranges_of(run), await self._store.load_place(self._partition, run, state.index)
        found = await self._store.parts.load(self._partition, run, ranges)
        if found is None:
            if run not in state.repairs and place is not None:
                raise DamagedPartError(run, "all of it is gone")
            found = StoredPart(book=Book(ranges), log=state.log, is_whole=run not in state.repairs)
        elif found.log != state.log:  # its offsets are those of a topic that is gone
            found.log, found.upto = state.log, 0
            for offsets in (found.part.totals.first_raw, found.part.totals.last_raw):
                offsets.pop(self._partition, None)
        elif run not in state.repairs and not found.is_whole:
            raise DamagedPartError(run, "it was not made again to its end")
        elif run not in state.repairs and found.place is not None and found.place.last + 1 != found.upto:
            raise DamagedPartError(run, "it is not as far as the list of runs says")
        return found

    async def retired(self, run: int, last: int, state: PartitionState) -> RunChanges | None:
        """Return what is written of the part of a run that leaves Redis; None if it is not to leave now.

        Parameters
        ----------
        last
            Its last offset when somebody saw that all of it is in files.
        """
        place = await self._store.load_place(self._partition, run, state.index)
        if place is None or place.retired or run in state.repairs:
            return None
        stored = await self._store.parts.load_totals(self._partition, run, self._filling.ranges_of(run))
        if stored is None or not stored.is_whole or stored.log != place.log or stored.upto != last + 1:
            return None
        stored.retired = True
        return RunChanges(stored=stored, place=replace(place, retired=1))

    async def check(self, run: int, state: PartitionState) -> None:
        """Read all that Redis has of the part of a run.

        Raises
        ------
        DamagedPartError
            When it is not whole.
        """
        stored = await self._load(run, state)
        for window in stored.windows:
            await self._store.parts.load_window(self._partition, run, window, stored)
        await self._store.parts.check_of_spills(self._partition, run)

    async def count(self, run: int, outcomes: Sequence[Outcome], state: PartitionState) -> "Change":
        """Count messages of a run, in the order of their offsets; those that are in its part already change nothing."""
        stored = await self.get(run, state)
        new = [outcome for outcome in outcomes if outcome.message.offset >= stored.upto]
        filling = self._filling
        before = stored.part.totals.duplicates
        counted = await filling.compute(stored.part.count, new, stored.book.ranges, filling.window_of)
        stored.upto = max([stored.upto, *(outcome.message.offset + 1 for outcome in new)])
        changes = RunChanges(stored=stored, place=Place.of(stored.part.totals, self._partition, state.log))
        changes.ledger = counted.entries
        changes.duplicates = stored.part.totals.duplicates - before
        changes.handling = {
            spill: replace(filling.handling(at_ms), produced_ms=at_ms) for spill, at_ms in counted.produced_ms.items()
        }
        await self._join(run, changes)
        for start, spills, filled in counted.filled:
            changes.key_numbers |= filled.key_numbers
            changes.channel_counts |= filled.channel_counts
            stored.book += filled.book
            filling.run_books[run, self._partition] = stored.book
            changes.plots |= {name: stored.book.cells[name] for name in filled.book}
            await self._add(run, self._window_at(start, stored), spills, filled.book, changes)
        return Change(changes=changes, rejected=counted.rejected)

    def _window_at(self, time_s: int, stored: StoredPart) -> Window:
        """Return the window of a time, as the newest spill and the end of the run have it now."""
        totals, filling = stored.part.totals, self._filling
        kept = 1 if totals.ended else filling.windows_kept
        wanted = window_at(time_s, totals.last_us // 1_000_000, window_s=filling.window_s, kept=kept)
        # An earlier version joined two at a time, and had longer ones sooner.
        covering = (each for each in stored.windows if each.start <= wanted.start and wanted.end <= each.end)
        return next(covering, wanted)

    async def _join(self, run: int, changes: RunChanges) -> None:
        """Add windows that are old now to the longer ones that they are parts of."""
        stored = changes.stored
        for window in sorted(stored.windows):
            longer = self._window_at(window.start, stored)
            if longer == window:
                continue
            await self._add(run, longer, stored.windows.pop(window), await self._window(run, window, stored), changes)
            self._forget_window(run, window)
            changes.windows.pop(window, None)
            changes.expired.append(window)

    async def _add(self, run: int, window: Window, spills: int, added: Book, changes: RunChanges) -> None:
        """Add a book of so many spills to that of a window."""
        stored, book = changes.stored, added
        if window in stored.windows:
            book = await self._window(run, window, stored)
            book += added
        self._windows[run, window] = None
        self._windows.move_to_end((run, window))
        # A table learns of a change by assignment alone.
        self._filling.window_books[self._window_key(run, window)] = book
        stored.windows[window] = stored.windows.get(window, 0) + spills
        changes.windows.setdefault(window, {}).update({name: book.cells[name] for name in added})

    async def _window(self, run: int, window: Window, stored: StoredPart) -> Book:
        """Return the book of a window that there is."""
        if (run, window) in self._windows:
            return self._filling.window_books[self._window_key(run, window)]
        return await self._store.parts.load_window(self._partition, run, window, stored)

    def _window_key(self, run: int, window: Window) -> tuple[tuple[int, int], tuple[float, float]]:
        return (run, self._partition), (float(window.start), float(window.end))

    def _forget_window(self, run: int, window: Window) -> None:
        self._windows.pop((run, window), None)
        self._filling.window_books.pop(self._window_key(run, window), None)

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
    writer: str
    """Its checkpoints' fences begin so, and no others."""
    store: CheckpointStore
    state: PartitionState
    parts: Parts
    reading: int
    """The offset that is to be read next: what is before it is in the books, or on its way there."""
    sound: int
    """See the state; it grows whenever the leader is found to be the same."""
    asked_at: float = -inf
    """When Kafka was asked for the leader."""
    awaited: int | None = None
    """The offset that was sought, as nothing is before it."""
    gone_below: int = 0
    """Kafka's low watermark when it was sought."""
    sought_at: float = -inf
    patience_s: float = 0.0
    """How long what was sought last may take: longer each time that it did not come, or a slow line would never bring
    it."""
    moved_at: float = -inf
    """When a message of it was last taken."""
    said_lost: set[int] = field(default_factory=set)
    """Runs of which it was said that they are not whole, and stay so."""
    behind_since: float | None = None
    """Since when Kafka has messages that are not in the books, as far as was looked after."""

    def with_fence(self) -> PartitionState:
        """Return the state with the fence of the checkpoint that is to be written next."""
        return replace(self.state, fence=f"{self.writer}:{self.state.number + 1}", sound=self.sound)

    async def write(self, state: PartitionState, changes: Mapping[int, RunChanges]) -> None:
        """Write a checkpoint that follows the last one; raises as `CheckpointStore.checkpoint` does."""
        self.state = await self.store.checkpoint(self.number, self.state.fence, state, changes)
        self.parts.evict()

    async def is_current(self) -> bool:
        """Say whether Redis still has what was written of it last."""
        try:
            stored = await self.store.load_state(self.number)
        except DamagedStateError:
            return False
        return stored.fence == self.state.fence


class Partitions(dict[int, Partition]):
    """Those of a worker, by number; one that is not there is to be taken over."""

    def drop(self, number: int) -> None:
        """Keep nothing of a partition in memory."""
        known = self.pop(number, None)
        if known is not None:
            known.parts.forget_all()
