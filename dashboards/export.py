"""A plot's numbers as a file: CSV, or the histogram as UHI JSON."""

import csv
import io
import json

import numpy as np
import uhi.io.json

from dashboards.data import View
from streams.plots.catalogue import PLOTS, TRENDS


def as_csv(view: View, name: str) -> str:
    """Return the bins of a plot, those below and above its axes included, or the points of a trend."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    if name in TRENDS:
        trend = TRENDS[name]
        write(["spill", trend.quantity])
        for spill, value in zip(view.spills.spill, np.asarray(trend.value(view.spills), np.float64), strict=True):
            write([spill, "" if np.isnan(value) else f"{value:.10g}"])
        return out.getvalue()
    histogram = view.shown[name]
    write([f"{axis.title} {end}" for axis in PLOTS[name].axes for end in ("from", "to")] + ["entries"])
    edges = [np.concatenate([[-np.inf], axis.edges, [np.inf]]) for axis in histogram.axes]
    for place, entries in np.ndenumerate(histogram.view(flow=True)):
        ends = [f"{edge[at + side]:.10g}" for edge, at in zip(edges, place, strict=True) for side in (0, 1)]
        write([*ends, int(entries)])
    return out.getvalue()


def as_json(view: View, name: str) -> str:
    """Return the histogram of a plot as UHI JSON, which boost-histogram and hist read."""
    return json.dumps(view.shown[name], default=uhi.io.json.default)
