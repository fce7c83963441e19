"""A plot that answers a question along an axis shows the share of yes."""

import numpy as np

from dashboards.choices import Choices, Mode
from dashboards.figures.compare import Compared
from dashboards.figures.histograms import histogram_figure
from dashboards.figures.theme import THEMES
from dashboards.pages.controls import controls
from streams.books.book import Book
from streams.books.cells import Histogram
from streams.plots.measures import shares
from tests.catalogue import PLOTS
from tests.dashboards.views import run_book, text_of, view

NAME = "ckov_threshold_A"


def filled(*entries: tuple[float, int]) -> Histogram:
    book = Book({})
    book.fill(NAME, *(np.array(column) for column in zip(*entries, strict=True)))
    return book[NAME]


def test_each_place_has_the_share_of_yes_with_its_error_and_empty_places_have_none() -> None:
    histogram = filled(*[(25.6, 1)] * 9, (25.6, 0), *[(28.1, 0)] * 4)
    figure = histogram_figure(PLOTS[NAME], histogram, when="", theme=THEMES["light"], why_empty="")
    (points,) = figure["data"]
    assert np.allclose(points["x"], [25.625, 28.125])
    assert points["y"] == [0.9, 0.0]
    assert points["customdata"] == [10, 4]
    assert all(0.05 < error < 0.2 for error in points["error_y"]["array"]), "of none, too"
    assert points["error_y"]["array"] == shares(histogram.view())[1][[6, 16]].tolist()


def test_a_reference_has_its_points_beside_in_every_mode() -> None:
    ours, theirs = filled((25.6, 1)), filled(*[(25.6, 0)] * 100)
    for mode in Mode:
        figure = histogram_figure(
            PLOTS[NAME],
            ours,
            when="",
            theme=THEMES["light"],
            why_empty="",
            choices=Choices(mode=mode),
            reference=Compared(called="run 5", histogram=theirs),
        )
        assert [points["y"] for points in figure["data"]] == [[1.0], [0.0]]
        assert "• run 5" in figure["layout"]["title"]["text"]


def test_a_share_is_never_logarithmic_and_no_button_says_so() -> None:
    for names, letters in (([NAME], {"x"}), (["ht01"], {"x", "y"}), ([NAME, "hspxy_0"], {"x", "z"})):
        assert set("xyz") & {*text_of(controls(view(run_book()), Choices(), names)).split()} == letters
