"""Whether conditions explain what is off, on the page: made by a process of its own, said in tiles."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from dashboards.data import explaining
from dashboards.data.automatic import Automatic
from dashboards.data.books import Books
from dashboards.data.explaining import AGAIN_S, SOUGHT, Explainer, Explanations
from dashboards.data.one_run import NOTHING
from dashboards.pages.tiles import tiles
from streams.books.limits import LimitsFile
from streams.books.run import RunBook
from streams.books.shapes import PlotVerdict, State
from streams.books.totals import Totals
from streams.checks.shapes import Shape
from streams.explain.verdicts import Answer, Explained
from streams.settings import RedisSettings, load_settings
from tests.dashboards.views import EMPTY, RUN, text_of, view

OTHER = RUN - 1
NOWHERE = "redis://127.0.0.1:1/0"
EXPLAINED = Explained(answer=Answer.CONDITIONS, why="tof_t0 differs")


def off(*plots: str) -> dict[str, PlotVerdict]:
    shape = Shape(entries=1000, reference=1000, elsewhere=0.4, evidence=99.0)
    return {name: PlotVerdict(plot=name, state=State.BAD, shape=shape, against=f"run {OTHER}") for name in plots}


def books(ours: str, theirs: str, version: str = "1") -> Books:
    def one(conditions: str) -> Any:
        book: RunBook = replace(EMPTY, totals=Totals(conditions={conditions}))
        return replace(NOTHING, book=book, version=version)

    read = {(RUN, None): one(ours), (OTHER, None): one(theirs)}
    return Books(read=read, automatic={RUN: Automatic(run=OTHER)}, current=RUN)


@pytest.fixture
def explainer() -> Iterator[Explainer]:
    """Return one whose process finds no Redis."""
    its = Explainer(load_settings(redis=RedisSettings(url=NOWHERE)), LimitsFile(None))
    yield its
    its.close()


def wait_for(look: Callable[[], Explanations]) -> Mapping[str, Explained]:
    until_s = time.monotonic() + 60
    while (found := look())[RUN] and SOUGHT in found[RUN].values():
        assert time.monotonic() < until_s
        time.sleep(0.05)
    return found[RUN]


def test_6_equal_conditions_are_said_at_once_and_no_process_begins(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "_Work", pytest.fail)
    shapes = {(RUN, None): off("ht01")}
    found = explainer.look(books("a", "a"), shapes, {})
    assert found[RUN]["ht01"].words == f"Not the conditions: the same as in run {OTHER}."
    assert explainer.look(books("a", "a"), shapes, found) is found


def test_6_what_fails_in_the_process_is_said_and_not_tried_again_at_once(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    its, shapes = books("a", "b"), {(RUN, None): off("ht01")}
    begun_s = time.monotonic()
    assert explainer.look(its, shapes, {})[RUN]["ht01"] is SOUGHT
    assert time.monotonic() - begun_s < 1, "it is not waited for"
    found = wait_for(lambda: explainer.look(its, shapes, {}))["ht01"]
    assert found.answer is Answer.UNKNOWN
    assert "no Redis answers" in found.why
    monkeypatch.setattr(explaining, "_Work", pytest.fail)
    assert explainer.look(books("a", "b", "2"), shapes, {})[RUN]["ht01"] == found


@pytest.mark.parametrize(
    ("name", "instead", "why"),
    [("_explain", os.abort, "the process that looked into it died"), ("AT_MOST_S", -1.0, "it took more than -1 s")],
)
def test_6_a_process_that_dies_or_takes_too_long_is_said(
    name: str, instead: object, why: str, explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, name, instead)
    its, shapes = books("a", "b"), {(RUN, None): off("ht01")}
    assert wait_for(lambda: explainer.look(its, shapes, {}))["ht01"].why == why


class Made:
    """Stands for the process: ends when it is told to."""

    all: ClassVar[list[list[str]]] = []

    def __init__(
        self, _: object, run: int, reference: int, _limits: object, plots: list[str], versions: Any, __: float
    ) -> None:
        self.run, self.reference, self.versions = run, reference, versions
        self.all.append(plots)

    def result(self, _: float) -> dict[str, Explained]:
        return dict.fromkeys(self.all[-1], EXPLAINED)

    def end(self) -> None:
        """Do nothing."""


def test_6_a_run_is_looked_at_again_when_another_plot_is_off_and_after_minutes_with_spills(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = 1000.0
    monkeypatch.setattr(explaining, "_Work", Made)
    monkeypatch.setattr(explaining.time, "monotonic", lambda: clock_s)
    monkeypatch.setattr(Made, "all", [])

    def looked(plots: list[str], version: str, later_s: float) -> Mapping[str, Explained]:
        nonlocal clock_s
        clock_s += later_s
        return explainer.look(books("a", "b", version), {(RUN, None): off(*plots)}, {})[RUN]

    assert looked(["ht01"], "1", 0) == {"ht01": SOUGHT}
    assert looked(["ht01"], "2", 1) == {"ht01": EXPLAINED}
    assert looked(["ht01", "ht02"], "3", 1) == {"ht01": EXPLAINED, "ht02": SOUGHT}
    assert Made.all == [["ht01"]], "not at once"
    looked(["ht01", "ht02"], "4", 30)
    assert Made.all == [["ht01"], ["ht01", "ht02"]]
    assert looked(["ht01"], "5", 1) == {"ht01": EXPLAINED}
    looked(["ht01"], "6", AGAIN_S - 1)
    assert len(Made.all) == 2, "one plot fewer is nothing new"
    looked(["ht01"], "7", 1)
    assert len(Made.all) == 3
    looked(["ht01"], "7", 1)
    looked(["ht01"], "7", 2 * AGAIN_S)
    assert len(Made.all) == 3, "no spill has come"


def test_6_tiles_say_what_explains_it() -> None:
    shapes = off("ht01", "hslabhits10")
    shown = view(EMPTY, run=RUN, shapes=shapes, explained={"ht01": EXPLAINED, "hslabhits10": SOUGHT})
    assert text_of(tiles(shown, "/plot/ht01")[0]).endswith("Conditions explain it: tof_t0 differs.")
    (line,) = (text_of(tile) for tile in tiles(shown, "/detector/tof") if "not as in run" in text_of(tile))
    assert line.endswith(". Conditions explain it (1 of 2). Detector or calibration? Being looked into (1 of 2)")
    assert "onditions" not in text_of(tiles(view(EMPTY, run=RUN, shapes=shapes), "/plot/ht01")[0])
