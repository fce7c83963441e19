"""Which messages of spills.raw are taken, in the order of their offsets; when to go back, and when nothing comes.

What arrives need not be what comes next: Kafka's committed offset may be older or newer than the checkpoint, Faust
hands out after a seek what it fetched before, and passes over messages while partitions move.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from math import inf

import structlog

from streams.books.counter import Counter
from streams.books.kafka_log import KafkaLog
from streams.books.part_store import DamagedPartError
from streams.books.partition import Partition, Partitions
from streams.books.store import CheckpointStore
from streams.transform import Message

SEEK_PATIENCE_S = 2.0
"""Wait for messages that Kafka has, or that were sought, before seeking: what was fetched earlier comes first. Twice as
long after each time in vain, up to `LOST_S`."""
LOST_S = 30.0
"""What is on its way into the books comes within it, or is lost: Faust empties its queues when partitions move."""
LEADER_S = 5.0
"""Kafka is asked for a partition's leader again after it."""
QUIET_S = 0.5
"""What has brought messages so lately needs no look: the next checkpoint tells."""
AUDITED, AUDIT_S = 20, 5.0
"""So many runs of a partition are looked at together for keys that are gone, so often."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message as Kafka's client gave it."""

    partition: int
    offset: int
    produced_ms: int
    value: bytes = field(repr=False)


class Reading:
    """Decides which messages are taken, and looks after partitions of which none come.

    Parameters
    ----------
    counter
        Takes over partitions, and counts.
    kafka
        Where the messages come from.
    store
        The checkpoints.
    partitions
        Those that this worker has, shared with the counter.
    clock
        Monotonic seconds: decides alone when to seek again, never what counts where.
    """

    def __init__(
        self,
        *,
        counter: Counter,
        kafka: KafkaLog,
        store: CheckpointStore,
        partitions: Partitions,
        clock: Callable[[], float],
    ) -> None:
        self._counter = counter
        self._kafka = kafka
        self._store = store
        self._partitions = partitions
        self._clock = clock
        self._audited: dict[int, list[int]] = {}
        """Partition → the runs that are still to be looked at."""
        self._audited_at: dict[int, float] = {}

    async def accept(self, arrived: Sequence[Arrived]) -> list[Message]:
        """Return those of some messages that are the next ones of their partitions.

        When it raises, none was taken, and it may be asked again.
        """
        accepted: list[tuple[Partition, Message]] = []
        try:
            for one in arrived:
                known = self._partitions.get(one.partition)
                if known is None:
                    known = await self._counter.begin(one.partition)
                    if one.offset != known.reading:
                        await self._go(known)
                if (message := await self._next(known, one)) is not None:
                    accepted.append((known, message))
        except BaseException:
            for known, message in reversed(accepted):
                known.reading = message.start
            raise
        return [message for _, message in accepted]

    async def _next(self, known: Partition, one: Arrived) -> Message | None:
        """Return a message if it is the next one of its partition."""
        gone_below = 0
        if one.offset == known.awaited:
            gone_below = known.gone_below
        elif one.offset > known.reading:
            # What was fetched before a seek still arrives after it, so seek again only when the sought one does not.
            if known.awaited is not None and self._clock() - known.sought_at <= known.patience_s:
                return None
            await self._find(known)
            if known.awaited != one.offset:
                await self._seek(known)
                return None
            gone_below = known.gone_below  # there is nothing between
        elif one.offset < known.reading:
            return None
        start, known.reading, known.awaited = known.reading, one.offset + 1, None
        known.moved_at, known.behind_since, known.patience_s = self._clock(), None, 0.0
        return Message(
            partition=one.partition,
            offset=one.offset,
            start=start,
            gone_below=gone_below,
            produced_ms=one.produced_ms,
            value=one.value,
        )

    async def _go(self, known: Partition) -> None:
        """Go to the first message that Kafka has from what is to be read next on."""
        await self._find(known)
        await self._seek(known)

    async def _find(self, known: Partition) -> None:
        """Find the first message that Kafka has from what is to be read next on."""
        known.sought_at = self._clock()
        known.awaited, known.gone_below = await self._kafka.first_from(known.number, known.reading)

    async def _seek(self, known: Partition) -> None:
        # Also where nothing is yet: else all that was counted would be fetched again by a group whose offsets are lost.
        to = known.awaited if known.awaited is not None else max(known.reading, known.gone_below)
        known.patience_s = min(max(SEEK_PATIENCE_S, 2 * known.patience_s), LOST_S)
        _log.info("going to what is next", partition=known.number, to=to)
        await self._kafka.seek(known.number, to)

    async def forget_others(self, ours: Callable[[], Collection[int]]) -> None:
        """Keep nothing in memory of partitions that are others' by now."""
        await self._counter.forget_others(ours)

    async def look_after(self, number: int) -> bool:
        """Look after a partition, and return whether all that Kafka has of it is in the books, or on its way.

        When Redis lost data, or a sought message does not come, no message may ever tell: so a partition that is quiet
        is compared with Redis and with Kafka. The parts of its runs are looked at in any case.
        """
        found, now = self._partitions.get(number), self._clock()
        known = found
        if known is not None and not await self._has_its_leader(known, now):
            known = None
        if known is not None and now - known.moved_at < QUIET_S:
            await self._audit(known)
            return True
        if known is not None and not await self._is_as_left(known):
            known = None
        if known is None:
            known = await self._counter.begin(number, instead_of=found)
            await self._go(known)  # what is lacking now has been sent before, and does not come by itself
        await self._audit(known)
        if self._partitions.get(number) is not known:
            return False
        _, end = await self._kafka.span(number)
        if known.state.next >= end:
            known.behind_since = None
            return True
        if known.behind_since is None:
            known.behind_since = now
        patience = LOST_S if known.reading > known.state.next else max(SEEK_PATIENCE_S, known.patience_s)
        if now - max(known.moved_at, known.sought_at, known.behind_since) >= patience:
            await self._go_on(known, end)
        return False

    async def _has_its_leader(self, known: Partition, now: float) -> bool:
        """Say whether a partition still has its leader; asked for now and then."""
        if now - known.asked_at < LEADER_S:
            return True
        is_same = await self._counter.has_its_leader(known)
        known.asked_at = now
        return is_same

    async def _is_as_left(self, known: Partition) -> bool:
        """Say whether Redis and Kafka still have what a partition was when it was written last."""
        counted = known.state.next  # it may count more while Kafka is asked
        _, end = await self._kafka.span(known.number)
        if counted > end or known.state.log != await self._kafka.id():
            _log.warning("Kafka has another log, or a shorter one", partition=known.number)
            return False
        if not await self._counter.is_current(known):
            _log.warning("Redis has another state", partition=known.number, here=known.state.fence)
            return False
        return True

    async def _go_on(self, known: Partition, end: int) -> None:
        """Have what Kafka has come again, or go on where it has nothing."""
        first, low = await self._kafka.first_from(known.number, known.state.next)
        if first is None:
            await self._counter.advance(known, end, low)
            return
        known.reading = known.state.next
        await self._go(known)

    async def _audit(self, known: Partition) -> None:
        """Look whether the parts of some runs are whole in Redis, and of those that somebody could not read."""
        if self._clock() - self._audited_at.get(known.number, -inf) < AUDIT_S:
            return
        self._audited_at[known.number] = self._clock()
        await self._store.begin(known.number)  # what says that there is this partition may be gone, too
        left = self._audited.setdefault(known.number, [])
        if not left:
            left += await self._counter.runs(known)  # the newest are looked at first
        runs = [left.pop() for _ in range(min(AUDITED, len(left)))]
        damaged = await self._store.parts.damaged(known.number, runs)
        damaged |= dict.fromkeys(await self._store.asked_for(known.number), "somebody could not read it")
        for run, why in damaged.items():
            if run not in known.state.repairs and self._partitions.get(known.number) is known:
                await self._counter.make_again(known, DamagedPartError(run, why))
        for run, last in await self._store.to_retire(known.number):
            await self._counter.retire(known, run, last)
