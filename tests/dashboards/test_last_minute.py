"""The last minute lies over the whole run where it tells anything."""

from typing import Any

import numpy as np
import pytest

from dashboards.choices import LAST_MINUTE, Choices, Mode
from dashboards.data import Part
from dashboards.figures.compare import Compared
from dashboards.figures.histograms import histogram_figure
from dashboards.figures.theme import LIGHT
from dashboards.make import FigureCache
from streams.books.book import Book
from tests.catalogue import PLOTS
from tests.dashboards.test_reference import filled
from tests.dashboards.views import run_book, view

WHEN = "Run 7 · spills 0–9 (whole run)"


def minute_over(run: list[float], minute: list[float], **look: Any) -> Any:
    """Return the figure of a run with its last minute over it."""
    counts = filled("ht01", minute).view(flow=False)
    histogram = filled("ht01", run)
    return histogram_figure(PLOTS["ht01"], histogram, when=WHEN, theme=LIGHT, why_empty="", minute=counts, **look)


def test_the_last_minute_lies_over_the_whole_run_with_as_many_entries_and_is_told() -> None:
    run = [26.0] * 3000 + [28.0] * 7000
    figure = minute_over(run, [26.0] * 250 + [28.0] * 250)
    line, minute = figure["data"]
    assert sum(minute["y"][:-1]) == pytest.approx(sum(line["y"][:-1]))
    assert max(minute["y"]) == 5000
    assert minute["line"]["color"] == LIGHT.minute
    assert f'color: {LIGHT.minute}">— last minute × 20<' in figure["layout"]["title"]["text"]
    # The axis is held, and has room for what chance makes of so few.
    assert figure["layout"]["yaxis"]["autorangeoptions"]
    assert figure["layout"]["yaxis"]["autorangeoptions"]["include"][1] > 1.06 * (7000 + 3 * (7000 * 20) ** 0.5)


@pytest.mark.parametrize(
    "minute",
    [
        pytest.param([28.0] * 199, id="few entries"),
        pytest.param([20.05 + 0.1 * (n % 200) for n in range(900)], id="few in each bin"),
        pytest.param([28.0] * 6000, id="most of the run"),
        pytest.param([], id="none"),
    ],
)
def test_a_last_minute_that_tells_nothing_is_absent(minute: list[float]) -> None:
    figure = minute_over([28.0] * 10_000, minute)
    assert len(figure["data"]) == 1
    assert "minute" not in figure["layout"]["title"]["text"]


def test_over_a_ratio_there_is_no_last_minute() -> None:
    reference = Compared(called="run 6", histogram=filled("ht01", [28.0] * 50))
    figure = minute_over([28.0] * 5000, [28.0] * 300, reference=reference, choices=Choices(mode=Mode.RATIO))
    assert "minute" not in figure["layout"]["title"]["text"]
    figure = minute_over([28.0] * 5000, [28.0] * 300, reference=reference)
    assert len(figure["data"]) == 3


def test_a_plot_of_one_axis_has_it_while_no_window_is_chosen() -> None:
    book = run_book()
    lately = Book({})
    lately.fill("hnsp_1", np.ones(220))
    lately.fill("hspxy_1", np.ones(220), np.ones(220))
    larger = Book({})
    for _ in range(9):
        larger += book.book
    beside = Part(book=lately)
    for name, window, is_drawn in (("hnsp_1", None, True), ("hspxy_1", None, False), ("hnsp_1", LAST_MINUTE, False)):
        shown = view(book, shown=larger, beside=beside, window=window)
        title = FigureCache().maker(shown, "light", Choices())(name)["layout"]["title"]["text"]
        assert ("last minute ×" in title) == is_drawn, name
    standing = view(book, shown=larger, beside=beside, stand_since_ms=1_700_000_000_000)
    assert "last minute ×" not in FigureCache().maker(standing, "light")("hnsp_1")["layout"]["title"]["text"]
    assert (
        "last minute ×"
        not in FigureCache().maker(view(book, shown=larger), "light")("hnsp_1")["layout"]["title"]["text"]
    )
