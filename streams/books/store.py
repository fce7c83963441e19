"""The checkpoint, read and written in Redis in atomic steps: how far a partition is, and what changes in its runs."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from streams import metrics
from streams.books import layout
from streams.books.checkpoint import COMPARE_AND_SET, REFUSED, WRITTEN, Commands, RunChanges
from streams.books.connect import is_other_type
from streams.books.part_store import DamagedPartError, PartStore
from streams.books.retiring import unpack_request
from streams.books.stored import PartitionState, place_of, unpack_places, unpack_state

# KEYS[1] is the state, ARGV[1] the fence that it must have. Each of the other KEYS gets the name behind it.
SET_ASIDE = """
if (redis.call('HGET', KEYS[1], 'fence') or '') ~= ARGV[1] then return 'refused' end
for i = 2, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + 1]) end
end
return 'written'
"""


class CheckpointRefusedError(Exception):
    """Another has written meanwhile, or Redis lost data: what is in memory here is not what is there."""


class DamagedStateError(Exception):
    """What Redis holds of how far a partition is, is none of what was written there."""


class DamagedIndexError(Exception):
    """The list of a partition's runs is not as it was left."""


class CheckpointStore:
    """Reads and writes the checkpoints of a session's partitions.

    Parameters
    ----------
    redis
        Client that returns bytes.
    prefix, session
        Part of the keys' names, see `layout`.
    """

    def __init__(self, redis: Redis, prefix: str, session: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._session = session
        self.parts = PartStore(redis, self._keys)
        """Reads the parts of runs."""
        self._compare_and_set = redis.register_script(COMPARE_AND_SET)
        self._set_aside = redis.register_script(SET_ASIDE)

    def _keys(self, partition: int) -> layout.Keys:
        return layout.Keys(self._prefix, self._session, partition)

    async def load_state(self, partition: int) -> PartitionState:
        """Return how far a partition is, as Redis has it.

        Raises
        ------
        DamagedStateError
            When it holds something else.
        """
        key = self._keys(partition).state
        try:
            stored = await self._hash(key)
        except ResponseError as error:
            if not is_other_type(error):
                raise
            raise DamagedStateError(f"{key} has another type: {error}") from error
        try:
            return unpack_state(stored)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise DamagedStateError(f"{key} cannot be read: {type(error).__name__}: {error}") from error

    async def forget_state(self, partition: int) -> None:
        """Remove how far a partition is: the parts of its runs say for themselves what is in them."""
        await self._redis.delete(self._keys(partition).state)

    async def load_places(self, partition: int) -> tuple[dict[int, layout.Place], str]:
        """Return where the runs of a partition are, and the stamp of that list; none if something cannot be read."""
        try:
            return unpack_places(await self._hash(self._keys(partition).index))
        except ResponseError as error:
            if not is_other_type(error):
                raise
            return {}, ""

    async def list_again(self, partition: int, stamp: str) -> None:
        """Make the list of a partition's runs from their totals, with the stamp that it must have."""
        keys = self._keys(partition)
        places: dict[Any, Any] = {layout.STAMP: stamp}
        async for key in self._redis.scan_iter(match=keys.run("*"), count=1000):
            try:
                place = place_of(await self._hash(key), partition)
                places[int(key.rpartition(b":")[2])] = layout.pack_place(place)
            except (*layout.UNREADABLE, ResponseError) as error:
                if isinstance(error, ResponseError) and not is_other_type(error):
                    raise
                continue  # whoever looks at it finds that it is damaged
        await self._redis.delete(keys.index)
        await self._redis.hset(keys.index, mapping=places)

    async def load_place(self, partition: int, run: int, stamp: str) -> layout.Place | None:
        """Return where a run is in a partition; None if it is not in the list of runs.

        Parameters
        ----------
        stamp
            That the list must have; any if it is empty.

        Raises
        ------
        DamagedIndexError
            When it has another, or what it says of the run cannot be read.
        """
        key = self._keys(partition).index
        try:
            there, place = cast("list[bytes | None]", await self._redis.hmget(key, [layout.STAMP, str(run)]))
            if stamp and (there or b"").decode() != stamp:
                raise DamagedIndexError(key)
            return layout.unpack_place(place) if place is not None else None
        except (*layout.UNREADABLE, ResponseError) as error:
            if isinstance(error, ResponseError) and not is_other_type(error):
                raise
            raise DamagedIndexError(key) from error

    async def asked_for(self, partition: int) -> list[int]:
        """Return the runs of which somebody could not read something, and take note that it was heard."""
        key = self._keys(partition).repair
        asked = cast("list[bytes]", await self._asked_of(key, lambda: self._redis.spop(key, 100)))
        return sorted(layout.runs_among(asked))

    async def to_retire(self, partition: int) -> list[tuple[int, int]]:
        """Return the runs that are to leave, each with the last offset that somebody saw, and take note as above."""
        key = self._keys(partition).retire
        asked = cast("list[bytes]", await self._asked_of(key, lambda: self._redis.spop(key, 100)))
        return sorted(found for found in map(unpack_request, asked) if found is not None)

    async def set_aside(self, partition: int, run: int, fence: str, *, for_good: bool) -> None:
        """Give all keys of a part of a run other names.

        Parameters
        ----------
        fence
            Of the state that was loaded or written last.
        for_good
            Kafka cannot give all of it back, so it stays when the part was made again.

        Raises
        ------
        CheckpointRefusedError
            When another has written meanwhile.
        """
        keys = self._keys(partition)
        other = keys.given_up if for_good else keys.aside
        names = [keys.state]
        async for found in self._redis.scan_iter(match=keys.windows_of_run(run), count=1000):
            names += [found.decode(), other(fence, found.decode())]
        for key in keys.of_run(run):
            names += [key, other(fence, key)]
        if await self._set_aside(keys=names, args=[fence]) != WRITTEN:
            raise CheckpointRefusedError(f"partition {partition}: another has written meanwhile")

    async def remove_aside(self, partition: int, run: int) -> None:
        """Remove what was set aside of a part of a run: it was made again from Kafka, whole."""
        keys = self._keys(partition)
        async for found in self._redis.scan_iter(match=keys.aside("*", "*"), count=1000):
            if keys.is_aside_of(found.decode(), run):
                await self._redis.unlink(found)

    async def begin(self, partition: int) -> None:
        """Have a partition among those that there are."""
        key = layout.partitions(self._prefix, self._session)
        await self._asked_of(key, lambda: self._redis.sadd(key, partition))

    async def checkpoint(
        self, partition: int, fence: str, state: PartitionState, runs: Mapping[int, RunChanges]
    ) -> PartitionState:
        """Write what a batch changed, all or nothing, and return the state that was written.

        Inside one script the fence is compared, and the stamp of each key that grows; only then is all written, see
        `Commands`, and announced.

        Parameters
        ----------
        fence
            Of the state that was loaded or written last.

        Raises
        ------
        CheckpointRefusedError
            When another has written meanwhile; nothing was written.
        DamagedPartError
            When a key of a run is not as it was left; nothing was written.
        """
        keys = self._keys(partition)
        commands = Commands(keys, state, runs)
        channel = layout.changed_channel(self._prefix, self._session)
        began_s = time.perf_counter()
        answer = cast(
            "bytes",
            await self._compare_and_set(keys=[keys.state, *commands.keys], args=[fence, channel, *commands.arguments]),
        )
        if answer == REFUSED:
            metrics.WORKER_REFUSED.inc()
            raise CheckpointRefusedError(f"partition {partition}: another has written since {fence or 'the beginning'}")
        if answer == WRITTEN:
            metrics.WORKER_CHECKPOINT.observe(time.perf_counter() - began_s)
            _note_counted(runs.values())
            return commands.state
        key = answer.decode()
        if key in commands.owners:
            raise DamagedPartError(commands.owners[key], f"{key} is not as it was left")
        if key == keys.index:
            raise DamagedIndexError(key)
        await self._redis.delete(key)  # it has another type: nobody misses what it holds
        raise CheckpointRefusedError(f"partition {partition}: {key} was none of ours and is removed")

    async def _asked_of(self, key: str, ask: Callable[[], Any]) -> Any:
        """Return what Redis answers; where a key has another type, nobody misses what it holds, and it is removed."""
        try:
            return await ask()
        except ResponseError as error:
            if not is_other_type(error):
                raise
            await self._redis.delete(key)
            return await ask()

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", await self._redis.hgetall(key))


def _note_counted(changes: Iterable[RunChanges]) -> None:
    for each in changes:
        metrics.WORKER_COUNTED.inc(len(each.ledger))
        metrics.WORKER_BYTES.inc(sum(entry.size for entry in each.ledger.values()))
        metrics.WORKER_DUPLICATES.inc(each.duplicates)
