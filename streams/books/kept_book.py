"""A book as a file has it, to compare runs with: `process --out` writes it, `process --against` and a pin read it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Self

import boost_histogram as bh
import numpy as np
import uhi.io.json
from boost_histogram.serialization import to_uhi

from streams.books.book import new_histogram
from streams.books.cells import MAX_BYTES, Histogram, bin_words, same_bins
from streams.books.imported import Imported, counts
from streams.books.judgement import last_of
from streams.books.run import RunBook
from streams.books.shapes import Against
from streams.checks.channels import Channels
from streams.checks.start import Known
from streams.errors import UsageError
from streams.experiment import experiment

_CELL_BYTES = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class KeptBook:
    """The book of a run, or of a replay of it, as it was when it was kept: one is equal to itself alone."""

    run: int
    run_type: str | None
    """None if the file does not say: an older version wrote it."""
    triggers: int | None
    """Particle triggers that it is of; None if nobody knows, as of histograms of another system."""
    sha256: str
    """Of the text."""
    histograms: Mapping[str, Histogram] = field(repr=False)
    known: Mapping[str, Known] = field(repr=False)
    """What its last spills had of each group of channels, as far as the file says it."""

    @property
    def against(self) -> Against:
        """It as something that plots are judged against: called as the run is, so that all say the same of a plot."""
        return Against(called=f"run {self.run}", histogram=self.histograms.get, triggers=self.triggers)

    def other_bins(self) -> Iterator[str]:
        """Yield of which plots the bins are not those of the catalogue, in words."""
        for name, histogram in self.histograms.items():
            if not same_bins(ours := new_histogram(name, {}).axes, histogram.axes):
                bins = f"{bin_words(histogram.axes)}, usual {bin_words(ours)}"
                yield f"{name} has other bins, and is compared with no run that has the usual ones: {bins}"

    @classmethod
    def from_text(cls, text: bytes, called: str) -> Self:
        """Return what `book_text` or `imported_text` returned.

        Parameters
        ----------
        called
            What the text is, for the error.

        Raises
        ------
        UsageError
            When it is none of it, or of another experiment.
        """
        try:
            what = json.loads(text, object_hook=of_bounded_size)
            summary, plots = what["summary"], what["plots"]
            found = cls(
                run=_whole(summary["run"]),
                run_type=None if summary.get("run_type") is None else str(summary["run_type"]),
                triggers=None if summary["particle_triggers"] is None else _whole(summary["particle_triggers"]),
                sha256=hashlib.sha256(text).hexdigest(),
                histograms={name: counts(bh.Histogram(plots[name])) for name in experiment().plots if name in plots},
                known=dict(_known(what.get("hits", {}))),
            )
        except Exception as error:  # whatever somebody wrote there
            raise UsageError(f"{called} is no book of process --out ({type(error).__name__}: {error})") from error
        if not found.histograms:
            raise UsageError(f"{called} has no plot of {experiment().title}: it is a book of another experiment")
        return found


def book_text(run: int, book: RunBook, summary: Mapping[str, Any]) -> str:
    """Return a run's book as one JSON object: a summary, hits by channel, and every plot as UHI.

    Parameters
    ----------
    summary
        What else is said of the run.
    """
    totals = book.totals
    its = {"run": run, "run_type": totals.run_type, "spills": totals.filled, "particle_triggers": totals.triggers}
    plots: dict[str, Any] = {name: to_uhi(book.histogram(name)) for name in experiment().plots}
    origin = {"code": sorted(totals.code), "conditions": sorted(totals.conditions)}
    hits = {name: {"of_each": each.counts.tolist(), "triggers": each.triggers} for name, each in last_of(book).items()}
    return _text(summary={**its, **summary}, origin=origin, hits=hits, plots=plots)


def imported_text(run: int, run_type: str, imported: Imported) -> str:
    """Return histograms of another system's file as the book of a run: without what no file of histograms says."""
    summary = {"run": run, "run_type": run_type, "spills": None, "particle_triggers": None}
    plots = {name: to_uhi(histogram) for name, histogram in imported.histograms.items()}
    return _text(summary=summary, origin={"file": imported.name, "sha256": imported.sha256}, hits={}, plots=plots)


def _text(**what: Mapping[str, Any]) -> str:
    return json.dumps(what, default=uhi.io.json.default)


def _known(hits: Mapping[str, Any]) -> Iterator[tuple[str, Known]]:
    """Yield what is told of the groups that there are; those of another version have other channels."""
    groups: Mapping[str, Channels] = {group.name: group for group in experiment().groups}
    for name, its in hits.items():
        if name in groups and len(its["of_each"]) == groups[name].size:
            found = np.array([*map(_whole, its["of_each"])], np.int64)
            yield name, Known(counts=found, triggers=_whole(its["triggers"]))


def _whole(value: Any) -> int:
    """Return a number that something was counted to; raises ValueError when it is none."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError(f"{value!r} counts nothing")
    return value


def of_bounded_size(what: dict[str, Any]) -> Any:
    """Read as `uhi.io.json` does, but no histogram that says to be larger than any is: its bins are made at once."""
    if "axes" in what and prod(map(_bins, what["axes"])) > MAX_BYTES // _CELL_BYTES:
        raise ValueError("a histogram has more bins than can be")
    return uhi.io.json.object_hook(what)


def _bins(axis: Mapping[str, Any]) -> int:
    """Return the bins of an axis, flow included."""
    return 2 + (_whole(axis["bins"]) if "bins" in axis else len(axis.get("edges", axis.get("categories", ()))))
