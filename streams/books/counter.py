"""Messages of spills.raw into the books, each exactly once: what is counted, what is written, what is made again.

The stored checkpoint decides, never Kafka's committed offset. It says which message of a partition comes next, and is
written together with what the messages before it have changed; each names the one that it follows. So a worker that
lost its partition, or that went on while Redis lost data, is refused.

A part of a run that is not whole in Redis is made again from Kafka, by itself: its messages are read once more, while
those of other runs go on.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from schemas.records import ReconstructedSpill
from streams.books import layout
from streams.books.checkpoint import RunChanges
from streams.books.kafka_log import TAIL, KafkaLog
from streams.books.partition import Change, Filling, Partition, Partitions, Parts
from streams.books.store import (
    CheckpointRefusedError,
    CheckpointStore,
    DamagedIndexError,
    DamagedPartError,
    DamagedStateError,
)
from streams.books.stored import PartitionState
from streams.transform import Outcome

_log = structlog.get_logger(__name__)


class Counter:
    """Counts batches of messages, and writes checkpoints.

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
        self._filling = filling
        self._writer = writer
        self._takeovers = 0
        """Each writes under a name of its own: if Redis is set back, what a worker writes then is not what it wrote."""
        self._lock = asyncio.Lock()

    async def begin(self, number: int, *, instead_of: Partition | None = None) -> Partition:
        """Take over a partition: go on with what Redis has of it, set back to what Kafka still has of that.

        Parameters
        ----------
        instead_of
            What the caller found, and does not go on with; None where there was nothing. What another caller took over
            meanwhile is returned as it is: messages of it are on their way already.
        """
        async with self._lock:
            there = self._partitions.get(number)
            if there is not None and there is not instead_of:
                return there
            while True:
                self._drop(number)
                try:
                    known = await self._begun(number)
                except CheckpointRefusedError as refusal:
                    _log.warning("beginning again with a partition", partition=number, why=str(refusal))
                else:
                    self._partitions[number] = known
                    return known

    async def _begun(self, number: int) -> Partition:
        self._takeovers += 1
        writer = f"{self._writer}-{self._takeovers}"
        try:
            stored = await self._store.load_state(number)
        except DamagedStateError as damage:
            _log.error("the parts of the runs tell how far they are", partition=number, why=str(damage))
            await self._store.forget_state(number)
            stored = PartitionState()
        before = stored if stored.fence else await self._from_nothing(number, writer)
        state = await self._kafka.held_against(number, before)
        parts = Parts(number, self._store, self._filling)
        known = Partition(number=number, writer=writer, state=state, parts=parts, reading=state.next, sound=state.sound)
        await self._store.begin(number)
        is_shorter = state.log == before.log and state.next < before.next
        # Which parts go beyond the end says the list of runs, so it must be whole.
        is_listed = not is_shorter or await self._is_listed(known)
        if not is_listed:
            _log.error("the list of runs is not as it was left: making it again", partition=number)
            await self._store.list_again(number, state.index)
        try:
            state, changes = await self._cut(known) if is_shorter else (known.with_fence(), {})
        except DamagedIndexError as damage:
            raise CheckpointRefusedError(str(damage)) from damage
        if not stored.fence or not is_listed:
            state = await self._with_all_runs(number, state)
        if is_shorter or state.log != stored.log:  # whoever asks how far it is need not wait for the next message
            await self._write(known, state, changes)
            known.reading = state.next
        return known

    async def _from_nothing(self, number: int, writer: str) -> PartitionState:
        """Return where to begin in a partition of which Redis does not say how far it is.

        All before the last message of its runs was counted, if Redis has those. Else the run that is taken now comes
        first.
        """
        state = PartitionState(log=await self._kafka.id())
        places, stamp = await self._store.load_places(number)
        if not stamp:
            stamp = f"{writer}:0"
            await self._store.list_again(number, stamp)
            places, _ = await self._store.load_places(number)
        state = replace(state, index=stamp)
        if lasts := [place.last for place in places.values() if place.log == state.log]:
            return replace(state, next=max(lasts) + 1)
        known = await self._kafka.known(number)
        low, _ = await self._kafka.span(number)
        newest = max((first for first in known.runs.values() if first < known.below), default=low)
        return replace(state, next=max(low, newest))

    async def _with_all_runs(self, number: int, state: PartitionState) -> PartitionState:
        """Return a state that has all runs made again which are not in the list of runs, though they were counted.

        The topic of runs knows where they begin; what came since it was written comes again, and changes nothing where
        it is in a part.
        """
        places, _ = await self._store.load_places(number)
        known = await self._kafka.known(number)
        low, _ = await self._kafka.span(number)
        at = min(state.next, max(low, known.below))
        tail = tuple(counted for counted in state.tail if counted.offset < at)
        state = replace(state, next=at, sound=min(state.sound, at), tail=tail)
        lacking = {run: first for run, first in known.runs.items() if run not in places}
        return self._with_repairs(number, state, lacking, low)

    def _with_repairs(self, number: int, state: PartitionState, runs: Mapping[int, int], low: int) -> PartitionState:
        """Return a state that has runs made again which begin before what comes next."""
        repairs = dict(state.repairs)
        for run, first in runs.items():
            if run not in repairs and first < state.next:
                repairs[run] = max(low, first)
            if first < min(low, state.next):
                what = f"messages {first} to {low - 1} of {self._kafka.name} were gone when run {run} needed them"
                state = self._kafka.with_loss(number, state, what)
        return replace(state, repairs=repairs)

    async def _is_listed(self, known: Partition) -> bool:
        """Say whether the list of the runs of a partition is as it was left."""
        _, stamp = await self._store.load_places(known.number)
        return not known.state.index or stamp == known.state.index

    async def _cut(self, known: Partition) -> tuple[PartitionState, dict[int, RunChanges]]:
        """Return what is to be written so that no part claims messages that Kafka lost: others are in their place."""
        state, changes = known.state, dict[int, RunChanges]()
        repairs = {run: min(at, state.next) for run, at in state.repairs.items()}
        places, _ = await self._store.load_places(known.number)
        for run, place in places.items():
            if place.log != state.log or place.last < state.next:
                continue
            try:
                stored = await known.parts.get(run, state)
            except DamagedPartError as damage:
                _log.error("a run is not whole in Redis: making it again", partition=known.number, why=str(damage))
                await self._store.set_aside(known.number, run, state.fence, for_good=True)
                low, _ = await self._kafka.span(known.number)
                repairs[run] = max(low, min(place.first, state.next))
                continue
            stored.upto = min(stored.upto, state.next)
            last = stored.part.totals.last_raw
            last[known.number] = min(last.get(known.number, 0), state.next - 1)
            cut = replace(place, last=state.next - 1)
            changes[run] = RunChanges(stored=stored, place=cut)
        return replace(known.with_fence(), repairs=repairs), changes

    async def runs(self, known: Partition) -> list[int]:
        """Return the runs of a partition, the newest last; a list of them that is not whole is made again."""
        async with self._lock:
            places, stamp = await self._store.load_places(known.number)
            if known.state.index and stamp != known.state.index:
                await self._list_again(known, "it is not as it was left")
                return []
            return sorted(places, key=lambda run: places[run].first)

    async def _list_again(self, known: Partition, why: str) -> None:
        """Make the list of the runs of a partition again, with all that may have gone; another's is left to it."""
        self._drop(known.number)
        if not await self._is_current(known):
            _log.warning("another has the partition now", partition=known.number, why=why)
            return
        _log.error("the list of runs is not whole: making it again", partition=known.number, why=why)
        await self._store.list_again(known.number, known.state.index)
        await self._note(known, await self._with_all_runs(known.number, known.with_fence()))

    async def _note(self, known: Partition, state: PartitionState) -> None:
        """Write how far a partition is, and nothing else."""
        try:
            await self._write(known, state, {})
        except CheckpointRefusedError as refusal:
            _log.warning("another has the partition now", partition=known.number, why=str(refusal))
            self._drop(known.number)

    async def forget_all(self) -> None:
        """Drop all that is in memory: partitions have moved, and Redis has what is true of those that are ours now."""
        async with self._lock:
            for number in list(self._partitions):
                self._drop(number)

    def _drop(self, number: int) -> None:
        known = self._partitions.pop(number, None)
        if known is not None:
            known.parts.forget_all()

    async def take(self, number: int, outcomes: Sequence[Outcome]) -> None:
        """Bring messages of a partition into the books, as far as they are the next ones.

        When it returns, they may be acknowledged: what was not taken comes again.
        """
        async with self._lock:
            known = self._partitions.get(number)
            if known is None:
                return
            fresh: list[Outcome] = []
            at = known.state.next
            for outcome in outcomes:
                if outcome.message.offset >= at and outcome.message.start <= at:
                    fresh.append(outcome)
                    at = outcome.message.offset + 1
            if fresh:
                await self._guarded(known, self._bring_in(known, fresh))

    async def _bring_in(self, known: Partition, fresh: Sequence[Outcome]) -> None:
        """Count the next messages of a partition, and write the checkpoint."""
        messages = [outcome.message for outcome in fresh]
        if messages[-1].offset >= known.sound + TAIL and not await self.has_its_leader(known):
            self._drop(known.number)
            return
        state = known.with_fence()
        for message in messages:
            if message.gone_below > message.start:
                what = (
                    f"messages {message.start} to {message.gone_below - 1} of {self._kafka.name} were gone when needed"
                )
                state = self._kafka.with_loss(known.number, state, what)
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
        await self._write(known, state, {run: change.changes for run, change in changes.items()})

    async def _reject(self, changes: Iterable[Change]) -> None:
        """Keep what is in no histogram, before the checkpoint that passes over it."""
        rejected = []
        for outcome in (outcome for change in changes for outcome in change.rejected):
            why = outcome.record.rejection if isinstance(outcome.record, ReconstructedSpill) else None
            if why is not None:
                rejected.append(self._kafka.reject(outcome.rejected(self._kafka.name, why.step, why.reason)))
        await asyncio.gather(*rejected)

    async def _write(self, known: Partition, state: PartitionState, changes: Mapping[int, RunChanges]) -> None:
        known.state = await self._store.checkpoint(known.number, known.state.fence, state, changes)
        known.parts.evict()

    async def _guarded(self, known: Partition, step: Awaitable[None]) -> None:
        """Run a step; whatever stops it, keep nothing half-done in memory."""
        try:
            await step
        except CheckpointRefusedError as refusal:
            _log.warning("checkpoint refused: dropping this worker's copy", partition=known.number, why=str(refusal))
            self._drop(known.number)
        except DamagedPartError as damage:
            self._drop(known.number)
            await self._or_list_again(known, self._make_again(known, damage))
        except DamagedIndexError as damage:
            await self._list_again(known, str(damage))
        except BaseException:
            self._drop(known.number)
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
            return await self._is_current(known)

    async def _is_current(self, known: Partition) -> bool:
        try:
            stored = await self._store.load_state(known.number)
        except DamagedStateError:
            return False
        return stored.fence == known.state.fence

    async def advance(self, known: Partition, to: int, low: int) -> None:
        """Go on to an offset before which Kafka has nothing; what is below its low watermark was there."""
        async with self._lock:
            state = known.with_fence()
            if low > state.next:
                what = f"messages {state.next} to {low - 1} of {self._kafka.name} were gone when needed"
                state = self._kafka.with_loss(known.number, state, what)
            known.reading = to
            await self._guarded(known, self._write(known, replace(state, next=to), {}))

    async def make_again(self, known: Partition, suspected: DamagedPartError) -> None:
        """Have a part of a run that is not whole made again from Kafka, if that still has all of it.

        Whoever suspects it may have looked while a checkpoint was written, or be of another release.
        """
        async with self._lock:
            settled = {*known.state.repairs, *known.said_lost}
            if self._partitions.get(known.number) is not known or suspected.run in settled:
                return
            await self._or_list_again(known, self._check(known, suspected.run))

    async def _check(self, known: Partition, run: int) -> None:
        """Have a part of a run mended if it is not whole."""
        try:
            await known.parts.check(run, known.state)
        except DamagedPartError as damage:
            await self._mend(known, damage)

    async def _or_list_again(self, known: Partition, step: Awaitable[None]) -> None:
        """Run a step; if the list of runs that it needs is not whole, make that again in its place."""
        try:
            await step
        except DamagedIndexError as damage:
            await self._list_again(known, str(damage))

    async def _mend(self, known: Partition, damage: DamagedPartError) -> None:
        """Have a part made again if Kafka still has all of it; else say so, and leave it as it is."""
        low, _ = await self._kafka.span(known.number)
        unfinished = await self._unfinished(known, damage.run)
        if unfinished is not None:
            await self._note(known, known.with_fence().with_repair(damage.run, unfinished, low))
        elif await self._first_of(known, damage.run, low) >= low:
            known.parts.forget(damage.run)
            await self._make_again(known, damage)
        else:
            await self._say_lost(known, damage)

    async def _say_lost(self, known: Partition, damage: DamagedPartError) -> None:
        """Say once that a part that is not whole stays as it is."""
        known.said_lost.add(damage.run)
        _log.error("a run is not whole in Redis, nor in Kafka", partition=known.number, why=str(damage))
        what = f"run {damage.run} is not whole in Redis, and Kafka no longer has its begin"
        state = self._kafka.with_loss(known.number, known.with_fence(), what)
        if state.lost != known.state.lost:
            await self._note(known, state)

    async def _first_of(self, known: Partition, run: int, low: int) -> int:
        """Return the first offset of a run in a partition; -1 if it is of a log that is gone.

        If nobody knows it, it is that of all that Kafka has.
        """
        place = await self._store.load_place(known.number, run, known.state.index)
        if place is None:
            return (await self._kafka.known(known.number)).runs.get(run, low)
        return place.first if place.log == known.state.log else -1

    async def _unfinished(self, known: Partition, run: int) -> int | None:
        """Return where to go on in a part that was not made again to its end, if the note of that is lost."""
        try:
            found = await self._store.load_part(known.number, run, self._filling.ranges_of(run))
        except DamagedPartError:
            return None
        return found.upto if found is not None and not found.is_whole and found.log == known.state.log else None

    async def _make_again(self, known: Partition, damage: DamagedPartError) -> None:
        """Set a part of a run aside, and note that it is to be made again from what Kafka has."""
        low, _ = await self._kafka.span(known.number)
        first = await self._first_of(known, damage.run, low)
        _log.error("a run is not whole in Redis: making it again", partition=known.number, why=str(damage), first=first)
        state = known.with_fence()
        if first < low:
            gone = f"its messages {first} to {low - 1}" if first >= 0 else "those of a topic that is gone"
            what = f"run {damage.run} is made again without {gone}: Redis had it damaged ({damage.why})"
            state = self._kafka.with_loss(known.number, state, what)
        try:
            await self._store.set_aside(known.number, damage.run, known.state.fence, for_good=first < low)
        except CheckpointRefusedError as refusal:
            _log.warning("another has the partition now", partition=known.number, why=str(refusal))
            self._drop(known.number)
        else:
            await self._note(known, state.with_repair(damage.run, first, low))

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
        await self._write(known, replace(state, repairs=repairs), {run: changes} if is_there else {})
        if is_done:
            known.parts.forget(run)
            if before is None or (changes.place is not None and _has_all(changes.place, before)):
                await self._store.remove_aside(known.number, run)


def _has_all(now: layout.Place, before: layout.Place) -> bool:
    """Say whether a part that was made again has what it had."""
    return now.first <= before.first and now.received >= before.received
