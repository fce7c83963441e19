"""A histogram against a reference: how the reference is scaled, the ratio, and what is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dashboards.choices import Mode
from dashboards.figures.parts import step_above
from dashboards.figures.theme import Theme
from schemas.columns import F8, I8
from streams.books.cells import Histogram, bin_words, same_bins
from streams.checks.shapes import scatter_of

KNOWN = 0.5
"""A ratio whose error is a smaller share of it than this says something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a histogram is compared with."""

    called: str
    """The run, or the file, in words."""
    histogram: Histogram
    has_it: bool = True
    """Else the histogram is an empty one in place of what a file does not have."""
    spills: float | None = 1.0
    """Spills of the histogram that is compared, over those of the reference; None if nobody knows."""
    by_spill: bool = False
    """The axis is that of the spills: as what has a value for each of them, it is never scaled."""
    earlier: Sequence[Histogram] = ()
    """Of good runs before it, those with the same bins."""


def why_not(histogram: Histogram, reference: Compared, mode: Mode) -> str:
    """Return why a histogram cannot be compared with the reference; empty if it can."""
    other = reference.histogram
    if not reference.has_it:
        return f"not in {reference.called}"
    if not same_bins(histogram.axes, other.axes):
        return f"{reference.called}: bins {bin_words(other.axes)}, not {bin_words(histogram.axes)}"
    if mode is Mode.SPILLS and reference.spills is None and histogram.ndim == 1 and not reference.by_spill:
        return f"{reference.called} does not say of how many spills it is"
    return "" if other.sum() else f"{reference.called} has no entries here"


def scale_of(histogram: Histogram, reference: Compared, mode: Mode) -> float:
    """Return what the reference is multiplied with."""
    if mode is Mode.ABSOLUTE or reference.by_spill:
        return 1.0
    if mode is Mode.SPILLS and reference.spills is not None:
        return reference.spills
    return float(histogram.sum()) / float(reference.histogram.sum())


def comparison(histogram: Histogram, reference: Compared, mode: Mode) -> str:
    """Return what is compared with, and how."""
    if mode is Mode.RATIO:
        return f"over {reference.called}"
    if mode is Mode.PULL and not reference.by_spill:
        return f"errors away from {reference.called}"
    if histogram.ndim > 1:
        return f"{reference.called}: ratio or pull only"
    scale = scale_of(histogram, reference, mode)
    per = " by spills" if mode is Mode.SPILLS else ""
    as_it_is = mode is Mode.ABSOLUTE or reference.by_spill
    band = f", ▒ {len(reference.earlier) + 1} runs" if has_band(reference, mode) else ""
    return f"– – {reference.called}" + ("" if as_it_is else f" × {scale:.3g}{per}") + band


def has_band(reference: Compared, mode: Mode) -> bool:
    """Return whether several runs are drawn as a band: shapes are, scaled to as many entries."""
    return mode is Mode.SHAPE and bool(reference.earlier) and not reference.by_spill


def band(histogram: Histogram, reference: Compared) -> tuple[F8, F8]:
    """Return the least and the most that the runs have in each bin of a plot of one axis, as they are drawn."""
    runs = [each.view(flow=False) for each in (reference.histogram, *reference.earlier) if each.sum()]
    scaled = np.array([its * (float(histogram.sum()) / float(its.sum())) for its in runs])
    return scaled.min(axis=0), scaled.max(axis=0)


def pulls(histogram: Histogram, reference: Compared) -> F8:
    """Return how far each bin is from the reference, scaled to as many entries, in errors of the difference.

    These are of the counts of both, and of how runs scatter where there are several. Half an entry is added to those of
    the reference, so that bins without any have an error, too.
    """
    runs = [each.view(flow=False) for each in (reference.histogram, *reference.earlier) if each.sum()]
    scale = float(histogram.sum()) / float(runs[0].sum())
    expected = scale * (runs[0] + 0.5)
    scatter = scatter_of(np.array(runs, np.float64), np.array([float(its.sum()) for its in runs]))
    error = np.sqrt(expected * (1 + scale) + (scatter * expected) ** 2)
    found: F8 = (histogram.view(flow=False) - scale * runs[0]) / error
    return found


def ratios(counts: I8, compared: F8, scale: float) -> tuple[npt.NDArray[np.bool_], F8, F8]:
    """Return in which bins both have entries, and there the ratio and its error."""
    both = (counts > 0) & (compared > 0)
    ratio = counts[both] / compared[both]
    return both, ratio, ratio * np.sqrt(1 / counts[both] + scale / compared[both])


def ratio_top(ratio: F8, error: F8) -> float:
    """Return where an axis of ratios ends: above those that say something, whatever a bin of one entry has."""
    known = error < ratio * KNOWN
    return step_above(max(2.0, float((ratio + error)[known].max(initial=0))))


def ratio_points(edges: F8, counts: I8, compared: F8, scale: float, words: str, theme: Theme) -> list[dict[str, Any]]:
    """Return the ratio where both have entries, with its error, and the line at one."""
    both, ratio, error = ratios(counts, compared, scale)
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": ((edges[1:] + edges[:-1]) / 2)[both].tolist(),
        "y": ratio.tolist(),
        "marker": {"size": 4, "color": theme.line},
        "error_y": {"type": "data", "array": error.tolist(), "color": theme.line, "thickness": 1, "width": 0},
        "customdata": np.stack([edges[:-1][both], edges[1:][both]], axis=1).tolist(),
        "hovertemplate": words.replace("%{x", "%{customdata[0]").replace("%{customdata:", "%{customdata[1]:")
        + ": ratio %{y:.3~g}<extra></extra>",
    }
    one = {
        "type": "scatter",
        "mode": "lines",
        "x": [float(edges[0]), float(edges[-1])],
        "y": [1, 1],
        "line": {"color": theme.other, "width": 1.5, "dash": "dash"},
        "hoverinfo": "skip",
    }
    return [one, points]
