"""Trends to figures: one point a spill."""

from typing import Any

import numpy as np

from dashboards.choices import Choices
from dashboards.figures.parts import (
    TICK_EACH_BIN,
    TOP_OF_THREE,
    Figure,
    axis_title,
    empty,
    heading,
    held,
    layout,
    logarithmic,
    unit_after,
)
from dashboards.figures.theme import Theme
from schemas.columns import F8, I8
from streams.plots.model import Trend
from streams.plots.spillfacts import SpillFacts

MARKED_POINTS = 120
"""Points of a trend of which each has a mark: those of more would run into one another."""
MAX_POINTS = 2000
"""Points of a trend that are drawn, the least and the greatest of each piece: as many as a screen has columns."""
FEW_POINTS = 10
"""Of fewer, mean and scatter say nothing that one does not see."""
BESIDE = 0.08
"""Of an axis, left free before the first spill: plotly wants somewhat less, by how far the points go."""


def trend_figure(
    trend: Trend,
    spills: SpillFacts,
    *,
    when: str,
    theme: Theme,
    why_empty: str = "no spills yet",
    choices: Choices = Choices(),  # noqa: B008 - frozen
    reference: SpillFacts | None = None,
    called: str = "",
) -> Figure:
    """Return the figure of a trend, one point a spill; of very many, those that stand out; mean and scatter below them.

    A reference is drawn as it is in every mode, of the spills between the first and the last of these, and its mean:
    what has a value for each spill is never scaled. `called` is what it is called, also where it has no spills at all,
    and `why_empty` why there are none of this run.
    """
    numbers, values = _values(trend, spills)
    x, y = _outstanding(numbers, values)
    if not len(x):
        return empty(trend.title, when, why_empty if len(spills) < 2 else "no spill has a value", theme)
    shared = layout(theme)
    shared["margin"]["t"] = TOP_OF_THREE  # also without a reference: plots side by side are of one height
    shared["xaxis"]["title"] = axis_title("xaxis", "Spill")
    shared["yaxis"] |= {"title": axis_title("yaxis", trend.quantity), "rangemode": "tozero"}
    if y.max() <= TICK_EACH_BIN and np.all(y == np.rint(y)):
        shared["yaxis"]["dtick"] = 1 if y.max() <= TICK_EACH_BIN // 2 else 2
    for letter in "xy":
        if choices.is_log(letter):
            shared[f"{letter}axis"] |= logarithmic(powers=False)
    lines = [(x, y)]
    data = [_line(trend, x, y, theme.line), *_mean(numbers, values, theme.ink)]
    said = ""
    if reference is not None:
        first, last = spills.spill.min(initial=np.iinfo(np.int64).max), spills.spill.max(initial=0)
        so_far = reference.rows((reference.spill >= first) & (reference.spill <= last))
        theirs = _values(trend, so_far)
        lines.append(_outstanding(*theirs))
        data.insert(0, _line(trend, *lines[-1], theme.other, of=f"{called}, "))
        data += _mean(*theirs, theme.other, dash="dot")
        said = f"··· {called}" if len(lines[-1][0]) else f"{called} has no values here"
    elif called:
        said = f"not in {called}"
    data[:0] = _scatter(numbers, values, theme, log=choices.is_log("y"))
    shared["title"] = heading(trend.title, when, theme, compared=said)
    if not any(map(choices.is_log, "xy")) and trend.last is None:
        at, drawn = (np.concatenate(each) for each in zip(*lines, strict=True))
        shared["xaxis"] |= held(float(at.min()), float(at.max()), beside=BESIDE)
        shared["yaxis"] |= held(min(0.0, float(drawn.min())), float(drawn.max()))
    return {"data": data, "layout": shared}


def _values(trend: Trend, spills: SpillFacts) -> tuple[I8, F8]:
    """Return the spills that are shown and have a value, and the values."""
    if trend.last is not None:
        spills = spills.rows(slice(-trend.last, None))
    values = np.asarray(trend.value(spills), np.float64) if len(spills) else np.empty(0)
    there = ~np.isnan(values)
    if there.all():
        return spills.spill, values
    return spills.spill[there], values[there]


def _mean(numbers: I8, values: F8, colour: str, dash: str = "solid") -> list[dict[str, Any]]:
    """Return the mean of the spills that are shown, over what they have."""
    if len(values) < FEW_POINTS:
        return []
    mean = float(values.mean())
    ends = {"x": [int(numbers[0]), int(numbers[-1])], "y": [mean, mean]}
    return [_LINE | ends | {"line": {"color": colour, "dash": dash, "width": 1}}]


def _scatter(numbers: I8, values: F8, theme: Theme, *, log: bool) -> list[dict[str, Any]]:
    """Return the band of the scatter about the mean, below all else: no further than values go, where the axis ends."""
    if len(values) < FEW_POINTS:
        return []
    mean, scatter = values.mean(), values.std()
    low, high = float(max(mean - scatter, values.min())), float(min(mean + scatter, values.max()))
    if log and low <= 0:  # such an axis has no place for it
        return []
    ends = [int(numbers[0]), int(numbers[-1])]
    around = {"x": [*ends, *ends[::-1]], "y": [low, low, high, high], "fill": "toself", "fillcolor": theme.fill}
    return [_LINE | around | {"line": {"width": 0}}]


_LINE = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}


def _line(trend: Trend, x: I8, y: F8, colour: str, of: str = "") -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(x) <= MARKED_POINTS else "lines",
        "x": x.tolist(),
        "y": y.tolist(),
        "line": {"color": colour, "width": 1.5, "dash": "dot" if of else "solid"},
        "marker": {"color": colour, "size": 2 if of else 4},
        "hovertemplate": f"{of}spill %{{x}}: %{{y:.4~g}}{unit_after(trend.unit)}<extra></extra>",
    }


def _outstanding(numbers: I8, values: F8) -> tuple[I8, F8]:
    """Return the points that are drawn: all, or those with the least and the greatest value of each piece."""
    if len(values) <= MAX_POINTS:
        return numbers, values
    # Of all pieces at once, the first ones longer by a point: each by itself takes a hundred times as long.
    size, longer = divmod(len(values), MAX_POINTS // 2)
    first = longer * (size + 1)
    ends = []
    for begin, pieces in ((0, values[:first].reshape(-1, size + 1)), (first, values[first:].reshape(-1, size))):
        begins = begin + pieces.shape[1] * np.arange(len(pieces))
        ends.append(np.stack([begins + pieces.argmin(axis=1), begins + pieces.argmax(axis=1)], axis=1))
    shown = np.sort(np.concatenate(ends)).ravel()
    shown = shown[np.diff(shown, prepend=-1) > 0]  # of a piece of equal values both are one
    return numbers[shown], values[shown]
