"""All that a page needs, as of one time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import numpy as np

from dashboards.choices import address_of, book_of
from dashboards.data.automatic import Automatic
from dashboards.data.history import History
from dashboards.data.hits import Hits
from dashboards.data.one_run import Part
from dashboards.data.replays import Replay
from schemas.columns import F4, I8
from streams.books import situation
from streams.books.alarms import Alarms
from streams.books.book import Book
from streams.books.cells import Histogram
from streams.books.checklists import Checklists
from streams.books.duties import Agenda
from streams.books.flags import Flags
from streams.books.imported import Imported
from streams.books.issues import Issues
from streams.books.judgement import Judgement
from streams.books.limits import TypeLimits
from streams.books.plain_limits import TooMany, too_many
from streams.books.proposals import Proposal
from streams.books.replays import called
from streams.books.run import RunBook
from streams.books.shapes import Against, PlotVerdict
from streams.books.spill_search import Filling
from streams.books.totals import Totals
from streams.books.windows import Window
from streams.explain.verdicts import Explained
from streams.freshness import Freshness, Observed
from streams.plots.spillfacts import SpillFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One line of the list of runs."""

    run: int
    run_type: str
    """Empty if the DAQ did not say."""
    begin_us: int
    """When it began, microseconds since 1970 UTC; 0 if nobody said."""
    ended: bool
    retired: bool = False
    """Whether its plots have left Redis."""


class StoredRuns:
    """The runs that are stored, in the order in which they began to come.

    Parameters
    ----------
    runs
        In this order.
    """

    def __init__(self, runs: Iterable[RunSummary] = ()) -> None:
        self._runs = tuple(runs)
        self._at = {each.run: at for at, each in enumerate(self._runs)}
        self.version = f"{hash(self._runs) & 0xFFFFFFFFFFFF:x}"
        """Changes when one of them does."""

    def get(self, run: int | None) -> RunSummary | None:
        """Return a run, if it is stored."""
        at = self._at.get(run) if run is not None else None
        return self._runs[at] if at is not None else None

    def newest_first(self) -> Iterator[RunSummary]:
        """Yield all of them."""
        return reversed(self._runs)

    def before(self, run: int | None) -> Iterator[RunSummary]:
        """Yield those before a run, the newest first; all of them before one that is not stored."""
        at = self._at.get(run, len(self._runs)) if run is not None else len(self._runs)
        return (self._runs[earlier] for earlier in range(at - 1, -1, -1))

    def after(self, run: int | None) -> RunSummary | None:
        """Return the one after a run."""
        at = self._at.get(run, len(self._runs)) if run is not None else len(self._runs)
        return self._runs[at + 1] if at + 1 < len(self._runs) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is compared with: a run, or histograms of a file."""

    its: str
    """How it stands in the address."""
    called: str
    """The run in words, with whose book it is, or the file: short, as each plot says it."""
    in_full: str
    """The same as the page says it once."""
    run: int | None
    """None of a file."""
    histogram: Callable[[str], Histogram | None]
    """Gives that of a plot; None if a file does not have it."""
    spills: SpillFacts | None
    """None of a file, and of a run that has left the store: nobody knows of which spills it is."""
    triggers: int | None
    """Particle triggers that it is of; None of a file: nobody knows."""
    hits: Hits | None
    """By channel; None if nobody asked for them, and of a file."""
    chosen: bool
    """By somebody; else it is `View.automatic`."""
    earlier: tuple["Reference", ...] = ()
    """Good runs before it, the newest first."""

    @property
    def against(self) -> Against:
        """It as something that plots are judged against."""
        earlier = [each.against for each in self.earlier]
        return Against(called=self.called, histogram=self.histogram, triggers=self.triggers, earlier=earlier)

    @classmethod
    def of_run(
        cls,
        run: int,
        session: str | None,
        book: RunBook,
        spills: SpillFacts | None,
        *,
        chosen: bool,
        hits: Hits | None = None,
    ) -> Self:
        """Return a run; the session is that whose book of it is meant, None for the book that is the run's."""
        return cls(
            its=book_of(run, session),
            called=book_words(run, session),
            in_full=book_words(run, session, "Run"),
            run=run,
            histogram=book.book.__getitem__,
            spills=spills,
            triggers=book.totals.triggers,
            hits=hits,
            chosen=chosen,
        )

    @classmethod
    def of_book(cls, automatic: Automatic) -> Self | None:
        """Return the book that was pinned; None if there is none."""
        book = automatic.book
        if book is None:
            return None
        return cls(
            its=f"book:{book.sha256}",
            called=f"run {book.run}",
            in_full=f"Run {book.run}, {automatic.called}",
            run=None,
            histogram=book.histograms.get,
            spills=None,
            triggers=book.triggers,
            hits=None,
            chosen=False,
        )

    @classmethod
    def of_file(cls, file: Imported) -> Self:
        """Return histograms that were imported."""
        when = f"{datetime.fromtimestamp(file.imported_ms / 1000, UTC):%d %b %Y}"
        return cls(
            its=address_of(file.name),
            called=f"file {file.name}",
            in_full=f"{file.name} (imported {when})",
            run=None,
            histogram=file.histograms.get,
            spills=None,
            triggers=None,
            hits=None,
            chosen=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One run, in whole or a part of it, and how fresh all is. The figures depend on `version` alone."""

    now_s: float
    run: int | None
    """The run that is shown. None before the first."""
    session: str | None
    """Whose book of it, a replay's say; None for the book that is the run's."""
    current: int | None
    """The run that is being taken, see `streams.books.situation`."""
    runs: StoredRuns
    book: RunBook
    """The whole run."""
    judgement: Judgement | None
    """What is wrong with it, as far as it was judged; None before it was."""
    shapes: Mapping[str, PlotVerdict]
    """Plot → what is known of its shape in the whole run, against `automatic`; empty before it was judged."""
    explained: Mapping[str, Explained]
    """Plot that is off there → whether the conditions of its run explain it."""
    flags: Mapping[int, Flags]
    """Run → what people said of it."""
    proposed: Mapping[int, Proposal]
    """Run → what the checks said of it when it had ended."""
    alarms: Alarms
    checklists: Checklists
    """The newest ones that were sent."""
    agenda: Agenda | None
    """Which checklists are due, of whichever run; None if nobody can say."""
    issues: Issues
    """All that were ever known."""
    known: Issues
    """Those of them that hold for the run, now."""
    """What the checks told of any run, and what became of it."""
    limits: TypeLimits
    """Of its type."""
    filling: Filling | str | None
    """Which spills filled what is off in the plot that it was asked for with, or why nobody knows; None until then."""
    is_loading: bool
    """It is still being read: what is here of it is nothing yet, or not the part of it that was asked for."""
    is_made_again: bool
    """Some of it is being made again from Kafka, and lacks spills until then."""
    is_unreadable: bool
    """The store holds something else in place of the run: what is here of it is as it was when it could be read."""
    is_retired: bool
    """The run has left the store but for its totals."""
    is_kept: bool
    """It has, and its plots are those that the keeper wrote."""
    absent: Mapping[str, str]
    """Plot that the keeper has not written of it → why."""
    notes: tuple[str, ...]
    """What is to be known of what is shown, a sentence each; nothing is wrong."""
    shown: Book
    """The histograms that are shown: the whole run's, or those of a part of it."""
    spills: SpillFacts
    """The spills that are shown, as columns: those that the histograms have."""
    run_spills: SpillFacts
    """Those of the whole run, likewise."""
    settled: int | None
    """The first spill that may still come, while some are processed: lines end before it. None if none may."""
    disordered: tuple[int, ...]
    """Spills that came after one with a higher number."""
    waited_s: float | None
    """If the run is being taken, for how long no spill has come; None if nobody knows."""
    is_frozen: bool
    """The run is as it was at the time that somebody chose."""
    goes_on: "View | None"
    """The run as it is now, if somebody chose another time."""
    stand_since_ms: int
    """If the run is being taken and its plots stand though they should not, when their last spill was produced."""
    window: int | None
    """Which part of the run they are of, as in `Choices`; None for the whole."""
    windows: tuple[Window, ...]
    """Those that are kept of the run, in order."""
    beside: Part | None
    """What is shown of it beside the whole, see `choices.Beside`; None if nothing is, or it is not read yet."""
    beside_spills: SpillFacts
    """The spills in that."""
    hits: Hits | None
    """By channel; None if nobody asked for them, or they are not read yet."""
    beyond_axis: Mapping[str, tuple[I8, F4]]
    """Of plots against the spill, the newest spills and their entries, if the run has more than fit on the axis."""
    history: History
    """The key number of the plot that it was asked for with."""
    reference: Reference | None
    imports: tuple[str, ...]
    """Names of the files whose histograms were imported to be compared with."""
    automatic: Automatic
    """What is compared with if nobody chooses."""
    automatic_faults: int
    """What is known to be wrong with that run itself."""
    expected_rate: float | None
    """Spills a second that the settings expect."""
    unattributed: Totals
    """What could not be put down to any run."""
    changes: int = 0
    """As of which of the changes of all that there is to show it is, see `Data.changes`."""
    version: str
    """Changes when the books do, or when others are asked for."""
    behind: int
    """Messages that are to come into the books that are shown."""
    replays: tuple[Replay, ...]
    """All that there are, the newest first."""
    warnings: tuple[str, ...]
    """What must not be overlooked, a sentence each."""
    is_old: bool
    """The store cannot be read: all is as it was when it could."""
    daq: Freshness
    pipeline: Freshness
    watching: Freshness
    """Whether anybody watches for alarms."""
    observed: Observed
    """What all three follow from."""

    @property
    def is_stored(self) -> bool:
        """Whether the books know the run."""
        if self.session is not None:
            return bool(self.book.totals.received or self.book.totals.control)
        return self.runs.get(self.run) is not None

    @property
    def is_as_judged(self) -> bool:
        """Whether the plots are shown as `shapes` has judged them: those of the whole run as it is now."""
        book = self.automatic.book
        usual = f"book:{book.sha256}" if book is not None else book_of(self.automatic.run) or None
        return self.window is None and not self.is_frozen and (self.reference and self.reference.its) == usual

    @property
    def is_over(self) -> bool:
        """Whether the run is: the DAQ said so, or another began."""
        return self.run is not None and (self.book.totals.ended or self.run != self.current)

    @property
    def missing(self) -> int:
        """How many spills are in no histogram and are not on the way: partitions run ahead of one another."""
        if self.is_made_again:
            return 0  # those that are not there yet are on the way
        return situation.missing(self.book.totals, self.behind)

    @property
    def too_many(self) -> list[TooMany]:
        """What more of the run's spills have than its limits allow."""
        return too_many(self.book.totals, self.limits.percent, self.missing) if not self.is_loading else []

    @property
    def yet(self) -> str:
        """What goes after the words of what there is not: of a run that is over it will not come."""
        return "" if self.is_over else " yet"

    def in_line(self, spills: SpillFacts) -> SpillFacts:
        """Return those of some spills that a line goes over."""
        if self.settled is None:
            return spills
        return spills.rows(slice(int(np.searchsorted(spills.spill, self.settled))))  # the rows themselves, no copies

    def window_at(self, time_s: int | None) -> int | None:
        """Return the place of the window that has a time in it: one that was chosen may have been joined to others."""
        if time_s is None:
            return None
        return next((at for at, each in enumerate(self.windows) if each.start <= time_s < each.end), None)

    def replays_of(self, run: int | None) -> tuple[Replay, ...]:
        """Return the replays of a run."""
        return tuple(each for each in self.replays if run in each.plan.runs)


def window_words(window: Window) -> str:
    """Return from when to when a window is."""
    since, until = (datetime.fromtimestamp(at, UTC) for at in (window.start, window.end))
    return f"{since:%H:%M:%S}–{until:%H:%M:%S} UTC"


def book_words(run: int | None, session: str | None, first: str = "run") -> str:
    """Return what the book of a run is called, or that which a session made of it."""
    return f"{first} {run}" if session is None else f"{first} {run}, {called(session)}"
