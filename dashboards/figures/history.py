"""A plot's key number to a figure: a point for each spill, or one with its error for each window, or each run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dashboards.figures.parts import TITLE_LEAST, Figure, empty, heading, layout, wrapped
from dashboards.figures.theme import Theme
from streams.books.spill_numbers import SpillNumber

TICKS = 5
"""Places that are named along the axis."""
TITLE_WIDTH, SMALL_TITLE = 42, 30
"""Characters in a line of the title, and from how many on it is small: three figures stand side by side."""
MAX_POINTS = 250
"""More spills are a thin line: a browser draws a thousand points in four times as long."""
MEDIAN_OF = 21
"""Spills whose median the thick line goes through, in the middle of them."""


def history_figure(
    title: str,
    under: str,
    names: Sequence[str],
    values: Sequence[float | None],
    errors: Sequence[float | None],
    *,
    spills: Sequence[int],
    marked: int | None,
    theme: Theme,
) -> Figure:
    """Return the figure of a key number.

    Parameters
    ----------
    title, under
        What it is, and what it is followed over.
    names
        Of the windows or runs.
    values, errors
        One each; None where there are no entries.
    marked
        Place of the one that is shown; None if all are.
    """
    if all(value is None for value in values):
        return empty(title, under, "no entries", theme)
    shared = _layout(title, under, theme)
    places = list(range(len(names)))
    step = -(-len(names) // TICKS)
    shown = places[::-1][::step][::-1]
    shared["xaxis"] |= {"tickvals": shown, "ticktext": [names[at] for at in shown], "tickangle": 0}
    colours: Any = theme.line if marked is None else [theme.line if at == marked else theme.faint for at in places]
    points = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": places,
        "y": list(values),
        "line": {"color": theme.grid, "width": 1},
        "marker": {"color": colours, "size": 7},
        "error_y": {"type": "data", "array": list(errors), "color": theme.faint, "thickness": 1, "width": 0},
        "customdata": [[name, count] for name, count in zip(names, spills, strict=True)],
        "hovertemplate": "%{customdata[0]}: %{y:.5~g}, %{customdata[1]:,} spills<extra></extra>",
    }
    return {"data": [points], "layout": shared}


def spills_figure(title: str, spills: Sequence[SpillNumber], of: str, why_empty: str, theme: Theme) -> Figure:
    """Return the figure of a key number spill by spill, light, and a line through the running median.

    Parameters
    ----------
    spills
        In the order of their numbers.
    of
        Which spills they are.
    why_empty
        What it says without any.
    """
    if not spills:
        return empty(title, f"over {of}", why_empty, theme)
    shared = _layout(title, f"over {of}; the line: median of {MEDIAN_OF}", theme)
    shared["xaxis"]["nticks"] = TICKS
    numbers, values = ([each.spill for each in spills], [each.value for each in spills])
    points = {
        "type": "scatter",
        "mode": "markers" if len(spills) <= MAX_POINTS else "lines",
        "x": numbers,
        "y": values,
        "marker": {"color": theme.faint, "size": 4},
        "line": {"color": theme.faint, "width": 1},
        "opacity": 0.5,
        "customdata": [each.entries for each in spills],
        "hovertemplate": "spill %{x}: %{y:.5~g}, %{customdata:,} entries<extra></extra>",
    }
    half = MEDIAN_OF // 2
    enough = len(values) >= MEDIAN_OF
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": numbers[half:-half] if enough else [],
        "y": np.median(sliding_window_view(values, MEDIAN_OF), axis=1).tolist() if enough else [],
        "line": {"color": theme.line, "width": 2.5},
        "hoverinfo": "skip",
    }
    return {"data": [points, line], "layout": shared}


def _layout(title: str, under: str, theme: Theme) -> dict[str, Any]:
    shared = layout(theme)
    lines = wrapped(title, TITLE_WIDTH)
    shared["title"] = heading(lines, under, theme)
    if len(title) > SMALL_TITLE:
        shared["title"]["font"]["size"] = TITLE_LEAST
    shared["margin"] = {"l": 56, "r": 18, "t": 58 if lines == title else 74, "b": 28}
    shared["yaxis"]["nticks"] = 4
    return shared
