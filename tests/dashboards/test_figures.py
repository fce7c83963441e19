"""Figures say what is in the books, no more and no less."""

import re
from dataclasses import replace
from typing import Any

import boost_histogram as bh
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.choices import LAST_MINUTE, Choices
from dashboards.data import Reference, View
from dashboards.figures.histograms import histogram_figure
from dashboards.figures.parts import SMALL_WIDTH, Figure, axis_title, heading, held
from dashboards.figures.theme import LIGHT, THEMES
from dashboards.figures.trends import FEW_POINTS, MAX_POINTS, trend_figure
from dashboards.make import FigureCache, which_spills
from streams.books.book import Book, new_histogram
from streams.books.run import Handling, RunBook, spill_facts
from streams.books.shapes import PlotVerdict, State, said
from streams.checks.shapes import Shape
from streams.freshness import MARK
from streams.plots.spillfacts import SCALER_CHANNELS, SpillFacts
from tests.catalogue import PLOTS, TRENDS
from tests.dashboards.views import RUN, run_book, view

WHEN = "Run 7 · spills 0–9 (whole run)"


def draw(name: str, *values: Any, theme: Any = LIGHT, choices: Choices = Choices()) -> Figure:  # noqa: B008 - frozen
    histogram = new_histogram(name, {})
    if values:
        histogram.fill(*[np.asarray(v, np.float64) for v in values])
    return histogram_figure(PLOTS[name], histogram, when=WHEN, theme=theme, why_empty="no spills yet", choices=choices)


def facts(triggers: list[int], numbers: list[int] | None = None) -> SpillFacts:
    n = len(triggers)
    spill = np.arange(n) if numbers is None else np.array(numbers)
    return SpillFacts(
        spill=spill.astype(np.int64),
        missed=np.diff(spill, prepend=-1) - 1,
        produced_ms=np.zeros(n, np.int64),
        time_us=(spill * 1_000_000).astype(np.int64),
        triggers=np.array(triggers, np.int32),
        size=np.full(n, 1000, np.int32),
        scalers=np.tile(np.arange(SCALER_CHANNELS, dtype=np.int32), (n, 1)),
        delay_s=np.full(n, 0.5),
        resident_mb=np.full(n, 200.0),
    )


def trend(name: str, spills: SpillFacts) -> Figure:
    return trend_figure(TRENDS[name], spills, when=WHEN, theme=LIGHT)


def test_a_histogram_of_one_axis_is_a_stepped_line_with_an_edge_more_than_bins() -> None:
    figure = draw("ht01", [20.05, 28.0, 28.01, 39.99])
    (line,) = figure["data"]
    assert line["line"]["shape"] == "hv"
    assert len(line["x"]) == len(line["y"]) == len(line["customdata"]) == PLOTS["ht01"].axes[0].bins + 1
    assert sum(line["y"][:-1]) == 4
    assert line["y"][-1] == line["y"][-2]
    assert (line["x"][0], line["x"][-1]) == (20.0, 40.0)


def test_the_title_says_run_spills_and_entries() -> None:
    title = draw("ht01", [28.0, 28.0])["layout"]["title"]["text"]
    assert PLOTS["ht01"].title in title
    assert re.search(f"{re.escape(WHEN)}<.*>2 entries<", title)


def test_entries_outside_the_axes_are_told() -> None:
    assert "4 entries, 2 below, 1 above" in draw("ht01", [1, 2, 28, 99])["layout"]["title"]["text"]
    assert "3 entries, 2 outside" in draw("hspxy_0", [1, -5, 99], [1, 1, 1])["layout"]["title"]["text"]


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [("ht01", ([1, 99, 99],), "3 entries, 1 below, 2 above"), ("hspxy_0", ([-5], [1]), "1 entry, 1 outside")],
)
def test_a_plot_all_of_whose_entries_are_outside_the_axes_says_so(name: str, values: Any, said: str) -> None:
    figure = draw(name, *values)
    assert figure["data"] == []
    (words,) = figure["layout"]["annotations"]
    assert words["text"].replace("<br>", " ") == f"all entries are outside the axes: {said}"


def test_a_histogram_of_two_axes_has_its_first_axis_along_x() -> None:
    figure = draw("tof_A", [0.25, 0.25, 49.9], [15.05, 15.05, 34.95])
    (cells,) = figure["data"]
    assert np.shape(cells["z"]) == (200, 100)
    assert len(cells["x"]) == 100
    assert cells["z"][0][0] == 2
    assert cells["z"][-1][-1] == 1


def test_a_bin_without_entries_has_no_colour() -> None:
    (cells,) = draw("hspxy_0", [3], [4])["data"]
    assert cells["z"][4][3] == 1
    assert cells["z"][0][0] is None


def test_a_map_of_slabs_is_as_wide_as_high_and_numbers_each_slab() -> None:
    layout = draw("hspxy_1", [3], [4])["layout"]
    assert layout["yaxis"]["scaleanchor"] == "x"
    assert layout["xaxis"]["dtick"] == layout["yaxis"]["dtick"] == 1
    assert "scaleanchor" not in draw("tof_A", [3], [24])["layout"]["yaxis"]


def test_counts_on_a_logarithmic_scale_where_the_catalogue_says_so() -> None:
    assert draw("hPMT1", [20])["layout"]["yaxis"]["type"] == "log"
    assert "type" not in draw("ht01", [28])["layout"]["yaxis"]


@pytest.mark.parametrize("name", ["tof_A", "hspxy_0"])
def test_16_counts_alone_become_logarithmic_on_a_plot_of_two_axes(name: str) -> None:
    values = [3.0] * 50, [24.0 if name == "tof_A" else 4.0] * 50
    for log, top in (("yz", 2.0), ("y", 50.0)):
        figure = draw(name, *values, choices=Choices(log=frozenset(log)))
        assert figure["layout"]["yaxis"].get("type") is None
        assert figure["data"][0]["zmax"] == top
        assert len(figure["data"][0]["y"]) == len(figure["data"][0]["z"])


@pytest.mark.parametrize("name", ["hPMT1", "hspxy_0"])
def test_16_where_a_logarithmic_axis_has_its_ticks_follows_from_what_is_seen(name: str) -> None:
    # At whole powers alone, counts from 200 to 800 would have none; nor would slabs from 2 to 8.
    axes = draw(name, [3.0] * 50, *[[4.0] * 50] * (name == "hspxy_0"), choices=Choices(log=frozenset("xy")))["layout"]
    logarithmic = [axes[each] for each in ("xaxis", "yaxis") if axes[each].get("type") == "log"]
    assert logarithmic
    assert all(each["dtick"] is None for each in logarithmic)


def test_an_empty_plot_says_why() -> None:
    figure = draw("ht01")
    assert figure["data"] == []
    assert [a["text"] for a in figure["layout"]["annotations"]] == ["no spills yet"]
    assert PLOTS["ht01"].title in figure["layout"]["title"]["text"]


def test_a_histogram_that_is_none_of_this_plot_is_not_drawn_as_if_it_were() -> None:
    stored = bh.Histogram(bh.axis.Regular(3, 0, 1), storage=bh.storage.Int64()).fill([0.5])
    figure = histogram_figure(PLOTS["hspxy_0"], stored, when=WHEN, theme=LIGHT, why_empty="")
    assert "1 axes" in figure["layout"]["annotations"][0]["text"]


def test_the_axis_of_spills_ends_with_the_run() -> None:
    figure = draw("hnsp_vs_spill_tof0", [0, 3, 3, 9])
    (line,) = figure["data"]
    assert (line["x"][0], line["x"][-1]) == (-0.5, 9.5)
    assert line["y"] == [1, 0, 0, 2, 0, 0, 0, 0, 0, 1, 1]


BY_SPILL = "hnsp_vs_spill_tof0"


def window_of(stored: RunBook, first: int, stop: int, **changes: Any) -> View:
    """Return a view of some spills of a run alone."""
    spills = spill_facts(stored.ledger, refused=stored.totals.refused)
    return view(stored, window=LAST_MINUTE, spills=spills.rows(slice(first, stop)), **changes)


def test_what_is_outside_a_window_is_neither_missing_nor_zero() -> None:
    shown = window_of(run_book(30), 20, 25)
    make = FigureCache().maker(shown, "light")
    (missed,) = make("daq_missed")["data"]
    assert (missed["x"], missed["y"]) == ([20, 21, 22, 23, 24], [0.0] * 5)
    (entries,) = make(BY_SPILL)["data"]
    assert (entries["x"][0], entries["x"][-1]) == (19.5, 24.5)
    counts = run_book(30).book[BY_SPILL].view(flow=False)
    assert entries["y"][:-1] == counts[20:25].tolist()
    before = window_of(run_book(30), 0, 0)
    words = FigureCache().maker(before, "light")("daq_triggers")["layout"]["annotations"][0]["text"]
    assert words == "no spills in the last minute"


def test_a_reference_is_drawn_within_the_window_alone() -> None:
    stored = run_book(30)
    other = Reference.of_run(7, None, stored, spill_facts(stored.ledger), chosen=True)
    make = FigureCache().maker(window_of(stored, 20, 25, reference=other), "light")
    for name in ("daq_triggers", "daq_missed"):
        assert make(name)["data"][0]["x"] == [20, 21, 22, 23, 24]
    _, dashed = make(BY_SPILL)["data"]
    assert (dashed["x"][0], dashed["x"][-1]) == (19.5, 24.5)


def test_a_spill_that_is_not_in_the_plots_is_missed_if_it_never_came_and_has_no_entries() -> None:
    stored = run_book(8)
    ledger = {n: entry for n, entry in stored.ledger.items() if n not in (3, 5)}
    shown = view(replace(stored, ledger=ledger, totals=replace(stored.totals, refused=[5])))
    make = FigureCache().maker(shown, "light")
    assert make("daq_missed")["data"][0]["y"] == [0, 0, 0, 1, 0, 0]
    y = make(BY_SPILL)["data"][0]["y"]
    assert [n for n, value in enumerate(y) if value is None] == [3, 5]


def test_plots_against_the_spill_go_on_where_their_axis_ends() -> None:
    stored = run_book(8)
    ledger = {n + 4996: entry for n, entry in stored.ledger.items()}
    book = Book({})
    book.fill(BY_SPILL, np.repeat(np.arange(4996, 5000), [5, 6, 7, 8]))
    later = {BY_SPILL: (np.arange(5000, 5003), np.arange(10, 13, dtype=np.float32))}
    shown = view(replace(stored, ledger=ledger, book=book), beyond_axis=later)
    (line,) = FigureCache().maker(shown, "light")(BY_SPILL)["data"]
    assert line["y"][:-1] == [5, 6, 7, 8, 10, 11, 12, None]  # of the last one nobody knows
    assert line["x"][-1] == 5003.5


def test_of_many_spills_in_a_row_of_which_nothing_is_known_a_line_has_one_point() -> None:
    stored = run_book(8)
    ledger = {n * 3000: stored.ledger[n] for n in range(4)} | {100_000 + n: stored.ledger[n] for n in range(3)}
    book = Book({})
    book.fill(BY_SPILL, np.repeat([0, 3000], [5, 6]))
    later = {BY_SPILL: (np.arange(100_001, 100_003), np.array([7, 8], np.float32))}
    (line,) = FigureCache().maker(view(replace(stored, ledger=ledger, book=book), beyond_axis=later), "light")(
        BY_SPILL
    )["data"]
    assert line["x"] == [-0.5, 0.5, 2999.5, 3000.5, 100_000.5, 100_001.5, 100_002.5]
    assert line["y"] == [5, None, 6, None, 7, 8, 8]
    assert line["customdata"] == [0.5, 2999.5, 3000.5, 100_000.5, 100_001.5, 100_002.5, 100_002.5]


def test_plots_that_stand_say_since_when() -> None:
    shown = view(run_book(30), stand_since_ms=1_700_000_000_000)
    assert which_spills(shown) == f"Run {RUN} · spills 0–29 (stands since 22:13:20 UTC)"
    part = replace(shown, window=LAST_MINUTE, spills=shown.spills.rows(slice(-11, None)))
    assert which_spills(part) == f"Run {RUN} · spills 19–29 (last 26 s, stands since 22:13:20 UTC)"


@pytest.mark.parametrize("name", ["ht01", "hspxy_0", "hPMT1", "hnsp_vs_spill_tof0"])
def test_the_range_of_an_axis_is_left_to_who_zooms(name: str) -> None:
    layout = histogram_figure(PLOTS[name], run_book().book[name], when=WHEN, theme=LIGHT, why_empty="")["layout"]
    for axis in (layout["xaxis"], layout["yaxis"]):
        assert not {"range", "autorange"} & axis.keys()


@given(st.floats(1e-12, 1e12), st.floats(-1e6, -1e-6) | st.floats(0, 1e6))
def test_a_held_axis_reaches_a_little_beyond_its_values(most: float, least: float) -> None:
    low, high = held(least, most)["autorangeoptions"]["include"]
    assert 1.05 * most <= high <= 1.4 * most
    assert 1.4 * least <= low <= 1.05 * least if least < 0 else low == least


@pytest.mark.parametrize("place", ["first", "last", "middle"])
def test_of_many_cells_those_around_what_is_filled_are_left_out_and_the_axes_stay(place: str) -> None:
    empty = new_histogram("tof_A", {})
    x, y = (axis.centers[{"first": 0, "last": -1, "middle": len(axis) // 2}[place]] for axis in empty.axes)
    figure = draw("tof_A", [x], [y])
    (cells,) = figure["data"]
    assert [len(cells["x"]), len(cells["y"])] == [2, 2]
    assert cells["z"][cells["y"].index(y)][cells["x"].index(x)] is not None
    for letter, axis in zip("xy", empty.axes, strict=True):
        ends = [axis.edges[0], axis.edges[-1]]
        assert figure["layout"][f"{letter}axis"]["autorangeoptions"]["include"] == ends


def test_only_figures_whose_axes_do_not_follow_from_their_values_are_held() -> None:
    grown = {"ht01": [[28.0] * 51, [28.0] * 58], "hnsp_vs_spill_tof0": [range(61), range(70)]}
    for name, (before, after) in grown.items():
        first, second = (draw(name, list(values))["layout"] for values in (before, after))
        assert first["yaxis"]["autorangeoptions"]
        assert first | {"title": ""} == second | {"title": ""}
    one, more = (trend("daq_triggers", facts([50] * spills))["layout"] for spills in (62, 75))
    assert one == more
    assert one["yaxis"]["autorangeoptions"]
    for name, values in (("hspxy_0", ([3], [4])), ("hPMT1", ([20],)), ("ht01", ())):
        assert draw(name, *values)["layout"]["yaxis"]["autorangeoptions"] is None


@pytest.mark.parametrize("name", ["ht01", "hspxy_0", "hPMT1", "hnsp_vs_spill_tof0"])
def test_an_empty_figure_leaves_nothing_behind_in_the_full_one(name: str) -> None:
    empty = draw(name)["layout"]
    full = histogram_figure(PLOTS[name], run_book().book[name], when=WHEN, theme=LIGHT, why_empty="")["layout"]
    assert empty.keys() <= full.keys()
    assert all(empty[axis].keys() <= full[axis].keys() for axis in ("xaxis", "yaxis"))


@pytest.mark.parametrize("theme", THEMES.values())
def test_every_plot_of_a_simulated_run_is_drawn_in_both_themes(theme: Any) -> None:
    stored = run_book()
    for name, plot in PLOTS.items():
        figure = histogram_figure(plot, stored.book[name], when=WHEN, theme=theme, why_empty="no spills yet")
        assert figure["layout"]["font"]["color"] == theme.ink
        assert bool(figure["data"]) == bool(stored.book[name].sum(flow=True)), name
    for name in TRENDS:
        handling = dict.fromkeys(stored.ledger, Handling(delay_s=0.3, resident_mb=200.0))
        spills = spill_facts(stored.ledger, handling)
        (points,) = trend_figure(TRENDS[name], spills, when=WHEN, theme=theme)["data"]
        assert points["line"]["color"] == theme.line


def test_a_trend_has_a_point_a_spill() -> None:
    (points,) = trend("daq_triggers", facts([5, 7, 9], numbers=[0, 1, 4]))["data"]
    assert points["x"] == [0, 1, 4]
    assert points["y"] == [5, 7, 9]


def test_a_spill_without_a_value_has_no_point() -> None:
    # The first spill has none before it: no rate.
    (points,) = trend("daq_rate", facts([5, 7, 9]))["data"]
    assert points["x"] == [1, 2]


def test_a_strip_chart_shows_its_last_spills_alone() -> None:
    last = TRENDS["scaler_tof0"].last
    assert last is not None
    band, points, mean = trend("scaler_tof0", facts([60] * (last + 50)))["data"]
    assert points["x"] == list(range(50, last + 50))
    assert [each["x"][0] for each in (band, mean)] == [50, 50]


def test_a_trend_has_its_mean_in_a_band_of_its_scatter_no_further_than_its_values_go() -> None:
    values = [50, 70] * 10
    band, points, mean = trend("daq_triggers", facts(values))["data"]
    assert (mean["x"], mean["y"]) == ([0, 19], [60, 60])
    assert (band["fill"], band["y"]) == ("toself", [50, 50, 70, 70])
    assert points["y"] == values
    band, *_ = trend("daq_triggers", facts([0] * 19 + [40]))["data"]
    assert min(band["y"]) == 0
    few = trend("daq_triggers", facts([50] * (FEW_POINTS - 1)))["data"]
    assert len(few) == 1


def test_a_band_that_reaches_nothing_has_no_place_on_a_logarithmic_axis() -> None:
    spills, log = facts([0, 40] * 10), Choices(log=frozenset("y"))
    figure = trend_figure(TRENDS["daq_triggers"], spills, when=WHEN, theme=LIGHT, choices=log)
    assert [each.get("fill") for each in figure["data"]] == [None, None]


def test_the_mean_of_a_reference_is_dotted_over_the_spills_that_are_compared() -> None:
    theirs = facts([80] * 40)
    figure = trend_figure(
        TRENDS["daq_triggers"], facts([50] * 20), when=WHEN, theme=LIGHT, reference=theirs, called="run 6"
    )
    _, line, _, _, mean = figure["data"]
    assert len(line["x"]) == 20
    assert (mean["x"], mean["y"]) == ([0, 19], [80, 80])
    assert mean["line"] == {"color": LIGHT.other, "dash": "dot", "width": 1}
    colours = [each["line"].get("color") for each in figure["data"]]
    assert colours == [None, LIGHT.other, LIGHT.line, LIGHT.ink, LIGHT.other]


def test_an_empty_trend_says_why() -> None:
    for name in TRENDS:
        assert trend(name, facts([]))["layout"]["annotations"][0]["text"] == "no spills yet"
    assert trend("daq_rate", facts([5]))["data"] == []


def test_a_trend_of_small_whole_numbers_has_whole_ticks() -> None:
    assert trend("daq_missed", facts([1, 1], numbers=[0, 3]))["layout"]["yaxis"]["dtick"] == 1
    assert trend("daq_triggers", facts([50, 60]))["layout"]["yaxis"]["dtick"] is None


def test_a_huge_run_keeps_the_spills_that_stand_out() -> None:
    triggers = [60] * 100_000
    triggers[12_345], triggers[77_777] = 0, 900
    _, points, _ = trend("daq_triggers", facts(triggers))["data"]
    assert len(points["x"]) <= MAX_POINTS
    drawn = dict(zip(points["x"], points["y"], strict=True))
    assert drawn[12_345] == 0
    assert drawn[77_777] == 900
    assert sorted(points["x"]) == points["x"]


def test_18_bins_that_have_names_say_them() -> None:
    (line,) = draw("raw_v1290_hits", [0, 33])["data"]
    assert line["text"][33] == "geo 1, channel 1"
    assert line["hovertemplate"].startswith("%{text}: ")
    axis = draw("emr_matched", [0, 1, 1])["layout"]["xaxis"]
    assert dict(zip(axis["tickvals"], axis["ticktext"], strict=True)) == {0.0: "no", 1.0: "yes"}
    # What a plot without names is drawn over must not keep them.
    assert draw("ht01", [28.0])["layout"]["xaxis"]["tickvals"] is None


@pytest.mark.parametrize("state", [State.BAD, State.GOOD, State.FEW, State.SETTLING])
def test_15_a_heading_fits_the_smallest_of_four_plots_whatever_it_says(state: State) -> None:
    shape = Shape(entries=900, reference=900, elsewhere=0.41)
    verdict = PlotVerdict(plot="ht01", state=state, why="15 of 20 spills", matters=0.05, shape=shape)
    when, numbers, compared = (
        "Run 900102 · spills 0–11,119 (whole run)",
        "5,340 entries, 1 below",
        "– – run 900101 × 0.798",
    )
    title = heading("Time", when, LIGHT, numbers, compared, verdict, "— last minute × 14")
    _, which, last = title["text"].split("<br>")
    assert re.sub("<[^>]*>", "", which) == f"{when} · {MARK[verdict.level]} {said(verdict)}"
    for line in (which, last):
        sizes = {float(size) for size in re.findall(r"font-size: ([\d.]+)px", line)}
        assert len(sizes) == 1
        assert 10.5 <= max(sizes) <= 12
        assert max(sizes) * len(re.sub("<[^>]*>", "", line)) <= SMALL_WIDTH


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("yaxis", "Time TOF0 → TOF1 (ns)", "Time TOF0 →|TOF1 (ns)"),
        ("yaxis", "Slab of the horizontal plane", "Slab of the|horizontal plane"),
        ("yaxis", "Entries", "Entries"),
        (
            "xaxis",
            "Charge of all photomultipliers together (ADC counts)",
            "Charge of all photomultipliers|together (ADC counts)",
        ),
        ("yaxis", "Photomultiplierstube 1", "Photomultiplierstube|1"),
        ("yaxis", "", ""),
    ],
)
def test_the_words_along_an_axis_are_lines_of_about_the_same_length(name: str, text: str, lines: str) -> None:
    assert axis_title(name, text)["text"] == lines.replace("|", "<br>")
