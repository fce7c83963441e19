"""A figure is made once, and an empty one knows why."""

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from dashboards import make
from dashboards.choices import LAST_MINUTE, Choices, Mode
from dashboards.data import Automatic, Reference, View
from dashboards.figures.theme import DARK, LIGHT
from dashboards.make import FigureCache, file_name, shown_verdict, which_spills, why_empty
from streams.books.limits import TypeLimits
from streams.books.run import spill_facts
from streams.books.shapes import plot_verdicts
from streams.books.totals import Totals
from streams.books.windows import Window
from tests.catalogue import PLOTS, TRENDS
from tests.dashboards.views import EMPTY, END, RUN, run_book, view


def test_a_figure_is_made_once_a_version_however_many_look(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    really = make._make

    def counting(shown: View, name: str, *look: Any) -> make.Figure:
        made.append(name)
        return really(shown, name, *look)

    monkeypatch.setattr(make, "_make", counting)
    cache, names = FigureCache(), ("ht01", "hspxy_0", "daq_triggers")
    for version in ("1", "2"):
        shown = view(run_book(), version=version)

        def look(shown: View = shown) -> None:
            for name in names:
                cache.maker(shown, "light")(name)

        browsers = [threading.Thread(target=look) for _ in range(8)]
        for browser in browsers:
            browser.start()
        for browser in browsers:
            browser.join()
    assert Counter(made) == dict.fromkeys(names, 2)


def test_a_new_version_gives_a_new_figure() -> None:
    cache = FigureCache()
    few, many = view(run_book(4), version="1"), view(run_book(8), version="2")
    titles = [cache.maker(shown, "light")("ht01")["layout"]["title"]["text"] for shown in (few, many, few)]
    assert "spills 0–3 " in titles[0]
    assert "spills 0–7 " in titles[1]
    assert titles[2] == titles[0]


def test_figures_are_kept_by_what_they_show_and_no_more_bytes_of_them_than_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = FigureCache()
    for number in range(20):
        for choices in (Choices(reference=number), Choices(run=RUN, mode=Mode.RATIO, rotate_s=number, frozen=True)):
            cache.maker(view(run_book()), "light", choices)("ht01")
    assert len(cache._figures) == 1
    one = cache._bytes
    assert one > 5_000
    monkeypatch.setattr(make, "KEPT_BYTES", 3 * one)
    for run in range(10):
        cache.maker(view(run_book(), run=run), "light")("ht01")
    assert cache._bytes <= 3 * one
    assert [run for run, *_ in cache._figures][-1] == 9


def test_an_update_takes_the_place_of_the_figure_before_it() -> None:
    cache = FigureCache()
    for version in range(10):
        figure = cache.maker(view(run_book(), version=f"v{version}"), "light")("ht01")
    assert len(cache._figures) == 1
    assert cache._bytes == make.weight(figure)


def test_what_was_frozen_stays_beside_what_goes_on() -> None:
    cache = FigureCache()
    for version in ("v1", "v2"):
        cache.maker(view(run_book(), version=version, is_frozen=True), "light")("ht01")
        cache.maker(view(run_book(), version=version), "light")("ht01")
    assert len(cache._figures) == 3


def test_each_theme_has_its_figure_and_an_unknown_one_is_light() -> None:
    cache, shown = FigureCache(), view(run_book())
    inks = [cache.maker(shown, theme)("ht01")["layout"]["font"]["color"] for theme in ("light", "dark", "pink", None)]
    assert inks == [LIGHT.ink, DARK.ink, LIGHT.ink, LIGHT.ink]


def test_before_the_first_run_every_plot_says_so() -> None:
    maker = FigureCache().maker(view(), "light")
    for name in (*PLOTS, *TRENDS):
        figure = maker(name)
        assert figure["layout"]["annotations"][0]["text"] == "no spills yet"
        assert "No run yet" in figure["layout"]["title"]["text"]


def test_a_run_without_conditions_says_so_in_its_empty_plots() -> None:
    assert (
        why_empty(PLOTS["ht01"], view(run_book(3, conditions=False)))
        == "Time of flight failed on 3 of 3 spills: the run has no conditions"
    )
    maker = FigureCache().maker(view(run_book(3, conditions=False)), "light")
    assert maker("daq_triggers")["data"]
    assert "no conditions" in maker("ht01")["layout"]["annotations"][0]["text"].replace("<br>", " ")


@pytest.mark.parametrize(
    ("totals", "why"),
    [
        (Totals(), "no spills yet"),
        (Totals(received=5), "all rejected: 5 spills"),
        (
            Totals(received=4, filled=4, errors=Counter(tof=3), conditions={"ab"}),
            "Time of flight failed on 3 of 4 spills",
        ),
        (
            Totals(received=4, filled=4, lacking=Counter({"tof.space_points": 4, "tracker": 1})),
            "not calibrated in 4 of 4 spills: for it there is no table in the conditions of the run",
        ),
        (
            Totals(received=4, filled=4, errors=Counter({"tof calibration": 3})),
            "the calibration does not fit in 3 of 4 spills: no pixel can have triggered",
        ),
        (
            Totals(received=4, filled=4, errors=Counter({"plot ht01": 2})),
            "this plot could not be filled from 2 of 4 spills",
        ),
        (
            Totals(received=4, filled=4, detectors={"tof": Counter(digits=0)}),
            "Time of flight: no hits in 4 spills, is it in the run?",
        ),
        (Totals(received=4, filled=4), "Time of flight: no hits in 4 spills, is it in the run?"),
        (Totals(received=4, filled=4, detectors={"tof": Counter(digits=9)}), "no entries yet in 4 spills"),
    ],
)
def test_an_empty_plot_knows_why(totals: Totals, why: str) -> None:
    assert why_empty(PLOTS["ht01"], view(replace(EMPTY, totals=totals))) == why


def test_of_a_run_that_is_over_nothing_is_still_to_come() -> None:
    for totals in (Totals(), Totals(received=4, filled=4, detectors={"tof": Counter(digits=9)})):
        for changes in ({"current": RUN + 1, "run": RUN}, {"run": RUN}):
            its = view(
                replace(EMPTY, totals=replace(totals, control=END if changes == {"run": RUN} else {})), **changes
            )
            assert its.is_over
            assert why_empty(PLOTS["ht01"], its).startswith("no ")
            assert "yet" not in why_empty(PLOTS["ht01"], its) + which_spills(its)
    assert not view().is_over


def test_15_a_verdict_that_the_tile_has_too_is_made_once() -> None:
    book = run_book(30)
    other = Reference.of_run(RUN - 1, None, book, spill_facts(book.ledger), chosen=False)
    judged = plot_verdicts(book, other.against, TypeLimits())
    shown = view(book, reference=other, automatic=Automatic(run=RUN - 1), shapes=judged)
    assert shown_verdict(shown, "ht01") is judged["ht01"]
    for changes in (
        {"window": LAST_MINUTE},
        {"is_frozen": True},
        {"automatic": Automatic(run=7)},
        {"reference": None},
        {"reference": replace(other, its=f"{RUN - 1}.replay-x")},
        {"shapes": {"ht01": replace(judged["ht01"], part="the last minute")}},
    ):
        assert shown_verdict(replace(shown, **changes), "ht01") is not judged["ht01"]  # type: ignore[arg-type]


def test_a_run_that_is_not_stored_and_a_minute_without_entries_say_so() -> None:
    assert why_empty(PLOTS["ht01"], view(run=5, runs=())) == "run 5 is not stored here"
    assert which_spills(view(run=5, runs=())) == "Run 5 · not stored here"
    assert why_empty(PLOTS["ht01"], view(run_book(), window=LAST_MINUTE)) == "no entries in the last minute"


def test_a_title_says_run_spills_and_which_part_of_the_run_they_are() -> None:
    stored = run_book(30)
    assert which_spills(view()) == "No run yet"
    assert which_spills(view(replace(EMPTY, totals=Totals(received=1)))) == f"Run {RUN} · no spills yet"
    assert which_spills(view(stored)) == f"Run {RUN} · spills 0–29 (whole run)"
    assert which_spills(view(stored), last=10) == f"Run {RUN} · spills 20–29 (the last 10)"
    lags = view(stored, settled=25)
    assert which_spills(lags) == f"Run {RUN} · spills 0–29 (whole run)", "a histogram has all"
    assert which_spills(lags, last=10, in_line=True) == f"Run {RUN} · spills 15–24 (the last 10)"
    assert which_spills(lags, in_line=True) == f"Run {RUN} · spills 0–24 (whole run)"
    last_minute = view(stored, window=LAST_MINUTE, spills=spill_facts(stored.ledger).rows(slice(-11, None)))
    assert which_spills(last_minute) == f"Run {RUN} · spills 19–29 (last 26 s)"
    assert file_name(last_minute, "ht01") == f"run{RUN}_ht01_spills19-29"
    windows = (Window(1_700_000_040, 120),)
    spills = spill_facts(stored.ledger).rows(slice(4, 9))
    window = view(stored, window=1_700_000_100, windows=windows, spills=spills)
    assert which_spills(window) == f"Run {RUN} · spills 4–8 (22:14:00–22:16:00 UTC)"
    assert which_spills(replace(window, windows=())).endswith(f"Run {RUN} · a window that is not kept")
    assert file_name(window, "ht01") == f"run{RUN}_ht01_spills4-8"
