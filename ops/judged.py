"""A run with what it is judged against: another run, and the limits of its type."""

from dataclasses import dataclass

from dashboards.data.books import automatic_of
from ops.console import servers
from streams.books.limits import LimitsFile, TypeLimits
from streams.books.reader import BookReader
from streams.books.replays import Replays
from streams.books.run import RunBook
from streams.books.shapes import PlotVerdict, against_run, plot_verdicts
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.process import plot_ranges
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRun:
    """Both, as they are stored."""

    settings: Settings
    book: RunBook
    conditions: ConditionsStore
    """That the run is made with: those of the settings, or of the replay that it is of."""
    reference: int | None
    """The run that it is compared with."""
    compared: RunBook | None
    """That one's book."""
    limits: TypeLimits

    def verdicts(self) -> dict[str, PlotVerdict]:
        """Return what is known of each plot."""
        is_compared = self.reference is not None and self.compared is not None
        against = against_run(self.reference, self.compared) if is_compared else None  # type: ignore[arg-type]
        return plot_verdicts(self.book, against, self.limits)


def read_judged(run: int, session: str | None, reference: int | None) -> JudgedRun:
    """Return a run from the books.

    Parameters
    ----------
    session
        Whose book of it; None for the run's own.
    reference
        Run to compare with; None for the newest good one of its type.

    Raises
    ------
    UsageError
        When one of them is not in the books, or the limits cannot be read.
    ServerError
        When Redis does not answer.
    """
    with servers() as (settings, redis):
        conditions = ConditionsStore.from_settings(settings)
        shown = BookReader.shown(redis, settings)
        reader = shown if session is None else BookReader.of(redis, settings, session)
        book = reader.run(run, plot_ranges(run, conditions.for_run))
        if not book.totals.received:
            raise UsageError(f"there is no run {run} in the books: see spilldeck runs list")
        other = automatic_of(shown, run).run if reference is None else reference
        compared = shown.run(other, plot_ranges(other, conditions.for_run)) if other is not None else None
        if compared is not None and not compared.totals.received:
            raise UsageError(f"there is no run {other} in the books: see spilldeck runs list")
        plan = Replays(redis, settings.redis.key_prefix).get(session) if session is not None else None
    limits = LimitsFile(settings.checks.limits)
    limits.look()
    if limits.problem:
        raise UsageError(limits.problem)
    return JudgedRun(
        settings=settings,
        book=book,
        conditions=plan.store(settings) if plan is not None else conditions,
        reference=other,
        compared=compared,
        limits=limits.of(book.totals.run_type),
    )
