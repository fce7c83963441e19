"""Histograms and trends to figures: pure functions of a book, a plot of the catalogue and a theme."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.books.book import Histogram
from streams.books.totals import Totals
from streams.plots.model import Axis, Plot, Trend
from streams.plots.spillfacts import SpillFacts

Figure = dict[str, Any]
"""What plotly draws: data and layout, as plain values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours of a figure."""

    name: str
    ink: str
    faint: str
    grid: str
    line: str
    fill: str
    scale: Sequence[str]
    """From few to many; steps in lightness alone tell them apart, and the first stands out from the paper."""


LIGHT = Theme(
    name="light",
    ink="#243447",
    faint="#5c6b7c",
    grid="#e3e8ee",
    line="#1f6fb2",
    fill="rgba(31,111,178,0.18)",
    scale=("#bfd9ee", "#6fb0da", "#2f7fbe", "#2a4f9a", "#26145a"),
)
DARK = Theme(
    name="dark",
    ink="#d5dde6",
    faint="#93a1b0",
    grid="#2c3948",
    line="#6fb4ec",
    fill="rgba(111,180,236,0.20)",
    scale=("#2f5784", "#2f86b5", "#4fb7bd", "#a3dca0", "#fdf2a7"),
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}
SPILL_AXIS = "Spill"
MAX_POINTS = 4000
"""Points of a trend that are drawn: twice as many as a screen has columns."""
TICK_EACH_BIN = 12
"""An axis of so few bins of width 1 counts something: each has its number."""
WORDS_WIDTH = 38
"""Characters in a line of what stands in an empty plot: they fit into the narrowest."""
UPRIGHT_WIDTH = 21
"""Characters in a line of the words along an upright axis: they fit into the lowest plot."""
_FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"


def which_spills(run: int, totals: Totals, *, last: int | None = None) -> str:
    """Return what a title says of the spills in a plot: all of the run's, or the last ones."""
    if totals.last_spill < 0:
        return f"Run {run} · no spills yet"
    return f"Run {run} · spills up to {totals.last_spill} ({'whole run' if last is None else f'the last {last}'})"


def histogram_figure(plot: Plot, histogram: Histogram, *, when: str, theme: Theme, why_empty: str) -> Figure:
    """Return the figure of a histogram.

    Parameters
    ----------
    when
        What the title says of run and spills.
    why_empty
        Said in place of a picture when there are no entries.
    """
    if histogram.ndim != len(plot.axes):
        return _empty(plot.title, when, f"the book has {histogram.ndim} axes under this name", theme)
    counts = histogram.view(flow=True)
    entries = int(counts.sum())
    if not entries:
        return _empty(plot.title, when, why_empty, theme)
    figure = _one_dimensional(plot, histogram, theme) if counts.ndim == 1 else _two_dimensional(plot, histogram, theme)
    figure["layout"]["title"] = _title(plot.title, f"{when} · {_flow(counts, entries)}", theme)
    return figure


def trend_figure(trend: Trend, spills: SpillFacts, *, when: str, theme: Theme) -> Figure:
    """Return the figure of a trend, one point a spill; of very many, those that stand out."""
    if trend.last is not None:
        spills = spills.rows(slice(-trend.last, None))
    values = np.asarray(trend.value(spills), np.float64) if len(spills) else np.empty(0)
    shown = _outstanding(values)
    if not len(shown):
        return _empty(trend.title, when, "no spills yet" if len(spills) < 2 else "no spill has a value", theme)
    x, y = spills.spill[shown], values[shown]
    layout = _layout(theme)
    layout["title"] = _title(trend.title, when, theme)
    layout["xaxis"]["title"] = _axis_title("xaxis", SPILL_AXIS)
    layout["yaxis"] |= {"title": _axis_title("yaxis", _with_unit(trend.label, trend.unit)), "rangemode": "tozero"}
    if y.max() <= TICK_EACH_BIN and np.all(y == np.rint(y)):
        layout["yaxis"]["dtick"] = 1 if y.max() <= TICK_EACH_BIN // 2 else 2
    points = {
        "type": "scatter",
        "mode": "lines+markers" if len(shown) <= MAX_POINTS // 4 else "lines",
        "x": x.tolist(),
        "y": y.tolist(),
        "line": {"color": theme.line, "width": 1.5},
        "marker": {"color": theme.line, "size": 4},
        "hovertemplate": f"spill %{{x}}: %{{y:.4~g}}{_unit(trend.unit)}<extra></extra>",
    }
    return {"data": [points], "layout": layout}


def _outstanding(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return where the values are that are drawn: all that are there, or the least and the greatest of each piece."""
    there = np.flatnonzero(~np.isnan(values))
    if len(there) <= MAX_POINTS:
        return there
    pieces = np.array_split(there, MAX_POINTS // 2)
    return np.unique([piece[pick(values[piece])] for piece in pieces for pick in (np.argmin, np.argmax)])


def _one_dimensional(plot: Plot, histogram: Histogram, theme: Theme) -> Figure:
    axis = plot.axes[0]
    edges, counts = histogram.axes[0].edges, histogram.view(flow=False)
    if axis.label == SPILL_AXIS:
        # A run has far fewer spills than the axis has bins.
        filled = int(np.flatnonzero(counts).max(initial=0)) + 1
        edges, counts = edges[: filled + 1], counts[:filled]
    layout = _layout(theme)
    layout["xaxis"] |= {"title": _axis_title("xaxis", axis.title)} | _ticks(axis)
    layout["yaxis"] |= {"title": _axis_title("yaxis", "Entries"), "rangemode": "tozero"}
    if plot.log:
        layout["yaxis"] |= {"type": "log", "rangemode": "normal", "dtick": 1, "exponentformat": "power"}
    steps = {
        "type": "scatter",
        "mode": "lines",
        # One stepped line is drawn far faster than a bar for each bin. It has an edge more than bins.
        "x": edges.tolist(),
        "y": [*counts.tolist(), int(counts[-1])],
        "line": {"shape": "hv", "color": theme.line, "width": 1.5},
        "fill": "none" if plot.log else "tozeroy",
        "fillcolor": theme.fill,
        "customdata": [*edges[1:].tolist(), float(edges[-1])],
        "hovertemplate": f"%{{x:.5~g}} to %{{customdata:.5~g}}{_unit(axis.unit)}: %{{y}} entries<extra></extra>",
    }
    return {"data": [steps], "layout": layout}


def _two_dimensional(plot: Plot, histogram: Histogram, theme: Theme) -> Figure:
    counts = histogram.view(flow=False).T
    layout = _layout(theme)
    for name, axis in zip(("xaxis", "yaxis"), plot.axes, strict=True):
        layout[name] |= {"title": _axis_title(name, axis.title), "showgrid": False} | _ticks(axis)
    if all(_ticks(axis) for axis in plot.axes):
        # Slabs against slabs are a place: as wide as high.
        layout["yaxis"] |= {"scaleanchor": "x", "constrain": "domain"}
        layout["xaxis"]["constrain"] = "domain"
    last = len(theme.scale) - 1
    cells = {
        "type": "heatmap",
        "x": histogram.axes[0].centers.tolist(),
        "y": histogram.axes[1].centers.tolist(),
        # A bin without entries is no colour: so one entry is seen.
        "z": [[n or None for n in row] for row in counts.tolist()],
        "zmin": 0,
        "colorscale": [[i / last, colour] for i, colour in enumerate(theme.scale)],
        "colorbar": {"thickness": 10, "outlinewidth": 0, "xpad": 6, "tickfont": {"size": 11}},
        "hovertemplate": "%{x:.4~g}, %{y:.4~g}: %{z} entries<extra></extra>",
    }
    return {"data": [cells], "layout": layout}


def _axis_title(name: str, text: str) -> dict[str, Any]:
    return {"text": text if name == "xaxis" else _wrapped(text, UPRIGHT_WIDTH), "font": {"size": 13}}


def _wrapped(text: str, width: int) -> str:
    return "<br>".join(textwrap.wrap(text, width))


def _ticks(axis: Axis) -> dict[str, int]:
    """Return what has each bin of an axis numbered, if it counts something."""
    counts_something = axis.bins <= TICK_EACH_BIN and axis.high - axis.low == axis.bins
    return {"dtick": 1} if counts_something else {}


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _with_unit(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label


def _flow(counts: Any, entries: int) -> str:
    """Return entries and what lies outside the axes."""
    if counts.ndim > 1:
        outside = entries - int(counts[tuple(slice(1, -1) for _ in counts.shape)].sum())
        return f"{entries:,} entries" + (f", {outside:,} outside" if outside else "")
    below, above = int(counts[0]), int(counts[-1])
    parts = [f"{below:,} below" if below else "", f"{above:,} above" if above else ""]
    return ", ".join([f"{entries:,} entries", *filter(None, parts)])


def _empty(title: str, when: str, why: str, theme: Theme) -> Figure:
    layout = _layout(theme)
    for axis in ("xaxis", "yaxis"):
        layout[axis] |= {"visible": False}
    said = {
        "text": _wrapped(why, WORDS_WIDTH),
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
        "font": {"size": 16, "color": theme.faint},
    }
    return {"data": [], "layout": layout | {"title": _title(title, when, theme), "annotations": [said]}}


def _title(title: str, under: str, theme: Theme) -> dict[str, Any]:
    return {
        "text": f'<b>{title}</b><br><span style="font-size: 12px; color: {theme.faint}">{under}</span>',
        "font": {"size": 15},
        "x": 0,
        "xref": "container",
        "xanchor": "left",
        "y": 1,
        "yref": "container",
        "yanchor": "top",
        "pad": {"l": 12, "t": 24},
    }


def _layout(theme: Theme) -> dict[str, Any]:
    """Return what all figures share.

    No figure gives the range of an axis: lines and cells reach from edge to edge, and it is the shifter's to choose.
    """
    axis = {
        "gridcolor": theme.grid,
        "zeroline": False,
        "linecolor": theme.grid,
        "tickcolor": theme.grid,
        "ticks": "outside",
        "automargin": True,
        # These are given by some figures of a plot and not by others: what is on the screen must not keep them.
        "visible": True,
        "dtick": None,
    }
    return {
        "font": {"family": _FONT, "size": 13, "color": theme.ink},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 18, "t": 56, "b": 40},
        "hovermode": "closest",
        "showlegend": False,
        "annotations": [],
        "xaxis": dict(axis),
        "yaxis": dict(axis),
    }
