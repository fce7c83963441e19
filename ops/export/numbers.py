"""Histograms as files of numbers: UHI in JSON and zip, ROOT, CSV."""

import json
import zipfile
from pathlib import Path

import boost_histogram as bh
import uhi.io.json
import uhi.io.zip
import uproot

from dashboards.export import histogram_csv, trend_csv
from ops.export.chosen import Chosen
from streams.books.cells import Histogram
from streams.experiment import experiment


def write_json(chosen: Chosen, directory: Path) -> None:
    """Write a file of UHI a plot."""
    for name, histogram in chosen.histograms.items():
        text = json.dumps(histogram, default=uhi.io.json.default)
        (directory / chosen.file(name, "json")).write_text(text)


def write_zip(chosen: Chosen, directory: Path) -> None:
    """Write all plots as UHI into one file, each under its name."""
    with zipfile.ZipFile(directory / chosen.file(chosen.what, "zip"), "w", zipfile.ZIP_DEFLATED) as out:
        for name, histogram in chosen.histograms.items():
            uhi.io.zip.write(out, name, histogram)


def write_root(chosen: Chosen, directory: Path) -> None:
    """Write all plots into one file of ROOT, each under its name, with what lies below and above its axes."""
    with uproot.recreate(directory / chosen.file(chosen.what, "root")) as out:
        for name, histogram in chosen.histograms.items():
            out[name] = _with_doubles(histogram)


def _with_doubles(histogram: Histogram) -> bh.Histogram[bh.storage.Double]:
    """Return the histogram as ROOT knows it: there are no counts of 64 bits, and doubles are exact up to 2^53."""
    copy = bh.Histogram(*histogram.axes, storage=bh.storage.Double())
    copy.view(flow=True)[...] = histogram.view(flow=True)
    vars(copy).update(vars(histogram))
    return copy


def write_csv(chosen: Chosen, directory: Path) -> None:
    """Write a file a plot or trend."""
    for name, histogram in chosen.histograms.items():
        (directory / chosen.file(name, "csv")).write_text(histogram_csv(experiment().plots[name], histogram))
    for name in chosen.trends:
        (directory / chosen.file(name, "csv")).write_text(trend_csv(experiment().trends[name], chosen.spills))
