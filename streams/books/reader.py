"""What is in the books, summed over the partitions: read only, for the page and the command line."""

import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, Self, cast

from redis import Redis
from redis.exceptions import ResponseError

from streams.books import layout, spill_numbers
from streams.books.book import Book, Histogram, Ranges
from streams.books.promotions import Promotions
from streams.books.run import Handling, Ledger, RunBook
from streams.books.stored import unpack_book, unpack_ledger, unpack_places, unpack_state, unpack_windows
from streams.books.totals import Totals
from streams.books.windows import Window
from streams.errors import SpilldeckError
from streams.settings import Settings

_STAMP = layout.STAMP.encode()


class UnreadableRunError(SpilldeckError):
    """What Redis holds of a run is none of what was written there. Others can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one partition is in the books."""

    next: int
    """The first offset of ``spills.raw`` that is not in them."""
    fence: str
    """Of the last checkpoint: the same fence means the same books."""
    produced_ms: int
    """When the newest message in them was produced, Unix milliseconds; 0 without one."""
    lost: tuple[layout.Loss, ...]
    """What Kafka no longer had when it was needed."""
    repairs: Mapping[int, int] = field(default_factory=dict)
    """Run that is being made again → its first offset that is not in the books."""


class BookReader:
    """Sums of parts.

    Whatever reads a run raises `UnreadableRunError` when Redis holds something else there; a worker hears of it, and
    makes it again if Kafka has it.

    Parameters
    ----------
    redis
        Client that returns bytes. Its errors (`redis.RedisError`) are passed on.
    prefix, session
        Part of the keys' names, see `layout`.
    promoted
        Gives the sessions whose books are read in place of this one's, by run.
    """

    def __init__(
        self, redis: Redis, prefix: str, session: str, promoted: Callable[[], Mapping[int, str]] = dict
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._session = session
        self._promoted = promoted
        self._lists: dict[str, _RunList] = {}
        self.unreadable: dict[int, str] = {}
        """Runs that `runs` left out when it was called last, and why."""

    @classmethod
    def of(cls, redis: Redis, settings: Settings, session: str | None = None) -> Self:
        """Return what reads the books of a session, without a name that of the settings."""
        return cls(redis, settings.redis.key_prefix, session or settings.session)

    @classmethod
    def shown(cls, redis: Redis, settings: Settings) -> Self:
        """Return what reads the books that are shown: those of replays where they were promoted."""
        prefix = settings.redis.key_prefix
        return cls(redis, prefix, settings.session, Promotions(redis, prefix).all)

    def _keys_of(self, session: str) -> list[layout.Keys]:
        known = self._redis.smembers(layout.partitions(self._prefix, session))
        return [layout.Keys(self._prefix, session, p) for p in sorted(map(int, known))]

    def _keys_with(self, run: int) -> list[layout.Keys]:
        """Return the keys that have the book of a run."""
        return self._keys_of(self._promoted().get(run, self._session))

    def progress(self) -> dict[int, Progress]:
        """Return how far each partition is that something is in the books of."""
        found = {}
        for keys in self._keys_of(self._session):
            try:
                state = unpack_state(cast("dict[bytes, bytes]", self._redis.hgetall(keys.state)))
            except (LookupError, ValueError, TypeError, AttributeError):
                continue  # its worker finds that it is damaged
            except ResponseError as error:
                if "WRONGTYPE" not in str(error):
                    raise
                continue
            found[keys.partition] = Progress(
                next=state.next,
                fence=state.fence,
                produced_ms=state.produced_ms,
                lost=state.lost,
                repairs=state.repairs,
            )
        return found

    def places(self) -> dict[int, layout.Place]:
        """Return where every run is, and how far it came. Only what has changed since the last call is read."""
        found = self._list(self._session)
        promoted = self._promoted()
        for session in set(promoted.values()):
            there = self._list(session)
            found |= {run: there[run] for run in there if promoted.get(run) == session}
        return dict(sorted(found.items()))

    def _list(self, session: str) -> dict[int, layout.Place]:
        known = self._lists.setdefault(session, _RunList(self._redis))
        return known.read(self._keys_of(session))

    def runs(self, only: Sequence[int] | None = None) -> dict[int, Totals]:
        """Return the totals of every run, or of some, by its number; those that cannot be read are left out.

        `NO_RUN` holds what could not be put down to a run.
        """
        promoted, found = self._promoted(), dict[int, Totals]()
        self.unreadable = {}
        wanted = list(self.places()) if only is None else list(only)
        for session in {self._session, *promoted.values()}:
            its = [run for run in wanted if promoted.get(run, self._session) == session]
            found |= self._totals(self._keys_of(session), its)
        return dict(sorted(found.items()))

    def _totals(self, partitions: Sequence[layout.Keys], runs: Sequence[int]) -> dict[int, Totals]:
        found: dict[int, Totals] = {}
        for keys in partitions:
            pipe = self._redis.pipeline(transaction=False)
            for run in runs:
                pipe.hget(keys.run(run), "totals")
            for run, stored in zip(runs, pipe.execute(raise_on_error=False) if runs else (), strict=True):
                try:
                    if stored is not None:
                        found.setdefault(run, Totals()).__iadd__(_totals(stored))
                except (LookupError, ValueError, TypeError, AttributeError) as error:
                    self.unreadable[run] = f"{keys.run(run)} cannot be read: {type(error).__name__}: {error}"
                    self._ask_for_repair(keys, run)
        return {run: totals for run, totals in found.items() if run not in self.unreadable}

    def run(self, run: int, ranges: Ranges, *, key_numbers: bool = True) -> RunBook:
        """Return all of a run; empty books if there is no such run.

        Parameters
        ----------
        key_numbers
            Whether those of its spills, too.
        """
        totals, ledger, book = Totals(), Ledger(), Book(ranges)
        handling: dict[int, Handling] = {}
        numbers: dict[int, bytes] = {}
        spills = 0
        for keys in self._keys_with(run):
            with _Reading(self, keys, run) as answers:
                names = [keys.run(run), keys.spills(run), keys.handling(run), keys.book(run)]
                names += [keys.key_numbers(run)] if key_numbers else []
                there = answers(*names)
                if not there[0]:
                    continue
                unit = layout.unpack_json(there[0][b"unit"])
                _check_stamps(dict(zip(names, there, strict=True)), unit["stamps"])
                totals += _totals(there[0][b"totals"])
                ours = unpack_ledger(there[1])
                ledger |= ours
                spills += len(ours)
                handling |= _handling(there[2])
                book += unpack_book(there[3], ranges)
                if key_numbers:
                    numbers |= {int(s): _numbers(n) for s, n in there[4].items() if s != _STAMP}
        return RunBook(
            totals=totals,
            ledger=ledger,
            book=book,
            handling=handling,
            key_numbers=numbers,
            counted_twice=spills - len(ledger),
        )

    def key_numbers(self, run: int, spills: Sequence[int]) -> dict[int, bytes]:
        """Return the key numbers of spills of a run, see `spill_numbers`; none where they were not kept."""
        found = dict.fromkeys(spills, b"")
        for keys in self._keys_with(run) if found else ():
            with _Reading(self, keys, run):
                stored = cast("list[bytes | None]", self._redis.hmget(keys.key_numbers(run), [*map(str, spills)]))
                found |= {s: _numbers(n) for s, n in zip(spills, stored, strict=True) if n is not None}
        return found

    def windows(self, run: int) -> dict[Window, int]:
        """Return the windows kept of a run, and the spills in each, in order.

        Where one partition has joined some already that another has not, they are taken for one.
        """
        there: dict[Window, int] = {}
        for keys in self._keys_with(run):
            with _Reading(self, keys, run) as answers:
                for window, spills in unpack_windows(answers(keys.windows(run))[0]).items():
                    there[window] = there.get(window, 0) + spills
        found: dict[Window, int] = {}
        for window in sorted(there, key=lambda each: (each.start, -each.length)):
            last = next(reversed(found), None)
            into = last if last is not None and window.end <= last.end else window
            found[into] = found.get(into, 0) + there[window]
        return found

    def window(self, run: int, window: Window, ranges: Ranges) -> Book:
        """Return the book of a window of a run."""
        total = Book(ranges)
        for keys in self._keys_with(run):
            with _Reading(self, keys, run) as answers:
                for part in self._parts_of(keys, run, window):
                    total += unpack_book(answers(keys.window(run, part))[0], ranges)
        return total

    def _parts_of(self, keys: layout.Keys, run: int, window: Window) -> list[Window]:
        """Return the windows that a partition has of a window: itself, or what is to be joined to it."""
        there = unpack_windows(cast("dict[bytes, bytes]", self._redis.hgetall(keys.windows(run))))
        return [each for each in there if window.start <= each.start and each.end <= window.end]

    def plot(self, name: str, run: int, ranges: Ranges, window: Window | None = None) -> Histogram:
        """Return one histogram of a run, or of a window of it; empty if there is none."""
        total = Book(ranges)
        for keys in self._keys_with(run):
            with _Reading(self, keys, run):
                parts = [] if window is None else self._parts_of(keys, run, window)
                names = [keys.book(run)] if window is None else [keys.window(run, part) for part in parts]
                for key in names:
                    stored = cast("bytes | None", self._redis.hget(key, name))
                    total += unpack_book({name.encode(): stored} if stored is not None else {}, ranges)
        return total[name]

    def _ask_for_repair(self, keys: layout.Keys, run: int) -> None:
        """Have a worker look at a run of which something cannot be read."""
        with suppress(ResponseError):  # whoever may only read asks in vain; a worker finds most by itself
            self._redis.sadd(keys.repair, run)


class _Reading:
    """A ``with`` block that reads keys of a run in one partition, and says whose they are if they cannot be read."""

    def __init__(self, reader: BookReader, keys: layout.Keys, run: int) -> None:
        self._reader, self._keys, self._run = reader, keys, run

    def __enter__(self) -> Callable[..., list[dict[bytes, bytes]]]:
        return self._hashes

    def _hashes(self, *names: str) -> list[dict[bytes, bytes]]:
        pipe = self._reader._redis.pipeline(transaction=True)
        for name in names:
            pipe.hgetall(name)
        return pipe.execute()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        is_rubbish = isinstance(error, ResponseError) and "WRONGTYPE" in str(error)
        if isinstance(error, LookupError | ValueError | TypeError | AttributeError) or is_rubbish:
            self._reader._ask_for_repair(self._keys, self._run)
            raise UnreadableRunError(
                f"what Redis holds of run {self._run} in partition {self._keys.partition} cannot be read "
                f"({type(error).__name__}: {error}): a worker makes it again if Kafka still has it"
            ) from error


class _RunList:
    """The list of a session's runs, of which only what has changed is read again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._places: dict[int, dict[int, layout.Place]] = {}
        self._sums: dict[int, layout.Place] = {}
        self._seen: dict[int, tuple[str, int]] = {}

    def read(self, partitions: Sequence[layout.Keys]) -> dict[int, layout.Place]:
        """Return where every run is, over all partitions."""
        changed: set[int] = set()
        for gone in self._places.keys() - {keys.partition for keys in partitions}:
            changed |= self._places.pop(gone).keys()
            del self._seen[gone]
        for keys in partitions:
            changed |= self._look(keys)
        for run in changed:
            here = [its[run] for its in self._places.values() if run in its]
            self._sums.pop(run, None)
            if here:
                self._sums[run] = reduce(add, here)
        return dict(self._sums)

    def _look(self, keys: layout.Keys) -> set[int]:
        """Read what is new in a partition, and return the runs that have changed there."""
        known = self._places.setdefault(keys.partition, {})
        try:
            fence = (cast("bytes | None", self._redis.hget(keys.state, "fence")) or b"").decode(errors="replace")
            writer, _, number = fence.rpartition(":")
            before = self._seen.get(keys.partition)
            if before == (writer, int(number or 0)) and fence:
                return set()
            if before is None or before[0] != writer:
                return self._look_at_all(keys, writer, int(number or 0))
            pipe = self._redis.pipeline(transaction=True)
            pipe.hlen(keys.index)
            pipe.zrangebyscore(keys.changed, before[1] + 1, "+inf")
            length, changed = pipe.execute()
            stored = cast("list[bytes | None]", self._redis.hmget(keys.index, changed) if changed else [])
            places, _ = unpack_places({r: d for r, d in zip(changed, stored, strict=True) if d is not None})
            known |= places
            if len(known) != length - 1:  # another list than the one that was known
                return self._look_at_all(keys, writer, int(number))
            self._seen[keys.partition] = writer, int(number)
            return set(places)
        except (ResponseError, ValueError) as error:
            if isinstance(error, ResponseError) and "WRONGTYPE" not in str(error):
                raise
            return set()  # rubbish, which its worker removes

    def _look_at_all(self, keys: layout.Keys, writer: str, number: int) -> set[int]:
        before = self._places.get(keys.partition, {})
        places, _ = unpack_places(cast("dict[bytes, bytes]", self._redis.hgetall(keys.index)))
        self._places[keys.partition], self._seen[keys.partition] = places, (writer, number)
        return before.keys() | places.keys()


def _totals(stored: Any) -> Totals:
    if isinstance(stored, ResponseError):
        raise TypeError(str(stored))
    return layout.unpack_totals(stored)


def _handling(stored: Mapping[bytes, bytes]) -> dict[int, Handling]:
    """Return how spills were handled; what cannot be read is left out, as it is no part of the run."""
    found = {}
    for spill, data in stored.items():
        with suppress(ValueError, struct.error):
            found[int(spill)] = layout.unpack_handling(data)
    return found


def _numbers(data: bytes) -> bytes:
    return spill_numbers.check(layout.unseal(data))


def _check_stamps(there: Mapping[str, Mapping[bytes, bytes]], stamps: Mapping[str, str]) -> None:
    """Refuse keys that are gone, or older than the rest."""
    for key, found in there.items():
        if key in stamps and (stamp := found.get(_STAMP, b"").decode(errors="replace")) != stamps[key]:
            raise ValueError(f"{key} is {'older than the rest' if stamp else 'gone'}")
