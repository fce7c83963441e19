"""The books of the runs that somebody looks at, as they were last read from Redis."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from dashboards.choices import LAST_MINUTE, book_of
from dashboards.data.history import RUNS_SHOWN, History, KeyNumbers, Point
from dashboards.data.view import RunSummary
from schemas.records import NO_RUN
from streams.books import layout
from streams.books.book import Book, Ranges
from streams.books.key_number import key_number
from streams.books.promotions import Promoted
from streams.books.reader import BookReader, Progress
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

    progress: tuple[Progress, ...] = ()
    sessions: Mapping[str, tuple[Progress, ...]] = field(default_factory=dict)
    """Of the sessions that somebody looks at."""
    promoted: Promoted = field(default_factory=Promoted)
    """The sessions of the replays whose books are those of runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What was last read of Redis."""

    current: int | None = None
    totals: Mapping[int, Totals] = field(default_factory=dict)
    runs: tuple[RunSummary, ...] = ()
    read: Mapping[tuple[int, str | None], OneRun] = field(default_factory=dict)
    """The runs that somebody looks at, by number and session; `NOTHING` if the session has not got it."""
    unattributed: Totals = field(default_factory=Totals)
    at: At | None = None

    def automatic_reference(self, run: int | None) -> int | None:
        """Return the newest run before this one, of the same type, with enough particle triggers to compare with."""
        before = [each for each in self.runs if each.run in self.totals]
        order = [each.run for each in before]
        if run not in order:
            return None
        at = order.index(run)
        enough = [
            each.run
            for each in before[:at]
            if each.run_type == before[at].run_type and self.totals[each.run].triggers >= ENOUGH_TRIGGERS
        ]
        return enough[-1] if enough else None

    def one(self, run: int | None, session: str | None) -> OneRun:
        """Return a run, as far as it was read."""
        return self.read.get((run, session), NOTHING) if run is not None else NOTHING

    def has_read(self, wanted: Wanted) -> bool:
        """Return whether there is nothing more to be read of what somebody looks at."""
        run = self.current if wanted.run is None else wanted.run
        if run is None or (wanted.session is None and run not in self.totals):
            return True
        one = self.read.get((run, wanted.session))
        if one is None or one is NOTHING:
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
        Gives the sessions of the replays whose books are those of runs.
    conditions
        Give a run's own ranges of plots.
    window_s
        Length of a window.
    """

    def __init__(
        self,
        reader: BookReader,
        reader_of: Callable[[str], BookReader],
        promoted: Callable[[], Promoted],
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
        promoted = self._promoted()  # before the rest: it may wait for Kafka
        return At(
            progress=self._reader.progress(),
            sessions={session: self._reader_of(session).progress() for session in sorted(sessions)},
            promoted=promoted,
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
        totals = dict(self._reader.runs())
        unattributed = totals.pop(NO_RUN, Totals())
        # The newest spill decides; between runs without any, the one that began last.
        order = sorted(totals, key=lambda r: (totals[r].last_us or _begin_us(totals[r]), r))
        current = order[-1] if order else None
        of_session: dict[str | None, dict[int, Totals]] = {None: totals}
        of_session |= {session: self._reader_of(session).runs() for session in at.sessions}
        runs = tuple(_summary(run, totals[run]) for run in order)
        looked_at: dict[tuple[int, str | None], list[Wanted]] = {}
        for each in wanted:
            run = current if each.run is None else each.run
            if run is not None and (each.session is not None or run in totals):
                looked_at.setdefault((run, each.session), []).append(each)
        read = {}
        for (run, session), asked in looked_at.items():
            if run not in of_session[session]:
                read[run, session] = NOTHING
                continue
            its = of_session[session][run]
            known = last.read.get((run, session))
            promoted = at.promoted.shown.get(run) if session is None else None
            is_current = session is None and run == current
            moved = is_current and (last.at is None or at.progress != last.at.progress)
            parts = {each.part for each in asked if each.part is not None}
            plots = {each.plot for each in asked if each.plot is not None}
            unchanged = known is not None and known.book.totals == its
            unchanged = unchanged and known is not None and known.parts.keys() >= parts
            unchanged = unchanged and known is not None and known.histories.keys() >= plots
            if known is not None and unchanged and known.promoted == promoted and not moved:
                read[run, session] = known
            else:
                progress = at.progress if is_current else None
                one = self._read_run(run, session, its, progress, parts=parts, behind=behind)
                earlier = _before(run, runs)
                histories = {
                    name: History(
                        spills=self._spills(name, run, session, promoted, one),
                        windows=self._windows(name, run, session, one),
                        runs=self._runs(name, run, one, {each: totals[each] for each in earlier}, at.promoted.shown),
                    )
                    for name in plots
                }
                read[run, session] = _of_replay(run, replace(one, histories=histories), promoted)
        return Books(
            current=current,
            totals=totals,
            runs=runs,
            read=read,
            unattributed=unattributed,
            at=at,
        )

    def _read_run(
        self,
        run: int,
        session: str | None,
        totals: Totals,
        progress: tuple[Progress, ...] | None,
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
        what = repr(progress) if progress is not None else layout.pack_totals(totals)
        name = book_of(run, session)
        return OneRun(
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


def _before(run: int, runs: Sequence[RunSummary]) -> list[int]:
    """Return the runs that a run is followed from: those of its type before it, the newest ones."""
    types = {each.run: each.run_type for each in runs}
    same = [each.run for each in runs if each.run_type == types.get(run)]
    return same[: same.index(run)][1 - RUNS_SHOWN :] if run in same else []


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


def _summary(run: int, totals: Totals) -> RunSummary:
    return RunSummary(
        run=run,
        run_type=totals.run_type,
        begin_us=min((said.time_us for said in totals.control.values()), default=totals.first_us),
        ended=totals.ended,
    )


def _begin_us(totals: Totals) -> int:
    return max((said.time_us for said in totals.control.values()), default=0)
