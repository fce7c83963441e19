"""A run compared with another: what is drawn over it, and what is said when it cannot be."""

import re
from typing import Any

import numpy as np
import pytest

from dashboards.choices import Choices, Mode
from dashboards.figures.compare import Compared
from dashboards.figures.histograms import histogram_figure
from dashboards.figures.parts import Figure
from dashboards.figures.theme import LIGHT
from dashboards.figures.trends import trend_figure
from streams.books.book import new_histogram
from streams.books.cells import Histogram
from streams.books.run import spill_facts
from tests.catalogue import PLOTS, TRENDS
from tests.dashboards.views import run_book


def filled(name: str, *values: Any, ranges: Any = None) -> Histogram:
    return new_histogram(name, ranges or {}).fill(*[np.asarray(v, np.float64) for v in values])


def draw(name: str, ours: Histogram, theirs: Histogram, mode: Mode) -> Figure:
    reference = Compared(called="run 6", histogram=theirs)
    return histogram_figure(
        PLOTS[name], ours, when="", theme=LIGHT, why_empty="", choices=Choices(mode=mode), reference=reference
    )


def compared_with(figure: Figure) -> str:
    """Return the words in the colour of references."""
    return re.findall(f'{LIGHT.other}">([^<]*)<', figure["layout"]["title"]["text"])[0]


def test_shape_scales_the_reference_to_as_many_entries_and_absolute_does_not() -> None:
    ours, theirs = filled("ht01", [28.0] * 6), filled("ht01", [28.0, 30.0])
    for mode, most in ((Mode.SHAPE, 3.0), (Mode.ABSOLUTE, 1.0)):
        figure = draw("ht01", ours, theirs, mode)
        line, reference = figure["data"]
        assert max(line["y"]) == 6
        assert max(reference["y"]) == most
        assert reference["line"]["dash"] == "dash"
        assert "run 6" in compared_with(figure)


def test_14_a_reference_is_scaled_to_as_many_spills_by_their_numbers_alone() -> None:
    ours, theirs = filled("ht01", [28.0] * 6), filled("ht01", [28.0] * 10)
    reference = Compared(called="run 6", histogram=theirs, spills=4 / 20)
    figure = histogram_figure(
        PLOTS["ht01"], ours, when="", theme=LIGHT, why_empty="", choices=Choices(mode=Mode.SPILLS), reference=reference
    )
    assert max(figure["data"][1]["y"]) == 2
    assert compared_with(figure) == "– – run 6 × 0.2 by spills"


def test_a_ratio_has_the_errors_of_both_and_no_point_where_one_is_empty() -> None:
    ours, theirs = filled("ht01", [28.0] * 4 + [35.0] * 4), filled("ht01", [28.0] * 2 + [30.0] * 2)
    _, points = draw("ht01", ours, theirs, Mode.RATIO)["data"]
    assert points["y"] == [1.0]
    assert points["error_y"]["array"] == pytest.approx([np.sqrt(1 / 4 + 1 / 2)])


def test_a_bin_of_one_entry_does_not_stretch_the_axis_of_a_ratio_and_is_told() -> None:
    ours, theirs = filled("ht01", [28.0] * 100 + [35.0] * 80), filled("ht01", [28.0] * 90 + [35.0])
    axis = draw("ht01", ours, theirs, Mode.RATIO)["layout"]["yaxis"]
    assert axis["autorangeoptions"] == {"clipmax": 2.0}
    assert "(1 bin above)" in axis["title"]["text"].replace("<br>", " ")
    # A ratio that says something is seen.
    theirs = filled("ht01", [28.0] * 90 + [35.0] * 9)
    axis = draw("ht01", ours, theirs, Mode.RATIO)["layout"]["yaxis"]
    assert axis["autorangeoptions"]["clipmax"] > 4.9
    assert axis["title"]["text"] == "Ratio"


def test_the_ratio_of_two_axes_is_told_by_colour() -> None:
    ours, theirs = filled("hspxy_0", [3] * 4, [4] * 4), filled("hspxy_0", [3, 5], [4, 5])
    (cells,) = draw("hspxy_0", ours, theirs, Mode.RATIO)["data"]
    assert cells["z"][4][3] == 2.0
    assert cells["z"][5][5] == 0.0
    assert cells["z"][0][0] is None
    assert "ratio or pull only" in compared_with(draw("hspxy_0", ours, theirs, Mode.SHAPE))


def test_other_bins_and_an_empty_reference_are_said_and_not_drawn() -> None:
    ours = filled("ht01", [28.0])
    others = (filled("ht01", [28.0], ranges={"ht01": (10, 20.0, 40.0)}), filled("ht01", []))
    for theirs, said in zip(
        others, ("run 6: bins 10 [20, 40], not 200 [20, 40]", "run 6 has no entries here"), strict=True
    ):
        figure = draw("ht01", ours, theirs, Mode.SHAPE)
        assert len(figure["data"]) == 1
        assert compared_with(figure) == said


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.RATIO])
def test_13_entries_against_the_spill_are_never_scaled_and_end_where_the_reference_does(mode: Mode) -> None:
    name = "hnsp_vs_spill_tof0"
    ours, theirs = filled(name, [0, 0, 1, 2, 2]), filled(name, [0, 1, 1, 1])
    reference = Compared(called="run 6", histogram=theirs, spills=1.5, by_spill=True)
    figure = histogram_figure(
        PLOTS[name], ours, when="", theme=LIGHT, why_empty="", choices=Choices(mode=mode), reference=reference
    )
    line, dashed = figure["data"]
    assert line["y"][:-1] == [2, 1, 2]
    assert dashed["y"][:-1] == [1, 3]
    assert dashed["x"] == line["x"][:3]
    assert compared_with(figure) == "– – run 6"


@pytest.mark.parametrize("mode", Mode)
def test_13_what_has_a_value_for_each_spill_is_never_scaled(mode: Mode) -> None:
    ours, theirs = spill_facts(run_book(8).ledger), spill_facts(run_book(4).ledger)
    trend = TRENDS["daq_triggers"]
    figure = trend_figure(
        trend, ours, when="", theme=LIGHT, choices=Choices(mode=mode), reference=theirs, called="run 6"
    )
    assert compared_with(figure) == "··· run 6"
    assert figure["data"][0]["y"] == theirs.triggers.tolist()
    assert figure["data"][1]["y"] == ours.triggers.tolist()
    # Of a run that is longer, only what this one has come to.
    figure = trend_figure(trend, theirs, when="", theme=LIGHT, choices=Choices(mode=mode), reference=ours)
    assert figure["data"][0]["y"] == ours.triggers.tolist()[:4]


@pytest.mark.parametrize("log", ["x", "y", "z", "xyz"])
@pytest.mark.parametrize("mode", Mode)
def test_every_plot_is_drawn_on_every_axis_and_against_itself(log: str, mode: Mode) -> None:
    stored = run_book()
    for name, plot in PLOTS.items():
        histogram = stored.book[name]
        reference = Compared(called="run 6", histogram=histogram)
        choices = Choices(mode=mode, log=frozenset(log), errors=True)
        figure = histogram_figure(
            plot, histogram, when="", theme=LIGHT, why_empty="", choices=choices, reference=reference
        )
        for trace in figure["data"]:
            if trace["type"] == "heatmap":
                high = len(trace["z"])
                assert len(trace["y"]) in {high, high + 1}
                assert high == 0 or len(trace["x"]) in {len(trace["z"][0]), len(trace["z"][0]) + 1}


def against_several(ours: Histogram, mode: Mode, *theirs: Histogram, name: str = "ht01") -> Figure:
    newest, *earlier = theirs
    reference = Compared(called="run 6", histogram=newest, earlier=earlier)
    return histogram_figure(
        PLOTS[name], ours, when="", theme=LIGHT, why_empty="", choices=Choices(mode=mode), reference=reference
    )


def test_13_several_references_are_a_band_from_the_least_to_the_most_of_them() -> None:
    ours = filled("ht01", [28.0] * 6 + [30.0] * 6)
    runs = [filled("ht01", [28.0] * its + [30.0] * (20 - its)) for its in (10, 5, 12)]
    line, least, most, newest = against_several(ours, Mode.SHAPE, *runs)["data"]
    first, second = (line["y"].index(6, start) for start in (0, line["y"].index(6) + 1))
    assert [least["y"][first], newest["y"][first], most["y"][first]] == pytest.approx([3.0, 6.0, 7.2])
    assert [least["y"][second], newest["y"][second], most["y"][second]] == pytest.approx([4.8, 6.0, 9.0])
    assert most["fill"] == "tonexty"
    assert least["line"]["width"] == most["line"]["width"] == 0
    assert compared_with(against_several(ours, Mode.SHAPE, *runs)) == "– – run 6 × 0.6, ▒ 3 runs"
    for mode in (Mode.ABSOLUTE, Mode.SPILLS):
        assert len(against_several(ours, mode, *runs)["data"]) == 2, (
            "scaled otherwise, they would show what is no change"
        )


def test_a_pull_is_in_errors_of_both_and_less_where_good_runs_differ() -> None:
    ours = filled("ht01", [28.0] * 150 + [30.0] * 50)
    same = filled("ht01", [28.0] * 100 + [30.0] * 100)
    (steps,) = against_several(ours, Mode.PULL, same)["data"]
    at = int(np.argmax(steps["y"][:-1]))
    assert steps["y"][at] == pytest.approx((150 - 100) / np.sqrt(2 * 100.5))
    assert min(steps["y"]) == pytest.approx(-(150 - 100) / np.sqrt(2 * 100.5))
    others = [filled("ht01", [28.0] * its + [30.0] * (200 - its)) for its in (140, 60)]
    (scattered,) = against_several(ours, Mode.PULL, same, *others)["data"]
    assert 0 < scattered["y"][at] < 0.5 * steps["y"][at]
    assert compared_with(against_several(ours, Mode.PULL, same)) == "errors away from run 6"


def test_a_pull_of_two_axes_is_told_by_colour_with_none_where_neither_has_entries() -> None:
    ours, theirs = filled("hspxy_0", [3] * 8, [4] * 8), filled("hspxy_0", [3] * 4 + [5] * 4, [4] * 4 + [5] * 4)
    (cells,) = draw("hspxy_0", ours, theirs, Mode.PULL)["data"]
    assert cells["z"][4][3] == pytest.approx(4 / np.sqrt(2 * 4.5))
    assert cells["z"][5][5] == pytest.approx(-4 / np.sqrt(2 * 4.5))
    assert cells["z"][0][0] is None
    assert cells["zmin"] == -cells["zmax"]
