"""Histograms and trends to figures: pure functions of a book, a plot of the catalogue and a theme."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streams.books.book import Histogram
from streams.books.totals import Totals
from streams.plots.model import Plot, Trend
from streams.plots.spillfacts import SpillFacts

Figure = dict[str, Any]
"""What plotly draws: data and layout, as plain values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours of a figure."""

    name: str
    ink: str
    grid: str
    line: str
    fill: str
    scale: Sequence[tuple[float, str]]
    """From few to many; ordered in lightness, so that the colour-blind read it too."""


# Blue is the one hue that all kinds of colour blindness leave alone; the scale is that of viridis.
_VIRIDIS = [(0.0, "#440154"), (0.25, "#3b528b"), (0.5, "#21918c"), (0.75, "#5ec962"), (1.0, "#fde725")]
LIGHT = Theme(name="light", ink="#243447", grid="#e3e8ee", line="#1f6fb2", fill="rgba(31,111,178,0.18)", scale=_VIRIDIS)
DARK = Theme(name="dark", ink="#d5dde6", grid="#2c3948", line="#6fb4ec", fill="rgba(111,180,236,0.20)", scale=_VIRIDIS)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}
SPILL_AXIS = "Spill"
_FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"


def whole_run(run: int, totals: Totals) -> str:
    """Return what a title says of the spills in a plot."""
    if totals.last_spill < 0:
        return f"Run {run} · no spills yet"
    return f"Run {run} · spills up to {totals.last_spill} (whole run)"


def histogram_figure(plot: Plot, histogram: Histogram, *, when: str, theme: Theme, why_empty: str) -> Figure:
    """Return the figure of a histogram.

    Parameters
    ----------
    when
        What the title says of run and spills.
    why_empty
        Said in place of a picture when there are no entries.
    """
    counts = histogram.view(flow=True)
    entries = int(counts.sum())
    if not entries:
        return _empty(plot.title, when, why_empty, theme)
    figure = _one_dimensional(plot, histogram, theme) if counts.ndim == 1 else _two_dimensional(plot, histogram, theme)
    figure["layout"] |= {"title": _title(plot.title, when)}
    figure["layout"]["annotations"] = [_note(_flow(counts, entries))]
    return figure


def trend_figure(trend: Trend, spills: SpillFacts, *, when: str, theme: Theme) -> Figure:
    """Return the figure of a trend, one point a spill."""
    if not len(spills):
        return _empty(trend.title, when, "no spills yet", theme)
    values = np.asarray(trend.value(spills), np.float64)
    layout = _layout(theme, trend.name)
    layout |= {"title": _title(trend.title, when), "annotations": []}
    layout["xaxis"]["title"] = {"text": SPILL_AXIS}
    layout["yaxis"]["title"] = {"text": f"{trend.label} ({trend.unit})" if trend.unit else trend.label}
    layout["yaxis"]["rangemode"] = "tozero"
    unit = f" {trend.unit}" if trend.unit else ""
    points = {
        "type": "scattergl" if len(spills) > 2000 else "scatter",
        "mode": "lines+markers",
        "x": spills.spill.tolist(),
        "y": [None if np.isnan(v) else v for v in values.tolist()],
        "line": {"color": theme.line, "width": 1.5},
        "marker": {"color": theme.line, "size": 4},
        "hovertemplate": f"spill %{{x}}: %{{y:.4~g}}{unit}<extra></extra>",
    }
    return {"data": [points], "layout": layout}


def _one_dimensional(plot: Plot, histogram: Histogram, theme: Theme) -> Figure:
    axis = plot.axes[0]
    edges, counts = histogram.axes[0].edges, histogram.view(flow=False)
    shown = slice(None)
    if axis.label == SPILL_AXIS:
        # A run has far fewer spills than the axis has bins.
        shown = slice(0, int(np.flatnonzero(counts).max(initial=0)) + 2)
    low, high, y = edges[:-1][shown], edges[1:][shown], counts[shown]
    unit = f" {axis.unit}" if axis.unit else ""
    layout = _layout(theme, plot.name)
    layout["xaxis"] |= {"title": {"text": axis.title}, "range": [float(low[0]), float(high[-1])]}
    layout["yaxis"] |= {"title": {"text": "Entries"}, "rangemode": "tozero"}
    if plot.log:
        layout["yaxis"] |= {"type": "log", "rangemode": "normal", "dtick": 1}
    steps = {
        "type": "scatter",
        "mode": "lines",
        # One stepped line is drawn far faster than a bar for each bin.
        "x": [*low.tolist(), float(high[-1])],
        "y": [*y.tolist(), int(y[-1])],
        "line": {"shape": "hv", "color": theme.line, "width": 1.5},
        "fill": "none" if plot.log else "tozeroy",
        "fillcolor": theme.fill,
        "customdata": [*high.tolist(), float(high[-1])],
        "hovertemplate": f"%{{x:.5~g}} to %{{customdata:.5~g}}{unit}: %{{y}} entries<extra></extra>",
    }
    return {"data": [steps], "layout": layout}


def _two_dimensional(plot: Plot, histogram: Histogram, theme: Theme) -> Figure:
    x, y = (axis.centers for axis in histogram.axes)
    counts = histogram.view(flow=False).T
    layout = _layout(theme, plot.name)
    for name, axis in (("xaxis", plot.axes[0]), ("yaxis", plot.axes[1])):
        layout[name] |= {"title": {"text": axis.title}, "range": [axis.low, axis.high], "showgrid": False}
    cells = {
        "type": "heatmap",
        "x": x.tolist(),
        "y": y.tolist(),
        # A bin without entries is no colour: so one entry is seen.
        "z": [[n or None for n in row] for row in counts.tolist()],
        "zmin": 0,
        "colorscale": [[at, colour] for at, colour in theme.scale],
        "colorbar": {"title": {"text": "Entries", "side": "right"}, "thickness": 12, "outlinewidth": 0},
        "hovertemplate": "%{x:.4~g}, %{y:.4~g}: %{z} entries<extra></extra>",
    }
    return {"data": [cells], "layout": layout}


def _flow(counts: Any, entries: int) -> str:
    """Return entries and what lies outside the axes."""
    if counts.ndim > 1:
        outside = entries - int(counts[tuple(slice(1, -1) for _ in counts.shape)].sum())
        return f"{entries:,} entries" + (f", {outside:,} outside" if outside else "")
    below, above = int(counts[0]), int(counts[-1])
    parts = [f"{below:,} below" if below else "", f"{above:,} above" if above else ""]
    return ", ".join([f"{entries:,} entries", *filter(None, parts)])


def _empty(title: str, when: str, why: str, theme: Theme) -> Figure:
    layout = _layout(theme, title)
    for axis in ("xaxis", "yaxis"):
        layout[axis] |= {"visible": False}
    said = {"text": why, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "font": {"size": 15}}
    return {"data": [], "layout": layout | {"title": _title(title, when), "annotations": [said]}}


def _title(title: str, when: str) -> dict[str, Any]:
    return {"text": f"<b>{title}</b><br><sup>{when}</sup>", "x": 0.02, "xanchor": "left", "font": {"size": 15}}


def _note(text: str) -> dict[str, Any]:
    return {
        "text": text,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 1,
        "y": 1.0,
        "xanchor": "right",
        "yanchor": "bottom",
        "font": {"size": 11},
    }


def _layout(theme: Theme, name: str) -> dict[str, Any]:
    axis = {"gridcolor": theme.grid, "zeroline": False, "linecolor": theme.grid, "ticks": "outside", "automargin": True}
    return {
        "font": {"family": _FONT, "size": 12, "color": theme.ink},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 16, "t": 58, "b": 46},
        "hovermode": "closest",
        "showlegend": False,
        # The same as long as the plot is the same: so zoom outlives an update.
        "uirevision": name,
        "xaxis": dict(axis),
        "yaxis": dict(axis) | {"tickcolor": theme.grid},
    }
