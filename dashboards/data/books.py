"""The books of the runs that somebody looks at, as they were last read from Redis."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from dashboards.choices import LAST_MINUTE, book_of
from dashboards.data.history import RUNS_SHOWN, History, KeyNumbers, Point
from dashboards.data.view import RunSummary
from schemas.records import NO_RUN
from streams.books.book import Book, Ranges
from streams.books.key_number import key_number
from streams.books.layout import Place
from streams.books.reader import BookReader, Progress, UnreadableRunError
from streams.books.run import RunBook, spill_facts
from streams.books.spill_numbers import SpillNumber, is_kept
from streams.books.totals import Totals
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.plots.catalogue import PLOTS
from streams.plots.spillfacts import SpillFacts
from streams.process import ranges_of

MINUTE_S = 60
ENOUGH_TRIGGERS = 1000
"""Particle triggers that a run must have to be taken as a reference by itself: a bin with a tenth of them has 10 %."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks at."""

    run: int | None = None
    """None for the current one."""
    session: str | None = None
    """Whose book of it; None for the book that is the run's."""
    part: int | None = None
    """Which part of it, see `Choices.window`; None for the whole."""
    plot: str | None = None
    """The plot whose key number is followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A window of a run, or its last minute: of whole windows, so that it is one to two minutes with windows of one."""

    since_us: int
    until_us: int
    book: Book


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    """One run."""

    book: RunBook
    spills: SpillFacts
    windows: tuple[int, ...]
    """Starts of those that are kept, s since 1970 UTC, in order."""
    parts: Mapping[int, Part]
    """Those that were asked for, see `Choices.window`."""
    histories: Mapping[str, History]
    """Key numbers of the plots that were asked for."""
    version: str
    promoted: str | None = None
    """The replay whose book is that of the run; None if it is that of live."""
    place: Place | None = None
    """Where the list of runs said that it was when it was read: at the same place again it is the same."""
    unreadable: bool = False
    """What Redis holds of it cannot be read: then there is nothing of it here."""
    warnings: tuple[str, ...] = ()


NOTHING = OneRun(
    book=RunBook(totals=Totals(), ledger={}, book=Book({})),
    spills=spill_facts({}),
    windows=(),
    parts={},
    histories={},
    version="",
)
"""What there is of a run that the books do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """How far the books are: what is read at the same place again is the same."""

    progress: Mapping[int, Progress] = field(default_factory=dict)
    sessions: Mapping[str, Mapping[int, Progress]] = field(default_factory=dict)
    """Of the sessions that somebody looks at."""
    promoted: Mapping[int, str] = field(default_factory=dict)
    """The session of the replay whose book is that of the run, by run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What was last read of Redis."""

    current: int | None = None
    places: Mapping[int, Place] = field(default_factory=dict)
    """Where the runs are, in the order in which they began to come."""
    runs: tuple[RunSummary, ...] = ()
    read: Mapping[tuple[int, str | None], OneRun] = field(default_factory=dict)
    """The runs that somebody looks at, by number and session; `NOTHING` if the session has not got it."""
    unattributed: Totals = field(default_factory=Totals)
    """What could not be put down to a run."""
    nowhere: Place | None = None
    """Where that is."""
    at: At | None = None

    def automatic_reference(self, run: int | None) -> int | None:
        """Return the newest run before this one, of the same type, with enough particle triggers to compare with."""
        if run is None or run not in self.places:
            return None
        order, run_type = list(self.places), self.places[run].run_type
        for other in reversed(order[: order.index(run)]):
            its = self.places[other]
            if its.run_type == run_type and its.triggers >= ENOUGH_TRIGGERS:
                return other
        return None

    def one(self, run: int | None, session: str | None) -> OneRun:
        """Return a run, as far as it was read."""
        return self.read.get((run, session), NOTHING) if run is not None else NOTHING

    def has_read(self, wanted: Wanted) -> bool:
        """Return whether there is nothing more to be read of what somebody looks at."""
        run = self.current if wanted.run is None else wanted.run
        if run is None or (wanted.session is None and run not in self.places):
            return True
        one = self.read.get((run, wanted.session))
        if one is None or one is NOTHING or one.unreadable:
            return one is not None
        return wanted.part in {None, *one.parts} and wanted.plot in {None, *one.histories}


class BooksReader:
    """Reads runs, and only what has changed.

    Parameters
    ----------
    reader
        Of the books that are the runs'. Its errors are passed on.
    reader_of
        Gives what reads the books of a session.
    promoted
        Gives the session of the replay whose book is that of the run, by run.
    conditions
        Give a run's own ranges of plots.
    window_s
        Length of a window.
    """

    def __init__(
        self,
        reader: BookReader,
        reader_of: Callable[[str], BookReader],
        promoted: Callable[[], Mapping[int, str]],
        conditions: ConditionsStore,
        window_s: int,
    ) -> None:
        self._reader = reader
        self._reader_of = reader_of
        self._promoted = promoted
        self._conditions = conditions
        self._window_s = window_s
        self._key_numbers = KeyNumbers()

    def look(self, wanted: Iterable[Wanted]) -> At:
        """Return how far the books are that somebody looks at."""
        sessions = {each.session for each in wanted if each.session is not None}
        return At(
            progress=self._reader.progress(),
            sessions={session: self._reader_of(session).progress() for session in sorted(sessions)},
            promoted=self._promoted(),
        )

    def read(self, last: Books, at: At, wanted: Iterable[Wanted], *, behind: bool) -> Books:
        """Return what there is now.

        Parameters
        ----------
        last
            What was read before.
        at
            What `look` returned.
        wanted
            Runs that somebody looks at.
        behind
            Whether messages are on their way.
        """
        places = self._reader.places()
        nowhere = places.pop(NO_RUN, None)
        # The run that is being taken is the one that began to come last, whatever the spills' own clock says.
        places = dict(sorted(places.items(), key=lambda each: (each[1].first_ms, each[0])))
        current = next(reversed(places), None)
        of_session: dict[str | None, Mapping[int, Place]] = {None: places}
        of_session |= {session: self._reader_of(session).places() for session in at.sessions}
        looked_at: dict[tuple[int, str | None], list[Wanted]] = {}
        for each in wanted:
            run = current if each.run is None else each.run
            if run is not None and (each.session is not None or run in places):
                looked_at.setdefault((run, each.session), []).append(each)
        read = {}
        for (run, session), asked in looked_at.items():
            if run not in of_session[session]:
                read[run, session] = NOTHING
                continue
            known, place = last.read.get((run, session)), of_session[session][run]
            promoted = at.promoted.get(run) if session is None else None
            is_current = session is None and run == current
            moved = is_current and (last.at is None or at.progress != last.at.progress)
            if known is not None and not moved and _is_unchanged(known, place, promoted, asked):
                read[run, session] = known
                continue
            try:
                one = self._read_one(run, session, place, at, places, asked, is_current=is_current, behind=behind)
            except UnreadableRunError as error:
                one = replace(NOTHING, unreadable=True, version=f"{book_of(run, session)}:?", warnings=(f"{error}",))
            read[run, session] = _of_replay(run, one, promoted)
        return Books(
            current=current,
            places=places,
            runs=tuple(_summary(run, place) for run, place in places.items()),
            read=read,
            unattributed=self._unattributed(last, nowhere),
            nowhere=nowhere,
            at=at,
        )

    def _unattributed(self, last: Books, nowhere: Place | None) -> Totals:
        """Return the totals of what is of no run."""
        if nowhere is None or nowhere == last.nowhere:
            return last.unattributed if nowhere is not None else Totals()
        return self._reader.runs([NO_RUN]).get(NO_RUN, Totals())

    def _read_one(
        self,
        run: int,
        session: str | None,
        place: Place,
        at: At,
        places: Mapping[int, Place],
        asked: Sequence[Wanted],
        *,
        is_current: bool,
        behind: bool,
    ) -> OneRun:
        """Return a run with the parts of it and the key numbers that were asked for."""
        parts = {each.part for each in asked if each.part is not None}
        progress = at.progress if is_current else None
        one = self._read_run(run, session, place, progress, parts=parts, behind=behind)
        promoted = at.promoted.get(run) if session is None else None
        histories = {}
        for name in {each.plot for each in asked if each.plot is not None}:
            earlier = self._reader.runs(_before(run, places))
            histories[name] = History(
                spills=self._spills(name, run, session, promoted, one),
                windows=self._windows(name, run, session, one),
                runs=self._runs(name, run, one, earlier, at.promoted),
            )
        theirs = at.progress if session is None else at.sessions[session]
        left = [partition for partition, its in theirs.items() if run in its.repairs]
        warnings = one.warnings
        if left:
            where = ", ".join(map(str, left))
            warnings = (
                *warnings,
                f"Run {run} is being made again from Kafka (partition {where}): its plots are not whole",
            )
        if one.book.counted_twice:
            warnings = (
                *warnings,
                f"{one.book.counted_twice} spills of run {run} lie in two partitions and are counted twice",
            )
        return replace(one, histories=histories, warnings=warnings)

    def _read_run(
        self,
        run: int,
        session: str | None,
        place: Place,
        progress: Mapping[int, Progress] | None,
        *,
        parts: set[int],
        behind: bool,
    ) -> OneRun:
        reader = self._reader if session is None else self._reader_of(session)
        ranges: Ranges = {}
        warnings: tuple[str, ...] = ()
        try:
            ranges = ranges_of(self._conditions.for_run(run))
        except UsageError as error:
            warnings = (f"The conditions of run {run} cannot be read: {error}",)
        book = reader.run(run, ranges, key_numbers=False)
        spills, starts = spill_facts(book.ledger, book.handling), tuple(reader.windows(run))
        # The current run by how far the partitions are: unlike the totals, it says whether something is on its way.
        what = repr(progress) if progress is not None else repr(place)
        name = book_of(run, session)
        return OneRun(
            place=place,
            book=book,
            spills=_settled(spills, len(progress)) if progress is not None and behind else spills,
            windows=starts,
            parts={part: _read_part(reader, run, ranges, part, starts, self._window_s) for part in parts},
            histories={},
            version=f"{name}:{hashlib.blake2b(what.encode(), digest_size=8).hexdigest()}",
            warnings=warnings,
        )

    def _spills(
        self, name: str, run: int, session: str | None, promoted: str | None, one: OneRun
    ) -> tuple[SpillNumber, ...]:
        if not is_kept(PLOTS[name]):
            return ()
        reader = self._reader if session is None else self._reader_of(session)
        whose, spills = session or promoted, sorted(one.book.ledger)
        return self._key_numbers.read_spills(reader, whose, name, run, one.book.totals, spills)

    def _windows(self, name: str, run: int, session: str | None, one: OneRun) -> tuple[Point, ...]:
        reader = self._reader if session is None else self._reader_of(session)
        read = partial(self._key_numbers.read, reader, session, name, run, one.book.totals, ranges=one.book.book.ranges)
        return tuple(read(window=each) for each in reader.windows(run).items())

    def _runs(
        self, name: str, run: int, one: OneRun, earlier: Mapping[int, Totals], promoted: Mapping[int, str]
    ) -> tuple[Point, ...]:
        read, ranges = self._key_numbers.read, one.book.book.ranges
        of_earlier = [read(self._reader, promoted.get(r), name, r, its, ranges=ranges) for r, its in earlier.items()]
        filled = one.book.totals.filled
        number = key_number(PLOTS[name], one.book.book[name], filled)
        return (*of_earlier, Point(at=run, spills=filled, number=number))


def _is_unchanged(known: OneRun, place: Place, promoted: str | None, asked: Iterable[Wanted]) -> bool:
    """Say whether a run that was read is what it was, with all of it that somebody asks for."""
    parts = {each.part for each in asked if each.part is not None}
    plots = {each.plot for each in asked if each.plot is not None}
    return (
        known.place == place
        and known.promoted == promoted
        and known.parts.keys() >= parts
        and known.histories.keys() >= plots
    )


def _before(run: int, places: Mapping[int, Place]) -> list[int]:
    """Return the runs that a run is followed from: those of its type before it, the newest ones."""
    if run not in places:
        return []
    same = [each for each, place in places.items() if place.run_type == places[run].run_type]
    return same[: same.index(run)][1 - RUNS_SHOWN :]


def _read_part(reader: BookReader, run: int, ranges: Ranges, part: int, starts: Sequence[int], window_s: int) -> Part:
    """Return a window; or the newest and, as it may only have begun, what makes it a minute or more."""
    taken = [start for start in starts if start == part or (part == LAST_MINUTE and start >= starts[-1] - MINUTE_S)]
    book = Book(ranges)
    for start in taken:
        book += reader.window(run, start, ranges)
    since, until = min(taken, default=0), max(taken, default=-window_s) + window_s
    return Part(since_us=since * 1_000_000, until_us=until * 1_000_000, book=book)


def _of_replay(run: int, one: OneRun, session: str | None) -> OneRun:
    """Say whose book it is."""
    if session is None:
        return one
    warning = f"The plots of run {run} are those of {session}, which was promoted in place of what live made"
    return replace(one, promoted=session, version=f"{session}:{one.version}", warnings=(*one.warnings, warning))


def _settled(spills: SpillFacts, partitions: int) -> SpillFacts:
    """Leave out the spills beyond the first that may still come: a partition that lags would look like missed spills.

    The producer spreads them by their numbers, see `streams.daq.producer.partition_of`.
    """
    number = spills.spill
    next_of_each = [
        int(number[number % partitions == p].max(initial=p - partitions)) + partitions for p in range(partitions)
    ]
    return spills.rows(number < min(next_of_each))


def _summary(run: int, place: Place) -> RunSummary:
    return RunSummary(run=run, run_type=place.run_type, begin_us=place.began_us, ended=place.ended)
