"""The plots of a run that has left Redis, as the keeper wrote them when it had ended."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boost_histogram as bh

from streams.books.book import Book, Ranges, new_histogram, plots_digest
from streams.books.cells import MAX_BYTES, same_bins
from streams.books.imported import counts
from streams.books.kept_book import of_bounded_size
from streams.errors import UsageError
from streams.experiment import experiment
from streams.files import read_whole

RUNS_KEPT = 4
"""Runs of which the plots are remembered: some megabytes each."""
SUMMARY, BOOK = "summary.json", "book"
"""In the directory of a run: what is known of it, and its plots, a file each."""
_SUMMARY_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """Which book of a run was written."""

    session: str
    """That has made it: live, or a replay that was promoted."""
    produced_ms: int
    """When the newest message in it was produced, Unix milliseconds."""

    def is_due_after(self, written: "Edition | None") -> bool:
        """Say whether this book is to be written in place of the one that was.

        A book of the same session without newer messages is no better one: it may be a part of it that is being
        rebuilt, or what retention has left.
        """
        return written is None or self.session != written.session or self.produced_ms > written.produced_ms


@dataclass(frozen=True, eq=False, kw_only=True)
class KeptRun:
    """What the directory of a run has of its plots."""

    book: Book
    absent: Mapping[str, str] = field(default_factory=dict)
    """Plot that it does not have as it would be filled now → why."""


class KeptRuns:
    """Reads the directories of runs, and remembers what it read last.

    Parameters
    ----------
    products
        Where they are; None if the keeper writes none.
    session
        Whose book a run has that no replay was promoted for.
    """

    def __init__(self, products: Path | None, session: str) -> None:
        self._products, self._session = products, session
        self._read: dict[tuple[int, Edition, str], KeptRun] = {}

    def read(self, run: int, session: str | None, produced_ms: int, ranges: Ranges) -> KeptRun:
        """Return the plots of a run as a session had it when its newest message was produced then; see `kept_run`."""
        if self._products is None:
            raise UsageError("the setting keeper.products does not say here where the keeper writes runs")
        edition = Edition(session=session or self._session, produced_ms=produced_ms)
        key = run, edition, plots_digest(ranges)
        if key not in self._read:
            self._read[key] = kept_run(self._products, run, edition, ranges)
            while len(self._read) > RUNS_KEPT:
                del self._read[next(iter(self._read))]
        return self._read[key]


def directory_of(products: Path, run: int) -> Path:
    """Return the directory of a run."""
    return products / f"{run:08d}"


def file_of(run: int, name: str, ending: str) -> str:
    """Return the name of the file of a plot."""
    return f"run{run:08d}_{name}.{ending}"


def edition_there(products: Path, run: int) -> Edition | None:
    """Return which book of a run was written; None if none was, or nobody can tell."""
    try:
        return _edition(json.loads((directory_of(products, run) / SUMMARY).read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _edition(summary: Mapping[str, Any]) -> Edition:
    its = summary["book"]
    return Edition(session=str(its["session"]), produced_ms=int(its["produced_ms"]))


def kept_run(products: Path, run: int, edition: Edition, ranges: Ranges) -> KeptRun:
    """Return the plots of a run, each by the digest of its counts what the run had.

    Parameters
    ----------
    edition
        The book that has left: another one is refused.
    ranges
        The run's own ranges of plots.

    Raises
    ------
    UsageError
        When there is no such book, or not all of it can be read.
    """
    directory = directory_of(products, run)
    text = read_whole(directory / SUMMARY, _SUMMARY_BYTES, "The summary")
    try:
        summary = json.loads(text)
        there, written = _edition(summary), {name: str(its["sha256"]) for name, its in summary["plots"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{directory / SUMMARY} is no summary of a run ({type(error).__name__}: {error})") from error
    if there != edition:
        raise UsageError(f"{directory} has another book of run {run}: one of {there.session}, or of other spills")
    book, absent = Book(ranges), {}
    for name in experiment().plots:
        if name not in written:
            absent[name] = "this plot is newer than what the keeper wrote of the run"
            continue
        histogram = _histogram(directory / BOOK / file_of(run, name, "json"))
        if not same_bins(new_histogram(name, ranges).axes, histogram.axes):
            absent[name] = "the keeper wrote this plot of the run with other bins"
            continue
        book[name] = histogram
        if book.summary(name)["sha256"] != written[name]:
            raise UsageError(f"{directory} is damaged: {name} has other counts than its summary says")
    return KeptRun(book=book, absent=absent)


def _histogram(path: Path) -> bh.Histogram[bh.storage.Int64]:
    text = read_whole(path, MAX_BYTES, "The plot")
    try:
        return counts(bh.Histogram(json.loads(text, object_hook=of_bounded_size)))
    except Exception as error:  # whatever somebody wrote there
        raise UsageError(f"{path} is no plot of the keeper's ({type(error).__name__}: {error})") from error
