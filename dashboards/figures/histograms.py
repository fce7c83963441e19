"""Histograms to figures: a stepped line, coloured cells, or triangular bars."""

from math import isnan, sqrt
from typing import Any

import numpy as np

from dashboards.choices import Choices, Mode
from dashboards.figures.bars import bar_traces
from dashboards.figures.colours import CountScale, stops
from dashboards.figures.compare import (
    Compared,
    band,
    comparison,
    has_band,
    pulls,
    ratio_points,
    ratio_top,
    ratios,
    scale_of,
    why_not,
)
from dashboards.figures.parts import (
    TOP_OF_THREE,
    Figure,
    axis_title,
    counts_something,
    empty,
    heading,
    held,
    layout,
    logarithmic,
    ticks,
    unit_after,
)
from dashboards.figures.shares import share_figure
from dashboards.figures.theme import Theme
from schemas.columns import F8, I8
from streams.books.cells import Histogram
from streams.books.shapes import PlotVerdict, off_block
from streams.checks.shapes import ENOUGH, Block
from streams.plots.model import Axis, Plot
from streams.words import several

FEW_CELLS = 1000
"""So many are drawn whole."""
LEAST_SCALE = 2.0
"""A last minute that is more than half of its run is not drawn over it."""
SHARED = 10
"""An entry of the last minute shares its bin with so many, on average, or its line is chance."""
CHANCE = 3.0
"""By so many of its errors the last minute lies above the run by chance."""
_THIN = {"shape": "hv", "width": 1}
PULL_TOP = 5.0
"""Errors at which colours end: further off is no more wrong."""


def histogram_figure(
    plot: Plot,
    histogram: Histogram,
    *,
    when: str,
    theme: Theme,
    why_empty: str,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    reference: Compared | None = None,
    by_spill: tuple[I8, F8] | None = None,
    minute: I8 | None = None,
    verdict: PlotVerdict | None = None,
) -> Figure:
    """Return the figure of a histogram.

    Parameters
    ----------
    when
        What the title says of run and spills.
    why_empty
        Said in place of a picture when there are no entries.
    by_spill
        Of a plot against the spill, the numbers of the spills that are shown, in order, and the entries of each, NaN
        where nobody knows: the axis ends somewhere, a run does not, and a spill that is not shown has no 0 entries.
    minute
        (bins,) what the last minute has of a histogram of one axis: drawn over it if it tells anything.
    verdict
        What is known of its shape.
    """
    if histogram.ndim != len(plot.axes):
        return empty(plot.title, when, f"the book has {histogram.ndim} axes under this name", theme)
    counts = histogram.view(flow=True)
    entries = int(counts.sum())
    if not entries:
        return empty(plot.title, when, why_empty, theme)
    if by_spill is None and not histogram.sum():
        return empty(plot.title, when, f"all entries are outside the axes: {_flow(counts, entries)}", theme)
    said = minute_said = ""
    if reference is not None and (said := why_not(histogram, reference, choices.mode)):
        reference = None
    if plot.is_share:
        figure = share_figure(plot, histogram, theme, reference)
    elif histogram.ndim == 1:
        bins = _bins(plot, histogram, by_spill)
        if by_spill is not None and np.isnan(bins[1]).all():
            return empty(plot.title, when, why_empty, theme)
        figure = _one_dimensional(plot, histogram, bins, theme, choices, reference)
        is_drawn = reference is None or choices.mode not in {Mode.RATIO, Mode.PULL}
        minute_said = _add_minute(figure, bins, minute if is_drawn and not plot.by_spill else None, theme)
    else:
        figure = _two_dimensional(plot, histogram, theme, choices, reference)
    if reference is not None:
        said = f"• {reference.called}" if plot.is_share else comparison(histogram, reference, choices.mode)
    entries_said = _flow(counts, entries) if by_spill is None else several(int(np.nansum(by_spill[1])), "entry")
    figure["layout"]["title"] = heading(plot.title, when, theme, entries_said, said, verdict, minute_said)
    if verdict is not None and not plot.is_share:
        figure["layout"]["shapes"] = _culprit(histogram, off_block(verdict), theme)
    figure["layout"]["margin"]["t"] = TOP_OF_THREE
    return figure


def _culprit(histogram: Histogram, worst: Block | None, theme: Theme) -> list[dict[str, Any]]:
    """Return a frame about the bins that are furthest off."""
    if worst is None:
        return []
    frame: dict[str, Any] = {"type": "rect", "line": {"color": theme.bad, "width": 2}}
    frame |= {"y0": 0, "y1": 1, "yref": "paper"}  # of one axis
    for name, axis, *bins in zip("xy", histogram.axes, worst.first, worst.last, strict=False):
        # What lies beyond the axis is at its end.
        first, last = (min(max(place, 0), axis.size - 1) for place in bins)
        frame |= {f"{name}0": float(axis.edges[first]), f"{name}1": float(axis.edges[last + 1]), f"{name}ref": name}
    return [frame]


def _bins(plot: Plot, histogram: Histogram, by_spill: tuple[I8, F8] | None) -> tuple[Any, Any]:
    """Return the edges of the bins that are drawn, and what is in them."""
    if by_spill is None:
        edges, counts = histogram.axes[0].edges, histogram.view(flow=False)
        # A run has far fewer spills than the axis has bins.
        drawn = _filled(counts) if plot.by_spill else len(counts)
        return edges[: drawn + 1], counts[:drawn]
    spills, entries = by_spill
    first, last = (int(spills[0]), int(spills[-1])) if len(spills) else (0, 0)
    counts = np.full(last - first + 1, np.nan)
    counts[spills - first] = entries
    # Of spills of which nothing is known, however many in a row, the first one is all that a line needs.
    kept = np.flatnonzero(~(np.isnan(counts) & np.isnan(np.roll(counts, 1))) | (np.arange(len(counts)) == 0))
    return np.append(first + kept, last + 1) - 0.5, counts[kept]


def _one_dimensional(
    plot: Plot,
    histogram: Histogram,
    bins: tuple[F8, Any],
    theme: Theme,
    choices: Choices,
    reference: Compared | None,
) -> Figure:
    axis = plot.axes[0]
    edges, counts = bins
    scale = scale_of(histogram, reference, choices.mode) if reference else 1.0
    compared: F8 | None = np.asarray(reference.histogram.view(flow=False) * scale, np.float64) if reference else None
    if compared is not None and plot.by_spill:
        compared = _of_these(edges, compared)
    if compared is not None and choices.mode is Mode.RATIO:
        return _ratio(axis, bins, compared, scale, theme, choices)
    if reference is not None and choices.mode is Mode.PULL and not plot.by_spill:
        return _pull(axis, edges, pulls(histogram, reference), theme, choices)
    shared = _axes_of(axis, "Entries", theme, choices)
    log = choices.is_log("y", usual=plot.log)
    if log:
        shared["yaxis"] |= logarithmic(powers=True)
    named = _named(axis)
    steps = _steps(edges, counts, theme.line) | {
        "fill": "none" if log else "tozeroy",
        "fillcolor": theme.fill,
        "hovertemplate": f"{_bin_words(axis)}: %{{y:,}} entries<extra></extra>",
    }
    data = [steps | named]
    if choices.errors:
        data.append(_errors(edges, counts.astype(np.float64), np.sqrt(counts), theme.ink))
    if not log and not choices.is_log("x"):
        most = np.nanmax(counts) + (np.sqrt(np.nanmax(counts)) if choices.errors else 0)
        shared["yaxis"] |= held(0, max(most, np.nanmax(compared, initial=0) if compared is not None else 0))
        if plot.by_spill:
            shared["xaxis"] |= held(float(edges[0]), float(edges[-1]))
    if compared is not None and reference is not None:
        words = f"{_bin_words(axis)}: %{{y:,.4~g}} in {reference.called}<extra></extra>"
        if has_band(reference, choices.mode):
            data += _band(edges, histogram, reference, theme)
        ends = _filled(compared) if reference.by_spill else len(compared)  # one of fewer spills does not come as far
        data.append(
            _steps(edges[: ends + 1], compared[:ends], theme.other, dash="dash") | {"hovertemplate": words} | named
        )
    return {"data": data, "layout": shared}


def _band(edges: F8, histogram: Histogram, reference: Compared, theme: Theme) -> list[dict[str, Any]]:
    """Return the least and the most of several runs as what lies between two lines that are not drawn."""
    quiet = {"hoverinfo": "skip", "line": {"shape": "hv", "width": 0}}
    least, most = (_steps(edges, its, theme.other) | quiet for its in band(histogram, reference))
    for each in (least, most):
        del each["customdata"]  # nobody can point at it
    return [least, most | {"fill": "tonexty", "fillcolor": theme.band}]


def _axes_of(axis: Axis, counted: str, theme: Theme, choices: Choices) -> dict[str, Any]:
    shared = layout(theme)
    shared["xaxis"] |= {"title": axis_title("xaxis", axis.title)} | ticks(axis)
    shared["yaxis"] |= {"title": axis_title("yaxis", counted), "rangemode": "tozero"}
    if choices.is_log("x"):
        shared["xaxis"] |= logarithmic(powers=False)
    return shared


def _ratio(axis: Axis, bins: tuple[F8, Any], compared: F8, scale: float, theme: Theme, choices: Choices) -> Figure:
    edges, counts = bins
    shared = _axes_of(axis, "Ratio", theme, choices)
    if choices.is_log("y"):
        shared["yaxis"] |= logarithmic(powers=False)
    else:
        _, ratio, error = ratios(counts, compared, scale)
        top = ratio_top(ratio, error)
        above = int((ratio > top).sum())
        said = f"Ratio ({several(above, 'bin')} above)" if above else "Ratio"
        shared["yaxis"] |= {"title": axis_title("yaxis", said), "autorangeoptions": {"clipmax": top}}
    return {"data": ratio_points(edges, counts, compared, scale, _range_words(axis), theme), "layout": shared}


def _pull(axis: Axis, edges: F8, off: F8, theme: Theme, choices: Choices) -> Figure:
    shared = _axes_of(axis, "Errors off", theme, choices)
    shared["yaxis"] |= {"rangemode": "normal", "autorangeoptions": {"include": [-PULL_TOP, PULL_TOP]}}
    steps = _steps(edges, off, theme.line) | {
        "fill": "tozeroy",
        "fillcolor": theme.fill,
        "hovertemplate": f"{_bin_words(axis)}: %{{y:+.2f}} errors<extra></extra>",
    }
    return {"data": [steps | _named(axis)], "layout": shared}


def _named(axis: Axis) -> dict[str, Any]:
    """Return the names of bins for whoever points at them; the last point ends the line and is no bin."""
    return {"text": [*axis.names, axis.names[-1]]} if axis.names else {}


def _add_minute(figure: Figure, bins: tuple[F8, Any], minute: I8 | None, theme: Theme) -> str:
    """Draw the last minute over a run, scaled to as many entries, and return what is said of it; nothing if few."""
    if minute is None:
        return ""
    edges, counts = bins
    entries, scale = int(minute.sum()), float(counts.sum()) / max(int(minute.sum()), 1)
    if entries < ENOUGH or scale < LEAST_SCALE or (minute**2).sum() < SHARED * entries:
        return ""
    figure["data"].append(
        _steps(edges, minute * scale, theme.minute) | {"hoverinfo": "skip", "line": _THIN | {"color": theme.minute}}
    )
    axis = figure["layout"]["yaxis"]
    if axis["autorangeoptions"]:
        # Its top comes and goes with chance, and the axis must not.
        top = float(counts.max())
        most = max(top + CHANCE * sqrt(top * scale), float(minute.max()) * scale)
        axis |= max(held(0, most), {"autorangeoptions": axis["autorangeoptions"]}, key=_end)
    return f"— last minute × {scale:.2g}" if scale < 10 else f"— last minute × {scale:,.0f}"


def _end(axis: dict[str, Any]) -> float:
    return float(axis["autorangeoptions"]["include"][-1])


def _filled(counts: Any) -> int:
    """Return how many bins there are up to the last one with entries."""
    return int(np.flatnonzero(np.nan_to_num(counts)).max(initial=0)) + 1


def _of_these(edges: F8, compared: F8) -> F8:
    """Return what a reference has of the spills that are drawn; NaN where its axis has ended."""
    wanted = np.rint(edges[:-1] + 0.5).astype(np.int64)
    found = np.full(len(wanted), np.nan)
    found[wanted < len(compared)] = compared[wanted[wanted < len(compared)]]
    return found


def _steps(edges: F8, values: Any, colour: str, dash: str = "solid") -> dict[str, Any]:
    """Return a stepped line: it is drawn far faster than a bar for each bin, and has an edge more than bins."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": edges.tolist(),
        "y": _known([*values.tolist(), values.tolist()[-1]]),
        "line": {"shape": "hv", "color": colour, "width": 1.5, "dash": dash},
        "customdata": [*edges[1:].tolist(), float(edges[-1])],
    }


def _known(values: list[float]) -> list[float | None]:
    """Return what JSON can say: nothing in place of NaN, where a line is broken."""
    return [None if isnan(value) else value for value in values]


def _known_rows(values: F8) -> list[list[float | None]]:
    return [_known(row) for row in values.tolist()]


def _errors(edges: F8, values: F8, errors: F8, colour: str) -> dict[str, Any]:
    there = ~np.isnan(values)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": ((edges[1:] + edges[:-1]) / 2)[there].tolist(),
        "y": values[there].tolist(),
        "marker": {"size": 0.1, "color": colour},
        "error_y": {"type": "data", "array": errors[there].tolist(), "color": colour, "thickness": 1, "width": 0},
        "hoverinfo": "skip",
    }


def _two_dimensional(
    plot: Plot, histogram: Histogram, theme: Theme, choices: Choices, reference: Compared | None
) -> Figure:
    shared = layout(theme)
    for name, axis in zip(("xaxis", "yaxis"), plot.axes, strict=True):
        shared[name] |= {"title": axis_title(name, axis.title), "showgrid": False} | ticks(axis)
    shared["margin"] |= {"l": 72, "r": 70}  # for a title of two lines, and the colours
    if all(counts_something(axis) for axis in plot.axes):
        # Slabs against slabs are a place: as wide as high.
        shared["yaxis"] |= {"scaleanchor": "x", "constrain": "domain"}
        shared["yaxis"]["title"]["standoff"] = 6  # else it is placed before the axis has moved
        shared["xaxis"]["constrain"] = "domain"
    counts = histogram.view(flow=False)
    scale = CountScale.up_to(int(counts.max()), log=choices.is_log("z", usual=plot.log))
    if reference is not None and choices.mode in {Mode.RATIO, Mode.PULL}:
        of = _ratio_cells if choices.mode is Mode.RATIO else _pull_cells
        cells = _cells(histogram, choices, shared) | of(histogram, reference, choices, theme)
        return {"data": [cells], "layout": shared}
    if plot.triangles is not None:
        every_other = f"{plot.axes[0].title} ({plot.triangles[0]}, {plot.triangles[1]}, …)"
        shared["xaxis"]["title"] = axis_title("xaxis", every_other)
        return {"data": bar_traces(plot.triangles, histogram, scale, theme), "layout": shared}
    cells = _cells(histogram, choices, shared)
    kept = _within_filled(cells, counts.T[_kept(histogram, choices)], histogram, shared)
    value = "%{customdata:,}" if scale.log else "%{z:,}"
    cells |= {
        # A bin without entries is no colour: so one entry is seen.
        "z": _known_rows(scale.place(kept)),
        "zmin": 0,
        "zmax": scale.end,
        "colorscale": stops(theme.scale),
        "colorbar": scale.bar(),
        "hovertemplate": f"{_cell_words(plot)}: {value} entries<extra></extra>",
    }
    if scale.log:
        cells["customdata"] = kept.tolist()
    return {"data": [cells], "layout": shared}


def _cells(histogram: Histogram, choices: Choices, shared: dict[str, Any]) -> dict[str, Any]:
    """Return cells without their values; a logarithmic x axis begins with the first bin above 0.

    The y axis is never logarithmic: who chooses y wants that of counts, which are a colour here.
    """
    x, y = (axis for axis in histogram.axes)
    cells = {"type": "heatmap", "x": x.centers.tolist(), "y": y.centers.tolist()}
    if choices.is_log("x"):
        shared["xaxis"] |= logarithmic(powers=False)
        shared["yaxis"]["scaleanchor"] = None
        cells["x"] = x.edges[x.edges > 0].tolist()
    return cells


def _within_filled(cells: dict[str, Any], counts: Any, histogram: Histogram, shared: dict[str, Any]) -> Any:
    """Leave out empty rows and columns around what is filled, and return the rest: each cell takes a browser time."""
    if counts.size <= FEW_CELLS:
        return counts
    for number, letter in enumerate("xy"):
        if len(cells[letter]) != counts.shape[1 - number]:
            continue  # edges, of a logarithmic axis
        filled = np.flatnonzero(counts.any(axis=number))
        if not len(filled):
            continue  # all entries lie outside
        first = min(int(filled[0]), len(cells[letter]) - 2)  # two at least: their distance is how wide they are
        part = slice(first, max(int(filled[-1]) + 1, first + 2))
        cells[letter] = cells[letter][part]
        counts = counts[:, part] if letter == "x" else counts[part]
        edges = histogram.axes[number].edges
        shared[f"{letter}axis"]["autorangeoptions"] = {"include": [float(edges[0]), float(edges[-1])]}
    return counts


def _kept(histogram: Histogram, choices: Choices) -> tuple[Any, Any]:
    """Return which rows and columns have a place on the axes."""
    return slice(None), slice(int((histogram.axes[0].edges <= 0).sum()) if choices.is_log("x") else 0, None)


def _ratio_cells(histogram: Histogram, reference: Compared, choices: Choices, theme: Theme) -> dict[str, Any]:
    ours = histogram.view(flow=False).T[_kept(histogram, choices)]
    theirs = (reference.histogram.view(flow=False) * scale_of(histogram, reference, choices.mode)).T
    theirs = theirs[_kept(histogram, choices)]
    ratio = np.full(ours.shape, None, object)
    ratio[theirs > 0] = ours[theirs > 0] / theirs[theirs > 0]
    return {
        "z": ratio.tolist(),
        "zmin": 0,
        "zmax": 2,
        "colorscale": stops(theme.less_and_more),
        "colorbar": CountScale(top=2, log=False).bar(),
        "hovertemplate": "%{x:.4~g}, %{y:.4~g}: ratio %{z:.3~g}<extra></extra>",
    }


def _pull_cells(histogram: Histogram, reference: Compared, choices: Choices, theme: Theme) -> dict[str, Any]:
    off = pulls(histogram, reference).T[_kept(histogram, choices)]
    either = (histogram.view(flow=False) + reference.histogram.view(flow=False)).T[_kept(histogram, choices)] > 0
    return {
        "z": _known_rows(np.where(either, off, np.nan)),
        "zmin": -PULL_TOP,
        "zmax": PULL_TOP,
        "colorscale": stops(theme.less_and_more),
        "colorbar": CountScale(top=PULL_TOP, log=False).bar()
        | {"tickvals": [-PULL_TOP, 0, PULL_TOP], "ticktext": [f"−{PULL_TOP:g}", "0", f"+{PULL_TOP:g}"]},
        "hovertemplate": "%{x:.4~g}, %{y:.4~g}: %{z:+.2f} errors<extra></extra>",
    }


def _bin_words(axis: Axis) -> str:
    """Return how a bin is called when one points at it."""
    return "%{text}" if axis.names else _range_words(axis)


def _range_words(axis: Axis) -> str:
    return f"{axis.label} %{{x:.5~g}} to %{{customdata:.5~g}}{unit_after(axis.unit)}"


def _cell_words(plot: Plot) -> str:
    words = []
    for letter, axis in zip("xy", plot.axes, strict=True):
        half = (axis.high - axis.low) / axis.bins / 2
        within = "" if half == 0.5 and axis.low % 1 else f" ± {half:.3g}"
        words.append(f"{axis.label} %{{{letter}:.5~g}}{within}{unit_after(axis.unit)}")
    return ", ".join(words)


def _flow(counts: Any, entries: int) -> str:
    """Return entries and what lies outside the axes."""
    if counts.ndim > 1:
        outside = entries - int(counts[tuple(slice(1, -1) for _ in counts.shape)].sum())
        return several(entries, "entry") + (f", {outside:,} outside" if outside else "")
    below, above = int(counts[0]), int(counts[-1])
    parts = [f"{below:,} below" if below else "", f"{above:,} above" if above else ""]
    return ", ".join([several(entries, "entry"), *filter(None, parts)])
