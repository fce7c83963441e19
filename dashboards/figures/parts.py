"""What figures share: layout, titles, axes, and an empty figure's words."""

import textwrap
from collections.abc import Sequence
from functools import lru_cache
from math import floor, log10
from typing import Any

from dashboards.figures.theme import Theme
from streams.books.shapes import PlotVerdict, said
from streams.freshness import MARK, Level
from streams.plots.model import Axis

Figure = dict[str, Any]
"""What plotly draws: data and layout, as plain values."""

TICK_EACH_BIN = 12
"""An axis of so few bins of width 1 counts something: each has its number."""
TICK_SIZE, POWERS_ENLARGED = 13, 1.25
"""Size of the numbers along an axis, px, and by how much plotly writes powers of ten larger than it was told."""
WORDS_WIDTH = 38
"""Characters in a line of what stands in an empty plot: they fit into the narrowest."""
UPRIGHT_WIDTH, LEVEL_WIDTH = 17, 42
"""Characters in a line of the words along an upright and a level axis: they fit into the smallest plot."""
TITLE_SIZE, TITLE_LEAST, TITLE_WIDTH = 15, 12, 640
"""Size of a title, px; one of more than TITLE_WIDTH / TITLE_SIZE characters is smaller: it fits the smallest plot."""
SMALL, SMALL_LEAST, SMALL_WIDTH = 12, 10.5, 860
"""The same of the lines below it, on one of four plots beside each other: on smaller ones all have the least."""
TOP, TOP_OF_THREE = 56, 78
"""Room for a heading of two or three lines."""
PADDED = 1.06
"""Of its values, a little more than plotly leaves free above them."""
STEPS = (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8)
"""Where a held axis ends, times a power of ten."""
_FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"


def empty(title: str, when: str, why: str, theme: Theme) -> Figure:
    """Return a figure that says in words why there is no picture."""
    shared = layout(theme)
    for axis in ("xaxis", "yaxis"):
        shared[axis] |= {"visible": False}
    shared["margin"] |= {"l": shared["margin"]["r"], "b": 0}  # the words stand in the middle
    said = {
        "text": wrapped(why, WORDS_WIDTH),
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
        "font": {"size": 16, "color": theme.faint},
    }
    return {"data": [], "layout": shared | {"title": heading(title, when, theme), "annotations": [said]}}


def heading(
    title: str,
    under: str,
    theme: Theme,
    numbers: str = "",
    compared: str = "",
    verdict: PlotVerdict | None = None,
    minute: str = "",
) -> dict[str, Any]:
    """Return a figure's title, and in small what stands below it: what is in it and how it is, compared with what."""
    which = _line([(under, theme.faint), (_how(verdict), _colour(verdict, theme))], theme)
    last = _line([(numbers, theme.faint), (compared, theme.other), (minute, theme.minute)], theme)
    return {
        "text": "<br>".join(filter(None, [f"<b>{title}</b>", which, last])),
        "font": {"size": min(TITLE_SIZE, max(TITLE_LEAST, TITLE_WIDTH // len(title)))},
        "x": 0,
        "xref": "container",
        "xanchor": "left",
        "y": 1,
        "yref": "container",
        "yanchor": "top",
        "pad": {"l": 12, "t": 24},
    }


def _line(parts: Sequence[tuple[str, str]], theme: Theme) -> str:
    """Return a line of a heading of words, each with its colour, as large as it fits."""
    said = [(words, colour) for words, colour in parts if words]
    characters = len(" · ".join(words for words, _ in said))
    size = min(SMALL, max(SMALL_LEAST, SMALL_WIDTH / max(characters, 1)))

    def small(words: str, colour: str) -> str:
        return f'<span style="font-size: {size:.3g}px; color: {colour}">{words}</span>'

    return small(" · ", theme.faint).join(small(words, colour) for words, colour in said)


def _how(verdict: PlotVerdict | None) -> str:
    """Return a verdict as a title has it: by a mark, and in words."""
    if verdict is None or not (words := said(verdict)):
        return ""
    return f"{MARK[verdict.level]} {words}"


def _colour(verdict: PlotVerdict | None, theme: Theme) -> str:
    colours = {Level.GOOD: theme.good, Level.WARNING: theme.warning, Level.BAD: theme.bad}
    return theme.faint if verdict is None else colours.get(verdict.level, theme.faint)


def axis_title(name: str, text: str) -> dict[str, Any]:
    """Return the title of ``xaxis`` or ``yaxis``."""
    return {"text": _even(text, LEVEL_WIDTH if name == "xaxis" else UPRIGHT_WIDTH), "font": {"size": 13}}


@lru_cache(10_000)  # titles of plots are few, and asked for with each of their figures
def _even(text: str, width: int) -> str:
    """Return a text in lines of about the same length: they look better than a long one and a word, and leave room."""
    lines = len(_lines(text, width))
    even = next(less for less in range(1, width + 1) if len(_lines(text, less)) == lines)
    return "<br>".join(_lines(text, even))


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False)


def wrapped(text: str, width: int) -> str:
    """Return a text in lines of at most so many characters."""
    return "<br>".join(textwrap.wrap(text, width))


def counts_something(axis: Axis) -> bool:
    """Return whether an axis has few bins of width 1: slabs, say."""
    return axis.bins <= TICK_EACH_BIN and axis.high - axis.low == axis.bins


def ticks(axis: Axis) -> dict[str, Any]:
    """Return what has each bin of an axis named, or numbered if it counts something."""
    if axis.names and axis.bins <= TICK_EACH_BIN:
        width = (axis.high - axis.low) / axis.bins
        middles = [axis.low + width * (number + 0.5) for number in range(axis.bins)]
        return {"tickvals": middles, "ticktext": list(axis.names)}
    return {"dtick": 1} if counts_something(axis) else {}


def unit_after(unit: str) -> str:
    """Return a unit as it stands after a number."""
    return f" {unit}" if unit else ""


def logarithmic(*, powers: bool) -> dict[str, Any]:
    """Return what makes an axis logarithmic, its powers of ten written as such or as numbers.

    Where its ticks are is left to plotly: at whole powers alone, an axis within one of them has none.
    """
    written = {"exponentformat": "power", "tickfont": {"size": TICK_SIZE / POWERS_ENLARGED}} if powers else {}
    return {"type": "log", "rangemode": "normal", "dtick": None} | written


def held(least: float, most: float, beside: float = 0.0) -> dict[str, Any]:
    """Return what has an axis end where these values let it, and most of those that come: it changes seldom.

    Parameters
    ----------
    least
        Where it begins, less what is left for points (`beside`, a share of the axis); below 0, somewhat further.
    most
        It ends above, further than plotly by itself would have it.
    """
    high = step_above(PADDED * most)
    low = least if least >= 0 else -step_above(-PADDED * least)
    return {"autorangeoptions": {"include": [low - beside * (high - low), high]}}


def step_above(value: float) -> float:
    """Return the next of a few numbers above a value, at most three tenths above it; 0 for one that is not above 0."""
    if value <= 0:
        return 0.0
    power = 10.0 ** floor(log10(value))
    return next((step * power for step in STEPS if step * power >= value), 10 * power)


def layout(theme: Theme) -> dict[str, Any]:
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
        "tickfont": {"size": TICK_SIZE},
        # Else plotly measures each number at each update.
        "ticklabeloverflow": "allow",
        # These are given by some figures of a plot and not by others: what is on the screen must not keep them.
        "visible": True,
        "dtick": None,
        "tickvals": None,
        "autorangeoptions": None,
    }
    return {
        "font": {"family": _FONT, "size": 13, "color": theme.ink},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        # As much as labels and titles mostly need: plotly draws a plot once more when they need more.
        "margin": {"l": 62, "r": 18, "t": TOP, "b": 50},
        "hovermode": "closest",
        "showlegend": False,
        "annotations": [],
        "shapes": [],
        "meta": {},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": theme.faint, "activecolor": theme.line},
        "xaxis": dict(axis),
        "yaxis": dict(axis),
    }
