"""A stored run, and all that is known to be wrong with it: by its channels, its plots, and its counters."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from redis import Redis

from dashboards.data.automatic import Automatic
from dashboards.data.books import automatic_of
from streams.books.decided import newest
from streams.books.judgement import Judgement, judged
from streams.books.limits import TypeLimits
from streams.books.pinned_books import PinnedBooks
from streams.books.plain_limits import TooMany, too_many
from streams.books.reader import BookReader
from streams.books.replays import Replays
from streams.books.run import RunBook
from streams.books.shapes import Against, Late, PlotVerdict, State, against_run, plot_verdicts
from streams.books.windows import last_minute
from streams.checks.start import Known
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.process import plot_ranges
from streams.settings import LIVE, Settings

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
        return plot_verdicts(self.book, self._against, limits, false_alarm, self.late, is_over=self.book.totals.ended)

    @property
    def _known(self) -> Mapping[str, Known]:
        return self.chosen.book.known if self.chosen.book is not None else {}

    @property
    def _against(self) -> Against | None:
        if self.chosen.book is not None:
            return self.chosen.book.against
        if self.reference is None or self.compared is None:
            return None
        return against_run(self.reference, self.compared, self.earlier)


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
