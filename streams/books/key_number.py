"""The numbers of a plot that are followed from window to window and from run to run: its key number, its measures."""

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

from streams.books.cells import Histogram
from streams.plots.measures import KeyNumber, mean_of
from streams.plots.model import Axis, Plot

__all__ = ["KeyNumber", "Numbers", "key_number", "measures_of", "numbers_of", "what"]
Numbers = dict[str, tuple[KeyNumber, float | None]]
"""What a plot tells of places, widths and shares, by title; with by how much another it matters, None where it does
not by itself."""


def what(plot: Plot) -> str:
    """Return what the key number of a plot is, with its unit."""
    if plot.has_mean:
        label = plot.axes[0].title
        return f"Mean {label[:1].lower()}{label[1:]}"
    return "Entries a spill"


def key_number(plot: Plot, histogram: Histogram, spills: int) -> KeyNumber | None:
    """Return the mean of a plot of one axis that has a unit, else its entries a spill; None where there is none.

    Parameters
    ----------
    spills
        That filled the histogram.
    """
    entries = int(histogram.sum(flow=True))
    if not plot.has_mean or histogram.ndim > 1:
        return KeyNumber(value=entries / spills, error=sqrt(entries) / spills) if spills else None
    return mean_of(histogram.axes[0].centers, histogram.view(flow=False))


def measures_of(plot: Plot, axes: Sequence[Axis], histogram: Histogram) -> tuple[KeyNumber | None, ...]:
    """Return the measures of a plot in their order, None for each that its counts do not tell.

    Parameters
    ----------
    axes
        The plot's in the run.
    """
    counts = histogram.view(flow=False)
    return tuple(measure.of(counts, axes) for measure in plot.measures)


def numbers_of(plot: Plot, histogram: Histogram) -> Numbers:
    """Return the mean of a histogram, if it has one, and the plot's measures that it tells."""
    axes = [
        replace(axis, bins=its.size, low=float(its.edges[0]), high=float(its.edges[-1]))
        for axis, its in zip(plot.axes, histogram.axes, strict=True)
    ]
    mean = key_number(plot, histogram, spills=1) if plot.has_mean else None
    found = [(what(plot), mean, None)] + [
        (measure.title, number, measure.matters)
        for measure, number in zip(plot.measures, measures_of(plot, axes, histogram), strict=True)
    ]
    return {title: (number, matters) for title, number, matters in found if number is not None}
