"""A plot's numbers as a file: CSV, or the histogram as UHI JSON."""

import csv
import io
import json

import numpy as np
import uhi.io.json

from dashboards.data import View
from streams.books.cells import Histogram
from streams.experiment import experiment
from streams.plots.model import Plot, Trend
from streams.plots.spillfacts import SpillFacts


def as_csv(view: View, name: str) -> str:
    """Return a plot or a trend as it is shown."""
    if name in experiment().trends:
        return trend_csv(experiment().trends[name], view.in_line(view.spills))
    return histogram_csv(experiment().plots[name], view.shown[name])


def trend_csv(trend: Trend, spills: SpillFacts) -> str:
    """Return the points of a trend."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["spill", trend.quantity])
    for spill, value in zip(spills.spill, np.asarray(trend.value(spills), np.float64), strict=True):
        write([spill, "" if np.isnan(value) else f"{value:.10g}"])
    return out.getvalue()


def histogram_csv(plot: Plot, histogram: Histogram) -> str:
    """Return the bins of a plot, those below and above its axes included."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write([f"{axis.title} {end}" for axis in plot.axes for end in ("from", "to")] + ["entries"])
    edges = [np.concatenate([[-np.inf], axis.edges, [np.inf]]) for axis in histogram.axes]
    for place, entries in np.ndenumerate(histogram.view(flow=True)):
        ends = [f"{edge[at + side]:.10g}" for edge, at in zip(edges, place, strict=True) for side in (0, 1)]
        write([*ends, int(entries)])
    return out.getvalue()


def as_json(view: View, name: str) -> str:
    """Return the histogram of a plot as UHI JSON, which boost-histogram and hist read."""
    return json.dumps(view.shown[name], default=uhi.io.json.default)
