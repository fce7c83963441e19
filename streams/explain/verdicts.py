"""Spills made again with the conditions of the run that theirs was compared with: if a plot is good then, it was these.

A plot answers by itself: other plots of the same run may be bad for another reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from schemas.records import RawSpill
from streams.books.judgement import Judgement
from streams.books.limits import TypeLimits
from streams.books.run import RunBook
from streams.books.shapes import Against, PlotVerdict, off, plot_verdict
from streams.books.totals import Totals
from streams.checks.causes import Cause
from streams.checks.means import Moved
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.freshness import Level
from streams.process import Processor
from streams.run_conditions import RunConditions
from streams.words import several

LESS = 0.5
"""So much of it may be left, at most, of what conditions explain: else a plot at its limit would be good by chance."""


class Answer(StrEnum):
    """Whether the conditions of its run explain that a plot is bad."""

    CONDITIONS = "conditions explain it"
    PARTLY = "the conditions, and something else"
    NOT = "not the conditions"
    UNKNOWN = "detector or calibration? Nobody knows"
    SOUGHT = "detector or calibration? Being looked into"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What is known of why a plot is bad."""

    answer: Answer
    why: str = ""
    """In words, without a full stop."""

    @property
    def words(self) -> str:
        """All of it as a sentence."""
        answer = f"{self.answer[0].upper()}{self.answer[1:]}"
        return f"{answer}: {self.why}." if self.why else f"{answer}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The conditions of a run, and those of the run that it is compared with."""

    own: RunConditions
    others: RunConditions
    reference: int
    """That run."""
    differ: tuple[str, ...]
    """Kinds of tables that do."""
    code: str
    """In which way the code differs, see `code_words`."""


def at_once(ours: Totals, theirs: Totals, reference: int) -> Explained | None:
    """Return what is known without making anything again: both have the same conditions; None if they have not."""
    if ours.conditions != theirs.conditions or len(ours.conditions) != 1 or "" in ours.conditions:
        return None
    return the_same(ours, theirs, reference)


def the_same(ours: Totals, theirs: Totals, reference: int) -> Explained:
    """Return what is known of plots of runs of which no table differs."""
    return Explained(answer=Answer.NOT, why=f"the same as in run {reference}{code_words(ours, theirs, reference)}")


def moved(judgement: Judgement) -> list[Cause]:
    """Return the peaks that are elsewhere now than before in the run."""
    return [each for each in judgement.bad if isinstance(each.verdict.finding, Moved)]


def of_peak(ours: Totals) -> Explained:
    """Return whether conditions explain that a peak has moved within a run: it has the same from begin to end."""
    if len(ours.conditions) == 1:
        return Explained(answer=Answer.NOT, why="the same in all spills of the run")
    return nobody_knows("its spills were made with several sets of tables")


def sides(store: ConditionsStore, run: int, ours: Totals, reference: int, theirs: Totals) -> Sides:
    """Return the conditions of two runs with which they were made.

    Raises
    ------
    UsageError
        When there are no such, or no longer.
    """
    own, others = (_made_with(store, *each) for each in ((run, ours), (reference, theirs)))
    differ = tuple(store.differ(run, reference))
    return Sides(own=own, others=others, reference=reference, differ=differ, code=code_words(ours, theirs, reference))


def _made_with(store: ConditionsStore, run: int, totals: Totals) -> RunConditions:
    try:
        found = store.for_run(run)
    except UsageError as error:
        raise UsageError(f"the conditions of run {run} cannot be read: {error}") from error
    if found is None:
        raise UsageError(f"run {run} has no conditions")
    if totals.conditions != {found.digest}:
        raise UsageError(f"run {run} was not all made with the tables that it has now: see spilldeck verify {run}")
    return found


def explain(
    records: Iterable[RawSpill],
    plots: Iterable[str],
    of: Sides,
    against: Against,
    limits: TypeLimits,
) -> dict[str, Explained]:
    """Return whether the conditions of a run explain that plots of it are bad.

    Parameters
    ----------
    records
        The last spills of the run.
    against
        The run that it is compared with.
    """
    processors = [Processor(lambda _: of.own), Processor(lambda _: of.others)]
    for record in records:
        for processor in processors:
            processor.take(record)
    books = [result.run_book() for processor in processors for result in processor.finish().values()]
    if not books:
        return dict.fromkeys(plots, nobody_knows("Kafka has none of its last spills any more"))
    own, others = books
    return {
        plot: _explained(_verdict(plot, own, against, limits), _verdict(plot, others, against, limits), own, of)
        for plot in plots
    }


def nobody_knows(why: object) -> Explained:
    """Return why nothing is known."""
    return Explained(answer=Answer.UNKNOWN, why=str(why))


def _verdict(plot: str, book: RunBook, against: Against, limits: TypeLimits) -> PlotVerdict:
    of = book.totals.filled, book.totals.triggers
    return plot_verdict(plot, book.book.of(plot), *of, against, limits, is_over=True)


def _explained(own: PlotVerdict, others: PlotVerdict, book: RunBook, of: Sides) -> Explained:
    last = f"in the last {several(book.totals.filled, 'spill')}"
    with_others = f"with those of run {of.reference}"
    if own.shape is None or others.shape is None or not own.shape.is_enough or not others.shape.is_enough:
        few = own if own.shape is None or not own.shape.is_enough else others
        return nobody_knows(f"{few.state} {last}{f' ({few.why})' if few.why else ''}")
    if own.level is Level.GOOD:
        return nobody_knows(f"{last} it is as in run {of.reference}, or they are too few to tell")
    numbers = f"{last} {off(own)}, {off(others).removesuffix(' off')} {with_others}"
    differs = f"; {', '.join(of.differ)} {'differs' if len(of.differ) == 1 else 'differ'}"
    if others.level is not Level.GOOD:
        is_less = others.times_limit < LESS * own.times_limit
        return Explained(answer=Answer.PARTLY if is_less else Answer.NOT, why=f"{numbers}{differs}{of.code}")
    if others.evidence > LESS * own.evidence:
        return nobody_knows(f"{numbers}, which is hardly less")
    return Explained(answer=Answer.CONDITIONS, why=f"{numbers}{differs}{of.code}")


def code_words(ours: Totals, theirs: Totals, reference: int) -> str:
    """Return in which way the code differs that made two runs; empty if it does not."""
    if ours.code == theirs.code:
        return ""
    its, others = (", ".join(sorted(each.code)) for each in (ours, theirs))
    return f"; but it was made by version {its}, run {reference} by {others}"
