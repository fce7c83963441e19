"""What is in the books, summed over the partitions: read only, for the page and the command line."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Self, TypeVar, cast

from redis import Redis

from streams.books import layout
from streams.books.book import Book, Ranges
from streams.books.cells import Histogram
from streams.books.part_reader import PartReader, UnreadableRunError
from streams.books.progress import Progress, progress_of
from streams.books.promotions import Promotions
from streams.books.run import Handling, Ledger, RunBook
from streams.books.run_list import RunList
from streams.books.stored import (
    unpack_book,
    unpack_channel_counts,
    unpack_handling,
    unpack_key_numbers,
    unpack_ledger,
    unpack_numbers,
)
from streams.books.totals import Totals
from streams.books.windows import Window
from streams.settings import Settings

TRIES = 4
"""How often something is read that is to be of one checkpoint."""
ASKED_FOR = 1000
"""Spills that are asked for by their numbers at most; of a run that may have more new ones, all are read."""

_T = TypeVar("_T")


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

    def _part(self, keys: layout.Keys, run: int) -> PartReader:
        """Return what reads a partition's part of a run."""
        runs = self._lists.get(keys.session)
        return PartReader(self._redis, keys, run, is_listed=runs is not None and runs.has(run, keys.partition))

    def _parts(self, run: int) -> list[PartReader]:
        """Return what reads the parts of which the book of a run is the sum."""
        return [self._part(keys, run) for keys in self._keys_of(self._promoted().get(run, self._session))]

    def at_once(self, run: int, read: Callable[[], _T]) -> tuple[_T, bool]:
        """Return what is read of a run in several steps, and whether no checkpoint lies between them.

        Where one does it is read anew, `TRIES` times in all: into a run that is made again one comes after the other.
        """
        before, left = self._units(run), TRIES
        while True:
            found, left = read(), left - 1
            now = self._units(run)
            if now == before or not left:
                return found, now == before
            before = now

    def _units(self, run: int) -> list[bytes | None]:
        """Return what each part of a run says of itself, which each checkpoint changes."""
        found = []
        for part in self._parts(run):
            with part.reading():
                found.append(cast("bytes | None", self._redis.hget(part.keys.run(run), "unit")))
        return found

    def progress(self) -> dict[int, Progress]:
        """Return how far each partition is that something is in the books of."""
        return self._progress(self._session)

    def _progress(self, session: str) -> dict[int, Progress]:
        found = {keys.partition: progress_of(self._redis, keys) for keys in self._keys_of(session)}
        return {partition: its for partition, its in found.items() if its is not None}

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
            part = self._part(keys, run)
            try:
                with part.reading():
                    if isinstance(stored, Exception):
                        raise stored
                    if stored is not None:
                        found.setdefault(run, Totals()).__iadd__(layout.unpack_totals(stored))
                    else:
                        part.check_absent()
            except UnreadableRunError as error:
                unreadable[run] = str(error)

    def totals(self, run: int) -> Totals:
        """Return the totals of a run; empty ones if there is no such run."""
        found = self.runs([run])
        if run in self.unreadable:
            raise UnreadableRunError(self.unreadable[run])
        return found.get(run, Totals())

    def run(self, run: int, ranges: Ranges, *, of_spills: bool = True) -> RunBook:
        """Return all of a run; empty books if there is no such run.

        Parameters
        ----------
        of_spills
            Whether what is kept of each spill, too: key numbers, and hits by channel.
        """
        return self._run(run, ranges, of_spills=of_spills)

    def grown(self, run: int, ranges: Ranges, known: RunBook) -> RunBook | None:
        """Return a run of which some is known, without what is kept of each spill: only what has come since is read.

        Its `handling` is of the spills that came. None if all of it must be: many have come, or it has others than it
        had.

        Parameters
        ----------
        known
            The run as it was read before. It was not made again since.
        """
        new = self._may_have_come(run, known)
        if new is None:
            return None
        found = self._run(run, ranges, of_spills=False, only=new)
        ledger = known.ledger | found.ledger
        twice = known.counted_twice + found.counted_twice
        if not len(known.ledger) + len(found.ledger) == len(ledger) == found.totals.filled - twice:
            return None
        return replace(found, ledger=ledger, counted_twice=twice)

    def _may_have_come(self, run: int, known: RunBook) -> list[int] | None:
        """Return the numbers of all spills that may be new in a run; None if they are many."""
        first, end = known.totals.last_spill + 1, self.totals(run).last_spill + 1
        if end - len(known.ledger) > ASKED_FOR:
            return None
        missing = (spill for spill in range(first) if spill not in known.ledger) if first > len(known.ledger) else ()
        return [*missing, *range(first, end)]

    def _run(self, run: int, ranges: Ranges, *, of_spills: bool, only: Sequence[int] | None = None) -> RunBook:
        """Return a run, with all of its ledger or `only` that of some spills."""
        totals, ledger, book = Totals(), Ledger(), Book(ranges)
        handling: dict[int, Handling] = {}
        numbers: dict[int, bytes] = {}
        counts: dict[int, bytes] = {}
        spills = 0
        for part in self._parts(run):
            with part.reading():
                names = [part.keys.spills(run), part.keys.handling(run), part.keys.book(run)]
                names += [part.keys.key_numbers(run), part.keys.channel_counts(run)] if of_spills else []
                stored, there = part.hashes(
                    names, {key: [*map(str, only)] for key in names[:2]} if only is not None else {}
                )
                if not stored:
                    continue
                totals += layout.unpack_totals(stored[b"totals"])
                ours = unpack_ledger(there[0])
                ledger |= ours
                spills += len(ours)
                handling |= unpack_handling(there[1])
                book += unpack_book(there[2], ranges)
                if of_spills:
                    numbers |= unpack_key_numbers(there[3])
                    counts |= unpack_channel_counts(there[4], stored)
        return RunBook(
            totals=totals,
            ledger=ledger,
            book=book,
            handling=handling,
            key_numbers=numbers,
            channel_counts=counts,
            counted_twice=spills - len(ledger),
        )

    def key_numbers(self, run: int, spills: Sequence[int]) -> dict[int, bytes]:
        """Return the key numbers of spills of a run, see `spill_numbers`; none where they were not kept."""
        return self._of_spills(run, spills, layout.Keys.key_numbers, unpack_numbers)

    def channel_counts(self, run: int, spills: Sequence[int]) -> dict[int, bytes]:
        """Return how often each channel was hit in spills of a run, packed; nothing where it was not kept."""
        return self._of_spills(run, spills, layout.Keys.channel_counts, layout.unseal)

    def _of_spills(
        self,
        run: int,
        spills: Sequence[int],
        key_of: Callable[[layout.Keys, int], str],
        unpack: Callable[[bytes], bytes],
    ) -> dict[int, bytes]:
        """Return what is kept of some spills of a run; nothing of those of which it was not kept."""
        found = dict.fromkeys(spills, b"")
        for part in self._parts(run) if found else ():
            with part.reading():
                stored = part.fields(key_of(part.keys, run), [*map(str, spills)])
                found |= {int(spill): unpack(kept) for spill, kept in stored.items()}
        return found

    def windows(self, run: int) -> dict[Window, int]:
        """Return the windows kept of a run, and the spills in each, in order.

        Where one partition has joined some already that another has not, they are taken for one.
        """
        there: dict[Window, int] = {}
        for part in self._parts(run):
            with part.reading():
                for window, spills in part.windows().items():
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
        for part in self._parts(run):
            with part.reading():
                for key in part.windows_within(window):
                    _, (stored,) = part.hashes([key])
                    total += unpack_book(stored, ranges)
        return total

    def part(self, run: int, windows: Iterable[Window], ranges: Ranges) -> Book:
        """Return the book of some windows of a run together."""
        total = Book(ranges)
        for window in windows:
            total += self.window(run, window, ranges)
        return total

    def plot(self, name: str, run: int, ranges: Ranges, window: Window | None = None) -> Histogram:
        """Return one histogram of a run, or of a window of it; empty if there is none."""
        total = Book(ranges)
        for part in self._parts(run):
            with part.reading():
                for key in [part.keys.book(run)] if window is None else part.windows_within(window):
                    total += unpack_book(part.fields(key, [name]), ranges)
        return total[name]

    def being_made_again(self, run: int) -> list[int]:
        """Return the partitions whose part of a run is being made again from Kafka: its book lacks some of it."""
        session = self._promoted().get(run, self._session)
        return [partition for partition, its in self._progress(session).items() if run in its.repairs]
