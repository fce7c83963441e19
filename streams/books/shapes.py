"""The plots of a run judged by their shapes: against a reference, within the limits of its type."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from streams.books.book import Book, axes_of
from streams.books.cells import Histogram, bin_words, same_bins
from streams.books.limits import TypeLimits
from streams.books.run import RunBook
from streams.checks.counts import SETTLING
from streams.checks.cusum import OF_EACH, threshold
from streams.checks.shapes import ENOUGH, FACTORS, Block, Limits, Shape, blocks, shape_of
from streams.experiment import experiment
from streams.freshness import Level
from streams.plots.model import Axis, Plot
from streams.settings import load_settings

RUN_SPILLS = 300
"""Spills that a run has, at least, when false alarms are counted: chance has one try in a run, however long it is."""
WINDOW_SPILLS = 10
"""That a window has, likewise."""


class State(StrEnum):
    """What is known of a plot."""

    GOOD = "good"
    WARNING = "warning"
    """Bad, in a run of a type of which nobody said what is bad."""
    BAD = "bad"
    FEW = "not enough data"
    SETTLING = "settling"
    NO_REFERENCE = "no reference"
    NOT_JUDGED = "not judged"
    """Its bins are others, or it has no shape, or the limits say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What plots are judged against."""

    called: str
    """In words: ``run 9012``."""
    histogram: Callable[[str], Histogram | None]
    """Gives that of a plot; None if there is none."""
    triggers: int | None
    """Particle triggers that it is of; None if nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotVerdict:
    """What is known of one plot."""

    plot: str
    state: State
    why: str = ""
    """In words, where there are no numbers."""
    matters: float = 0.0
    """The limit: share of the entries that must lie elsewhere."""
    told_from: float = 0.0
    """The evidence that there must be."""
    part: str = ""
    """Of the run that it is of: ``the last minute``; empty of all of it."""
    shape: Shape | None = None
    against: str = ""
    """What it was compared with, in words."""

    @property
    def level(self) -> Level:
        """How good it is."""
        found = {State.GOOD: Level.GOOD, State.WARNING: Level.WARNING, State.BAD: Level.BAD}
        return found.get(self.state, Level.IDLE)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        found = {name: its for name, its in asdict(self).items() if name not in {"plot", "shape"}}
        return found | {"shape": asdict(self.shape) if self.shape is not None else None, "words": words(self)}


@cache
def evidence_limit(false_alarm: float | None = None, spills: int = RUN_SPILLS) -> float:
    """Return the logarithm of how much likelier than chance a change of a plot's shape must be to be told.

    Parameters
    ----------
    false_alarm
        Spills in which one false alarm is borne, of all checks together; as the settings say by default.
    spills
        After which chance has another try.
    """
    plots = [plot for plot in experiment().plots.values() if plot.is_judged]
    columns = sum(blocks(tuple(axis.bins + 2 for axis in axes_of(plot.name, {}))) for plot in plots)
    runs = (false_alarm or load_settings().checks.spills_a_false_alarm) / spills
    return threshold(columns, len(FACTORS), OF_EACH * max(runs, 1.0))


def against_run(run: int, book: RunBook) -> Against:
    """Return a run as something that plots are judged against."""
    return Against(called=f"run {run}", histogram=book.book.__getitem__, triggers=book.totals.triggers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """The last minute of a run: what changed late is little of a long run."""

    book: Book
    triggers: int


def plot_verdicts(
    book: RunBook,
    against: Against | None,
    limits: TypeLimits,
    false_alarm: float | None = None,
    late: Late | None = None,
    *,
    is_over: bool = False,
) -> dict[str, PlotVerdict]:
    """Return what is known of each plot of a run: of all of it, or of its last minute, if only that is bad.

    Parameters
    ----------
    against
        None if there is nothing to judge against.
    false_alarm
        See `evidence_limit`.
    late
        None if it is not known.
    is_over
        See `plot_verdict`.
    """
    spills, triggers = book.totals.filled, book.totals.triggers
    found = {
        name: plot_verdict(name, book.book[name], spills, triggers, against, limits, false_alarm, is_over=is_over)
        for name in experiment().plots
    }
    if late is None:
        return found
    of_late = {
        name: plot_verdict(
            name, late.book[name], spills, late.triggers, against, limits, false_alarm, part="the last minute"
        )
        for name, verdict in found.items()
        if verdict.state is State.GOOD
    }
    return found | {verdict.plot: verdict for verdict in bad(of_late)}


def plot_verdict(
    name: str,
    histogram: Histogram,
    spills: int,
    triggers: int,
    against: Against | None,
    limits: TypeLimits,
    false_alarm: float | None = None,
    part: str = "",
    *,
    is_over: bool = False,
) -> PlotVerdict:
    """Return what is known of one plot.

    Parameters
    ----------
    histogram
        Of a run, or of a part of one.
    spills, triggers
        That it is of.
    part
        Which part of a run, in words; empty of all of it.
    is_over
        No more spills come.
    """
    told_from = evidence_limit(false_alarm, WINDOW_SPILLS if part else RUN_SPILLS)
    plot = experiment().plots[name]

    def say(state: State, why: str, shape: Shape | None = None) -> PlotVerdict:
        called = against.called if against is not None else ""
        return PlotVerdict(
            plot=name,
            state=state,
            why=why,
            matters=limits.matters_in(name),
            told_from=told_from,
            part=part,
            shape=shape,
            against=called,
        )

    if why := _why_never(plot, limits):
        return say(State.NOT_JUDGED, why)
    reference = against.histogram(name) if against is not None else None
    if against is None or reference is None:
        return say(State.NO_REFERENCE, "nothing to compare with" if against is None else f"not in {against.called}")
    if not same_bins(histogram, reference):
        return say(State.NOT_JUDGED, f"{against.called}: bins {bin_words(reference)}, not {bin_words(histogram)}")
    if spills <= SETTLING and is_over:
        return say(State.FEW, f"{spills}/{SETTLING + 1} spills")
    if spills <= SETTLING:
        return say(State.SETTLING, f"{spills} of {SETTLING} spills")
    ours, theirs = histogram.view(flow=True), reference.view(flow=True)
    each = float(ours.sum()) / max(triggers, 1)
    its = float(theirs.sum()) / max(against.triggers, 1) if against.triggers is not None else each
    within = Limits(evidence=told_from, matters=limits.matters_in(name), tolerance=limits.tolerance)
    shape = shape_of(ours, theirs, within, a_trigger=(each, its))
    if not shape.is_enough:
        few, where = (shape.entries, "") if shape.entries < ENOUGH else (shape.reference, f" in {against.called}")
        return say(State.FEW, f"{few}/{ENOUGH}{where}", shape)
    if not shape.is_bad(within):
        return say(State.GOOD, "", shape)
    return say(State.WARNING if limits.only_warns else State.BAD, "", shape)


def _why_never(plot: Plot, limits: TypeLimits) -> str:
    """Return why a plot is judged in no run of a type; empty if it is."""
    if plot.by_spill:
        return "it has a value for each spill, and no shape"
    if plot.follows_beam:
        return "its shape follows the beam’s intensity"
    return "" if limits.is_judged(plot.name) else "the limits of this run type say so"


def said(verdict: PlotVerdict) -> str:
    """Return what fits into a title: number and limit, or the state and how far it is from being another."""
    match verdict.state:
        case State.GOOD if verdict.shape is not None:
            return f"{percent(verdict.shape.elsewhere)} off"
        case State.WARNING | State.BAD if verdict.shape is not None:
            return f"{percent(verdict.shape.elsewhere)} off (limit {percent(verdict.matters)})"
        case State.FEW | State.SETTLING:
            return f"{verdict.state} ({verdict.why})"
    return ""


def words(verdict: PlotVerdict) -> str:
    """Return all that is known of a plot, as sentences."""
    shape = verdict.shape
    if verdict.state in {State.GOOD, State.WARNING, State.BAD} and shape is not None:
        nobody = ", and of this run type it only warns" if verdict.state is State.WARNING else ""
        limit = f"{percent(verdict.matters)} matter{nobody}"
        entries = f"entries of {verdict.part}" if verdict.part else "entries"
        number = f"{percent(shape.elsewhere)} of the {entries} lie elsewhere than in {verdict.against} ({limit})."
        worst = f" Most of all: {where(verdict.plot, shape.worst)}." if verdict.state is not State.GOOD else ""
        sure = f" Evidence {shape.evidence:.1f}, told from {verdict.told_from:.1f} on;"
        return f"{number}{worst}{sure} {shape.entries:,} {what_counts(shape)}, {shape.reference:,} in the reference."
    state = str(verdict.state).capitalize()
    of = f" {what_counts(shape)}" if shape is not None else ""
    return f"{state}: {verdict.why}{of}." if verdict.why else f"{state}."


def what_counts(shape: Shape) -> str:
    """Return what the numbers of a shape are of."""
    return "triggers" if shape.of_triggers else "entries"


def where(name: str, block: Block | None) -> str:
    """Return bins in words, with their share and what was expected."""
    if block is None:
        return ""
    axes = experiment().plots[name].axes
    bins = " × ".join(_along(*each) for each in zip(axes, block.first, block.last, strict=True))
    return f"{bins} has {percent(block.share)} where {percent(block.expected)} were expected"


def _along(axis: Axis, first: int, last: int) -> str:
    """Return bins along an axis in words."""
    if first < 0 and last >= axis.bins:
        return f"all of {axis.label}"
    names = axis.names[max(first, 0) : last + 1]
    if names and first >= 0 and last < axis.bins:
        return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    width = (axis.high - axis.low) / axis.bins
    low, high = axis.low + first * width, axis.low + (last + 1) * width
    unit = f" {axis.unit}" if axis.unit else ""
    if first < 0:
        return f"{axis.label} below {max(high, axis.low):.5g}{unit}"
    if last >= axis.bins:
        return f"{axis.label} above {low:.5g}{unit}"
    if width == 1 and not float(axis.low).is_integer():  # bins about whole numbers
        numbers = range(round(low + 0.5), round(high + 0.5))
        return f"{axis.label} {numbers[0]}" + (f"–{numbers[-1]}" if len(numbers) > 1 else "")
    return f"{axis.label} {low:.5g}–{high:.5g}{unit}"


def percent(share: float) -> str:
    """Return a share as it is said."""
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def off_block(verdict: PlotVerdict) -> Block | None:
    """Return the bins that are off most in a plot that is bad, or warns; None in others."""
    is_off = verdict.state in {State.BAD, State.WARNING}
    return verdict.shape.worst if is_off and verdict.shape is not None else None


def bad(verdicts: Mapping[str, PlotVerdict]) -> list[PlotVerdict]:
    """Return those that are bad, or warn, the worst first."""
    found = [each for each in verdicts.values() if each.state in {State.BAD, State.WARNING} and each.shape is not None]
    return sorted(found, key=lambda each: (each.state is not State.BAD, -(each.shape.elsewhere if each.shape else 0)))
