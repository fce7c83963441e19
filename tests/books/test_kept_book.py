"""A book as a file has it: read back as it was, and whatever else somebody wrote there ends in a sentence."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streams.books.cells import same_bins
from streams.books.judgement import judged
from streams.books.kept_book import KeptBook, book_text
from streams.books.limits import TypeLimits
from streams.books.run import RunBook
from streams.books.shapes import against_run, plot_verdicts
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process

RUN, PLOT = 900_051, "hslabhits10"


def counted(run: int, *faults: str, seed: int = 1) -> RunBook:
    its = SimulatedRun(run=run, spills=60, mean_triggers=20, detectors=("tof",), seed=seed).with_faults(faults)
    (result,) = process(its.records(), ConditionsStore([]).for_run).values()
    return result.run_book()


@pytest.fixture(scope="module")
def good() -> RunBook:
    return counted(RUN)


@pytest.fixture(scope="module")
def text(good: RunBook) -> str:
    return book_text(RUN, good, {})


def test_a_book_is_read_back_as_it_was_and_judges_as_the_run_does(good: RunBook, text: str) -> None:
    kept = KeptBook.from_text(text.encode(), "the file")
    assert (kept.run, kept.run_type, kept.triggers) == (RUN, good.totals.run_type, good.totals.triggers)
    assert [*kept.histograms] == [*experiment().plots]
    for name, histogram in kept.histograms.items():
        assert same_bins(histogram.axes, good.book[name].axes)
        assert np.array_equal(histogram.view(flow=True), good.book[name].view(flow=True))
    dead = counted(RUN + 1, "dead_pmt:tof1/0/3/1@0-59", seed=2)
    by_book, by_run = (plot_verdicts(dead, against, TypeLimits()) for against in (kept.against, against_run(RUN, good)))
    assert by_book == by_run
    assert by_book[PLOT].state == "bad"
    found = judged(dead, known=kept.known)
    assert found == judged(dead, good)
    assert [each["words"] for each in found.to_json()["causes"]] == [
        "TOF1 horizontal slab 3, PMT 1 silent from the begin on"
    ], "what was never there is told by what the book had"
    assert not [*kept.other_bins()]


def test_hits_of_groups_that_there_are_not_are_left_out_and_a_book_without_hits_knows_none(text: str) -> None:
    what = json.loads(text)
    (first, *_) = what["hits"]
    what["hits"]["a group of another version"] = what["hits"][first]
    what["hits"][first] = {"of_each": [1, 2, 3], "triggers": 5}
    kept = KeptBook.from_text(json.dumps(what).encode(), "the file")
    assert kept.known.keys() == json.loads(text)["hits"].keys() - {first}
    del what["hits"], what["summary"]["run_type"]
    older = KeptBook.from_text(json.dumps(what).encode(), "the file")
    assert (older.known, older.run_type) == ({}, None)


def changed(what: dict[str, Any], *path: str | int, to: Any) -> None:
    at: Any = what
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to


STORED = ("plots", PLOT, "storage")
AXIS = ("plots", PLOT, "axes", 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda what: changed(what, "plots", to={"hist_of_others": what["plots"][PLOT]}), "book of another experiment"),
        (lambda what: changed(what, "plots", to=5), "is no book"),
        (lambda what: changed(what, "summary", to=5), "is no book"),
        (lambda what: changed(what, "summary", "run", to=-1), "-1 counts nothing"),
        (lambda what: changed(what, "summary", "run", to="../../etc/passwd"), "counts nothing"),
        (lambda what: changed(what, "summary", "run", to=True), "True counts nothing"),
        (lambda what: changed(what, "summary", "particle_triggers", to=float("nan")), "nan counts nothing"),
        (lambda what: changed(what, "summary", "particle_triggers", to=10**400), "counts nothing"),
        (lambda what: changed(what, *STORED, "values", to=[float("nan")] * 12), "is no book"),
        (lambda what: changed(what, *STORED, "values", to=[-1] * 12), "does not hold counts"),
        (lambda what: changed(what, *STORED, "values", to=[1, 2]), "is no book"),
        (lambda what: changed(what, *STORED, "type", to="double"), "does not hold counts"),
        (lambda what: changed(what, *AXIS, "bins", to=10**9), "more bins than can be"),
        (lambda what: changed(what, *AXIS, "bins", to=-5), "-5 counts nothing"),
        (lambda what: changed(what, *AXIS, "upper", to=float("inf")), "is no book"),
        (lambda what: changed(what, "plots", PLOT, "axes", to=[what["plots"][PLOT]["axes"][0]] * 9), "more bins"),
        (lambda what: changed(what, "hits", to=[1]), "is no book"),
    ],
)
def test_whatever_somebody_wrote_there_ends_in_a_sentence(
    text: str, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    what = json.loads(text)
    change(what)
    with pytest.raises(UsageError, match=r"^the file ") as refused:
        KeptBook.from_text(json.dumps(what).encode(), "the file")
    assert said in str(refused.value)


@pytest.mark.parametrize("cut", [b"", b"\xff\xfe", b"[" * 100_000, b'{"summary": {}', None])
def test_what_is_cut_short_or_no_text_ends_in_a_sentence(text: str, cut: bytes | None) -> None:
    with pytest.raises(UsageError, match="the file is no book of process --out"):
        KeptBook.from_text(text.encode()[:-20] if cut is None else cut, "the file")


def test_a_plot_with_other_bins_is_named(text: str) -> None:
    what = json.loads(text)
    changed(what, *AXIS, "upper", to=19.5)
    (words,) = KeptBook.from_text(json.dumps(what).encode(), "the file").other_bins()
    assert words.startswith(f"{PLOT} has other bins, and is compared with no run that has the usual ones")
