"""A plot's key number to a figure: a point with its error for each window, or each run, and small ones of spills."""

from collections.abc import Sequence
from typing import Any

from dashboards.figures.parts import Figure, empty, heading, layout
from dashboards.figures.theme import Theme
from streams.books.spill_numbers import SpillNumber

TICKS = 5
"""Places that are named along the axis."""


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
    places: Sequence[float] | None = None,
    single: Sequence[SpillNumber] = (),
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
    spills
        In each of them.
    marked
        Place of the one that is shown; None if all are.
    places
        Where each stands among the numbers of the spills; None to stand side by side, with their names below.
    single
        The key number of single spills.
    """
    if not single and all(value is None for value in values):
        return empty(title, under, "no entries yet", theme)
    shared = layout(theme)
    shared["title"] = heading(title, under, theme)
    shared["margin"] = {"l": 56, "r": 18, "t": 58, "b": 28}
    shared["yaxis"]["nticks"] = 4
    if places is None:
        step = -(-len(names) // TICKS)
        shown = list(range(len(names)))[::-1][::step][::-1]
        shared["xaxis"] |= {"tickvals": shown, "ticktext": [names[at] for at in shown], "tickangle": 0}
    else:
        shared["xaxis"] |= {"nticks": 2 * TICKS, "tickangle": 0}
    each = range(len(names))
    colours: Any = theme.line if marked is None else [theme.line if at == marked else theme.faint for at in each]
    points = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": list(each if places is None else places),
        "y": list(values),
        "line": {"color": theme.grid, "width": 1} if not single else {"color": theme.line, "width": 2},
        "marker": {"color": colours, "size": 7},
        "error_y": {"type": "data", "array": list(errors), "color": theme.faint, "thickness": 1, "width": 0},
        "customdata": [[name, count] for name, count in zip(names, spills, strict=True)],
        "hovertemplate": "%{customdata[0]}: %{y:.5~g}, %{customdata[1]:,} spills<extra></extra>",
    }
    return {"data": [_small(single, theme), points] if single else [points], "layout": shared}


def _small(single: Sequence[SpillNumber], theme: Theme) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [each.spill for each in single],
        "y": [each.value for each in single],
        "marker": {"color": theme.faint, "size": 3, "opacity": 0.6},
        "customdata": [each.entries for each in single],
        "hovertemplate": "spill %{x}: %{y:.5~g}, %{customdata:,} entries<extra></extra>",
    }
