"""What is written of a run: its book, as UHI in JSON."""

import json
from pathlib import Path
from typing import Any

import uhi.io.json
from boost_histogram.serialization import to_uhi

from ops.files import write_whole
from streams.errors import UsageError
from streams.experiment import experiment
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
