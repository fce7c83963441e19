"""Triangular bars: each where it lies, in the colour of its count, and counts keep their colours while they grow."""

from itertools import pairwise

import numpy as np
import pytest

from dashboards.choices import Choices
from dashboards.figures.bars import LARGE, outline, triangles
from dashboards.figures.colours import CountScale, colour_at
from dashboards.figures.histograms import histogram_figure
from dashboards.figures.parts import Figure
from dashboards.figures.theme import LIGHT
from streams.books.book import new_histogram
from tests.catalogue import PLOTS


def draw(*bars: tuple[int, int], log: str | None = None) -> Figure:
    histogram = new_histogram("emr_occupancy_xz", {})
    histogram.fill(*np.array(bars, np.float64).T)
    choices = Choices(log=None if log is None else frozenset(log))
    plot = PLOTS["emr_occupancy_xz"]
    return histogram_figure(plot, histogram, when="", theme=LIGHT, why_empty="", choices=choices)


def lit(figure: Figure) -> list[Figure]:
    """Return the traces of bars with entries, the palest first."""
    return [trace for trace in figure["data"][:-1] if trace["fillcolor"] != LIGHT.grid]


def test_each_bar_of_the_planes_is_one_triangle_nearly_two_bars_wide() -> None:
    *traces, cells = draw((4, 30))["data"]
    # Of a triangle, its corners, the first again, and the first once more on the way back.
    assert sum(len(trace["x"]) for trace in traces) == 5 * len(cells["x"]) * len(cells["y"]) == 5 * 24 * 60
    (one,) = lit(draw((4, 30)))
    assert one["x"] == [4 - LARGE, 4 + LARGE, 4 - LARGE, 4 - LARGE, 4 - LARGE]
    assert one["y"] == [30 - LARGE, 30, 30 + LARGE, 30 - LARGE, 30 - LARGE]
    (neighbour,) = lit(draw((4, 31)))
    assert neighbour["x"][:2] == [4 + LARGE, 4 - LARGE]


def test_the_line_around_bars_encloses_them_and_nothing_else() -> None:
    corners = triangles(range(0, 48, 2), 60)[::8]  # which all point the same way
    x, y = outline(corners)
    # Twice the area, of the whole line and of each triangle, with its sign.
    whole = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum()
    side = np.sign(np.linalg.det(np.diff(corners[0], axis=0)))
    assert whole == pytest.approx(side * len(corners) * (2 * LARGE) ** 2)
    # What joins two triangles is gone both ways.
    steps = list(zip(zip(x, y, strict=True), zip(np.roll(x, -1), np.roll(y, -1), strict=True), strict=True))
    sides = {(tuple(a), tuple(b)) for one in corners for a, b in pairwise([*one, one[0]])}
    between = [step for step in steps if step not in sides and step[0] != step[1]]
    assert sorted(between) == sorted((b, a) for a, b in between)


def test_one_points_at_a_bar_and_reads_plane_bar_and_count() -> None:
    cells = draw((4, 30), (4, 30), (6, 7))["data"][-1]
    said = {
        (plane, bar): entries
        for bar, row in zip(cells["y"], cells["customdata"], strict=True)
        for plane, entries in zip(cells["x"], row, strict=True)
    }
    assert said[4, 30] == 2
    assert said[6, 7] == 1
    assert said[0, 0] == 0


def test_more_entries_are_darker_on_both_scales() -> None:
    for log in ("", "z"):
        palest, *_, darkest = lit(draw(*[(4, 30)] * 90, (6, 7), (8, 9), (8, 9), log=log))
        assert darkest["y"][1] == 30
        assert palest["fillcolor"] != darkest["fillcolor"]


@pytest.mark.parametrize(("most", "top"), [(1, 1), (2, 2), (3, 5), (6, 10), (10, 10), (11, 20), (4321, 5000)])
def test_the_top_of_a_colour_bar_moves_in_large_steps(most: int, top: int) -> None:
    assert CountScale.up_to(most, log=False).top == top
    assert CountScale.up_to(most, log=True).top == 10 ** max(len(str(most - 1)), 1)


def test_a_colour_bar_is_as_wide_for_few_as_for_many() -> None:
    widths = {len(text) for most in (1, 900, 5_000_000) for text in CountScale.up_to(most, log=False).bar()["ticktext"]}
    assert widths == {4}


def test_colours_are_those_of_the_theme_and_what_lies_between() -> None:
    ends = [colour_at(share, LIGHT) for share in (0, 1)]
    assert ends == ["rgb(191,217,238)", "rgb(38,20,90)"]
    brightness = [sum(map(int, colour_at(i / 10, LIGHT)[4:-1].split(","))) for i in range(11)]
    assert all(a > b for a, b in pairwise(brightness))
