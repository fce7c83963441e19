"""Where a worker goes on in a partition that it takes over: what Redis has of it, held against Kafka."""

from dataclasses import replace

import structlog

from streams.books.checkpoint import RunChanges
from streams.books.kafka_log import KafkaLog
from streams.books.part_store import DamagedPartError
from streams.books.partition import Filling, Partition, Parts
from streams.books.store import (
    CheckpointRefusedError,
    CheckpointStore,
    DamagedIndexError,
    DamagedStateError,
)
from streams.books.stored import PartitionState

_log = structlog.get_logger(__name__)


class Takeover:
    """Takes partitions over.

    Parameters
    ----------
    store
        The checkpoints.
    kafka
        Where the messages come from.
    filling
        The live books.
    writer
        Another for each worker, each time that it starts.
    """

    def __init__(self, *, store: CheckpointStore, kafka: KafkaLog, filling: Filling, writer: str) -> None:
        self._store = store
        self._kafka = kafka
        self._filling = filling
        self._writer = writer
        self._times = 0
        """Each writes under a name of its own: if Redis is set back, what a worker writes then is not what it wrote."""

    async def of(self, number: int) -> Partition:
        """Return a partition as Redis has it, set back to what Kafka still has of that."""
        while True:
            try:
                return await self._begun(number)
            except CheckpointRefusedError as refusal:
                _log.warning("beginning again with a partition", partition=number, why=str(refusal))

    async def _begun(self, number: int) -> Partition:
        self._times += 1
        writer = f"{self._writer}-{self._times}"
        try:
            stored = await self._store.load_state(number)
        except DamagedStateError as damage:
            _log.error("the parts of the runs tell how far they are", partition=number, why=str(damage))
            await self._store.forget_state(number)
            stored = PartitionState()
        before = stored if stored.fence else await self._from_nothing(number, writer)
        state = await self._kafka.held_against(number, before)
        known = Partition(
            number=number,
            writer=writer,
            store=self._store,
            state=state,
            parts=Parts(number, self._store, self._filling),
            reading=state.next,
            sound=state.sound,
        )
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
            places, _ = await self._store.load_places(number)
            state = await self._kafka.with_all_runs(number, state, places)
        if is_shorter or state.log != stored.log:  # whoever asks how far it is need not wait for the next message
            await known.write(state, changes)
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
