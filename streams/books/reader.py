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
        known = cast("set[bytes]", self._redis.smembers(layout.partitions(self._prefix, session)))
        return [layout.Keys(self._prefix, session, p) for p in sorted(int(each) for each in known if each.isdigit())]

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
        places = self.places()
        wanted = list(places) if only is None else list(only)
        for session in {self._session, *promoted.values()}:
            its = [run for run in wanted if promoted.get(run, self._session) == session]
            found |= self._totals(session, its)
        return dict(sorted(found.items()))

    def _totals(self, session: str, runs: Sequence[int]) -> dict[int, Totals]:
        found: dict[int, Totals] = {}
        for keys in self._keys_of(session):
            pipe = self._redis.pipeline(transaction=False)
            for run in runs:
                pipe.hget(keys.run(run), "totals")
            for run, stored in zip(runs, pipe.execute(raise_on_error=False) if runs else (), strict=True):
                try:
                    if stored is not None:
                        found.setdefault(run, Totals()).__iadd__(_totals(stored))
                    elif self._lists[session].has(keys.partition, run):
                        raise LookupError("it is gone")
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
            with _Reading(self, keys, run) as part:
                names = [keys.spills(run), keys.handling(run), keys.book(run), keys.key_numbers(run)]
                there = part.hashes(*(names if key_numbers else names[:-1]))
                if part.totals is None:
                    continue
                totals += part.totals
                ours = unpack_ledger(there[0])
                ledger |= ours
                spills += len(ours)
                handling |= _handling(there[1])
                book += unpack_book(there[2], ranges)
                if key_numbers:
                    numbers |= {int(s): _numbers(n) for s, n in there[3].items() if s != _STAMP}
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
            with _Reading(self, keys, run) as part:
                (stored,) = part.fields({keys.key_numbers(run): [*map(str, spills)]})
                found |= {s: _numbers(stored[b"%d" % s]) for s in spills if b"%d" % s in stored}
        return found

    def windows(self, run: int) -> dict[Window, int]:
        """Return the windows kept of a run, and the spills in each, in order.

        Where one partition has joined some already that another has not, they are taken for one.
        """
        there: dict[Window, int] = {}
        for keys in self._keys_with(run):
            with _Reading(self, keys, run) as part:
                for window, spills in unpack_windows(part.hashes(keys.windows(run))[0]).items():
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
            with _Reading(self, keys, run) as part:
                for stored in part.hashes(*self._parts_of(part, keys, run, window)):
                    total += unpack_book(stored, ranges)
        return total

    @staticmethod
    def _parts_of(part: "_Reading", keys: layout.Keys, run: int, window: Window) -> list[str]:
        """Return the keys of the windows that a partition has of a window: itself, or what is to be joined to it."""
        there = unpack_windows(part.hashes(keys.windows(run))[0])
        return [keys.window(run, each) for each in there if window.start <= each.start and each.end <= window.end]

    def plot(self, name: str, run: int, ranges: Ranges, window: Window | None = None) -> Histogram:
        """Return one histogram of a run, or of a window of it; empty if there is none."""
        total = Book(ranges)
        for keys in self._keys_with(run):
            with _Reading(self, keys, run) as part:
                names = [keys.book(run)] if window is None else self._parts_of(part, keys, run, window)
                for stored in part.fields({key: [name] for key in names}):
                    total += unpack_book(stored, ranges)
        return total[name]

    def _ask_for_repair(self, keys: layout.Keys, run: int) -> None:
        """Have a worker look at a run of which something cannot be read."""
        with suppress(ResponseError):  # whoever may only read asks in vain; a worker finds most by itself
            self._redis.sadd(keys.repair, run)


class _Reading:
    """A ``with`` block that reads keys of a run in one partition, and says whose they are if they cannot be read.

    What a key holds is the part's if it has the stamp that the part says; a key of which it says none is none of its.
    """

    def __init__(self, reader: BookReader, keys: layout.Keys, run: int) -> None:
        self._reader, self._keys, self._run = reader, keys, run
        self.totals: Totals | None = None
        """Those of the part, once something was read; None if there is none."""

    def __enter__(self) -> Self:
        return self

    def hashes(self, *names: str) -> list[dict[bytes, bytes]]:
        """Return what keys of the part hold, as of one moment."""
        pipe = self._begun()
        for name in names:
            pipe.hgetall(name)
        return self._checked(names, pipe.execute())

    def fields(self, wanted: Mapping[str, Sequence[str]]) -> list[dict[bytes, bytes]]:
        """Return some fields of keys of the part, as of one moment, as far as there are any."""
        pipe = self._begun()
        for name, fields in wanted.items():
            pipe.hmget(name, [layout.STAMP, *fields])
        first, listed, *answers = pipe.execute()
        there = [
            {f.encode(): value for f, value in zip([layout.STAMP, *fields], values, strict=True) if value is not None}
            for fields, values in zip(wanted.values(), answers, strict=True)
        ]
        return self._checked([*wanted], [first, listed, *there])

    def _begun(self) -> Any:
        pipe = self._reader._redis.pipeline(transaction=True)
        pipe.hgetall(self._keys.run(self._run))
        pipe.hget(self._keys.index, str(self._run))
        return pipe

    def _checked(self, names: Sequence[str], answers: Sequence[Any]) -> list[dict[bytes, bytes]]:
        stored, listed, *there = answers
        if not stored:
            if listed is not None:
                raise ValueError(f"{self._keys.run(self._run)} is gone")
            return [{} for _ in names]
        self.totals = _totals(stored[b"totals"])
        stamps = layout.unpack_json(stored[b"unit"])["stamps"]
        for name, found in zip(names, there, strict=True):
            stamp = found.get(_STAMP, b"").decode(errors="replace")
            if name in stamps and stamp != stamps[name]:
                raise ValueError(f"{name} is {'older than the rest' if stamp else 'gone'}")
            if name not in stamps and name != self._keys.handling(self._run):
                found.clear()
        return list(there)

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

    def has(self, partition: int, run: int) -> bool:
        """Say whether something of a run was in a partition when somebody read the list last."""
        return run in self._places.get(partition, {})

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
