"""The plots of a run judged by their shapes: against a reference, within the limits of its type."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cache
from math import log
from textwrap import shorten
from types import MappingProxyType
from typing import Any

from schemas.columns import I8
from streams.books.book import Book, axes_of
from streams.books.cells import Axes, Cells, Histogram, bin_words, same_bins
from streams.books.key_number import KeyNumber, Numbers, numbers_of
from streams.books.limits import TypeLimits
from streams.books.run import RunBook
from streams.checks.counts import SETTLING
from streams.checks.cusum import OF_EACH, threshold
from streams.checks.numbers import Apart, Number, apart
from streams.checks.shapes import ENOUGH, FACTORS, Block, Counts, Limits, Shape, Standard, blocks, shape_of
from streams.experiment import experiment
from streams.freshness import Level
from streams.plots.model import Axis, Plot
from streams.settings import load_settings

RUN_SPILLS = 300
"""Spills that a run has, at least, when false alarms are counted: chance has one try in a run, however long it is."""
WINDOW_SPILLS = 10
"""That a window has, likewise."""
SURE = 5.0
"""Errors by which a number of a plot that is off is another: it says how it is off, and not whether."""
CHANGES_SAID = 2
LONGEST_KNOWN = 60
"""Characters of a known issue in a title."""


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
    earlier: "Sequence[Against]" = ()
    """Good runs before it, the newest first: how they scatter is no change."""
    _rules: dict[str, "Rule"] = field(default_factory=dict, repr=False, compare=False)
    _axes: dict[str, Axes | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def in_full(self) -> str:
        """All of it in words: ``run 9012 and 4 before``."""
        return self.called + (f" and {len(self.earlier)} before" if self.earlier else "")

    def axes(self, plot: str) -> Axes | None:
        """Return the axes of a plot in it, None if it has none: looked up once, as to make a histogram takes long."""
        if plot not in self._axes:
            histogram = self.histogram(plot)
            self._axes[plot] = histogram.axes if histogram is not None else None
        return self._axes[plot]

    def rule(self, plot: Plot, like: Axes, a_trigger: float) -> "Rule":
        """Return what is right of a plot, by all that have it with the same bins as some axes: reckoned once.

        Parameters
        ----------
        a_trigger
            So many entries a trigger has, where nobody knows of how many triggers they are.
        """
        if plot.name in self._rules and self.triggers is not None:
            return self._rules[plot.name]
        found = ((each.histogram(plot.name), each.triggers) for each in (self, *self.earlier))
        known = [(its, triggers) for its, triggers in found if its is not None and same_bins(like, its.axes)]
        counts = [_counts(its.view(flow=True), triggers, a_trigger) for its, triggers in known]
        numbers = tuple(numbers_of(plot, its) for its, _ in known)
        self._rules[plot.name] = rule = Rule(standard=Standard.of(counts), numbers=numbers)
        return rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is right of a plot."""

    standard: Standard
    numbers: tuple[Numbers, ...]
    """Of each run, the newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A number of a plot that is another than in the reference: a place, a width, a share."""

    what: str
    """With its unit."""
    now: KeyNumber
    apart: Apart
    """From what it is in the reference."""
    matters: float | None
    """The limit; None of one that is not judged by itself."""

    @property
    def expected(self) -> KeyNumber:
        """What it is in the reference."""
        return KeyNumber(value=self.apart.expected.value, error=self.apart.expected.error)

    def times_limit(self, told_from: float) -> float:
        """Return how many times the limit it is away; 0 if that may be chance, or matters to nobody."""
        is_sure = self.matters is not None and self.apart.evidence >= told_from
        return abs(self.apart.by) / self.matters if self.matters and is_sure else 0.0


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
    changes: tuple[Change, ...] = ()
    """Of one that is bad, or warns: its numbers that are others, the surest first."""
    against: str = ""
    """What it was compared with, in words."""
    is_past: bool = False
    """It is bad by what came before: its last minute is as the reference again."""
    known: str = ""
    """The known issue that explains it if it is off, in words; set where it is shown, and never stored."""

    @property
    def times_limit(self) -> float:
        """How far off it is, in what matters: from 1 on it is bad, if that is no chance."""
        elsewhere = self.shape.elsewhere / self.matters if self.shape is not None and self.matters else 0.0
        return max([elsewhere, *(each.times_limit(self.told_from) for each in self.changes)])

    @property
    def evidence(self) -> float:
        """The largest that something is another than in the reference."""
        numbers = (each.apart.evidence for each in self.changes if each.matters is not None)
        return max([self.shape.evidence if self.shape is not None else 0.0, *numbers])

    @property
    def level(self) -> Level:
        """How good it is."""
        if self.known and self.state in {State.WARNING, State.BAD}:
            return Level.KNOWN
        bad = Level.WARNING if self.is_past else Level.BAD
        found = {State.GOOD: Level.GOOD, State.WARNING: Level.WARNING, State.BAD: bad}
        return found.get(self.state, Level.IDLE)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        found = {name: its for name, its in asdict(self).items() if name not in {"plot", "known"}}
        return found | {"changes": [asdict(each) for each in self.changes], "words": words(self)}


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
    columns += sum(measure.matters is not None for plot in plots for measure in plot.measures)
    runs = (false_alarm or load_settings().checks.spills_a_false_alarm) / spills
    return threshold(columns, len(FACTORS), OF_EACH * max(runs, 1.0))


def against_run(run: int, book: RunBook, earlier: Mapping[int, RunBook] = MappingProxyType({})) -> Against:
    """Return a run, and good ones before it, as something that plots are judged against."""
    return Against(
        called=f"run {run}",
        histogram=book.book.__getitem__,
        triggers=book.totals.triggers,
        earlier=[against_run(each, its) for each, its in earlier.items()],
    )


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

    While the run goes on it is said of one that is bad if its last minute is not.

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
        name: plot_verdict(name, book.book.of(name), spills, triggers, against, limits, false_alarm, is_over=is_over)
        for name in experiment().plots
    }
    if late is None:
        return found
    of_late = {
        name: plot_verdict(
            name, late.book.of(name), spills, late.triggers, against, limits, false_alarm, part="the last minute"
        )
        for name in found
    }
    for name, whole in found.items():
        its, off = of_late[name], {State.BAD, State.WARNING}
        if whole.state is State.GOOD and its.state in off:
            found[name] = its
        elif whole.state in off and its.state is State.GOOD and not is_over:
            found[name] = replace(whole, is_past=_is_again_good(whole, late, its.told_from))
    return found


def _is_again_good(whole: PlotVerdict, late: Late, told_from: float) -> bool:
    """Say whether the bins of a run that are off most are late as in the reference, rather than as in the run.

    Parameters
    ----------
    told_from
        The logarithm of how much likelier that must be.
    """
    block, shape = off_block(whole), whole.shape
    if block is None or shape is None:
        return False
    its = _counts(late.book.counts(whole.plot), late.triggers).independent
    inside = float(
        its[tuple(slice(first + 1, last + 2) for first, last in zip(block.first, block.last, strict=True))].sum()
    )
    least = 0.5 / shape.entries
    was, right = (min(max(share, least), 1 - least) for share in (block.share, block.expected))
    outside = float(its.sum()) - inside
    return inside * log(right / was) + outside * log((1 - right) / (1 - was)) >= told_from


def plot_verdict(
    name: str,
    its: Cells,
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
    its
        Its counts in a run, or in a part of one.
    spills, triggers
        That it is of.
    part
        Which part of a run, in words; empty of all of it.
    is_over
        No more spills come.
    """
    told_from = evidence_limit(false_alarm, WINDOW_SPILLS if part else RUN_SPILLS)
    plot = experiment().plots[name]

    def say(state: State, why: str, shape: Shape | None = None, changes: tuple[Change, ...] = ()) -> PlotVerdict:
        called = against.in_full if against is not None else ""
        return PlotVerdict(
            plot=name,
            state=state,
            why=why,
            matters=limits.matters_in(name),
            told_from=told_from,
            part=part,
            shape=shape,
            changes=changes,
            against=called,
        )

    if why := _why_never(plot, limits):
        return say(State.NOT_JUDGED, why)
    axes = against.axes(name) if against is not None else None
    if against is None or axes is None:
        return say(State.NO_REFERENCE, "nothing to compare with" if against is None else f"not in {against.called}")
    if not same_bins(its.axes, axes):
        return say(State.NOT_JUDGED, f"{against.called}: bins {bin_words(axes)}, not {bin_words(its.axes)}")
    if spills <= SETTLING:
        return say(State.FEW if is_over else State.SETTLING, f"{spills}/{SETTLING + 1} spills")
    ours = _counts(its.view(), triggers)
    rule = against.rule(plot, its.axes, ours.a_trigger)
    within = Limits(evidence=told_from, matters=limits.matters_in(name), tolerance=limits.tolerance)
    shape = shape_of(ours, rule.standard, within)
    if not shape.is_enough:
        few, where = (shape.entries, "") if shape.entries < ENOUGH else (shape.reference, f" in {against.called}")
        return say(State.FEW, f"{few}/{ENOUGH}{where}", shape)
    numbers = changes(numbers_of(plot, its.histogram()), rule.numbers) if any(rule.numbers) else ()
    if not shape.is_bad(within) and not any(each.times_limit(told_from) >= 1 for each in numbers):
        return say(State.GOOD, "", shape)
    return say(State.WARNING if limits.only_warns else State.BAD, "", shape, numbers)


def changes(numbers: Numbers, references: Sequence[Numbers]) -> tuple[Change, ...]:
    """Return which numbers are others than in good runs, the newest first: those that are judged, then the surest."""
    found = []
    for title, (now, matters) in numbers.items():
        before = [_plain(its[title][0]) for its in references if title in its]
        if before and (how := apart(_plain(now), before)).errors >= SURE:
            found.append(Change(what=title, now=now, apart=how, matters=matters))
    return tuple(sorted(found, key=lambda each: (each.matters is None, -each.apart.evidence)))


def _plain(number: KeyNumber) -> Number:
    return Number(number.value, number.error)


def _counts(bins: I8, triggers: int | None, a_trigger: float = 1.0) -> Counts:
    return Counts(bins, a_trigger if triggers is None else float(bins.sum()) / max(triggers, 1))


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
        case State.WARNING | State.BAD:
            return ", ".join(
                filter(None, [off(verdict, with_limit=True), shorten(verdict.known, LONGEST_KNOWN, placeholder="…")])
            )
        case State.FEW | State.SETTLING:
            return f"{verdict.state} ({verdict.why})"
    return ""


def off(verdict: PlotVerdict, *, with_limit: bool = False) -> str:
    """Return how far off a plot is: its shape, or the number of it that alone is another."""
    by_shape = verdict.shape.elsewhere if verdict.shape is not None else 0.0
    worst = max(verdict.changes, key=lambda each: each.times_limit(verdict.told_from), default=None)
    if worst is None or by_shape >= verdict.matters or worst.times_limit(verdict.told_from) < 1:
        limit = f" (limit {percent(verdict.matters)})" if with_limit else ""
        return f"{percent(by_shape)} off{limit}{', not in the last minute' if verdict.is_past else ''}"
    limit = f" (limit {worst.matters:g})" if with_limit else ""
    return f"off by {worst.apart.by:+.2g}{limit}: {worst.what}"


def _number(change: Change) -> str:
    limit = f" ({change.matters:g} matters)" if change.matters is not None else ""
    return f"{change.what}: {change.now}, there {change.expected}{limit}"


def words(verdict: PlotVerdict) -> str:
    """Return all that is known of a plot, as sentences."""
    shape = verdict.shape
    if verdict.state in {State.GOOD, State.WARNING, State.BAD} and shape is not None:
        nobody = ", and of this run type it only warns" if verdict.state is State.WARNING else ""
        limit = f"{percent(verdict.matters)} matter{nobody}"
        entries = f"entries of {verdict.part}" if verdict.part else "entries"
        number = f"{percent(shape.elsewhere)} of the {entries} lie elsewhere than in {verdict.against} ({limit})."
        worst = f" Most of all: {where(verdict.plot, shape.worst)}." if verdict.state is not State.GOOD else ""
        numbers = "".join(f" {_number(each)}." for each in verdict.changes[:CHANGES_SAID])
        numbers += " The last minute is as the reference again." if verdict.is_past else ""
        sure = f" Evidence {shape.evidence:.1f}, told from {verdict.told_from:.1f} on;"
        counted = what_counts(shape)
        return f"{number}{numbers}{worst}{sure} {shape.entries:,} {counted}, {shape.reference:,} in the reference."
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
    is_off = verdict.state in {State.BAD, State.WARNING} and verdict.shape is not None
    is_sure = verdict.shape is not None and verdict.shape.evidence >= verdict.told_from
    return verdict.shape.worst if is_off and is_sure and verdict.shape is not None else None


def bad(verdicts: Mapping[str, PlotVerdict]) -> list[PlotVerdict]:
    """Return those that are bad, or warn, the worst first; behind them those that are as they should be again."""
    found = [each for each in verdicts.values() if each.state in {State.BAD, State.WARNING} and each.shape is not None]
    size = {each.plot: each.shape.elsewhere for each in found if each.shape is not None}
    return sorted(found, key=lambda each: (each.state is not State.BAD, each.is_past, -size[each.plot]))
