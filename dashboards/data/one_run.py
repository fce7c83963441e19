"""One run that somebody looks at, with the parts of it and the key numbers that were asked for."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from dashboards.choices import LAST_MINUTE, LATELY, book_of
from dashboards.data.history import History, KeyNumbers, Point, point
from dashboards.data.hits import Hits, HitsReader
from schemas.columns import F4, I8, Growing
from streams.books import situation
from streams.books.book import Book, Ranges
from streams.books.kept_run import KeptRuns
from streams.books.layout import Place
from streams.books.part_reader import RetiredRunError, UnreadableRunError
from streams.books.reader import BookReader
from streams.books.run import NO_SPILLS, RunBook, spill_facts
from streams.books.spill_numbers import is_kept, of_plot, of_spills
from streams.books.totals import Totals
from streams.books.windows import Window, last_minute
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.experiment import experiment
from streams.plots.spillfacts import SpillFacts
from streams.process import ranges_of
from streams.words import several

LATELY_S = 600
"""What happened of late: in a run of less than twice as long, in the second half of it."""


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
    hits: bool = False
    """Whether the hits by channel, too."""
    is_compared: bool = False
    """It is read to be compared with alone, beside a newer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A window of a run, or its last minute: of whole windows, so that it is one to two minutes with windows of one."""

    since_us: int = 0
    until_us: int = 0
    book: Book = field(default_factory=lambda: Book({}))
    windows: tuple[Window, ...] = ()
    unreadable: str = ""
    """Why it cannot be read; empty if it can."""
    is_of_whole: bool = True
    """The whole is of the same checkpoint; else one of both has spills that the other lacks."""

    def within(self, spills: SpillFacts) -> SpillFacts:
        """Return those of some spills that are in it."""
        return spills.rows((spills.time_us >= self.since_us) & (spills.time_us < self.until_us))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands: where it stands so again, what was read of it is true still."""

    place: Place
    """Where the list of runs says that it is."""
    promoted: str | None = None
    """The replay whose book is that of the run; None if it is that of live."""
    left: tuple[int, ...] = ()
    """Partitions whose part of it is being made again: it grows, and the list of runs says what it was."""
    spread_over: int = 0
    """While messages are on their way into the current run: the partitions over which its spills are spread."""

    def goes_on_from(self, before: "Standing | None") -> bool:
        """Say whether no more than spills can have come to the run since: it was not made again, nor another's."""
        if before is None or self.left or before.left:
            return False
        mine, its = ((s.promoted, s.place.log, s.place.first, s.place.retired) for s in (self, before))
        return mine == its


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    """One run."""

    book: RunBook
    spills: SpillFacts
    room: Growing[SpillFacts] = field(default_factory=lambda: Growing(NO_SPILLS), compare=False)
    """For those to come."""
    settled: int | None = None
    """The first spill that may still come, while some are processed: lines end before it. None if none may."""
    windows: tuple[Window, ...]
    """Those that are kept, in order."""
    disordered: tuple[int, ...] = ()
    """Spills that came after one with a higher number, wherever in Kafka that is."""
    parts: Mapping[int, Part]
    """Those that were asked for, see `Choices.window`."""
    histories: Mapping[str, History]
    """Key numbers of the plots that were asked for."""
    hits: Hits | None = None
    """By channel and window; None if nobody asked for them."""
    beyond_axis: Mapping[str, tuple[I8, F4]] = field(default_factory=dict)
    """Of plots against the spill, the newest spills and their entries, if the run has more than fit on the axis."""
    version: str
    standing: Standing | None = None
    """None if it is to be read again in any case."""
    is_unreadable: bool = False
    """The store holds something else in its place: this is as it was when it could be read, if it ever could."""
    retired: str = ""
    """That it has left the store but for its totals, in words; empty if it has not."""
    is_kept: bool = False
    """It has left, and its plots are those that the keeper wrote."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Plot that the keeper has not written of it → why."""
    unreadable: str = ""
    """Why it, or the list of its windows, cannot be read; empty if both can."""
    warnings: tuple[str, ...] = ()
    """What is wrong with it, a sentence each."""
    notes: tuple[str, ...] = ()
    """What is to be known of it, likewise; nothing is wrong."""

    def has(self, wanted: Iterable[Wanted]) -> bool:
        """Say whether all is here of what somebody looks at."""
        has_hits = self.hits is not None and not self.hits.left
        return all(
            each.part in {None, *self.parts} and each.plot in {None, *self.histories} and (has_hits or not each.hits)
            for each in wanted
        )


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
class Whose:
    """Which book of a run is read, and beside what."""

    run: int
    session: str | None
    """None for the book that is the run's."""
    reader: BookReader
    standing: Standing
    earlier: Sequence[int] = ()
    """The runs that it is followed from."""
    promoted: Mapping[int, str] = field(default_factory=dict)
    """The session whose book is that of a run, of all of them."""


def calibration_warnings(run: int, totals: Totals) -> list[str]:
    """Return what is not calibrated in a run, or not as it should be, a sentence each."""
    spills = several(totals.filled, "spill")
    not_calibrated = [
        f"Run {run} is not calibrated for {called(name)} in {count:,} of {spills}: its conditions have no table for it"
        f"{_what_goes_on(name)}"
        for name, count in sorted(totals.lacking.items())
    ]
    in_doubt = [
        f"The calibration of {called(name)} does not fit run {run}: in {count:,} of {spills} {its.doubted}"
        for name, its in experiment().reconstructions.items()
        if (count := totals.errors[f"{name} calibration"])
    ]
    if doubt := experiment().doubt_run(totals):
        in_doubt.append(f"Run {run} has {doubt}")
    return not_calibrated + in_doubt


def called(lacking: str) -> str:
    """Return the name of a detector, or of a table of it, for which conditions lack tables."""
    name, _, table = lacking.partition(".")
    title = experiment().detectors[name].title if name in experiment().detectors else name
    return f"{title} ({table.replace('_', ' ')})" if table else title


def _what_goes_on(lacking: str) -> str:
    """Say where the plots are that need no such tables, if none is among those that a shifter looks at first."""
    its = experiment().detectors.get(lacking.partition(".")[0])
    if its is None or {plot.expert for plot in its.plots if lacking not in experiment().needs(plot)} != {True}:
        return ""
    return f". Plots of {its.title} that go on without it are among those for the expert"


class RunReader:
    """Reads runs.

    Parameters
    ----------
    shown
        Of the books that are the runs'. Its errors are passed on, but for those of a run that cannot be read.
    conditions
        Give a run's own ranges of plots.
    kept
        Has the plots of runs that have left the store.
    """

    def __init__(self, shown: BookReader, conditions: ConditionsStore, kept: KeptRuns) -> None:
        self._shown = shown
        self._conditions = conditions
        self._kept = kept
        self._key_numbers = KeyNumbers()
        self._hits = HitsReader()

    def read(self, whose: Whose, asked: Sequence[Wanted], last: OneRun | None) -> OneRun:
        """Return a run with what was asked for of it; if it cannot be read, what was read of it last."""
        try:
            one, is_of_one = self._if_there(whose, asked, last)
        except UnreadableRunError as error:
            if last is None or last is NOTHING:
                last = replace(NOTHING, version=f"{book_of(whose.run, whose.session)}:?")
            why = f"{error}{_KEPT if last.book.totals.received else ''}"
            return replace(last, standing=None, is_unreadable=True, unreadable=why)
        return (
            one if is_of_one else replace(one, parts={w: replace(p, is_of_whole=False) for w, p in one.parts.items()})
        )

    def _if_there(self, whose: Whose, asked: Sequence[Wanted], last: OneRun | None) -> tuple[OneRun, bool]:
        """Return a run, or its totals alone where the rest has left, and whether all is of one checkpoint."""
        known = last if last is not None and whose.standing.goes_on_from(last.standing) else None
        try:
            one, is_of_one = whose.reader.at_once(whose.run, lambda: self._all(whose, asked, known))
        except RetiredRunError as error:
            return self._left(whose, asked, str(error)), True
        # Behind it: of many plots it takes longer than a spill takes to come, which would have all read anew.
        return replace(one, histories=self._histories(whose, one, {each.plot for each in asked})), is_of_one

    def _left(self, whose: Whose, asked: Sequence[Wanted], why: str) -> OneRun:
        """Return a run that has left: its totals, and its plots as the keeper wrote them, if they can be read."""
        run, totals = whose.run, whose.reader.totals(whose.run)
        session = whose.session or whose.standing.promoted
        one = replace(
            NOTHING,
            book=replace(NOTHING.book, totals=totals),
            version=f"{book_of(run, whose.session)}:left",
            standing=whose.standing,
            is_unreadable=True,
            retired=why,
        )
        ranges, _ = self._ranges(run)
        try:
            kept = self._kept.read(run, session, totals.produced_ms, ranges)
        except UsageError as error:
            return replace(one, retired=f"{why}. They are not shown from there: {error}")
        return replace(
            one,
            book=replace(one.book, book=kept.book),
            version=f"{one.version}:{session}:{totals.produced_ms}",
            is_unreadable=False,
            is_kept=True,
            absent=kept.absent,
            retired=f"run {run} has left Redis, as old runs do: these are its plots as the keeper wrote them when it "
            f"had ended. spilldeck runs restore {run} brings back all of it",
            # What else was asked for is not there, and not on its way.
            parts={each.part: Part() for each in asked if each.part is not None},
            histories={each.plot: History() for each in asked if each.plot is not None},
        )

    def _ranges(self, run: int) -> tuple[Ranges, list[str]]:
        """Return a run's own ranges of plots, or that they cannot be read."""
        try:
            return ranges_of(self._conditions.for_run(run)), []
        except UsageError as error:
            return {}, [f"The conditions of run {run} cannot be read: {error}"]

    def _all(self, whose: Whose, asked: Sequence[Wanted], known: OneRun | None) -> OneRun:
        """Return a run with what was asked for of it; raises `UnreadableRunError`."""
        one = self._whole(whose, known)
        parts = {part: self._part(whose, one, part) for part in {each.part for each in asked} if part is not None}
        hits = self._hits_of(whose, one) if any(each.hits for each in asked) else None
        return replace(one, parts=parts, hits=hits, beyond_axis=self._beyond_axis(whose, one))

    def _hits_of(self, whose: Whose, one: OneRun) -> Hits:
        """Return the hits by channel, as far as they were read."""
        session = whose.session or whose.standing.promoted
        return self._hits.read(whose.reader, session, whose.run, one.book, one.windows)

    def _beyond_axis(self, whose: Whose, one: OneRun) -> dict[str, tuple[I8, F4]]:
        """Return the newest spills and their entries in plots against the spill that have no room for all spills."""
        session, totals = whose.session or whose.standing.promoted, one.book.totals
        by_spill = (plot for plot in experiment().plots.values() if plot.by_spill)
        beyond = [plot.name for plot in by_spill if plot.axes[0].high < totals.last_spill]
        if not beyond:
            return {}
        try:
            numbers = self._key_numbers.read_spills(whose.reader, session, whose.run, totals, one.spills.spill)
            return dict(of_spills(numbers, beyond))
        except UnreadableRunError:
            return {}  # it is said of all else that is read of the run

    def _whole(self, whose: Whose, known: OneRun | None) -> OneRun:
        run, reader, standing = whose.run, whose.reader, whose.standing
        unreadable = ""
        ranges, warnings = self._ranges(run)
        book = reader.grown(run, ranges, known.book) if known is not None else None
        if known is None or book is None:
            known, book = NOTHING, reader.run(run, ranges, of_spills=False)
        room = known.room if known is not NOTHING else Growing(NO_SPILLS)
        spills = spill_facts(book.ledger, book.handling, book.totals.refused, known.spills, room)
        late = situation.out_of_order(spills.spill, spills.produced_ms)
        windows: Mapping[Window, int] = {}
        try:
            windows = reader.windows(run)
        except UnreadableRunError as error:
            unreadable = str(error)
        if standing.left:
            where = ", ".join(map(str, standing.left))
            warnings.append(f"Run {run} is being made again from Kafka (partition {where}): its plots lack some spills")
        code, tables = situation.mixed(book.totals)
        # Another release, or a replay that is promoted, is what somebody wanted: no shifter is to be woken up by it.
        notes = [f"Spills of run {run} were made with several {code}"] if code else []
        if tables:
            warnings.append(f"Spills of run {run} were made with several {tables}")
        warnings += calibration_warnings(run, book.totals)
        if book.counted_twice:
            warnings.append(f"Counted twice, as in two partitions: {several(book.counted_twice, 'spill')} of run {run}")
        if standing.promoted is not None:
            whose_book = f"those of {standing.promoted}, which was promoted in place of what live made"
            notes.append(f"The plots of run {run} are {whose_book}")
        digest = hashlib.blake2b(repr((standing, book.totals)).encode(), digest_size=8).hexdigest()
        return OneRun(
            book=book,
            spills=spills,
            room=room,
            settled=_settled(spills, standing.spread_over) if standing.spread_over else None,
            windows=tuple(windows),
            disordered=tuple(sorted({*late.tolist(), *book.totals.disordered})),
            parts={},
            histories={},
            version=f"{book_of(run, whose.session)}:{digest}",
            standing=standing,
            unreadable=unreadable,
            warnings=tuple(warnings),
            notes=tuple(notes),
        )

    def _part(self, whose: Whose, one: OneRun, part: int) -> Part:
        """Return the window that has a time in it; or the newest and, as it may only have begun, some before it."""
        windows = one.windows
        if part == LAST_MINUTE:
            taken = last_minute(windows)
        elif part == LATELY:
            taken = lately(windows)
        else:
            taken = [each for each in windows if each.start <= part < each.end]
        if not taken:
            return Part()
        try:
            book = whose.reader.part(whose.run, taken, one.book.book.ranges)
        except UnreadableRunError as error:
            return Part(unreadable=str(error))
        since_us, until_us = taken[0].start * 1_000_000, taken[-1].end * 1_000_000
        return Part(since_us=since_us, until_us=until_us, book=book, windows=tuple(taken))

    def _histories(self, whose: Whose, one: OneRun, asked: Collection[str | None]) -> dict[str, History]:
        """Return the key numbers of plots, as far as they can be read."""
        plots = [name for name in asked if name is not None]
        if not plots:
            return {}
        run, totals = whose.run, one.book.totals
        earlier, unreadable = self._shown.runs(whose.earlier), dict(self._shown.unreadable)
        session = whose.session or whose.standing.promoted
        windows: Mapping[Window, int] = {}
        numbers: Mapping[int, bytes] = {}
        try:
            if any(is_kept(experiment().plots[name]) for name in plots):
                numbers = self._key_numbers.read_spills(whose.reader, session, run, totals, one.spills.spill)
            windows = whose.reader.windows(run)
        except UnreadableRunError as error:
            unreadable[run] = str(error)
        found = {}
        for name in plots:
            spills = of_plot(numbers, experiment().plots[name]) if is_kept(experiment().plots[name]) else ()
            its = self._history(whose, one, name, windows, earlier)
            found[name] = replace(its, spills=spills, unreadable={**unreadable, **its.unreadable})
        return found

    def _history(
        self, whose: Whose, one: OneRun, name: str, windows: Mapping[Window, int], earlier: Mapping[int, Totals]
    ) -> History:
        """Return the key number of a plot in windows and runs."""
        run, totals, book = whose.run, one.book.totals, one.book.book
        session = whose.session or whose.standing.promoted
        read = partial(self._key_numbers.read, name=name, ranges=book.ranges)
        unreadable, runs, of_windows = dict[int, str](), [], list[Point]()
        for before in filter(earlier.__contains__, whose.earlier):
            try:
                runs.append(read(self._shown, whose.promoted.get(before), run=before, totals=earlier[before]))
            except RetiredRunError:
                continue  # a trend over runs is of those that are there
            except UnreadableRunError as error:
                unreadable[before] = str(error)
        runs.append(point(name, book.ranges, book[name], at=run, spills=totals.filled))
        try:
            of_windows += [read(whose.reader, session, run=run, totals=totals, window=each) for each in windows.items()]
        except UnreadableRunError as error:
            unreadable[run] = str(error)
        return History(windows=tuple(of_windows), runs=tuple(runs), unreadable=unreadable)


def lately(windows: Sequence[Window]) -> list[Window]:
    """Return the windows of the last ten minutes, or of the second half of a run of less than twenty."""
    if not windows:
        return []
    newest = windows[-1]
    since, half = newest.start - LATELY_S, (windows[0].start + newest.end) / 2
    # Those of which most lies in it: what is older may have been joined to what is older still.
    late = (each for each in windows[:-1] if each.start >= half and each.start + each.end >= 2 * since)
    return [*late, newest]


_KEPT = "; what stands here of it is as it was before"


def sentence(what: object) -> str:
    """Return words as a sentence begins."""
    words = str(what)
    return words[:1].upper() + words[1:]


def _settled(spills: SpillFacts, partitions: int) -> int:
    """Return the first spill that may still come: a partition that lags would look like missed spills in a line.

    The producer spreads them by their numbers, see `streams.topics.partition_of`.
    """
    number = spills.spill
    last = (number[number % partitions == p].max(initial=p - partitions) for p in range(partitions))
    return min(map(int, last)) + partitions
