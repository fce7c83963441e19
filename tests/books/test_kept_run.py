"""What the keeper wrote of a run is what the run had, or it is said why not."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ops.end_of_run import write_end_of_run
from ops.export.chosen import Chosen, choose
from ops.export.numbers import write_json
from schemas.records import RunState
from streams.books.kept_run import BOOK, Edition, KeptRun, KeptRuns, directory_of, file_of, kept_run
from streams.books.layout import Place
from streams.books.registry import record
from streams.books.run import RunBook
from streams.errors import UsageError
from tests.catalogue import PLOTS
from tests.dashboards.views import RUN, run_book

WRITTEN = Edition(session="live", produced_ms=1_700_000_000_000)
FEW = ("ht01", "hspxy_1")


def books_alone(chosen: Chosen, directory: Path) -> None:
    """Write all plots, and no pictures, which take longer than all else."""
    (directory / BOOK).mkdir()
    write_json(chosen, directory / BOOK)


def write(products: Path, book: RunBook, edition: Edition) -> None:
    its = record(RUN, book.totals, Place.of(book.totals, 0, ""), RunState.ENDED)
    write_end_of_run(products, choose(RUN, book, FEW, ()), its, edition, {}, books_alone)


@pytest.fixture
def book() -> RunBook:
    return run_book(8)


@pytest.fixture
def products(book: RunBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    few = SimpleNamespace(plots={name: PLOTS[name] for name in FEW})
    monkeypatch.setattr("streams.books.kept_run.experiment", lambda: few)
    write(tmp_path, book, WRITTEN)
    return tmp_path


def read(products: Path) -> KeptRun:
    return kept_run(products, RUN, WRITTEN, {})


def test_what_was_written_is_read(book: RunBook, products: Path) -> None:
    its = read(products)
    assert its.absent == {}
    for name in FEW:
        assert its.book.counts(name).tolist() == book.book.counts(name).tolist()


def changed(file: Path, change: Callable[[Any], Any]) -> None:
    what = json.loads(file.read_text())
    change(what)
    file.write_text(json.dumps(what))


HARMS: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "nothing is there": (lambda summary, plot: summary.unlink(), "summary.json cannot be read: No such file"),
    "a summary that is none": (lambda summary, plot: summary.write_text("[]"), "is no summary of a run"),
    "half a summary": (lambda summary, plot: summary.write_text(summary.read_text()[:99]), "is no summary of a run"),
    "another book": (
        lambda summary, plot: changed(summary, lambda its: its["book"].update(session="replay-new")),
        f"has another book of run {RUN}: one of replay-new, or of other spills",
    ),
    "a plot is gone": (lambda summary, plot: plot.unlink(), "_ht01.json cannot be read: No such file"),
    "half a plot": (lambda summary, plot: plot.write_text(plot.read_text()[:99]), "is no plot of the keeper's"),
    "a plot that is none": (lambda summary, plot: plot.write_text("null"), "is no plot of the keeper's"),
    "a count more": (
        lambda summary, plot: changed(plot, lambda its: its["storage"]["values"].__setitem__(3, 7)),
        "is damaged: ht01 has other counts than its summary says",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_not_what_the_run_had_is_refused(products: Path, harm: str) -> None:
    directory, (does, said) = directory_of(products, RUN), HARMS[harm]
    does(directory / "summary.json", directory / BOOK / file_of(RUN, "ht01", "json"))
    with pytest.raises(UsageError, match=said):
        read(products)


def test_a_plot_that_is_newer_or_has_other_bins_now_is_not_there_and_the_others_are(products: Path) -> None:
    changed(directory_of(products, RUN) / "summary.json", lambda its: its["plots"].pop("hspxy_1"))
    its = kept_run(products, RUN, WRITTEN, {"ht01": (10, 0.0, 5.0)})
    assert its.absent == {
        "hspxy_1": "this plot is newer than what the keeper wrote of the run",
        "ht01": "the keeper wrote this plot of the run with other bins",
    }
    assert {*its.book} == set()


def test_what_was_read_is_remembered_until_another_book_is_written(
    book: RunBook, products: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = KeptRuns(products, "live")
    first = runs.read(RUN, None, WRITTEN.produced_ms, {})
    assert runs.read(RUN, None, WRITTEN.produced_ms, {}) is first
    newer = Edition(session="replay-new", produced_ms=WRITTEN.produced_ms)
    write(products, book, newer)
    assert runs.read(RUN, "replay-new", newer.produced_ms, {}) is not first
    with pytest.raises(UsageError, match=r"keeper\.products does not say here"):
        KeptRuns(None, "live").read(RUN, None, 0, {})
