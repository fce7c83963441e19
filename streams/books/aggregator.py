"""Reconstructed spills into the books, each exactly once: what to skip, what to fill, when to go back.

The stored checkpoint decides, never Kafka's committed offset: a message at or below the checkpoint's offset is in the
books already; the next one goes on; one beyond it means that Redis has lost data (or that Kafka has a gap), so the
aggregator asks Kafka for the first message that it still has after the checkpoint, and goes back there. The same holds
for ``spills.raw``: what the checkpoint lacks of it, though Kafka has it, is reconstructed again.

Kafka may lose too: a power cut takes the end of a log that was not on the disk yet, and somebody may make a topic anew.
Other messages come then at offsets that were counted. So the checkpoint knows the last messages in the books, and is
set back to the newest one that Kafka still has.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import structlog

from schemas.records import MAX_PAYLOAD_BYTES, NO_RUN, ReconstructedSpill, RejectedSpill, Rejection, RunControl
from schemas.wire import WireError, decode
from streams.books.book import Book
from streams.books.book import Ranges as PlotRanges
from streams.books.layout import Counted, Loss
from streams.books.ranges import Ranges
from streams.books.run import Admission, Handling, RunShare
from streams.books.store import (
    NO_OFFSET,
    CheckpointRefusedError,
    CheckpointStore,
    DamagedCheckpointError,
    PartitionState,
    RunChanges,
)

RUNS_IN_MEMORY = 4
"""Runs a partition, the last ones touched: the live one, and some with late spills. Others are loaded again."""
WINDOWS_IN_MEMORY = 4
"""Windows a partition and run, the last ones touched."""
SEEK_PATIENCE_S = 2.0
"""Wait for messages that Kafka has, or that were sought, before seeking: what was fetched earlier comes first."""
QUIET_S = 0.5
"""What has brought messages so lately needs no look: the next checkpoint tells."""
TAIL = 256
"""Messages by which a checkpoint tells what Kafka has lost: more than come before a log is on the disk."""
LOSSES = 10
"""Of Kafka's, that a checkpoint tells of: the last ones."""
RAW_PATIENCE_S = 10.0
"""Wait for what is missing of spills.raw before going back to it: another worker may still be sending it."""

_log = structlog.get_logger(__name__)

BookKey = tuple[int, int]
"""Run, partition."""
WindowKey = tuple[int, int, int]
"""Run, partition, start of the window in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A message of ``spills.reco``."""

    partition: int
    offset: int
    raw_offset: int | None
    """Offset in ``spills.raw`` of the message that it was made of."""
    produced_ms: int
    """When it was produced, Unix milliseconds."""
    follows: int | None = None
    """Offset of the message before it that is to be taken; None if that is the one just before it."""
    value: bytes = field(repr=False)


@dataclass(slots=True)
class _Partition:
    """What is in memory of one partition."""

    state: PartitionState
    shares: "OrderedDict[int, RunShare]" = field(default_factory=OrderedDict)
    windows: "OrderedDict[tuple[int, int], None]" = field(default_factory=OrderedDict)
    window_spills: dict[int, dict[int, int]] = field(default_factory=dict)
    awaited: int | None = None
    """Offset that was sought."""
    sought_at: float = -inf
    taken_at: float = -inf
    behind_since: float | None = None
    """Since when Kafka has messages that are not in the books, as far as was looked after."""
    raw_missing: int = 0
    """The first offset of ``spills.raw`` that is not in the books."""
    raw_missing_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicAccess:
    """What the aggregator asks of Kafka about one topic, by partition."""

    name: str
    """The one that it has here."""
    seek: Callable[[int, int], Awaitable[None]]
    """Go back or forth to an offset."""
    first_from: Callable[[int, int], Awaitable[tuple[int | None, int]]]
    """Return the first offset at or after one that Kafka has a message for, if any, and its low watermark."""
    still_has: Callable[[int, int, int], Awaitable[bool]]
    """Say whether the message at an offset was produced at a time, Unix ms; or may have been: it is old, and gone."""
    end: Callable[[int], Awaitable[int]]
    """Return the offset that the next message will get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaAccess:
    """What the aggregator asks of Kafka."""

    raw: TopicAccess
    reco: TopicAccess
    reject: Callable[[RejectedSpill], Awaitable[None]]
    """Send to ``spills.rejected``; return when the broker has it."""


class Aggregator:
    """Takes micro-batches, fills the books, writes checkpoints.

    Parameters
    ----------
    store
        The checkpoints.
    kafka
        The topics that the messages come from.
    run_books, window_books
        Where the live books are.
    ranges_of
        Gives a run's own ranges of plots.
    window_s, windows_kept
        See the settings.
    clock
        Monotonic seconds: decides alone when to seek again, never what counts where.
    handling
        Says of a spill that was produced at a time, Unix milliseconds, how it was handled, now that it is filled.
    """

    def __init__(
        self,
        *,
        store: CheckpointStore,
        kafka: KafkaAccess,
        run_books: MutableMapping[BookKey, Book],
        window_books: MutableMapping[WindowKey, Book],
        ranges_of: Callable[[int], PlotRanges],
        window_s: int,
        windows_kept: int,
        clock: Callable[[], float],
        handling: Callable[[int], Handling],
    ) -> None:
        self._store = store
        self._kafka = kafka
        self._run_books = run_books
        self._window_books = window_books
        self._ranges_of = ranges_of
        self._window_us = window_s * 1_000_000
        self._windows_kept = windows_kept
        self._clock = clock
        self._handling = handling
        self._partitions: dict[int, _Partition] = {}
        self._lock = asyncio.Lock()

    async def forget(self, partition: int) -> None:
        """Drop all that is in memory of a partition: it belongs to another worker now."""
        async with self._lock:
            self._drop(partition)

    def _drop(self, partition: int) -> None:
        known = self._partitions.pop(partition, None)
        if known is None:
            return
        for run in known.shares:
            self._run_books.pop((run, partition), None)
        for run, start in known.windows:
            self._window_books.pop((run, partition, start), None)

    async def take(self, messages: Sequence[Incoming]) -> None:
        """Bring a micro-batch into the books. When it returns, the messages may be acknowledged.

        A partition whose checkpoint is refused is dropped; its messages come again after a seek, here or in the
        worker that has it now.
        """
        by_partition: dict[int, list[Incoming]] = {}
        for message in messages:
            by_partition.setdefault(message.partition, []).append(message)
        async with self._lock:
            for partition, theirs in by_partition.items():
                await self._guarded(partition, self._take(partition, theirs))

    async def watch(self, partitions: Sequence[int]) -> None:
        """Look after partitions that are quiet, and after what does not come of ``spills.raw``.

        When Redis lost data, or a sought message does not come, no message may ever tell; so a partition that is
        quiet is compared with Redis, and sent back when Kafka has messages that are not in the books. One that fails
        does not hinder the others; the first failure is raised when all have been looked after.
        """
        failures: list[Exception] = []
        async with self._lock:
            for partition in partitions:
                known = self._partitions.get(partition)
                try:
                    if known is None or self._clock() - known.taken_at > QUIET_S:
                        await self._guarded(partition, self._look_after(partition))
                    if partition in self._partitions:
                        await self._guarded(partition, self._look_after_raw(partition, self._partitions[partition]))
                except Exception as failure:  # noqa: BLE001 - raised below
                    failures.append(failure)
        if failures:
            raise failures[0]

    async def _guarded(self, partition: int, step: Awaitable[None]) -> None:
        """Run a step; whatever stops it, keep nothing half-done in memory."""
        try:
            await step
        except CheckpointRefusedError as refusal:
            _log.warning("checkpoint refused: dropping this worker's copy", partition=partition, why=str(refusal))
            self._drop(partition)
        except DamagedCheckpointError as damage:
            _log.error("Redis holds what nobody wrote: rebuilding from Kafka", partition=partition, why=str(damage))
            self._drop(partition)
            await self._store.remove(partition)
        except BaseException:
            self._drop(partition)
            raise

    async def _take_over(self, partition: int, stored: PartitionState) -> _Partition:
        """Go on with what Redis has of a partition, set back to what Kafka still has of what was counted."""
        state = await self._as_kafka_has_it(partition, stored)
        if state is not stored:
            await self._store.checkpoint(partition, stored.offset, state, {})
        known = self._partitions[partition] = _Partition(state)
        return known

    async def _as_kafka_has_it(self, partition: int, state: PartitionState) -> PartitionState:
        reco, raw = self._kafka.reco, self._kafka.raw
        made_of = sorted((c.raw_offset, c.produced_ms) for c in state.tail if c.raw_offset is not None)
        last_raw = await _still_there(raw, partition, made_of)
        if made_of and last_raw < made_of[-1][0]:
            tail = tuple(c if (c.raw_offset or 0) <= last_raw else c._replace(raw_offset=None) for c in state.tail)
            state = replace(state, raw=state.raw.below(last_raw + 1), tail=tail)
            what = (
                f"{raw.name} lost its messages from {last_raw + 1} on, which were counted, and maybe others behind them"
            )
            state = self._with_loss(partition, state, what)
        last = await _still_there(reco, partition, [(c.offset, c.produced_ms) for c in state.tail])
        if last < state.offset:
            # Nothing lacks: spills.raw has what others there were.
            _log.error("spills.reco lost what was counted", partition=partition, first=last + 1)
            state = replace(state, offset=last, tail=tuple(c for c in state.tail if c.offset <= last))
        return state

    def _with_loss(self, partition: int, state: PartitionState, what: str) -> PartitionState:
        _log.error("Kafka no longer has what is needed", partition=partition, what=what)
        return replace(state, lost=(*state.lost, Loss(int(time.time()), what))[-LOSSES:])

    async def _look_after(self, partition: int) -> None:
        stored, now = await self._store.load_state(partition), self._clock()
        known = self._partitions.get(partition)
        if known is not None and known.state.offset != stored.offset:
            _log.warning("Redis has another state", partition=partition, here=known.state.offset, there=stored.offset)
            self._drop(partition)
            known = None
        if known is None:
            known = await self._take_over(partition, stored)
            known.behind_since = -inf  # what is lacking now has been sent before, and does not come by itself
        end = await self._kafka.reco.end(partition)
        if known.state.offset + 1 > end:
            self._drop(partition)  # Kafka lost the last of it: the next look sets it back
        elif known.state.offset + 1 == end:
            known.behind_since = None
        elif known.behind_since is None:
            known.behind_since = now
        elif now - max(known.taken_at, known.sought_at, known.behind_since) >= SEEK_PATIENCE_S:
            await self._go_back(partition, known)

    async def _look_after_raw(self, partition: int, known: _Partition) -> None:
        """Go back to a message of ``spills.raw`` that is not in the books, though it had its time.

        Faust acknowledges what it passes over while partitions move, and may pass over what was sought.
        """
        missing, now = known.state.raw.first_missing(), self._clock()
        if known.raw_missing_since is None or missing != known.raw_missing:
            known.raw_missing, known.raw_missing_since = missing, now
        if now - known.raw_missing_since < RAW_PATIENCE_S:
            return
        known.raw_missing_since = now
        end = await self._kafka.raw.end(partition)
        if known.state.raw.end > end:  # Kafka lost the last of it, or somebody wrote of offsets that never were
            self._drop(partition)
            known = await self._take_over(partition, await self._store.load_state(partition))
            missing = known.state.raw.first_missing()
        if missing >= end:
            return
        first, low = await self._kafka.raw.first_from(partition, missing)
        while first is not None and (stop := known.state.raw.stop_of(first)) is not None:
            first, low = await self._kafka.raw.first_from(partition, stop)
        reached = end if first is None else first
        if reached > missing:
            await self._do_without(partition, known, reached, low)
        if first is not None:
            _log.warning("spills.raw has what was not reconstructed: going back", partition=partition, to=first)
            await self._kafka.raw.seek(partition, first)

    async def _do_without(self, partition: int, known: _Partition, reached: int, low: int) -> None:
        """Wait no longer for what is not in the books of ``spills.raw`` before an offset: Kafka has none of it.

        What is below its low watermark was there; other offsets had no message.
        """
        state = replace(known.state, raw=known.state.raw.filled_below(reached))
        for start, stop in known.state.raw.gaps_below(min(reached, low)):
            state = self._with_loss(
                partition, state, f"messages {start} to {stop - 1} of {self._kafka.raw.name} were gone when needed"
            )
        await self._store.checkpoint(partition, state.offset, state, {})
        known.state = state

    async def _go_back(self, partition: int, known: _Partition) -> None:
        """Seek to the first message after the checkpoint that Kafka still has."""
        wanted = known.state.offset + 1
        first, low = await self._kafka.reco.first_from(partition, wanted)
        if low > wanted:  # what spills.raw has of it is reconstructed again; what that lacks too is said then
            _log.warning("spills.reco no longer has what is needed", partition=partition, first=wanted, last=low - 1)
        known.awaited, known.sought_at = first, self._clock()
        if first is not None:
            _log.info("going back", partition=partition, to=first, checkpoint=known.state.offset)
            await self._kafka.reco.seek(partition, first)

    async def _take(self, partition: int, messages: Sequence[Incoming]) -> None:
        known = self._partitions.get(partition)
        if known is None:
            known = await self._take_over(partition, await self._store.load_state(partition))
        known.taken_at, known.behind_since = self._clock(), None
        fresh: list[Incoming] = []
        beyond = False
        last = known.state.offset
        for message in messages:
            follows = message.offset - 1 if message.follows is None else message.follows
            if follows == last or (message.offset == known.awaited and not fresh):
                fresh.append(message)
                last, known.awaited = message.offset, None
            else:
                beyond |= message.offset > last + 1
        if fresh:
            await self._bring_in(partition, known, fresh)
        # What was fetched before a seek still arrives after it, so seek again only when the sought one does not come.
        elif beyond and (known.awaited is None or self._clock() - known.sought_at > SEEK_PATIENCE_S):
            await self._go_back(partition, known)

    async def _bring_in(self, partition: int, known: _Partition, fresh: Sequence[Incoming]) -> None:
        """Fill the next messages of a partition, and write the checkpoint."""
        raw, tail = Ranges(known.state.raw), list(known.state.tail)
        changes: dict[int, RunChanges] = {}
        to_fill: dict[tuple[int, int], list[ReconstructedSpill]] = {}
        produced_ms: dict[tuple[int, int], int] = {}
        for message in fresh:
            record, raw_offset = await self._decode(message)
            tail.append(Counted(message.offset, raw_offset, message.produced_ms))
            share = await self._share(partition, known, record.run)
            # Reconstructed a second time after a restart: it was counted then. The offset alone does not tell, since
            # whoever writes another message may claim the offset of a spill that is still to come.
            if raw_offset is not None and not raw.add(raw_offset) and share.knows(record):
                continue
            share.totals.note_origin(record, partition, raw_offset, message.produced_ms)
            change = changes.setdefault(record.run, RunChanges(totals=share.totals))
            if isinstance(record, RunControl):
                share.hear(record)
                continue
            admission = share.admit(record)
            if admission is Admission.CONFLICT:
                place = f"its raw bytes are at offset {message.raw_offset} of the same partition of spills.raw"
                reason = f"this spill came before with other bytes, which count; {place}"
                await self._reject(message, record, "conflict", reason)
            elif admission is Admission.FILL:
                change.ledger[record.spill] = share.ledger[record.spill]
                start = record.time_us // self._window_us * (self._window_us // 1_000_000)
                to_fill.setdefault((record.run, start), []).append(record)
                produced_ms[record.run, record.spill] = message.produced_ms
        for (run, start), spills in to_fill.items():
            await self._fill(partition, known, run, start, spills, changes[run])
        for (run, spill), at_ms in produced_ms.items():
            changes[run].handling[spill] = self._handling(at_ms)
        state = PartitionState(
            offset=fresh[-1].offset,
            raw=raw,
            tail=tuple(tail[-TAIL:]),
            lost=known.state.lost,
            produced_ms=max(known.state.produced_ms, *(m.produced_ms for m in fresh)),
        )
        await self._store.checkpoint(partition, known.state.offset, state, changes)
        known.state = state
        self._evict(partition, known)

    async def _decode(self, message: Incoming) -> tuple[ReconstructedSpill | RunControl, int | None]:
        """Return the record in a message, and the offset of the raw spill that it was made of.

        If there is none: a rejected spill of no run, made of nothing. Ours can be read, so it is somebody else's.
        """
        try:
            record = decode(message.value)
            if isinstance(record, ReconstructedSpill | RunControl):
                return record, message.raw_offset
            problem = f"a {type(record).__name__} has no place in this topic"
        except WireError as error:
            problem = str(error)
        rejected = ReconstructedSpill(
            run=NO_RUN,
            spill=NO_RUN,
            time_us=0,
            triggers=0,
            events=0,
            size=len(message.value),
            digest=bytes(8),
            code="",
            conditions="",
            rejection=Rejection(step="envelope", reason=problem),
        )
        await self._reject(message, rejected, "envelope", problem)
        return rejected, None

    async def _reject(self, message: Incoming, spill: ReconstructedSpill, step: str, reason: str) -> None:
        await self._kafka.reject(
            RejectedSpill(
                run=spill.run,
                spill=spill.spill,
                step=step,
                reason=reason,
                source="",
                byte=0,
                topic=self._kafka.reco.name,
                partition=message.partition,
                offset=message.offset,
                payload=message.value[:MAX_PAYLOAD_BYTES],
            )
        )

    async def _share(self, partition: int, known: _Partition, run: int) -> RunShare:
        if run not in known.shares:
            known.shares[run] = await self._store.load_run(partition, run)
            ranges = self._ranges_of(run)
            self._run_books[run, partition] = await self._store.load_book(partition, run, ranges)
            known.window_spills[run] = await self._store.load_window_spills(partition, run)
        known.shares.move_to_end(run)
        return known.shares[run]

    async def _fill(
        self,
        partition: int,
        known: _Partition,
        run: int,
        start: int,
        spills: Sequence[ReconstructedSpill],
        change: RunChanges,
    ) -> None:
        """Fill the spills of one run and window once, and add that to the book of each."""
        ranges = self._ranges_of(run)
        filled = await asyncio.to_thread(known.shares[run].fill, spills, ranges)
        added = filled.book
        change.key_numbers |= filled.key_numbers
        run_key, window_key, counts = (run, partition), (run, partition, start), known.window_spills[run]
        book = self._run_books[run_key]
        book += added
        if start not in counts:
            window = added
        else:
            if (run, start) not in known.windows:
                self._window_books[window_key] = await self._store.load_window(partition, run, start, ranges)
            window = self._window_books[window_key]
            window += added
        known.windows[run, start] = None
        known.windows.move_to_end((run, start))
        # A table learns of a change by assignment alone.
        self._run_books[run_key], self._window_books[window_key] = book, window
        change.plots |= {name: book[name] for name in added}
        change.windows.setdefault(start, {}).update({name: window[name] for name in added})
        counts[start] = counts.get(start, 0) + len(spills)
        change.window_spills[start] = counts[start]
        self._expire_windows(partition, known, run, change)

    def _expire_windows(self, partition: int, known: _Partition, run: int, change: RunChanges) -> None:
        counts = known.window_spills[run]
        for start in sorted(counts)[: -self._windows_kept]:
            del counts[start]
            known.windows.pop((run, start), None)
            self._window_books.pop((run, partition, start), None)
            change.windows.pop(start, None)
            change.window_spills.pop(start, None)
            change.expired.append(start)

    def _evict(self, partition: int, known: _Partition) -> None:
        """Keep in memory only what was touched last; the checkpoint has the rest."""
        while len(known.shares) > RUNS_IN_MEMORY:
            run, _ = known.shares.popitem(last=False)
            self._run_books.pop((run, partition), None)
            del known.window_spills[run]
            for window in [w for w in known.windows if w[0] == run]:
                del known.windows[window]
                self._window_books.pop((run, partition, window[1]), None)
        while len(known.windows) > WINDOWS_IN_MEMORY:
            (run, start), _ = known.windows.popitem(last=False)
            self._window_books.pop((run, partition, start), None)


async def _still_there(topic: TopicAccess, partition: int, counted: Sequence[tuple[int, int]]) -> int:
    """Return the last of these offsets whose message Kafka still has, of that time; `NO_OFFSET` if it has none."""
    for offset, produced_ms in reversed(counted):
        if await topic.still_has(partition, offset, produced_ms):
            return offset
    return NO_OFFSET
