"""A plot as a small picture of its own, some kB of SVG, for a telephone: no script draws it; the page colours it."""

from html import escape

import numpy as np

from schemas.columns import F8
from streams.books.cells import Histogram, same_bins
from streams.plots.axis import Axis
from streams.plots.measures import shares
from streams.plots.model import Plot

WIDE, HIGH = 320, 190
"""Of the picture, in its own units: words have 12 of them."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 8, 18, 8, 34
BINS = 120
"""Most steps of a line; more are joined."""
CELLS = (48, 32)
"""Most cells of a plot of two axes, along each."""
LEVELS = 8
"""Of darkness of its cells."""
_ENDS = (_LEFT, WIDE - _RIGHT), (HIGH - _BOTTOM, _TOP)
"""Of the axes, in the picture."""
_WORD = 6.0
"""Units that a letter takes, about."""


def small(plot: Plot, histogram: Histogram, reference: Histogram | None, called: str) -> str:
    """Return the picture.

    Parameters
    ----------
    reference
        What is compared with, drawn dashed where it has the same bins; None if nothing is.
    called
        What that is called; empty if there is none.
    """
    # The conditions of a run may say another range than the catalogue.
    along, ends = plot.axes[0], histogram.axes[0].edges
    if plot.is_share or len(plot.axes) == 1:
        values, label = _line(plot, histogram)
        is_like = reference is not None and same_bins(histogram.axes, reference.axes)
        other = _line(plot, reference)[0] if reference is not None and is_like else None
        if other is not None and not plot.is_share and other.sum():
            other = other * (values.sum() / other.sum())
        parts, most = _lines(values, other)
    else:
        other, label = None, plot.axes[1].title
        parts, most = _grid(histogram.view(flow=False).astype(np.float64))
    top = f"{label}, at most {most:.3g}" if len(plot.axes) == 1 else label
    said = f"{plot.title}: {int(histogram.sum()):,} entries"
    words = [
        _text(_LEFT, 12, "start", top),
        _text(_LEFT, HIGH - 20, "start", _end(along, ends[0], 0)),
        _text(WIDE - _RIGHT, HIGH - 20, "end", _end(along, ends[-1], -1)),
        _text(WIDE / 2, HIGH - 5, "middle", along.title),
    ]
    if other is not None:
        words.append(_text(WIDE - _RIGHT, 12, "end", f"dashed: {called}"))
    frame = f"<path d='M{_LEFT} {_TOP}V{HIGH - _BOTTOM}H{WIDE - _RIGHT}' fill='none' stroke='currentColor'/>"
    drawn = "".join([*parts, frame, *words])
    return f"<svg viewBox='0 0 {WIDE} {HIGH}' role='img' aria-label='{escape(said)}'>{drawn}</svg>"


def _line(plot: Plot, histogram: Histogram) -> tuple[F8, str]:
    """Return what is drawn along the first axis: counts, or shares."""
    if plot.is_share:
        return np.nan_to_num(shares(histogram.view(flow=False))[0]), "Share"
    counts = histogram.view(flow=False).astype(np.float64)
    step = -(-len(counts) // BINS)
    return np.add.reduceat(counts, np.arange(0, len(counts), step)), "Entries"


def _lines(values: F8, other: F8 | None) -> tuple[list[str], float]:
    most = float(max(values.max(initial=0), other.max(initial=0) if other is not None else 0))
    drawn = [] if other is None else [(other, "class='other' stroke-dasharray='4 3'")]
    return [
        f"<path d='{_steps(each, most or 1.0)}' fill='none' {look}/>"
        for each, look in [*drawn, (values, "class='values' stroke-width='1.5'")]
    ], most


def _steps(values: F8, most: float) -> str:
    edges = np.linspace(_LEFT, WIDE - _RIGHT, len(values) + 1)
    ys = HIGH - _BOTTOM - (HIGH - _TOP - _BOTTOM) * values / most
    return f"M{_LEFT} {HIGH - _BOTTOM}" + "".join(f"V{y:.0f}H{x:.0f}" for x, y in zip(edges[1:], ys, strict=True))


def _grid(counts: F8) -> tuple[list[str], float]:
    joined = counts
    for axis, cells_most in enumerate(CELLS):
        step = -(-joined.shape[axis] // cells_most)
        joined = np.add.reduceat(joined, np.arange(0, joined.shape[axis], step), axis=axis)
    most = float(joined.max(initial=0))
    xs, ys = (
        np.linspace(*ends, cells + 1).round().astype(int) for ends, cells in zip(_ENDS, joined.shape, strict=True)
    )
    level = np.ceil(LEVELS * joined / (most or 1.0))
    drawn = []
    for each in range(1, LEVELS + 1):
        cells = "".join(
            f"M{xs[x]} {ys[y]}H{xs[x + 1]}V{ys[y + 1]}H{xs[x]}z"
            for x, y in zip(*np.nonzero(level == each), strict=True)
        )
        drawn += [f"<path class='cells' d='{cells}' fill-opacity='{each / LEVELS}'/>"] if cells else []
    return drawn, most


def _end(axis: Axis, value: float, place: int) -> str:
    return axis.names[place] if axis.names else f"{value:.5g}"


def _text(x: float, y: float, anchor: str, words: str) -> str:
    most = int(WIDE / _WORD)
    shown = words if len(words) <= most else f"{words[: most - 1]}…"
    place = f"x='{x:.0f}' y='{y:.0f}' text-anchor='{anchor}'"
    return f"<text {place} font-size='12' fill='currentColor'>{escape(shown)}</text>"
