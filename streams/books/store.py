"""The checkpoint: how far a partition is, and its parts of runs, read and written in Redis in atomic steps."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from streams.books import layout, uhi
from streams.books.book import Book, Histogram, Ranges, plots_digest
from streams.books.run import Handling, Ledger, RunPart
from streams.plots.spillfacts import LedgerEntry

# KEYS[1] is the state, ARGV[1] the fence that it must have, ARGV[2] the channel to announce the change on. Then, for
# each of the other KEYS in turn, what to do with it, how many values follow, and those: 'set' (a hash; the stamp that it
# must have, then fields and values), 'new' (fields and values of a hash in place of what is there), 'hdel' (fields),
# 'zadd' (score, member), 'del'. All is compared before anything is written: a script is not taken back.
_COMPARE_AND_SET = """
if (redis.call('HGET', KEYS[1], 'fence') or '') ~= ARGV[1] then return 'refused' end
local commands = {set = 'HSET', new = 'HSET', hdel = 'HDEL', zadd = 'ZADD'}
local kinds = {set = 'hash', hdel = 'hash', zadd = 'zset'}
local at = 3
for i = 2, #KEYS do
  local kind, there = kinds[ARGV[at]], redis.call('TYPE', KEYS[i]).ok
  if kind and there ~= kind and there ~= 'none' then return KEYS[i] end
  if ARGV[at] == 'set' and ARGV[at + 2] ~= '*' and redis.call('HGET', KEYS[i], '') ~= ARGV[at + 2] then
    return KEYS[i]
  end
  at = at + 2 + tonumber(ARGV[at + 1])
end
at = 3
for i = 2, #KEYS do
  local command, last = ARGV[at], at + 1 + tonumber(ARGV[at + 1])
  if command == 'new' or command == 'del' then redis.call('DEL', KEYS[i]) end
  -- pairs are kept together; unpack has a limit of some thousand values
  for from = command == 'set' and at + 3 or at + 2, last, 1000 do
    redis.call(commands[command], KEYS[i], unpack(ARGV, from, math.min(from + 999, last)))
  end
  at = last + 1
end
redis.call('PUBLISH', ARGV[2], KEYS[1])
return 'written'
"""

# KEYS[1] is the state, ARGV[1] the fence that it must have. Each of the other KEYS gets the name behind it.
_SET_ASIDE = """
if (redis.call('HGET', KEYS[1], 'fence') or '') ~= ARGV[1] then return 'refused' end
for i = 2, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + 1]) end
end
return 'written'
"""
_ANY = "*"
"""In place of a stamp: any will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionState:
    """How far one partition is in the books."""

    next: int = 0
    """The first offset of ``spills.raw`` that is not in them."""
    fence: str = ""
    """Of the checkpoint that wrote it, ``WRITER:NUMBER``; empty if there is none. The next one must name it."""
    log: str = ""
    """Id of the topic: one that is made anew has another."""
    tail: tuple[layout.Counted, ...] = ()
    """The last messages in them, the last one at the end: Kafka must still have them, and not others in their place."""
    lost: tuple[layout.Loss, ...] = ()
    """What Kafka no longer had when it was needed."""
    produced_ms: int = 0
    """When the newest message in them was produced, Unix milliseconds."""
    repairs: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """Run that is made again from Kafka → its first offset that is not in its part. Its messages are left out else."""

    index: str = ""
    """The stamp that the list of the partition's runs must have."""

    @property
    def number(self) -> int:
        """How many checkpoints there were."""
        return int(self.fence.rpartition(":")[2] or 0)


@dataclass(slots=True, kw_only=True)
class StoredPart:
    """A part of a run as Redis has it."""

    part: RunPart = field(default_factory=RunPart)
    book: Book
    windows: dict[int, int] = field(default_factory=dict)
    """Start of a window that is kept, s → spills in it."""
    upto: int = 0
    """The first offset that is not in it."""
    log: str = ""
    """Id of the topic that the offset is of."""
    stamps: dict[str, str] = field(default_factory=dict)
    """Key → the stamp that it has. One without is none of the part's."""
    place: layout.Place | None = None
    """Where the list of runs says that it is."""


@dataclass(slots=True, kw_only=True)
class RunChanges:
    """What a checkpoint changes in a part of a run."""

    stored: StoredPart
    """Of which totals and offset are written as they are."""
    place: layout.Place | None
    """What the list of runs is to say; None leaves it as it is."""
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
    expired: list[int] = field(default_factory=list)
    """Starts of windows that are no longer kept."""


class CheckpointRefusedError(Exception):
    """Another has written meanwhile, or Redis lost data: what is in memory here is not what is there."""


class DamagedStateError(Exception):
    """What Redis holds of how far a partition is, is none of what was written there."""


class DamagedIndexError(Exception):
    """The list of a partition's runs is not as it was left."""


class DamagedPartError(Exception):
    """A part of a run is not whole in Redis, or none of what was written there.

    Parameters
    ----------
    run
        Which.
    why
        In words.
    """

    def __init__(self, run: int, why: str) -> None:
        self.run, self.why = run, why
        super().__init__(f"run {run}: {why}")


@contextmanager
def _as_damage(run: int, key: str) -> Iterator[None]:
    """Say which key of a run it is that cannot be understood."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise DamagedPartError(run, f"{key} cannot be read: {type(error).__name__}: {error}") from error
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        raise DamagedPartError(run, f"{key}, or one beside it, has another type: {error}") from error


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
        self._compare_and_set = redis.register_script(_COMPARE_AND_SET)
        self._set_aside = redis.register_script(_SET_ASIDE)

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
            return unpack_state(stored)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise DamagedStateError(f"{key} cannot be read: {type(error).__name__}: {error}") from error
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            raise DamagedStateError(f"{key} has another type: {error}") from error

    async def forget_state(self, partition: int) -> None:
        """Remove how far a partition is: the parts of its runs say for themselves what is in them."""
        await self._redis.delete(self._keys(partition).state)

    async def load_places(self, partition: int) -> tuple[dict[int, layout.Place], str]:
        """Return where the runs of a partition are, and the stamp of that list; none if something cannot be read."""
        try:
            return unpack_places(await self._hash(self._keys(partition).index))
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            return {}, ""

    async def list_again(self, partition: int, stamp: str) -> None:
        """Make the list of a partition's runs from their totals, with the stamp that it must have."""
        keys = self._keys(partition)
        places: dict[Any, Any] = {layout.STAMP: stamp}
        async for key in self._redis.scan_iter(match=keys.run("*"), count=1000):
            stored = await self._hash(key)
            try:
                run, log = int(key.rpartition(b":")[2]), layout.unpack_json(stored[b"unit"])["log"]
                totals = layout.unpack_totals(stored[b"totals"])
            except (LookupError, ValueError, TypeError):
                continue  # whoever looks at it finds that it is damaged
            places[run] = layout.pack_place(layout.Place.of(totals, partition, log))
        await self._redis.delete(keys.index)
        await self._redis.hset(keys.index, mapping=places)  # type: ignore[misc]

    async def load_place(self, partition: int, run: int) -> layout.Place | None:
        """Return where a run is in a partition; None if the list of runs does not know it, or cannot be read."""
        try:
            stored = await self._redis.hget(self._keys(partition).index, str(run))  # type: ignore[misc]
            return layout.unpack_place(stored) if stored is not None else None
        except (ValueError, TypeError, ResponseError):
            return None

    async def load_part(self, partition: int, run: int, ranges: Ranges) -> StoredPart | None:
        """Return a partition's part of a run; None if there is none.

        Raises
        ------
        DamagedPartError
            When something of it is gone or damaged, or its plots have other axes than they would have now.
        """
        keys = self._keys(partition)
        with _as_damage(run, keys.run(run)):
            pipe = self._redis.pipeline(transaction=True)
            pipe.hgetall(keys.run(run))
            pipe.hget(keys.index, str(run))
            pipe.hgetall(keys.spills(run))
            pipe.hget(keys.key_numbers(run), layout.STAMP)
            pipe.hlen(keys.key_numbers(run))
            pipe.hgetall(keys.book(run))
            pipe.hgetall(keys.windows(run))
            stored, place, spills, numbers_stamp, numbers, plots, windows = await pipe.execute()
            if not stored:
                return None
            found = unpack_part(stored, ranges)
            found.place = layout.unpack_place(place) if place is not None else None
        spills, plots, windows = (
            self._checked(run, found, key, there)
            for key, there in ((keys.spills(run), spills), (keys.book(run), plots), (keys.windows(run), windows))
        )
        if self._checked(run, found, keys.key_numbers(run), {layout.STAMP.encode(): numbers_stamp}):
            with _as_damage(run, keys.key_numbers(run)):
                if numbers - 1 != found.part.totals.filled:
                    raise ValueError(f"it has {numbers - 1} spills, and {found.part.totals.filled} were filled")
        with _as_damage(run, keys.spills(run)):
            found.part.ledger = unpack_ledger(spills)
            if len(found.part.ledger) != found.part.totals.filled:
                raise ValueError(f"it has {len(found.part.ledger)} spills, and {found.part.totals.filled} were filled")
        with _as_damage(run, keys.book(run)):
            found.book = unpack_book(plots, ranges)
        with _as_damage(run, keys.windows(run)):
            found.windows = unpack_windows(windows)
        return found

    async def load_window(self, partition: int, run: int, start: int, stored: StoredPart) -> Book:
        """Return a partition's book of a window; raises as `load_part` does."""
        key = self._keys(partition).window(run, start)
        with _as_damage(run, key):
            plots = self._checked(run, stored, key, await self._hash(key))
            return unpack_book(plots, stored.book.ranges)

    @staticmethod
    def _checked(run: int, stored: StoredPart, key: str, found: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
        """Return what a key holds if it has its stamp; nothing if it is none of the part's."""
        if key not in stored.stamps:
            return {}
        there = found.get(layout.STAMP.encode()) or b""
        if there.decode(errors="replace") != stored.stamps[key]:
            raise DamagedPartError(run, f"{key} is {'older than the rest' if there else 'gone'}")
        return found

    async def damaged(self, partition: int, runs: Sequence[int]) -> dict[int, str]:
        """Return those of some runs of which a key is gone or older than the others, and why; values are not read."""
        keys = self._keys(partition)
        pipe = self._redis.pipeline(transaction=False)
        for run in runs:
            pipe.hget(keys.run(run), "unit")
        wanted, found = dict(zip(runs, await pipe.execute(raise_on_error=False), strict=True)), dict[int, str]()
        for run, stored in wanted.items():
            try:
                with _as_damage(run, keys.run(run)):
                    stamps = layout.unpack_json(stored)["stamps"]
                    pipe = self._redis.pipeline(transaction=False)
                    for key in stamps:
                        pipe.hget(key, layout.STAMP)
                    there = await pipe.execute()
                    for key, stamp in zip(stamps, there, strict=True):
                        if (stamp or b"").decode() != stamps[key]:
                            found[run] = f"{key} is {'older than the rest' if stamp else 'gone'}"
            except DamagedPartError as damage:
                found[run] = damage.why
        return found

    async def asked_for(self, partition: int) -> list[int]:
        """Return the runs of which somebody could not read something, and take note that it was heard."""
        key = self._keys(partition).repair
        asked = cast("list[bytes]", await self._redis.spop(key, 100))  # type: ignore[misc]
        return sorted(int(run) for run in asked if run.lstrip(b"-").isdigit())

    async def set_aside(self, partition: int, run: int, fence: str) -> None:
        """Give all keys of a part of a run other names.

        Raises
        ------
        CheckpointRefusedError
            When another has written meanwhile.
        """
        keys = self._keys(partition)
        names = [keys.state]
        async for found in self._redis.scan_iter(match=keys.windows_of_run(run), count=1000):
            names += [found.decode(), keys.aside(fence, found.decode())]
        for key in keys.of_run(run):
            names += [key, keys.aside(fence, key)]
        if await self._set_aside(keys=names, args=[fence]) != b"written":
            raise CheckpointRefusedError(f"partition {partition}: another has written meanwhile")

    async def remove_aside(self, partition: int, run: int) -> None:
        """Remove what was set aside of a part of a run: it was made again from Kafka, whole."""
        keys = self._keys(partition)
        for key in (*keys.of_run(run), keys.windows_of_run(run)):
            async for found in self._redis.scan_iter(match=keys.aside("*", key), count=1000):
                await self._redis.unlink(found)

    async def begin(self, partition: int) -> None:
        """Have a partition among those that there are."""
        await self._redis.sadd(layout.partitions(self._prefix, self._session), partition)  # type: ignore[misc]

    async def checkpoint(
        self, partition: int, fence: str, state: PartitionState, runs: Mapping[int, RunChanges]
    ) -> PartitionState:
        """Write what a batch changed, all or nothing, and return the state that was written.

        The steps, inside one script, so that nothing comes between them:

        1. compare the fence, and the stamp of each key that grows, and refuse if one is another;
        2. write, for each run, its totals, new ledger entries with the spills' key numbers, changed histograms of run
           and windows; delete the windows that are no longer kept;
        3. write the places of the runs, and how far the partition is;
        4. announce the change.

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
        touched: list[str] = []
        arguments: list[Any] = []
        owners: dict[str, int] = {}

        def command(key: str, name: str, values: Sequence[Any]) -> None:
            touched.append(key)
            arguments.extend([name, len(values), *values])

        def grow(run: int, key: str, values: Mapping[Any, Any]) -> None:
            if not values:
                return
            stamps = runs[run].stored.stamps
            fields = [part for pair in values.items() for part in pair]
            stamp = [stamps[key]] if key in stamps else []
            command(key, "set" if stamp else "new", [*stamp, layout.STAMP, state.fence, *fields])
            stamps[key], owners[key] = state.fence, run

        for run, changes in runs.items():
            stored, windows = changes.stored, changes.stored.windows
            grow(run, keys.spills(run), {s: layout.pack_ledger_entry(e) for s, e in changes.ledger.items()})
            grow(run, keys.key_numbers(run), {s: layout.seal(n) for s, n in changes.key_numbers.items()})
            grow(run, keys.book(run), _histograms(changes.plots))
            for start, plots in changes.windows.items():
                grow(run, keys.window(run, start), _histograms(plots))
            grow(run, keys.windows(run), {start: layout.seal(b"%d" % windows[start]) for start in changes.windows})
            if changes.expired:
                command(keys.windows(run), "hdel", changes.expired)
            for start in changes.expired:
                command(keys.window(run, start), "del", [])
                stored.stamps.pop(keys.window(run, start), None)
            if changes.handling:
                handling = [part for s, h in changes.handling.items() for part in (s, layout.pack_handling(h))]
                command(keys.handling(run), "set", [_ANY, *handling])
            command(keys.run(run), "new", [part for pair in pack_part(stored).items() for part in pair])
            command(keys.changed, "zadd", [state.number, run])
        places = {run: layout.pack_place(changes.place) for run, changes in runs.items() if changes.place is not None}
        if places:
            fields = [part for pair in places.items() for part in pair]
            stamp = [state.index] if state.index else []
            command(keys.index, "set" if stamp else "new", [*stamp, layout.STAMP, state.fence, *fields])
            state = replace(state, index=state.fence)
        command(keys.state, "new", [part for pair in pack_state(state).items() for part in pair])
        channel = layout.changed_channel(self._prefix, self._session)
        answer = await self._compare_and_set(keys=[keys.state, *touched], args=[fence, channel, *arguments])
        refused = cast("bytes", answer).decode()
        if refused == "refused":
            raise CheckpointRefusedError(f"partition {partition}: another has written since {fence or 'the beginning'}")
        if refused in owners:
            raise DamagedPartError(owners[refused], f"{refused} is not as it was left")
        if refused == keys.index:
            raise DamagedIndexError(refused)
        if refused != "written":
            await self._redis.delete(refused)  # it has another type: nobody misses what it holds
            raise CheckpointRefusedError(f"partition {partition}: {refused} was none of ours and is removed")
        return state

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        return cast("dict[bytes, bytes]", await self._redis.hgetall(key))  # type: ignore[misc]


def pack_state(state: PartitionState) -> dict[str, Any]:
    """Return how far a partition is as the fields of a hash; the fence is compared there."""
    plain = {
        "next": state.next,
        "log": state.log,
        "tail": state.tail,
        "lost": state.lost,
        "produced_ms": state.produced_ms,
        "repairs": dict(state.repairs),
        "index": state.index,
    }
    return {"fence": state.fence, "state": layout.pack_json(plain)}


def unpack_state(stored: Mapping[bytes, bytes]) -> PartitionState:
    """Return how far a partition is; the beginning if nothing is stored.

    Raises
    ------
    ValueError, LookupError, TypeError
        When it is none of ours.
    """
    if not stored:
        return PartitionState()
    plain = layout.unpack_json(stored[b"state"])
    return PartitionState(
        fence=stored[b"fence"].decode(),
        next=int(plain["next"]),
        log=str(plain["log"]),
        tail=tuple(layout.Counted(int(offset), int(produced_ms)) for offset, produced_ms in plain["tail"]),
        lost=tuple(layout.Loss(int(at_s), str(what)) for at_s, what in plain["lost"]),
        produced_ms=int(plain["produced_ms"]),
        repairs={int(run): int(offset) for run, offset in plain["repairs"].items()},
        index=str(plain["index"]),
    )


def unpack_places(stored: Mapping[bytes, bytes]) -> tuple[dict[int, layout.Place], str]:
    """Return where runs are, and the stamp of that list; none if something of it cannot be read."""
    found = {}
    stamp = stored.get(layout.STAMP.encode(), b"").decode(errors="replace")
    for run, data in stored.items():
        if run == layout.STAMP.encode():
            continue
        try:
            found[int(run)] = layout.unpack_place(data)
        except (ValueError, TypeError):
            stamp = ""
    return found, stamp


def pack_part(stored: StoredPart) -> dict[str, Any]:
    """Return the totals of a part, how far it is, and the stamps of its keys, as the fields of a hash."""
    unit = {
        "upto": stored.upto,
        "log": stored.log,
        "plots": plots_digest(stored.book.ranges),
        "stamps": stored.stamps,
    }
    return {"totals": layout.pack_totals(stored.part.totals), "unit": layout.pack_json(unit)}


def unpack_part(stored: Mapping[bytes, bytes], ranges: Ranges) -> StoredPart:
    """Return what `pack_part` was given, without what is in other keys.

    Raises
    ------
    ValueError
        When it was filled with other plots than it would be now: some would lack what others have.
    """
    unit = layout.unpack_json(stored[b"unit"])
    if unit["plots"] != plots_digest(ranges):
        raise ValueError("its plots or their axes are others than now")
    return StoredPart(
        part=RunPart({}, layout.unpack_totals(stored[b"totals"])),
        book=Book(ranges),
        upto=int(unit["upto"]),
        log=str(unit["log"]),
        stamps=dict(unit["stamps"]),
    )


def unpack_ledger(stored: Mapping[bytes, bytes]) -> Ledger:
    """Return the ledger in the fields of a hash."""
    return {int(s): layout.unpack_ledger_entry(e) for s, e in stored.items() if s != layout.STAMP.encode()}


def unpack_windows(stored: Mapping[bytes, bytes]) -> dict[int, int]:
    """Return start of a window → its spills from the fields of a hash."""
    return {int(start): int(layout.unseal(n)) for start, n in stored.items() if start != layout.STAMP.encode()}


def unpack_book(stored: Mapping[bytes, bytes], ranges: Ranges) -> Book:
    """Return the book in the fields of a hash."""
    book = Book(ranges)
    for name, data in stored.items():
        if name != layout.STAMP.encode():
            book[name.decode()] = uhi.decode(data)
    return book


def _histograms(plots: Mapping[str, Histogram]) -> dict[str, bytes]:
    return {name: uhi.encode(histogram) for name, histogram in plots.items()}
