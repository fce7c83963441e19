"""Shares along an axis, of a plot that says no or yes: points with errors."""

from typing import Any

import numpy as np

from dashboards.figures.compare import Compared
from dashboards.figures.parts import Figure, axis_title, layout, ticks, unit_after
from dashboards.figures.theme import Theme
from streams.books.cells import Histogram
from streams.plots.measures import shares
from streams.plots.model import Plot

SIZE = 5
"""Of a point, px."""


def share_figure(plot: Plot, histogram: Histogram, theme: Theme, reference: Compared | None) -> Figure:
    """Return the figure; a reference has its shares beside, however histograms are compared: they need no scale."""
    axis = plot.axes[0]
    shared = layout(theme)
    shared["xaxis"] |= {"title": axis_title("xaxis", axis.title)} | ticks(axis)
    shared["xaxis"]["autorangeoptions"] = {"include": [axis.low, axis.high]}
    shared["yaxis"] |= {"title": axis_title("yaxis", "Share"), "autorangeoptions": {"include": [0, 1]}}
    data = [_points(plot, histogram, theme.line, "")]
    if reference is not None:
        data.append(_points(plot, reference.histogram, theme.other, f" in {reference.called}"))
    return {"data": data, "layout": shared}


def _points(plot: Plot, histogram: Histogram, colour: str, where: str) -> dict[str, Any]:
    counts, axis = histogram.view(flow=False), plot.axes[0]
    share, error = shares(counts)
    there = ~np.isnan(share)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": histogram.axes[0].centers[there].tolist(),
        "y": share[there].tolist(),
        "marker": {"size": SIZE, "color": colour},
        "error_y": {"type": "data", "array": error[there].tolist(), "color": colour, "thickness": 1, "width": 0},
        "customdata": counts.sum(axis=1)[there].tolist(),
        "hovertemplate": f"{axis.label} %{{x:.5~g}}{unit_after(axis.unit)}: %{{y:.3~g}} of %{{customdata:,}}{where}"
        "<extra></extra>",
    }
