"""A figure is made once, and an empty one knows why."""

import threading
from collections import Counter

import pytest

from dashboards import make
from dashboards.data import View
from dashboards.figures.theme import DARK, LIGHT
from dashboards.make import FigureCache, why_empty
from streams.books.totals import Totals
from streams.plots.catalogue import PLOTS, TRENDS
from tests.dashboards.views import run_book, view


def test_a_figure_is_made_once_a_version_however_many_look(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    really = make._make

    def counting(shown: View, name: str, theme: str) -> make.Figure:
        made.append(name)
        return really(shown, name, theme)

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
    assert "spills up to 3" in titles[0]
    assert "spills up to 7" in titles[1]
    assert titles[2] == titles[0]


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
    totals = run_book(3, conditions=False).totals
    assert why_empty(PLOTS["ht01"], totals) == "tof failed on 3 of 3 spills: the run has no conditions"
    maker = FigureCache().maker(view(run_book(3, conditions=False)), "light")
    assert maker("daq_triggers")["data"]
    assert "no conditions" in maker("ht01")["layout"]["annotations"][0]["text"].replace("<br>", " ")


@pytest.mark.parametrize(
    ("totals", "why"),
    [
        (Totals(), "no spills yet"),
        (Totals(received=5), "all 5 spills were rejected"),
        (Totals(received=4, filled=4, errors=Counter(tof=3), conditions={"ab"}), "tof failed on 3 of 4 spills"),
        (
            Totals(received=4, filled=4, errors=Counter({"plot ht01": 2})),
            "this plot could not be filled from 2 of 4 spills",
        ),
        (
            Totals(received=4, filled=4, detectors={"tof": Counter(digits=0)}),
            "no hits of tof in 4 spills: is it in the run?",
        ),
        (Totals(received=4, filled=4), "no hits of tof in 4 spills: is it in the run?"),
        (Totals(received=4, filled=4, detectors={"tof": Counter(digits=9)}), "no entries yet in 4 spills"),
    ],
)
def test_an_empty_plot_knows_why(totals: Totals, why: str) -> None:
    assert why_empty(PLOTS["ht01"], totals) == why
