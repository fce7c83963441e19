"""What was frozen is the same for whoever opens it, as far as it is kept, and else it is said; so is what loads."""

import time
from dataclasses import replace
from typing import Any

import pytest

import dashboards.data.data as data_module
from dashboards.choices import LAST_MINUTE, Choices
from dashboards.data import Data
from dashboards.data.frozen import KEPT, Frozen
from dashboards.data.one_run import NOTHING
from dashboards.make import FigureCache, which_spills
from dashboards.pages.strip import banners, strip
from streams.books.book import Book
from streams.books.windows import Window
from streams.settings import Settings
from tests.dashboards.conftest import until
from tests.dashboards.views import RUN, run_book, text_of, view
from tests.stored import checkpoint

NOW_S = 1_700_000_000.0
NOW_MS = 1_700_000_000_000


def one(version: str, produced_ms: int = NOW_MS, **changes: Any) -> Any:
    totals = replace(run_book().totals, produced_ms=produced_ms)
    return replace(NOTHING, book=replace(run_book(), totals=totals), version=version, **changes)


def test_what_is_frozen_now_is_so_later_too() -> None:
    frozen, then = Frozen(), one("1")
    assert frozen.at(NOW_MS, RUN, None, then, NOW_S) == then
    later = one("2", NOW_MS + 5000)
    assert frozen.at(NOW_MS, RUN, None, later, NOW_S + 86_400) == then
    # Another run, book or time is not it.
    assert frozen.at(NOW_MS, RUN, "replay-a", later, NOW_S + 86_400) is None
    assert frozen.at(NOW_MS + 1, RUN, None, later, NOW_S + 86_400) is None


def test_a_run_that_has_not_changed_since_needs_not_be_kept() -> None:
    unchanged = one("1", NOW_MS - 1)
    assert Frozen().at(NOW_MS, RUN, None, unchanged, NOW_S + 86_400) == unchanged


def test_more_of_what_was_frozen_may_be_looked_at_until_it_changes() -> None:
    frozen, plot = Frozen(), {"ht01": object()}
    frozen.at(NOW_MS, RUN, None, one("1"), NOW_S)
    assert frozen.at(NOW_MS, RUN, None, one("1", histories=plot), NOW_S + 99).histories == plot  # type: ignore[union-attr]
    assert frozen.at(NOW_MS, RUN, None, one("2", histories={}), NOW_S + 99).histories == plot  # type: ignore[union-attr]


def test_so_much_is_kept_and_no_more() -> None:
    frozen = Frozen()
    for number in range(KEPT + 1):
        frozen.at(NOW_MS + number, RUN, None, one("1"), NOW_S)
    later = one("2", NOW_MS + 9999)
    assert frozen.at(NOW_MS, RUN, None, later, NOW_S + 99) is None
    assert frozen.at(NOW_MS + 1, RUN, None, later, NOW_S + 99) is not None


@pytest.mark.servers
def test_frozen_plots_and_their_last_minute_stay_while_the_strip_goes_on(quick: Settings, data: Data) -> None:
    stored, window = run_book(8), Window(1_423_848_120, 60)
    plots = {name: stored.book[name] for name in ("ht01",)}
    checkpoint(quick, {RUN: run_book(4)}, next=4, windows={window: (4, plots)})
    until(data, lambda v: v.run)
    now_ms = time.time_ns() // 1_000_000
    frozen = Choices(run=RUN, frozen=now_ms)
    first = data.view(frozen)
    checkpoint(quick, {RUN: stored}, next=8, windows={window: (8, {"ht01": stored.book["ht01"] + plots["ht01"]})})
    until(data, lambda v: v.book.totals.filled == 8)
    for choices in (frozen, frozen.but(errors=True), frozen.but(log=frozenset("y"))):
        again = data.view(choices)
        assert (again.version, again.is_frozen, which_spills(again)) == (first.version, True, which_spills(first))
        assert "Spills 8" in text_of(strip(again))
    last_minute = data.view(frozen.but(window=LAST_MINUTE))
    assert last_minute.shown["ht01"].sum() == plots["ht01"].sum()
    assert "Frozen: the plots stay as they were at " in text_of(banners(again, frozen))
    # Long ago, and of another process: the run has gone on since.
    lost = data.view(frozen.but(frozen=1_000))
    assert (lost.is_frozen, lost.book.totals.filled) == (False, 8)
    assert "no longer kept: the plots are those of now" in text_of(banners(lost, frozen.but(frozen=1_000)))


@pytest.mark.servers
def test_a_run_that_is_still_read_has_no_numbers(quick: Settings, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(quick, {RUN - 1: run_book(4), RUN: run_book(8)}, next=8)
    until(data, lambda v: v.run)
    monkeypatch.setattr(data_module, "FIRST_READ_S", 0.0)
    other = next(each.run for each in data.view().runs.newest_first() if each.run != data.view().run)
    loading = data.view(Choices(run=other))
    assert loading.is_loading
    assert text_of(strip(loading)[0]) == f"Run {other} State loading"
    for name in ("ht01", "daq_triggers"):
        figure = FigureCache().maker(loading, "light")(name)
        assert figure["layout"]["annotations"][0]["text"] == "loading"
    until(data, lambda _: not data.view(Choices(run=other)).is_loading)
    read = data.view(Choices(run=other))
    assert read.version != loading.version
    assert f"Run {other} State" in text_of(strip(read))
    assert "loading" not in text_of(strip(read))


def test_a_part_that_is_still_read_is_not_the_whole_run() -> None:
    loading = view(run_book(8), is_loading=True)
    assert which_spills(loading) == f"Run {RUN} · loading"
    assert FigureCache().maker(loading, "light")("ht01")["data"] == []


def test_a_window_that_is_gone_is_said_to_be() -> None:
    gone = view(run_book(8), window=5, spills=view(run_book(8)).spills.rows(slice(0, 0)), shown=Book({}))
    for name in ("ht01", "daq_triggers"):
        layout = FigureCache().maker(gone, "light")(name)["layout"]
        assert layout["annotations"][0]["text"] == "this window is not kept"
        assert "a window that is not kept" in layout["title"]["text"]
        assert "spills 0" not in layout["title"]["text"]
