"""A plot's key number, spill by spill, window by window and run by run."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from math import sqrt

import numpy as np
import pytest
from redis import Redis

from dashboards.choices import Choices
from dashboards.data import Data, History, Point
from dashboards.data.history import KeyNumbers, point
from dashboards.figures.history import MAX_POINTS, MEDIAN_OF
from dashboards.figures.parts import Figure
from dashboards.make import MEASURE, RUNS, SPILLS, WINDOWS, FigureCache
from dashboards.pages.plots import figures_on, followed_on
from streams.books.book import Book, fill, new_histogram
from streams.books.connect import connect
from streams.books.key_number import KeyNumber, key_number, what
from streams.books.reader import BookReader
from streams.books.spill_numbers import SpillNumber, of_plot
from streams.books.totals import Totals
from streams.books.windows import Window
from streams.settings import Settings
from tests.catalogue import PLOTS
from tests.dashboards.views import EMPTY, RUN, run_book, view
from tests.records import reconstructed_spill
from tests.stored import checkpoint


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as client:
        yield client


def test_the_key_number_of_a_plot_with_a_unit_is_its_mean_else_its_entries_a_spill() -> None:
    times = new_histogram("ht01", {})
    times.fill([26.0, 30.0, 30.0, 1e9])
    bins = [times.axes[0].centers[times.axes[0].index(time)] for time in (26.0, 30.0, 30.0)]
    assert what(PLOTS["ht01"]) == "Mean time (ns)"
    number = key_number(PLOTS["ht01"], times, 7)
    assert number is not None
    assert number.value == pytest.approx(np.mean(bins))
    assert number.error == pytest.approx(np.std(bins) / sqrt(3))
    assert key_number(PLOTS["ht01"], new_histogram("ht01", {}), 7) is None
    spot = new_histogram("hspxy_0", {})
    spot.fill([1, 2, 99], [1, 2, 3])
    assert what(PLOTS["hspxy_0"]) == "Entries a spill"
    assert key_number(PLOTS["hspxy_0"], spot, 2) == KeyNumber(value=1.5, error=sqrt(3) / 2)
    assert key_number(PLOTS["hspxy_0"], spot, 0) is None


@pytest.mark.servers
def test_19_the_key_number_is_read_of_spills_windows_and_earlier_runs(settings: Settings) -> None:
    earlier, run = run_book(5, run=RUN - 1), run_book(8)
    checkpoint(settings, {RUN - 1: earlier}, next=3)
    # As of a run during which a version came that keeps them.
    kept = {spill: run.key_numbers[spill] for spill in range(3, 8)}
    windows = {Window(60, 60): (5, {"ht01": earlier.book["ht01"]}), Window(120, 60): (3, {})}
    checkpoint(settings, {RUN: replace(run, key_numbers=kept)}, windows=windows, next=4)
    with Data(settings) as data:
        assert data.view().history == History()
        shown = data.view(Choices(run=RUN), "ht01")
        of_earlier = key_number(PLOTS["ht01"], earlier.book["ht01"], 5)
        assert shown.history == History(
            spills=of_plot(kept, PLOTS["ht01"]),
            windows=(Point(at=60, spills=5, number=of_earlier), Point(at=120, spills=3, number=None)),
            runs=(
                Point(at=RUN - 1, spills=5, number=of_earlier),
                Point(at=RUN, spills=8, number=key_number(PLOTS["ht01"], run.book["ht01"], 8)),
            ),
        )
        assert shown.version != data.view(Choices(run=RUN)).version


def test_19_its_figures_have_a_point_each_and_mark_what_is_shown() -> None:
    number = KeyNumber(value=28.0, error=0.5)
    windows = tuple(Point(at=at, spills=20, number=number if at else None) for at in (0, 60, 120))
    kept = tuple(Window(at, 60) for at in (0, 60, 120))
    runs = (Point(at=RUN - 1, spills=9, number=number), Point(at=RUN, spills=60, number=number))
    make = FigureCache().maker(
        view(run_book(), window=60, windows=kept, history=History(windows=windows, runs=runs)), "light"
    )
    over_windows, over_runs = make("ht01" + WINDOWS), make("ht01" + RUNS)
    assert over_windows["data"][0]["y"] == [None, 28.0, 28.0]
    assert over_windows["layout"]["xaxis"]["ticktext"] == ["00:00", "00:01", "00:02"]
    colours = over_windows["data"][0]["marker"]["color"]
    assert colours[0] == colours[2] != colours[1]
    assert over_runs["layout"]["xaxis"]["ticktext"] == [str(RUN - 1), str(RUN)]
    assert over_runs["data"][0]["customdata"] == [[str(RUN - 1), 9], [str(RUN), 60]]
    assert "Mean time (ns)" in over_runs["layout"]["title"]["text"]
    nothing = FigureCache().maker(view(), "light")
    for over in (SPILLS, RUNS):
        assert nothing("ht01" + over)["layout"]["annotations"][0]["text"] == "no entries"


def test_what_a_plot_measures_is_followed_with_its_error_and_said_of_what_is_shown() -> None:
    matched = new_histogram("emr_matched", {})
    matched.fill([0] * 30 + [1] * 70)
    of_run = point("emr_matched", {}, matched, at=RUN, spills=60)
    (number,) = of_run.measures
    assert number is not None
    assert (number.value, round(number.error, 3)) == (0.7, 0.045)
    before = Point(at=RUN - 1, spills=9, number=None, measures=(None,))
    history = History(runs=(before, of_run), windows=(replace(of_run, at=60),))
    make = FigureCache().maker(view(run_book(), history=history), "light")
    figure = make(f"emr_matched{MEASURE}0{RUNS}")
    assert figure["data"][0]["y"] == [None, 0.7]
    title = figure["layout"]["title"]["text"].replace("<br>", " ")
    assert "Match efficiency" in title
    assert "this one: 0.700 ± 0.045" in title
    assert make(f"emr_matched{MEASURE}0{WINDOWS}")["data"][0]["error_y"]["array"] == [number.error]
    summary = Book({})
    summary["emr_matched"] = matched
    assert summary.summary("emr_matched")["measures"] == {"Match efficiency": asdict(number)}


def test_19_each_spill_has_a_point_and_their_running_median_is_a_line() -> None:
    spills = tuple(SpillNumber(spill, spill % 7 + 0.5, 40 + spill) for spill in range(3, 33))
    runs = (Point(at=RUN, spills=60, number=KeyNumber(value=28.0, error=0.5)),)

    def figure(history: History) -> Figure:
        return FigureCache().maker(view(run_book(), history=history), "light")("ht01" + SPILLS)

    of_spills, line = figure(History(spills=spills))["data"]
    assert of_spills["x"] == [*range(3, 33)]
    assert of_spills["y"] == [each.value for each in spills]
    assert of_spills["customdata"] == [each.entries for each in spills]
    assert line["x"] == [*range(13, 23)]
    assert line["y"][0] == np.median(of_spills["y"][:MEDIAN_OF])
    assert line["y"][-1] == np.median(of_spills["y"][-MEDIAN_OF:])
    few = figure(History(spills=spills[: MEDIAN_OF - 1]))["data"]
    assert (len(few[0]["x"]), few[1]["x"], few[1]["y"]) == (MEDIAN_OF - 1, [], [])
    many = tuple(SpillNumber(spill, 28.0, 40) for spill in range(MAX_POINTS + 1))
    assert [figure(History(spills=each))["data"][0]["mode"] for each in (many[1:], many)] == ["markers", "lines"]
    for history, words in ((History(), "no entries"), (History(runs=runs), "not kept when")):
        assert words in figure(history)["layout"]["annotations"][0]["text"].replace("<br>", " ")


@pytest.mark.servers
def test_19_only_what_is_new_of_the_spills_is_read_and_no_more_than_are_shown(settings: Settings, redis: Redis) -> None:
    asked: list[Sequence[int]] = []

    class Asked(BookReader):
        def key_numbers(self, run: int, spills: Sequence[int]) -> dict[int, bytes]:
            asked.append(spills)
            return super().key_numbers(run, spills)

    numbers = fill([reconstructed_spill(0)], {}).key_numbers[0]
    kept = {spill: numbers for spill in range(2001) if spill != 1998}
    checkpoint(settings, {RUN: replace(EMPTY, key_numbers=kept)}, partition=1)
    reader, keep, totals = Asked.of(redis, settings), KeyNumbers(), Totals()
    first = keep.read_spills(reader, None, RUN, totals, np.arange(2000))
    again = keep.read_spills(reader, None, RUN, totals, np.arange(2001))
    assert asked == [list(range(1000, 2000)), [1998, 2000]]
    assert [spill for spill, its in first.items() if its] == [spill for spill in range(1000, 2000) if spill != 1998]
    assert again == dict.fromkeys(range(1001, 2001), numbers) | {1998: b""}


def test_19_it_stands_beside_a_plot_and_not_beside_a_trend() -> None:
    assert figures_on("/plot/ht01") == ["ht01", "ht01" + SPILLS, "ht01" + WINDOWS, "ht01" + RUNS]
    assert figures_on("/plot/htof") == ["htof", "htof" + WINDOWS, "htof" + RUNS]
    assert figures_on("/plot/daq_rate") == ["daq_rate"]
    key_number = ["emr_matched" + over for over in (SPILLS, WINDOWS, RUNS)]
    measured = [f"emr_matched{MEASURE}0{over}" for over in (WINDOWS, RUNS)]
    assert figures_on("/plot/emr_matched") == ["emr_matched", *key_number, *measured]
    assert followed_on("/detector/tof") is None
