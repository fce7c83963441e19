"""What is in the books, summed over the partitions: read only, for the page and the command line."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Self, cast

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from streams.books import layout
from streams.books.book import Book, Ranges
from streams.books.cells import Histogram
from streams.books.connect import is_other_type
from streams.books.promotions import Promotions
from streams.books.run import Handling, Ledger, RunBook
from streams.books.run_list import RunList
from streams.books.stored import (
    number_of,
    unpack_book,
    unpack_handling,
    unpack_key_numbers,
    unpack_ledger,
    unpack_numbers,
    unpack_state,
    unpack_windows,
)
from streams.books.totals import NewerFormatError, Totals
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

    def follows(self, before: "Progress") -> bool:
        """Say whether it came of another by counting more, and not after Redis was emptied or set back."""
        return self.next >= before.next and number_of(self.fence) >= number_of(before.fence)


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
    partition
        Whose parts alone are read, also where the set of partitions lacks it; None for those of all.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        session: str,
        promoted: Callable[[], Mapping[int, str]] = dict,
        *,
        partition: int | None = None,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._session = session
        self._promoted = promoted
        self._partition = partition
        self._lists: dict[str, RunList] = {}
        self.unreadable: dict[int, str] = {}
        """Runs that `places` or `runs` left out when it was called last, and why."""
        self.came_ms: Mapping[int, int] = {}
        """When the first message of each run came, Unix milliseconds, when `places` was called last; 0 if unknown.

        Never before what lies before it in Kafka, whatever its producer's clock said.
        """

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
        if self._partition is not None:
            return [layout.Keys(self._prefix, session, self._partition)]
        known = cast("set[bytes]", self._redis.smembers(layout.partitions(self._prefix, session)))
        return [layout.Keys(self._prefix, session, p) for p in sorted(int(each) for each in known if each.isdigit())]

    def _keys_with(self, run: int) -> list[layout.Keys]:
        """Return the keys that have the book of a run."""
        return self._keys_of(self._promoted().get(run, self._session))

    def progress(self) -> dict[int, Progress]:
        """Return how far each partition is that something is in the books of."""
        return self._progress(self._session)

    def _progress(self, session: str) -> dict[int, Progress]:
        found = {}
        for keys in self._keys_of(session):
            try:
                state = unpack_state(cast("dict[bytes, bytes]", self._redis.hgetall(keys.state)))
            except layout.UNREADABLE:
                continue  # its worker finds that it is damaged
            except ResponseError as error:
                if not is_other_type(error):
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
        """Return where every run is, and how far it came, by number. Only what has changed since is read."""
        found = self._list(self._session)
        self.unreadable = self._lists[self._session].unreadable
        came_ms = self._lists[self._session].came_ms
        by_session: dict[str, list[int]] = {}
        for run, session in self._promoted().items():
            by_session.setdefault(session, []).append(run)
        for session, runs in by_session.items():
            there = self._list(session)
            for run in there.keys() & runs:
                # A replay reads a run long after it came, or from a file: when it came is what live says.
                first_ms = found[run].first_ms if run in found else there[run].first_ms
                found[run] = replace(there[run], first_ms=first_ms)
            came_ms = {run: self._lists[session].came_ms[run] for run in there.keys() & runs} | came_ms
        self.came_ms = came_ms
        return found

    def _list(self, session: str) -> dict[int, layout.Place]:
        return self._lists.setdefault(session, RunList(self._redis)).read(self._keys_of(session))

    def runs(self, only: Iterable[int] | None = None) -> dict[int, Totals]:
        """Return the totals of every run, or of some, by its number; those that cannot be read are left out.

        `NO_RUN` holds what could not be put down to a run.
        """
        promoted = self._promoted()
        by_session: dict[str, list[int]] = {}
        for run in self.places() if only is None else only:
            by_session.setdefault(promoted.get(run, self._session), []).append(run)
        found: dict[int, Totals] = {}
        unreadable = dict(self.unreadable) if only is None else {}
        for session, runs in by_session.items():
            self._list(session)
            for keys in self._keys_of(session):
                self._add_totals(keys, runs, found, unreadable)
        self.unreadable = unreadable
        return {run: totals for run, totals in sorted(found.items()) if run not in unreadable}

    def _add_totals(
        self, keys: layout.Keys, runs: Sequence[int], found: dict[int, Totals], unreadable: dict[int, str]
    ) -> None:
        """Add the totals of runs in a partition."""
        pipe = self._redis.pipeline(transaction=False)
        for run in runs:
            pipe.hget(keys.run(run), "totals")
        for run, stored in zip(runs, pipe.execute(raise_on_error=False), strict=True):
            try:
                with self._reading(keys, run):
                    if isinstance(stored, Exception):
                        raise stored
                    if stored is not None:
                        found.setdefault(run, Totals()).__iadd__(layout.unpack_totals(stored))
                    else:
                        self._check_absent(keys, run)
            except UnreadableRunError as error:
                unreadable[run] = str(error)

    def totals(self, run: int) -> Totals:
        """Return the totals of a run; empty ones if there is no such run."""
        found = self.runs([run])
        if run in self.unreadable:
            raise UnreadableRunError(self.unreadable[run])
        return found.get(run, Totals())

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
            with self._reading(keys, run):
                names = [keys.spills(run), keys.handling(run), keys.book(run)]
                names += [keys.key_numbers(run)] if key_numbers else []
                stored, there = self._part(keys, run, names)
                if not stored:
                    continue
                totals += layout.unpack_totals(stored[b"totals"])
                ours = unpack_ledger(there[0])
                ledger |= ours
                spills += len(ours)
                handling |= unpack_handling(there[1])
                book += unpack_book(there[2], ranges)
                if key_numbers:
                    numbers |= unpack_key_numbers(there[3])
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
            with self._reading(keys, run):
                stored = self._fields(keys, run, keys.key_numbers(run), [*map(str, spills)])
                found |= {int(s): unpack_numbers(n) for s, n in stored.items()}
        return found

    def windows(self, run: int) -> dict[Window, int]:
        """Return the windows kept of a run, and the spills in each, in order.

        Where one partition has joined some already that another has not, they are taken for one.
        """
        there: dict[Window, int] = {}
        for keys in self._keys_with(run):
            with self._reading(keys, run):
                _, (stored,) = self._part(keys, run, [keys.windows(run)])
                for window, spills in unpack_windows(stored).items():
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
            with self._reading(keys, run):
                for part in self._parts_of(keys, run, window):
                    _, (stored,) = self._part(keys, run, [keys.window(run, part)])
                    total += unpack_book(stored, ranges)
        return total

    def _parts_of(self, keys: layout.Keys, run: int, window: Window) -> list[Window]:
        """Return the windows that a partition has of a window: itself, or what is to be joined to it."""
        _, (there,) = self._part(keys, run, [keys.windows(run)])
        return [each for each in unpack_windows(there) if window.start <= each.start and each.end <= window.end]

    def plot(self, name: str, run: int, ranges: Ranges, window: Window | None = None) -> Histogram:
        """Return one histogram of a run, or of a window of it; empty if there is none."""
        total = Book(ranges)
        for keys in self._keys_with(run):
            with self._reading(keys, run):
                parts = [] if window is None else self._parts_of(keys, run, window)
                names = [keys.book(run)] if window is None else [keys.window(run, part) for part in parts]
                for key in names:
                    total += unpack_book(self._fields(keys, run, key, [name]), ranges)
        return total[name]

    def being_made_again(self, run: int) -> list[int]:
        """Return the partitions whose part of a run is being made again from Kafka: its book lacks some of it."""
        session = self._promoted().get(run, self._session)
        return [partition for partition, its in self._progress(session).items() if run in its.repairs]

    def _part(
        self, keys: layout.Keys, run: int, names: Sequence[str]
    ) -> tuple[dict[bytes, bytes], list[dict[bytes, bytes]]]:
        """Return the totals of a partition's part of a run and some of its keys, which belong together.

        A key of which the part does not say which stamp it has is none of its, but for how spills were handled.

        Raises
        ------
        ValueError
            When one is gone, or older than the rest.
        """
        pipe = self._redis.pipeline(transaction=True)
        for name in (keys.run(run), *names):
            pipe.hgetall(name)
        answers = dict(zip((keys.run(run), *names), pipe.execute(raise_on_error=False), strict=True))
        if is_other_type(answers.get(keys.handling(run))):
            answers[keys.handling(run)] = {}  # no book lacks it
        for error in (answer for answer in answers.values() if isinstance(answer, Exception)):
            raise error
        stored, *there = answers.values()
        if not stored:
            self._check_absent(keys, run)
            return {}, [{} for _ in names]
        stamps = layout.unpack_json(stored[b"unit"])["stamps"] | {keys.handling(run): None}
        return stored, [_checked(key, found, stamps) for key, found in zip(names, there, strict=True)]

    def _fields(self, keys: layout.Keys, run: int, key: str, names: Sequence[str]) -> dict[bytes, bytes]:
        """Return some fields of a key of a partition's part of a run, as far as there are any; raises as `_part`."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(keys.run(run), "unit")
        pipe.hmget(key, [layout.STAMP, *names])
        unit, there = pipe.execute()
        if unit is None:
            self._check_absent(keys, run)
            return {}
        found = {n.encode(): value for n, value in zip([layout.STAMP, *names], there, strict=True) if value is not None}
        checked = _checked(key, found, layout.unpack_json(unit)["stamps"])
        return {name: value for name, value in checked.items() if name != _STAMP}

    def _check_absent(self, keys: layout.Keys, run: int) -> None:
        """Refuse that a partition has nothing of a run, though the list of runs says so, unless it is made again."""
        session = keys.session
        if session in self._lists and self._lists[session].has(run, keys.partition):
            its = self._progress(session).get(keys.partition)
            if its is not None and run not in its.repairs:
                raise ValueError("all of it is gone")

    @contextmanager
    def _reading(self, keys: layout.Keys, run: int) -> Iterator[None]:
        """Say which run it is that cannot be read, and have a worker look at it."""
        try:
            yield
        except Exception as error:
            # Whatever else is raised is for want of sense in what was read.
            if isinstance(error, RedisError) and not is_other_type(error):
                raise
            where = f"run {run} in partition {keys.partition}"
            if isinstance(error, NewerFormatError):
                raise UnreadableRunError(f"{where} cannot be read: {error}") from error
            with suppress(ResponseError):  # whoever may only read asks in vain; a worker finds most by itself
                self._redis.sadd(keys.repair, run)
            raise UnreadableRunError(
                f"{where} cannot be read: what Redis holds of it is none of what was written there "
                f"({type(error).__name__}: {error}); a worker makes it again if Kafka still has it"
            ) from error


def _checked(key: str, found: dict[bytes, bytes], stamps: Mapping[str, str | None]) -> dict[bytes, bytes]:
    """Return what a key holds; nothing if it is none of the part's."""
    if key not in stamps:
        return {}
    stamp, wanted = found.get(_STAMP, b"").decode(errors="replace"), stamps[key]
    if wanted is not None and stamp != wanted:
        raise ValueError(f"{key} is {'older than the rest' if stamp else 'gone'}")
    return found
