"""A plot's key number to a figure: a point with its error for each window, or each run."""

from collections.abc import Sequence
from typing import Any

from dashboards.figures.parts import Figure, empty, heading, layout
from dashboards.figures.theme import Theme

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
        return empty(title, under, "no entries yet", theme)
    shared = layout(theme)
    shared["title"] = heading(title, under, theme)
    shared["margin"] = {"l": 56, "r": 18, "t": 58, "b": 28}
    places = list(range(len(names)))
    step = -(-len(names) // TICKS)
    shown = places[::-1][::step][::-1]
    shared["xaxis"] |= {"tickvals": shown, "ticktext": [names[at] for at in shown], "tickangle": 0}
    shared["yaxis"]["nticks"] = 4
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
