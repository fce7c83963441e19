"""A stored run, and all that is known to be wrong with it: by its channels, its plots, and its counters."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from redis import Redis

from dashboards.data.automatic import Automatic
from dashboards.data.books import automatic_of
from dashboards.data.view import window_words
from streams.books.book import Book
from streams.books.decided import newest
from streams.books.judgement import Judgement, judged
from streams.books.limits import TypeLimits
from streams.books.pinned_books import PinnedBooks
from streams.books.plain_limits import TooMany, too_many
from streams.books.reader import BookReader
from streams.books.replays import Replays
from streams.books.run import RunBook
from streams.books.shapes import (
    Against,
    Late,
    PlotVerdict,
    State,
    against_run,
    bad,
    off,
    plot_verdict,
    plot_verdicts,
)
from streams.books.windows import Window, last_minute
from streams.checks.shapes import ENOUGH
from streams.checks.start import Known
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.experiment import experiment
from streams.process import plot_ranges
from streams.settings import LIVE, Settings
from streams.words import several

OFF_NAMED = 2
"""Plots that are named of those that are off in a window."""
NAMED = 10
"""Sessions, or runs, that are named of those that there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """What is known of a run."""

    run: int
    run_type: str
    reference: int | None
    """The run that it was compared with."""
    compared: str
    """What it was compared with, in words; empty if with nothing."""
    book: str
    """SHA-256 of the book that it was compared with, if that was pinned in place of a run."""
    earlier: tuple[int, ...]
    """Good ones before that, which say how runs scatter."""
    limits: TypeLimits
    judgement: Judgement
    shapes: dict[str, PlotVerdict]
    too_many: list[TooMany]

    @property
    def is_bad(self) -> bool:
        """Whether something is wrong with it."""
        is_wrong = self.too_many or self.judgement.bad or self.bad_plots
        return bool(is_wrong) and not self.limits.only_warns

    @property
    def bad_plots(self) -> set[str]:
        """Names of the plots that are bad."""
        return {name for name, its in self.shapes.items() if its.state is State.BAD}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return self.judgement.to_json() | {
            "run": self.run,
            "reference": self.reference,
            "reference_book": self.book,
            "earlier_references": self.earlier,
            "plots": {name: its.to_json() for name, its in self.shapes.items()},
            "too_many": [asdict(each) for each in self.too_many],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as it was read from Redis, with the one that it is compared with."""

    run: int
    book: RunBook
    late: Late | None
    """Its last minute, if it has one."""
    chosen: Automatic
    """What it is compared with."""
    compared: RunBook | None
    """The book of that, if it is a run."""
    earlier: Mapping[int, RunBook]
    """Good runs before that, the newest first."""

    @property
    def reference(self) -> int | None:
        """The run that it is compared with; None if that is a book that was pinned, or nothing."""
        return self.chosen.run

    def judged(self, limits: TypeLimits, false_alarm: float, known: Judgement | None = None) -> JudgedRun:
        """Return what is known of it.

        Parameters
        ----------
        false_alarm
            Spills in which one false alarm is borne.
        known
            What is known of its channels at this `false_alarm`; None if they are still to be judged.

        Raises
        ------
        UsageError
            When it cannot be judged.
        """
        found = judged(self.book, self.compared, false_alarm, self._known) if known is None else known
        if found.problem:
            raise UsageError(f"run {self.run} cannot be judged: {found.problem}")
        return JudgedRun(
            run=self.run,
            run_type=self.book.totals.run_type,
            reference=self.reference,
            compared=self.chosen.compared,
            book=self.chosen.book.sha256 if self.chosen.book is not None else "",
            earlier=tuple(self.earlier),
            limits=limits,
            judgement=found,
            shapes=self.shapes(limits, false_alarm),
            too_many=too_many(self.book.totals, limits.percent),
        )

    def shapes(self, limits: TypeLimits, false_alarm: float) -> dict[str, PlotVerdict]:
        """Return what is known of each plot."""
        return plot_verdicts(self.book, self.against, limits, false_alarm, self.late, is_over=self.book.totals.ended)

    @property
    def _known(self) -> Mapping[str, Known]:
        return self.chosen.book.known if self.chosen.book is not None else {}

    @property
    def against(self) -> Against | None:
        """What its plots are judged against; None if there is nothing."""
        if self.chosen.book is not None:
            return self.chosen.book.against
        if self.reference is None or self.compared is None:
            return None
        return against_run(self.reference, self.compared, self.earlier)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedWindow:
    """What is known of the plots of one window of a run."""

    window: Window
    spills: int
    triggers: int
    shapes: Mapping[str, PlotVerdict]

    @property
    def words(self) -> str:
        """What is off, the worst first, or of how many plots what is known."""
        if off_here := bad(self.shapes):
            named = [f"{experiment().plots[each.plot].title} {off(each)}" for each in off_here[:OFF_NAMED]]
            return "; ".join(named) + (f"; {len(off_here) - OFF_NAMED} more" if len(off_here) > OFF_NAMED else "")
        states = Counter(its.state for its in self.shapes.values() if its.state is not State.NOT_JUDGED)
        few = max(
            (its.shape.entries for its in self.shapes.values() if its.state is State.FEW and its.shape), default=0
        )
        how = {State.FEW: f" ({few}/{ENOUGH} at most)" if few else "", State.GOOD: ""}
        return ", ".join(f"{several(n, 'plot')} {state}{how.get(state, '')}" for state, n in states.most_common())

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; of a plot that nobody judges nothing."""
        plots = {name: its.to_json() for name, its in self.shapes.items() if its.state is not State.NOT_JUDGED}
        counted = {"spills": self.spills, "particle_triggers": self.triggers}
        return {"since_s": self.window.start, "until_s": self.window.end, **counted, "plots": plots}


class StoredRuns:
    """The runs that are stored.

    Parameters
    ----------
    settings
        Prefix of keys, conditions.
    redis
        Client that returns bytes. Its errors are passed on.
    """

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings, self._redis = settings, redis
        self._shown = BookReader.shown(redis, settings)
        self._decisions = newest(settings, redis)
        self._pinned = PinnedBooks(settings, redis)
        self._conditions = ConditionsStore.from_settings(settings)

    def read(self, run: int, *, session: str | None = None, reference: int | None = None) -> StoredRun:
        """Return a run.

        Parameters
        ----------
        session
            Whose book of it; None for the book that is the run's.
        reference
            The run that it is compared with; None for the newest good one of its type.

        Raises
        ------
        UsageError
            When there is no such run, no such session, or no such reference.
        SpilldeckError
            When the book that was pinned as its reference is not to be had.
        """
        reader = self._shown if session is None else BookReader.of(self._redis, self._settings, session)
        if session is not None:
            self._refuse_no_session(session, run, reader.places().keys())
        (book, late), is_of_one = reader.at_once(run, lambda: self._with_late(reader, run, self._book(reader, run)))
        return self._beside(run, book, late if is_of_one else None, reference)

    def windows(self, its: StoredRun, session: str | None, limits: TypeLimits, borne: float) -> list[JudgedWindow]:
        """Return what is known of each window that is kept of a run, as the page judges one that somebody chooses.

        Parameters
        ----------
        session
            As it was read with.
        borne
            Spills in which one false alarm is borne.
        """
        reader = self._shown if session is None else BookReader.of(self._redis, self._settings, session)

        def read() -> tuple[RunBook, dict[Window, Book]]:
            book = self._book(reader, its.run)
            return book, {each: reader.part(its.run, [each], book.book.ranges) for each in reader.windows(its.run)}

        (whole, parts), _ = reader.at_once(its.run, read)
        newest_window, found = max(parts, default=None), []
        for window, book in sorted(parts.items()):
            triggers = [
                entry.triggers
                for entry in whole.ledger.values()
                if window.start * 1_000_000 <= entry.time_us < window.end * 1_000_000
            ]
            is_over, of = whole.totals.ended or window != newest_window, (len(triggers), sum(triggers))
            shapes = {
                name: plot_verdict(
                    name, book.of(name), *of, its.against, limits, borne, part=window_words(window), is_over=is_over
                )
                for name in experiment().plots
            }
            found.append(JudgedWindow(window=window, spills=of[0], triggers=of[1], shapes=shapes))
        return found

    def ended(self, run: int, book: RunBook) -> StoredRun:
        """Return a run that has ended, of which the book that is the run's was read."""
        return self._beside(run, *self._with_late(self._shown, run, book))

    def _beside(self, run: int, book: RunBook, late: Late | None, reference: int | None = None) -> StoredRun:
        chosen = Automatic(run=reference)
        if reference is None:
            chosen = automatic_of(self._shown, run, self._decisions(), self._pinned.read)
        compared = self._book(self._shown, chosen.run) if chosen.run is not None else None
        earlier = {each: self._book(self._shown, each) for each in chosen.earlier}
        return StoredRun(run=run, book=book, late=late, chosen=chosen, compared=compared, earlier=earlier)

    def _refuse_no_session(self, session: str, run: int, runs: Collection[int]) -> None:
        """Refuse a session that nobody made, and one that does not have a run; say what there is."""
        replays = Replays(self._redis, self._settings.redis.key_prefix, self._decisions)
        sessions = sorted({LIVE, self._settings.session, *(plan.session for plan in replays.all())})
        if not runs and session not in sessions:
            raise UsageError(f"there is no session {session}: there are {_some(sessions)}")
        if run not in runs:
            has = f"it has {_some([*map(str, sorted(runs))])}" if runs else "it has none"
            raise UsageError(f"the session {session} does not have run {run}: {has}")

    def _with_late(self, reader: BookReader, run: int, book: RunBook) -> tuple[RunBook, Late | None]:
        windows = last_minute([*reader.windows(run)])
        if not windows:
            return book, None
        found = reader.part(run, windows, book.book.ranges)
        since_us, until_us = windows[0].start * 1_000_000, windows[-1].end * 1_000_000
        its = (entry.triggers for entry in book.ledger.values() if since_us <= entry.time_us < until_us)
        return book, Late(book=found, triggers=sum(its))

    def _book(self, reader: BookReader, run: int) -> RunBook:
        book = reader.run(run, plot_ranges(run, self._conditions.for_run))
        if not book.totals.received:
            raise UsageError(f"there is no run {run} in the books: see spilldeck runs list")
        return book


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
