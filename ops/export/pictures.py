"""Pictures of a run's plots, one of each canvas: for the log book, a talk, or who has no page at hand."""

from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure

from dashboards.figures.bars import triangles
from dashboards.figures.theme import LIGHT
from ops.export.chosen import Chosen
from streams.books.cells import Histogram
from streams.experiment import experiment
from streams.plots.measures import shares
from streams.plots.model import Plot, Trend
from streams.plots.spillfacts import SpillFacts

COLUMNS = 3
"""Plots beside each other."""
_SIZE = (5.2, 3.6)
"""Of one plot, inches."""
_DPI = 110
Canvas = tuple[str, list[Plot | Trend]]


def write_pictures(chosen: Chosen, directory: Path, ending: str) -> None:
    """Write a picture of each canvas; as PDF, all of them into one file."""
    if ending == "pdf":
        with PdfPages(directory / chosen.file(chosen.what, "pdf")) as pages:
            for canvas in _canvases(chosen):
                _drawn(chosen, canvas).savefig(pages, format="pdf")
        return
    for canvas in _canvases(chosen):
        _drawn(chosen, canvas).savefig(directory / chosen.file(canvas[0], ending), dpi=_DPI)


def _canvases(chosen: Chosen) -> Iterator[Canvas]:
    """Yield name and plots of each canvas; the trends of a detector are one."""
    found: dict[str, list[Plot | Trend]] = {}
    for name in chosen.plots:
        found.setdefault(experiment().plots[name].canvas, []).append(experiment().plots[name])
    for name in chosen.trends:
        found.setdefault(f"{experiment().trends[name].detector}_trends", []).append(experiment().trends[name])
    yield from found.items()


def _drawn(chosen: Chosen, canvas: Canvas) -> Figure:
    name, entries = canvas
    columns = min(COLUMNS, len(entries))
    rows = ceil(len(entries) / columns)
    figure = Figure(figsize=(_SIZE[0] * columns, _SIZE[1] * rows + 0.5), layout="constrained")
    figure.suptitle(f"{chosen.title} · {name}", color=LIGHT.ink, ha="left", x=0.01, fontsize=11)
    for at, entry in enumerate(entries, start=1):
        axes = figure.add_subplot(rows, columns, at)
        axes.set_title(entry.title, fontsize=10, color=LIGHT.ink)
        axes.tick_params(labelsize=8)
        if isinstance(entry, Trend):
            _draw_trend(axes, entry, chosen.spills)
        elif entry.is_share:
            _draw_shares(axes, entry, chosen.book.book[entry.name])
        elif len(entry.axes) == 1:
            _draw_line(axes, entry, chosen.book.book[entry.name])
        else:
            _draw_cells(figure, axes, entry, chosen.book.book[entry.name])
    return figure


def _draw_trend(axes: Any, trend: Trend, spills: SpillFacts) -> None:
    spills = spills if trend.last is None else spills.rows(slice(-trend.last, None))
    values = np.asarray(trend.value(spills), np.float64)
    axes.plot(spills.spill, values, color=LIGHT.line, linewidth=1, marker=".", markersize=3)
    axes.set_xlabel("Spill", fontsize=8)
    axes.set_ylabel(trend.quantity, fontsize=8)
    axes.set_ylim(bottom=0)


def _draw_line(axes: Any, plot: Plot, histogram: Histogram) -> None:
    counts = histogram.view(flow=False)
    axes.stairs(counts, histogram.axes[0].edges, color=LIGHT.line, fill=True, alpha=0.25)
    axes.stairs(counts, histogram.axes[0].edges, color=LIGHT.line, linewidth=1)
    if plot.log and counts.any():
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.5)
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(plot.axes[0].title, fontsize=8)
    axes.set_ylabel("Entries", fontsize=8)
    axes.text(0.99, 0.98, _entries(histogram), transform=axes.transAxes, fontsize=7, ha="right", va="top")


def _draw_shares(axes: Any, plot: Plot, histogram: Histogram) -> None:
    share, error = shares(histogram.view(flow=False))
    axes.errorbar(histogram.axes[0].centers, share, error, color=LIGHT.line, fmt=".", markersize=3, linewidth=1)
    axes.set_xlim(plot.axes[0].low, plot.axes[0].high)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel(plot.axes[0].title, fontsize=8)
    axes.set_ylabel("Share", fontsize=8)
    axes.text(0.99, 0.98, _entries(histogram), transform=axes.transAxes, fontsize=7, ha="right", va="top")


def _draw_cells(figure: Figure, axes: Any, plot: Plot, histogram: Histogram) -> None:
    counts = np.ma.masked_equal(histogram.view(flow=False), 0).astype(np.float64)
    most = max(1.0, float(counts.max() or 1))
    norm = LogNorm(1, max(most, 2)) if plot.log else Normalize(0, most)
    colours = LinearSegmentedColormap.from_list("counts", LIGHT.scale)
    if plot.triangles is not None:
        corners = triangles(plot.triangles, counts.shape[1])
        shapes = PolyCollection([*corners], norm=norm, cmap=colours, edgecolors=LIGHT.grid, linewidths=0.1)
        shapes.set_array(counts[plot.triangles.start : plot.triangles.stop : plot.triangles.step].ravel())
        axes.add_collection(shapes)
        axes.autoscale_view()
    else:
        edges = [axis.edges for axis in histogram.axes]
        shapes = axes.pcolormesh(*edges, counts.T, norm=norm, cmap=colours, rasterized=True)
    figure.colorbar(shapes, ax=axes).ax.tick_params(labelsize=7)
    axes.set_xlabel(plot.axes[0].title, fontsize=8)
    axes.set_ylabel(plot.axes[1].title, fontsize=8)
    axes.set_title(_entries(histogram), fontsize=7, loc="right")


def _entries(histogram: Histogram) -> str:
    inside, everywhere = (int(histogram.view(flow=flow).sum()) for flow in (False, True))
    outside = f", {everywhere - inside:,} outside" if everywhere > inside else ""
    return f"{inside:,} entries{outside}"
