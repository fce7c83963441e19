"""Measures: numbers with errors that follow from the counts of a plot alone, so they are the same live and replayed.

A plot names its measures; each is a pure function of the integer counts and the axes, None where the counts cannot
tell. The page follows them over windows and runs, and the summary of a run has them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import floor, log10, sqrt

import numpy as np

from schemas.columns import F8, I8
from streams.plots.axis import Axis, with_unit

MIN_ENTRIES = 10
"""A spread or a lifetime of fewer entries is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNumber:
    """A value with its statistical error."""

    value: float
    error: float

    def __str__(self) -> str:
        """Both to the second digit of the error."""
        digits = max(0, 1 - floor(log10(self.error))) if self.error else 3
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a plot tells in one number."""

    label: str
    unit: str = ""
    matters: float | None = None
    """By so much another than in good runs it is bad, in its unit; None where it follows the beam."""
    of: Callable[[I8, Sequence[Axis]], KeyNumber | None]
    """Takes the counts, an array of as many dimensions as the plot has axes, without flow bins, and the axes."""

    @property
    def title(self) -> str:
        """The label with its unit in brackets."""
        return with_unit(self.label, self.unit)


def mean(
    label: str, unit: str = "", *, within: tuple[float, float] | None = None, matters: float | None = None
) -> Measure:
    """Return the mean along the last axis of what lies on it, or between two places of it."""

    def of(counts: I8, axes: Sequence[Axis]) -> KeyNumber | None:
        return mean_of(*_inside(counts, axes, within))

    return Measure(label=label, unit=unit, matters=matters, of=of)


def mean_of(centres: F8, along: I8) -> KeyNumber | None:
    """Return the mean of bins by their middles and counts, both (bins,); None of no entries."""
    found = _moments(centres, along)
    return None if found is None else KeyNumber(value=found[1], error=sqrt(found[2] / found[0]))


def rms(label: str, unit: str = "", *, within: tuple[float, float] | None = None) -> Measure:
    """Return the spread about the mean along the last axis, of what lies between two places of it; see `mean`."""

    def of(counts: I8, axes: Sequence[Axis]) -> KeyNumber | None:
        centres, along = _inside(counts, axes, within)
        found = _moments(centres, along)
        if found is None or found[0] < MIN_ENTRIES or not found[2]:
            return None
        entries, middle, variance = found
        # By the fourth moment, which holds for any shape.
        fourth = float(np.average((centres - middle) ** 4, weights=along))
        error = sqrt(max(fourth - variance**2, 0) / entries) / (2 * sqrt(variance))
        return KeyNumber(value=sqrt(variance), error=error)

    return Measure(label=label, unit=unit, of=of)


def share(label: str, yes: int = 1, *, matters: float | None = None) -> Measure:
    """Return the share of the entries in one bin of the last axis."""

    def of(counts: I8, _axes: Sequence[Axis]) -> KeyNumber | None:
        along = _along(counts)
        return _binomial(int(along[yes]), int(along.sum()))

    return Measure(label=label, matters=matters, of=of)


def at(measure: Measure, label: str, place: int | slice) -> Measure:
    """Return a measure of one bin, or of some, of the first axis of a plot of two."""

    def of(counts: I8, axes: Sequence[Axis]) -> KeyNumber | None:
        return measure.of(counts[place], axes[1:])

    return replace(measure, label=label, of=of)


def between(measure: Measure, label: str, low: float, high: float) -> Measure:
    """Return a measure of what lies between two places of the first axis of a plot of two."""

    def of(counts: I8, axes: Sequence[Axis]) -> KeyNumber | None:
        return measure.of(counts[(axes[0].centres > low) & (axes[0].centres < high)], axes)

    return replace(measure, label=label, of=of)


def along_first(measure: Measure) -> Measure:
    """Return a measure along the first axis of a plot of two."""
    return replace(measure, of=lambda counts, axes: measure.of(counts.T, axes[::-1]))


def of_spot(means: str, spreads: str, unit: str) -> tuple[Measure, ...]:
    """Return means and spreads of a plot of x and y; ``{}`` in the labels is the axis."""
    x, y = (tuple(of(label.format(letter), unit) for of, label in ((mean, means), (rms, spreads))) for letter in "xy")
    return along_first(x[0]), y[0], along_first(x[1]), y[1]


def part(label: str, yes: tuple[int, ...], of: tuple[int, ...], *, matters: float | None = None) -> Measure:
    """Return the share that one cell has of another, which counts the same things and more."""
    return Measure(label=label, matters=matters, of=lambda counts, _axes: _binomial(int(counts[yes]), int(counts[of])))


def lifetime(label: str, unit: str, *, within: tuple[float, float]) -> Measure:
    """Return the lifetime of an exponential decay that is seen between two places of the axis alone.

    It is that of the greatest likelihood: the mean m of what is seen in a stretch of length L is
    ``tau - L / (exp(L / tau) - 1)``. Where the mean is that of no decay (half of L or beyond), there is none.
    """

    def of(counts: I8, axes: Sequence[Axis]) -> KeyNumber | None:
        centres, along = _inside(counts, axes, within)
        entries = int(along.sum())
        if entries < MIN_ENTRIES:
            return None
        width = (axes[-1].high - axes[-1].low) / axes[-1].bins
        low, length = float(centres[0]) - width / 2, width * len(centres)
        seen = float(np.average(centres, weights=along)) - low
        tau = _decay_of(seen, length, width)
        if tau is None:
            return None
        # One over the information of an entry, which is the derivative of the mean by tau over tau squared.
        x = length / tau
        slope = 1 - x**2 / (2 * np.cosh(x) - 2)
        return KeyNumber(value=tau, error=tau / sqrt(entries * slope))

    return Measure(label=label, unit=unit, of=of)


def _decay_of(seen: float, length: float, width: float) -> float | None:
    """Return the lifetime of which the mean of the bins' middles is this, by halving; None where none is."""

    def expected(tau: float) -> float:
        # In a bin more entries lie at its begin: the mean of their middles is later than theirs.
        bins = np.exp(-np.arange(0, length - width / 2, width) / tau)
        return float(np.average(np.arange(len(bins)) + 0.5, weights=bins)) * width

    low, high = width, 20 * length
    if not expected(low) < seen < expected(high):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) < seen else (low, middle)
    return (low + high) / 2


def _along(counts: I8) -> I8:
    """Return the counts along the last axis."""
    along: I8 = counts.reshape(-1, counts.shape[-1]).sum(axis=0)
    return along


def _inside(counts: I8, axes: Sequence[Axis], within: tuple[float, float] | None) -> tuple[F8, I8]:
    """Return the middles of the bins of the last axis that lie between two places, and their counts."""
    centres, along = axes[-1].centres, _along(counts)
    low, high = within or (axes[-1].low, axes[-1].high)
    inside = (centres > low) & (centres < high)
    return centres[inside], along[inside]


def _moments(centres: F8, along: I8) -> tuple[int, float, float] | None:
    """Return entries, mean and variance."""
    entries = int(along.sum())
    if not entries:
        return None
    middle = float(np.average(centres, weights=along))
    return entries, middle, float(np.average((centres - middle) ** 2, weights=along))


def shares(counts: I8) -> tuple[F8, F8]:
    """Return (n,) which share of each row of (n, 2) counts is in its second column, and the errors; NaN of none."""
    found = [_binomial(int(yes), int(no + yes)) for no, yes in counts]
    values = [(np.nan, np.nan) if each is None else (each.value, each.error) for each in found]
    share, error = np.array(values, np.float64).reshape(-1, 2).T
    return share, error


def _binomial(yes: int, of: int) -> KeyNumber | None:
    if not of:
        return None
    # Of all or none the error is not 0: Bayes' estimate of the spread, from no knowledge.
    likely = (yes + 1) / (of + 2)
    return KeyNumber(value=yes / of, error=sqrt(likely * (1 - likely) / (of + 3)))
