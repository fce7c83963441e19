"""The checkpoint: changed partials, next offset and spills seen of one partition, in one atomic step in Redis."""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from streams.books import layout, spill_numbers, uhi
from streams.books.book import Book, Histogram
from streams.books.book import Ranges as PlotRanges
from streams.books.ranges import Ranges
from streams.books.run import Handling, LedgerEntry, RunShare
from streams.books.totals import Totals

NO_OFFSET = -1
"""Stands for the offset of a partition that has no checkpoint."""

# KEYS[1] is the state; ARGV[1] the offset that it must hold, -1 for none; ARGV[2] the channel to announce it on.
# Then, for each of the other KEYS in turn, a command: 'hset' or 'hdel' with a count and so many arguments, or 'del'.
_COMPARE_AND_SET = """
local stored = redis.call('HGET', KEYS[1], 'offset') or '-1'
if stored ~= ARGV[1] then return stored end
local at = 3
for i = 2, #KEYS do
  local command = ARGV[at]
  if command == 'del' then
    redis.call('DEL', KEYS[i])
    at = at + 1
  else
    local last = at + 1 + tonumber(ARGV[at + 1])
    -- HSET takes pairs; unpack has a limit of some thousand values
    for from = at + 2, last, 1000 do
      redis.call(string.upper(command), KEYS[i], unpack(ARGV, from, math.min(from + 999, last)))
    end
    at = last + 1
  end
end
redis.call('PUBLISH', ARGV[2], KEYS[1])
return 'written'
"""

# KEYS[1] is the state, by which a cluster finds the place; ARGV[1] the pattern of the partition's keys.
_REMOVE = """
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end
"""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """How far one partition is in the books."""

    offset: int = NO_OFFSET
    """The last offset of ``spills.reco`` whose spill is in them."""
    raw: Ranges = field(default_factory=Ranges)
    """Offsets of ``spills.raw`` that are in them: a spill that was reconstructed twice is told by it."""
    tail: tuple[layout.Counted, ...] = ()
    """The last messages in them, the last one at the end: Kafka must still have them, and not others in their place."""
    lost: tuple[layout.Loss, ...] = ()
    """What Kafka no longer had when it was needed."""
    produced_ms: int = 0
    """When the newest message in them was produced, Unix milliseconds."""


@dataclass(slots=True, kw_only=True)
class RunChanges:
    """What a micro-batch changed in one run."""

    totals: Totals
    ledger: dict[int, LedgerEntry] = field(default_factory=dict)
    """The new entries."""
    handling: dict[int, Handling] = field(default_factory=dict)
    """Of the spills in them."""
    key_numbers: dict[int, bytes] = field(default_factory=dict)
    """Of the spills in them, see `spill_numbers`."""
    plots: dict[str, Histogram] = field(default_factory=dict)
    """The changed histograms, whole."""
    windows: dict[int, dict[str, Histogram]] = field(default_factory=dict)
    """Start of a window → its changed histograms, whole."""
    window_spills: dict[int, int] = field(default_factory=dict)
    """Start of a window → spills in it."""
    expired: list[int] = field(default_factory=list)
    """Starts of windows that are no longer kept."""


class CheckpointRefusedError(Exception):
    """Redis holds another offset than this worker wrote last: it lost the partition, or Redis lost data."""


class DamagedCheckpointError(Exception):
    """What Redis holds of a partition is none of what was written there."""


@contextmanager
def _as_damage(key: str) -> Iterator[None]:
    """Say which key it is that cannot be understood."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise DamagedCheckpointError(f"{key} cannot be read: {type(error).__name__}: {error}") from error
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        raise DamagedCheckpointError(f"{key}, or one beside it, has another type: {error}") from error


class CheckpointStore:
    """Reads and writes the checkpoints of a session's partitions.

    Whatever reads or writes raises `DamagedCheckpointError` when Redis holds something else there.

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
        self._compare_and_set = redis.register_script(_COMPARE_AND_SET)
        self._remove = redis.register_script(_REMOVE)

    def _keys(self, partition: int) -> layout.Keys:
        return layout.Keys(self._prefix, self._session, partition)

    async def load_state(self, partition: int) -> PartitionState:
        """Return how far a partition is, as Redis has it."""
        key = self._keys(partition).state
        with _as_damage(key):
            stored = await self._hash(key)
            if not stored:
                return PartitionState()
            return PartitionState(
                offset=int(stored[b"offset"]),
                raw=layout.unpack_ranges(stored[b"raw"]),
                tail=layout.unpack_tail(stored[b"tail"]),
                lost=layout.unpack_losses(stored[b"lost"]),
                produced_ms=int(stored[b"produced_ms"]),
            )

    async def load_run(self, partition: int, run: int) -> RunShare:
        """Return a partition's share of a run, empty if there is none."""
        keys = self._keys(partition)
        with _as_damage(keys.runs):
            totals = cast("bytes | None", await self._redis.hget(keys.runs, str(run)))
            share = RunShare({}, layout.unpack_totals(totals) if totals is not None else Totals())
        with _as_damage(keys.spills(run)):
            for spill, entry in (await self._hash(keys.spills(run))).items():
                share.ledger[int(spill)] = layout.unpack_ledger_entry(entry)
        with _as_damage(keys.key_numbers(run)):  # they are only written here: nobody else would see that they are none
            for numbers in (await self._hash(keys.key_numbers(run))).values():
                spill_numbers.check(numbers)
        return share

    async def load_book(self, partition: int, run: int, ranges: PlotRanges) -> Book:
        """Return a partition's book of a run."""
        return await self._load_book(self._keys(partition).book(run), ranges)

    async def load_window(self, partition: int, run: int, start: int, ranges: PlotRanges) -> Book:
        """Return a partition's book of a window."""
        return await self._load_book(self._keys(partition).window(run, start), ranges)

    async def load_window_spills(self, partition: int, run: int) -> dict[int, int]:
        """Return the windows that a partition keeps of a run: start → spills in it."""
        key = self._keys(partition).windows(run)
        with _as_damage(key):
            return {int(start): int(spills) for start, spills in (await self._hash(key)).items()}

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", await self._redis.hgetall(key))

    async def _load_book(self, key: str, ranges: PlotRanges) -> Book:
        book = Book(ranges)
        with _as_damage(key):
            for name, data in (await self._hash(key)).items():
                book[name.decode()] = uhi.decode(data)
        return book

    async def remove(self, partition: int) -> None:
        """Remove all that Redis holds of a partition, at once: it is rebuilt from Kafka."""
        keys = self._keys(partition)
        await self._remove(keys=[keys.state], args=[keys.all])

    async def checkpoint(
        self, partition: int, previous: int, state: PartitionState, runs: Mapping[int, RunChanges]
    ) -> None:
        """Write what a micro-batch changed, all or nothing.

        The steps, inside one script, so that nothing comes between them:

        1. compare the stored offset with `previous`, and refuse if it is another;
        2. write the new offset with the source offsets seen;
        3. write, for each run, totals, new ledger entries with the spills' key numbers, changed histograms of run and
           windows;
        4. delete the windows that are no longer kept;
        5. announce the change.

        Raises
        ------
        CheckpointRefusedError
            When the stored offset is not `previous`; nothing was written.
        """
        # One that does not grow would count these spills again after the next resume; without any, it may be set back.
        assert state.offset > previous or not runs, f"checkpoint from offset {previous} back to {state.offset}"  # noqa: S101
        keys = self._keys(partition)
        touched = [keys.state]
        arguments: list[Any] = [
            previous,
            layout.changed_channel(self._prefix, self._session),
        ]

        def command(key: str, name: str, values: list[Any]) -> None:
            if values:
                touched.append(key)
                arguments.extend([name, len(values), *values])

        command(
            keys.state,
            "hset",
            [
                *("offset", state.offset),
                *("raw", layout.pack_rows(state.raw)),
                *("tail", layout.pack_rows(state.tail)),
                *("lost", layout.pack_rows(state.lost)),
                *("produced_ms", state.produced_ms),
            ],
        )
        for run, changes in runs.items():
            command(keys.runs, "hset", [run, layout.pack_totals(changes.totals)])
            entries = {s: layout.pack_ledger_entry(e) for s, e in changes.ledger.items()}
            command(keys.spills(run), "hset", _flat(entries))
            handling = {s: layout.pack_handling(h) for s, h in changes.handling.items()}
            command(keys.handling(run), "hset", _flat(handling))
            command(keys.key_numbers(run), "hset", _flat(changes.key_numbers))
            command(keys.book(run), "hset", _histograms(changes.plots))
            for start, plots in changes.windows.items():
                command(keys.window(run, start), "hset", _histograms(plots))
            command(keys.windows(run), "hset", _flat(changes.window_spills))
            command(keys.windows(run), "hdel", [*changes.expired])
            for start in changes.expired:
                touched.append(keys.window(run, start))
                arguments.append("del")
        with _as_damage(keys.state):
            answer = cast("bytes", await self._compare_and_set(keys=touched, args=arguments))
        if answer != b"written":
            message = f"partition {partition}: Redis holds offset {answer.decode()}, not {previous}"
            raise CheckpointRefusedError(message)


def _flat(values: Mapping[int, Any]) -> list[Any]:
    return [part for pair in values.items() for part in pair]


def _histograms(plots: Mapping[str, Histogram]) -> list[Any]:
    return [part for name, histogram in plots.items() for part in (name, uhi.encode(histogram))]
