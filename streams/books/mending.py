"""What is found not whole in Redis: whether it is made again from Kafka, or stays as it is.

A part of a run that is not whole is set aside, and a note is written (`repairs` of the state) that it is to be made
again, by itself: its messages are read once more, while those of other runs go on.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from streams.books.book import Ranges
from streams.books.kafka_log import KafkaLog
from streams.books.part_store import DamagedPartError, RetiredPartError
from streams.books.partition import Partition, Partitions
from streams.books.store import CheckpointRefusedError, CheckpointStore, DamagedIndexError
from streams.books.stored import PartitionState

_log = structlog.get_logger(__name__)


class Mending:
    """Has parts of runs, and the list of runs, made again.

    Parameters
    ----------
    store
        The checkpoints.
    kafka
        Where the messages come from.
    partitions
        Those that this worker has; one that another has now is taken out.
    ranges_of
        Gives a run's own ranges of plots.
    """

    def __init__(
        self, store: CheckpointStore, kafka: KafkaLog, partitions: Partitions, ranges_of: Callable[[int], Ranges]
    ) -> None:
        self._store = store
        self._kafka = kafka
        self._partitions = partitions
        self._ranges_of = ranges_of

    async def list_again(self, known: Partition, why: str) -> None:
        """Make the list of the runs of a partition again, with all that may have gone; another's is left to it."""
        self._partitions.drop(known.number)
        if not await known.is_current():
            _log.warning("another has the partition now", partition=known.number, why=why)
            return
        _log.error("the list of runs is not whole: making it again", partition=known.number, why=why)
        await self._store.list_again(known.number, known.state.index)
        places, _ = await self._store.load_places(known.number)
        await self._note(known, await self._kafka.with_all_runs(known.number, known.with_fence(), places))

    async def make_again(self, known: Partition, damage: DamagedPartError) -> None:
        """Have a part made again of which something came, from what Kafka has of it."""
        async with self._or_list_again(known):
            await self._set_aside(known, damage)

    async def check(self, known: Partition, run: int) -> None:
        """Have a part of a run made again if it is not whole, and Kafka still has all of it."""
        async with self._or_list_again(known):
            try:
                await known.parts.check(run, known.state)
            except DamagedPartError as damage:
                await self._mend(known, damage)

    @asynccontextmanager
    async def _or_list_again(self, known: Partition) -> AsyncIterator[None]:
        """If the list of runs that a step needs is not whole, make that again in its place."""
        try:
            yield
        except DamagedIndexError as damage:
            await self.list_again(known, str(damage))

    async def _mend(self, known: Partition, damage: DamagedPartError) -> None:
        """Have a part made again if Kafka still has all of it; else say so, and leave it as it is."""
        low, _ = await self._kafka.span(known.number)
        unfinished = await self._unfinished(known, damage.run)
        if unfinished is not None:
            await self._note(known, known.with_fence().with_repair(damage.run, unfinished, low))
        elif await self._first_of(known, damage.run, low) >= low:
            known.parts.forget(damage.run)
            await self._set_aside(known, damage)
        elif isinstance(damage, RetiredPartError):
            _log.warning("Kafka no longer has the begin of a run that has left Redis", run=damage.run)
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
            found = await self._store.parts.load(known.number, run, self._ranges_of(run))
        except DamagedPartError:
            return None
        return found.upto if found is not None and not found.is_whole and found.log == known.state.log else None

    async def _set_aside(self, known: Partition, damage: DamagedPartError) -> None:
        """Set a part of a run aside, and note that it is to be made again from what Kafka has."""
        low, _ = await self._kafka.span(known.number)
        first = await self._first_of(known, damage.run, low)
        say = _log.info if isinstance(damage, RetiredPartError) else _log.error
        say("a run is not whole in Redis: making it again", partition=known.number, why=str(damage), first=first)
        state = known.with_fence()
        if first < low:
            gone = f"its messages {first} to {low - 1}" if first >= 0 else "those of a topic that is gone"
            what = f"run {damage.run} is made again without {gone}: Redis did not have it whole ({damage.why})"
            state = self._kafka.with_loss(known.number, state, what)
        try:
            await self._store.set_aside(known.number, damage.run, known.state.fence, for_good=first < low)
        except CheckpointRefusedError as refusal:
            _log.warning("another has the partition now", partition=known.number, why=str(refusal))
            self._partitions.drop(known.number)
        else:
            await self._note(known, state.with_repair(damage.run, first, low))

    async def _note(self, known: Partition, state: PartitionState) -> None:
        """Write how far a partition is, and nothing else."""
        try:
            await known.write(state, {})
        except CheckpointRefusedError as refusal:
            _log.warning("another has the partition now", partition=known.number, why=str(refusal))
            self._partitions.drop(known.number)
