"""Messages of spills.raw into the books, each exactly once: they are counted, and a checkpoint is written with that.

The stored checkpoint decides, never Kafka's committed offset. It says which message of a partition comes next, and is
written together with what the messages before it have changed; each names the one that it follows. So a worker that
lost its partition, or that went on while Redis lost data, is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace

import structlog

from schemas.records import ReconstructedSpill
from streams.books import layout
from streams.books.kafka_log import TAIL, KafkaLog
from streams.books.mending import Mending
from streams.books.part_store import DamagedPartError
from streams.books.partition import Change, Filling, Partition, Partitions
from streams.books.store import CheckpointRefusedError, CheckpointStore, DamagedIndexError
from streams.books.takeover import Takeover
from streams.transform import Outcome

_log = structlog.get_logger(__name__)


class Counter:
    """Counts batches of messages, and writes checkpoints. Who changes a partition does it here, one after another.

    Parameters
    ----------
    store
        The checkpoints.
    kafka
        Where the messages come from.
    partitions
        Those that this worker has, shared with who reads; one whose checkpoint is refused is taken out.
    filling
        The live books.
    writer
        Another for each worker, each time that it starts.
    """

    def __init__(
        self, *, store: CheckpointStore, kafka: KafkaLog, partitions: Partitions, filling: Filling, writer: str
    ) -> None:
        self._store = store
        self._kafka = kafka
        self._partitions = partitions
        self._takeover = Takeover(store=store, kafka=kafka, filling=filling, writer=writer)
        self._mending = Mending(store, kafka, partitions, filling.ranges_of)
        self._lock = asyncio.Lock()
        self._failed: dict[int, Partition] = {}
        """Partitions of which messages could not be taken, and are given again: as they were then."""

    async def begin(self, number: int, *, instead_of: Partition | None = None) -> Partition:
        """Take over a partition.

        Parameters
        ----------
        instead_of
            What the caller found, and does not go on with; None where there was nothing. What another caller took over
            meanwhile is returned as it is: messages of it are on their way already.
        """
        async with self._lock:
            known = self._partitions.get(number)
            if known is None or known is instead_of:
                self._partitions.drop(number)
                known = self._partitions[number] = await self._takeover.of(number)
                self._failed.pop(number, None)
            return known

    async def runs(self, known: Partition) -> list[int]:
        """Return the runs of a partition, the newest last; a list of them that is not whole is made again."""
        async with self._lock:
            places, stamp = await self._store.load_places(known.number)
            if known.state.index and stamp != known.state.index:
                await self._mending.list_again(known, "it is not as it was left")
                return []
            return sorted(places, key=lambda run: places[run].first)

    async def forget_all(self) -> None:
        """Drop all that is in memory: partitions have moved, and Redis has what is true of those that are ours now."""
        await self.forget_others(tuple)

    async def forget_others(self, ours: Callable[[], Collection[int]]) -> None:
        """Drop what is in memory of partitions that are others' by now.

        Whoever was about to take one over while it moved did so after all was forgotten, and nothing more of it comes.
        """
        async with self._lock:
            others = (self._partitions.keys() | self._failed.keys()) - set(ours())
            for number in others:
                self._failed.pop(number, None)
                self._partitions.drop(number)

    async def take(self, number: int, outcomes: Sequence[Outcome]) -> None:
        """Bring messages of a partition into the books, as far as they are the next ones.

        When it returns, they may be acknowledged: what was not taken comes again. When it raises, it is to be called
        with the same again: they need not be fetched and reconstructed anew then.
        """
        async with self._lock:
            known = self._partitions.get(number)
            if known is None and (failed := self._failed.get(number)) is not None:
                known = self._partitions[number] = await self._takeover.of(number)
                if outcomes[0].message.start <= known.state.next:
                    known.reading = max(known.reading, failed.reading)  # what is behind these is on its way, too
                # Else Redis has less than it had: what is lacking before these is on no way, and is sought.
                del self._failed[number]
            if known is None:
                return
            fresh: list[Outcome] = []
            at = known.state.next
            for outcome in outcomes:
                if outcome.message.offset >= at and outcome.message.start <= at:
                    fresh.append(outcome)
                    at = outcome.message.offset + 1
            if fresh:
                try:
                    await self._guarded(known, self._bring_in(known, fresh))
                except Exception:
                    self._failed[number] = known
                    raise

    async def _bring_in(self, known: Partition, fresh: Sequence[Outcome]) -> None:
        """Count the next messages of a partition, and write the checkpoint."""
        messages = [outcome.message for outcome in fresh]
        if messages[-1].offset >= known.sound + TAIL and not await self.has_its_leader(known):
            self._partitions.drop(known.number)
            return
        state = known.with_fence()
        for message in messages:
            if message.gone_below > message.start:
                state = self._kafka.with_hole(known.number, state, message.start, message.gone_below)
        state = replace(
            state,
            next=messages[-1].offset + 1,
            tail=(*state.tail, *(layout.Counted(m.offset, m.produced_ms) for m in messages))[-TAIL:],
            produced_ms=max(state.produced_ms, *(m.produced_ms for m in messages)),
        )
        by_run: dict[int, list[Outcome]] = {}
        for outcome in fresh:
            if outcome.run not in state.repairs:
                by_run.setdefault(outcome.run, []).append(outcome)
        changes = {run: await known.parts.count(run, theirs, state) for run, theirs in by_run.items()}
        await self._reject(changes.values())
        await known.write(state, {run: change.changes for run, change in changes.items()})

    async def _reject(self, changes: Iterable[Change]) -> None:
        """Keep what is in no histogram, before the checkpoint that passes over it."""
        rejected = []
        for outcome in (outcome for change in changes for outcome in change.rejected):
            why = outcome.record.rejection if isinstance(outcome.record, ReconstructedSpill) else None
            if why is not None:
                rejected.append(self._kafka.reject(outcome.rejected(self._kafka.name, why.step, why.reason)))
        await asyncio.gather(*rejected)

    async def _guarded(self, known: Partition, step: Awaitable[None]) -> None:
        """Run a step; whatever stops it, keep nothing half-done in memory."""
        try:
            await step
        except CheckpointRefusedError as refusal:
            _log.warning("checkpoint refused: dropping this worker's copy", partition=known.number, why=str(refusal))
            self._partitions.drop(known.number)
        except DamagedPartError as damage:
            self._partitions.drop(known.number)
            await self._mending.make_again(known, damage)
        except DamagedIndexError as damage:
            await self._mending.list_again(known, str(damage))
        except BaseException:
            self._partitions.drop(known.number)
            raise

    async def has_its_leader(self, known: Partition) -> bool:
        """Say whether a partition still has the leader under which all was counted.

        Another may have less, and by now other messages in place of what it lacks. So it is asked before so much is
        counted that nothing is remembered of what was counted when it was asked last.
        """
        counted = known.state.next
        is_same = await self._kafka.epoch(known.number) == known.state.epoch
        if is_same:
            known.sound = counted
        else:
            _log.info("another leader has the partition: looking whether it has all", partition=known.number)
        return is_same

    async def is_current(self, known: Partition) -> bool:
        """Say whether Redis still has what this worker wrote of a partition last."""
        async with self._lock:
            await self._store.begin(known.number)
            return await known.is_current()

    async def advance(self, known: Partition, to: int, low: int) -> None:
        """Go on to an offset before which Kafka has nothing; what is below its low watermark was there."""
        async with self._lock:
            state = known.with_fence()
            if low > state.next:
                state = self._kafka.with_hole(known.number, state, state.next, low)
            known.reading = to
            await self._guarded(known, known.write(replace(state, next=to), {}))

    async def make_again(self, known: Partition, suspected: DamagedPartError) -> None:
        """Have a part of a run that is not whole made again from Kafka, if that still has all of it.

        Whoever suspects it may have looked while a checkpoint was written, or be of another release.
        """
        async with self._lock:
            settled = {*known.state.repairs, *known.said_lost}
            if self._partitions.get(known.number) is known and suspected.run not in settled:
                await self._mending.check(known, suspected.run)

    async def retire(self, known: Partition, run: int, last: int) -> None:
        """Have the part of a run leave Redis but for its totals, if its last message is still the one at an offset."""
        async with self._lock:
            if self._partitions.get(known.number) is known:
                await self._guarded(known, self._retire(known, run, last))

    async def _retire(self, known: Partition, run: int, last: int) -> None:
        changes = await known.parts.retired(run, last, known.state)
        if changes is not None:
            known.parts.forget(run)
            await known.write(known.with_fence(), {run: changes})
            _log.info("a run has left Redis", run=run, partition=known.number)

    async def take_again(self, known: Partition, run: int, outcomes: Sequence[Outcome], upto: int) -> None:
        """Bring messages of a run that is made again into its part.

        Parameters
        ----------
        outcomes
            All from the offset that ``state.repairs`` says to `upto`, or those of them that are of the run.
        """
        async with self._lock:
            if self._partitions.get(known.number) is known and run in known.state.repairs:
                await self._guarded(known, self._bring_in_again(known, run, outcomes, upto))

    async def _bring_in_again(self, known: Partition, run: int, outcomes: Sequence[Outcome], upto: int) -> None:
        state = known.with_fence()
        before = await self._store.load_place(known.number, run, state.index)
        theirs = [outcome for outcome in outcomes if outcome.run == run]
        change = await known.parts.count(run, theirs, state)
        changes, is_done = change.changes, upto >= state.next
        changes.stored.is_whole = is_done
        repairs = {other: first for other, first in state.repairs.items() if other != run}
        if not is_done:
            repairs[run] = upto
            changes.place = before  # the list of runs says what it was
        await self._reject([change])  # some came while it was made again, and were passed over
        is_there = before is not None or bool(changes.stored.part.totals.last_raw)
        await known.write(replace(state, repairs=repairs), {run: changes} if is_there else {})
        if is_done:
            known.parts.forget(run)
            if before is None or (changes.place is not None and _has_all(changes.place, before)):
                await self._store.remove_aside(known.number, run)


def _has_all(now: layout.Place, before: layout.Place) -> bool:
    """Say whether a part that was made again has what it had."""
    return now.first <= before.first and now.received >= before.received
