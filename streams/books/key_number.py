"""The one number of a plot that is followed from window to window and from run to run."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from streams.books.cells import Histogram
from streams.plots.model import Plot


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNumber:
    """A value with its statistical error."""

    value: float
    error: float


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
    counts = histogram.view(flow=False)
    inside = int(counts.sum())
    if not inside:
        return None
    centres = histogram.axes[0].centers
    mean = float(np.average(centres, weights=counts))
    spread = float(np.average((centres - mean) ** 2, weights=counts))
    return KeyNumber(value=mean, error=sqrt(spread / inside))
