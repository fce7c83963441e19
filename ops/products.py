"""What is written of a run, and read to compare another with: its book, as UHI in JSON."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boost_histogram as bh
import uhi.io.json
from boost_histogram.serialization import to_uhi

from ops.files import write_whole
from streams.books.cells import MAX_BYTES
from streams.books.shapes import Against
from streams.errors import UsageError
from streams.experiment import experiment
from streams.files import read_whole
from streams.process import RunResult


def write_book(path: Path, result: RunResult) -> None:
    """Write a run's book: one JSON object of counts, and every plot as UHI, which `uhi.io.json` reads back.

    Raises
    ------
    UsageError
        When the file cannot be written.
    """
    book = result.run_book()
    histograms: dict[str, Any] = {name: to_uhi(book.histogram(name)) for name in experiment().plots}
    summary = result.to_json()
    totals = result.part.totals
    origin = {"code": sorted(totals.code), "conditions": sorted(totals.conditions)}
    text = json.dumps({"summary": summary, "origin": origin, "plots": histograms}, default=uhi.io.json.default)
    try:
        write_whole(path, text)
    except OSError as error:
        raise UsageError(f"the book cannot be written to {path}: {error.strerror}") from error


def read_books(paths: Sequence[Path]) -> Against:
    """Return books that `write_book` wrote, the newest first, as something that plots are judged against.

    Raises
    ------
    UsageError
        When one cannot be read, or is none.
    """
    newest, *earlier = map(_read_book, paths)
    return replace(newest, earlier=earlier)


def _read_book(path: Path) -> Against:
    text = read_whole(path, MAX_BYTES, "The book")
    try:
        what = json.loads(text, object_hook=uhi.io.json.object_hook)
        run, triggers = int(what["summary"]["run"]), int(what["summary"]["particle_triggers"])
        plots = {name: bh.Histogram(its) for name, its in what["plots"].items()}
    except Exception as error:  # whatever somebody wrote there
        raise UsageError(f"{path} is no book of process --out ({type(error).__name__}: {error})") from error
    return Against(called=f"run {run}", histogram=plots.get, triggers=triggers)
