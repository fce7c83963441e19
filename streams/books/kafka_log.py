"""What Kafka has of spills.raw, held against what the books say that it had: it may lose, too.

A power cut takes the end of a log that was not on the disk yet, and somebody may make a topic anew: other messages come
then at offsets that were counted. Retention may take what nobody has counted yet.
"""

from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass, field, replace

import structlog

from schemas.records import RejectedSpill
from streams.books.layout import Loss
from streams.books.stored import PartitionState

TAIL = 256
"""Messages by which a checkpoint tells what Kafka has lost: more than come before a log is on the disk."""
LOSSES = 10
"""Of Kafka's, that a checkpoint tells of: the last ones."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the topic of runs knows of where runs begin in a partition."""

    runs: Mapping[int, int] = field(default_factory=dict)
    """Run → its first offset."""
    below: int = 0
    """All runs that begin before this offset are among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaLog:
    """What is asked of Kafka about ``spills.raw``, by partition."""

    name: str
    """The topic's."""
    id: Callable[[], Awaitable[str]]
    """Return the topic's id: one that is made anew has another."""
    epoch: Callable[[int], Awaitable[int]]
    """Return the number of a partition's leader, which grows when another takes over, or the same comes back: what one
    leader has is there as long as it is the leader."""
    span: Callable[[int], Awaitable[tuple[int, int]]]
    """Return the low watermark, and the offset that the next message will get."""
    first_from: Callable[[int, int], Awaitable[tuple[int | None, int]]]
    """Return the first offset at or after one that Kafka has a message for, if any, and the low watermark."""
    still_has: Callable[[int, int, int], Awaitable[bool]]
    """Say whether the message at an offset was produced at a time, Unix ms; or may have been: it is old, and gone."""
    seek: Callable[[int, int], Awaitable[None]]
    """Have the messages come from an offset on."""
    known: Callable[[int], Awaitable[Known]]
    """Return where runs begin."""
    reject: Callable[[RejectedSpill], Awaitable[None]]
    """Send to ``spills.rejected``; return when the broker has it."""
    now_s: Callable[[], float]
    """Seconds since 1970 UTC: when a loss was found."""

    def with_loss(self, partition: int, state: PartitionState, what: str) -> PartitionState:
        """Return a state that tells of what Kafka no longer had when it was needed, once."""
        if any(loss.what == what for loss in state.lost):
            return state
        _log.error("Kafka no longer has what is needed", partition=partition, what=what)
        return replace(state, lost=(*state.lost, Loss(int(self.now_s()), what))[-LOSSES:])

    def with_hole(self, partition: int, state: PartitionState, start: int, stop: int) -> PartitionState:
        """Return a state that tells of messages that are passed over, as Kafka no longer had them."""
        return self.with_loss(partition, state, f"messages {start} to {stop - 1} of {self.name} were gone when needed")

    async def with_all_runs(self, partition: int, state: PartitionState, listed: Container[int]) -> PartitionState:
        """Return a state that has all runs made again which are not in the list of runs, though they were counted.

        The topic of runs knows where they begin; what came since it was written comes again, and changes nothing where
        it is in a part.
        """
        known = await self.known(partition)
        low, _ = await self.span(partition)
        at = min(state.next, max(low, known.below))
        tail = tuple(counted for counted in state.tail if counted.offset < at)
        state = replace(state, next=at, sound=min(state.sound, at), tail=tail)
        repairs = dict(state.repairs)
        for run, first in known.runs.items():
            if run in listed or first >= at:
                continue
            repairs.setdefault(run, max(low, first))
            if first < low:
                what = f"messages {first} to {low - 1} of {self.name} were gone when run {run} needed them"
                state = self.with_loss(partition, state, what)
        return replace(state, repairs=repairs)

    async def held_against(self, partition: int, state: PartitionState) -> PartitionState:
        """Return a state set back to what Kafka still has of what was counted; the same if it has all."""
        log, epoch = await self.id(), await self.epoch(partition)
        low, end = await self.span(partition)
        if state.log and state.log != log:
            state = replace(state, next=low, tail=(), repairs={}, log=log, epoch=epoch, sound=low)
            return self.with_loss(
                partition, state, f"{self.name} was made anew: what it held before is gone from Kafka"
            )
        kept = state.next if epoch == state.epoch else await self._still_there(partition, state)
        if kept > end and not state.tail:
            kept = low  # others may be in place of any that was counted, and nothing tells
        kept = max(low, min(kept, end))
        state = replace(state, log=log, epoch=epoch)
        if kept < state.next:
            what = f"{self.name} lost its messages from {kept} on, which were counted, and maybe others behind them"
            tail = tuple(counted for counted in state.tail if counted.offset < kept)
            state = self.with_loss(partition, replace(state, next=kept, tail=tail), what)
        return replace(state, sound=state.next)

    async def _still_there(self, partition: int, state: PartitionState) -> int:
        """Return the first offset of what was counted that Kafka no longer has, or has something else at.

        What was counted under another leader may be replaced, and others behind it be those that were counted.
        """
        kept, is_behind_lost = state.next, False
        for counted in reversed(state.tail):
            if not await self.still_has(partition, *counted):
                kept, is_behind_lost = counted.offset, True
                continue
            if is_behind_lost:  # between both there was no message: there may be one now
                kept, is_behind_lost = counted.offset + 1, False
            if counted.offset < state.sound:
                return kept
        if any(counted.offset < state.sound for counted in state.tail):
            return 0  # it has none of those
        if state.tail and kept == state.tail[0].offset:
            return 0  # it has none at all, and nothing tells how much more: the books may have begun with the oldest
        return kept if len(state.tail) < TAIL else min(kept, state.sound)
