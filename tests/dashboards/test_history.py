"""A plot's key number, window by window and run by run."""

from collections.abc import Iterator
from contextlib import closing
from math import sqrt

import numpy as np
import pytest
from redis import Redis

from dashboards.choices import Choices
from dashboards.data import Data, History, Point
from dashboards.make import RUNS, WINDOWS, FigureCache
from dashboards.pages.plots import figures_on, followed_on
from streams.books import layout, uhi
from streams.books.book import new_histogram
from streams.books.connect import connect
from streams.books.key_number import KeyNumber, key_number, what
from streams.plots.catalogue import PLOTS
from streams.settings import Settings
from tests.dashboards.views import RUN, run_book, view, write


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
def test_19_the_key_number_is_read_of_the_windows_and_of_earlier_runs(settings: Settings, redis: Redis) -> None:
    earlier, run = run_book(5, run=RUN - 1), run_book(8)
    write(redis, settings, earlier, run=RUN - 1, offset=2)
    write(redis, settings, run, offset=3)
    keys = layout.Keys(settings.redis.key_prefix, settings.session, 0)
    redis.hset(keys.windows(RUN), mapping={"60": 5, "120": 3})
    redis.hset(keys.window(RUN, 60), "ht01", uhi.encode(earlier.book["ht01"]))
    with Data(settings) as data:
        assert data.view().history == History()
        shown = data.view(Choices(run=RUN), "ht01")
        of_earlier = key_number(PLOTS["ht01"], earlier.book["ht01"], 5)
        assert shown.history == History(
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
    runs = (Point(at=RUN - 1, spills=9, number=number), Point(at=RUN, spills=60, number=number))
    make = FigureCache().maker(view(run_book(), window=60, history=History(windows=windows, runs=runs)), "light")
    over_windows, over_runs = make("ht01" + WINDOWS), make("ht01" + RUNS)
    assert over_windows["data"][0]["y"] == [None, 28.0, 28.0]
    assert over_windows["layout"]["xaxis"]["ticktext"] == ["00:00", "00:01", "00:02"]
    colours = over_windows["data"][0]["marker"]["color"]
    assert colours[0] == colours[2] != colours[1]
    assert over_runs["layout"]["xaxis"]["ticktext"] == [str(RUN - 1), str(RUN)]
    assert over_runs["data"][0]["customdata"] == [[str(RUN - 1), 9], [str(RUN), 60]]
    assert "Mean time (ns)" in over_runs["layout"]["title"]["text"]
    nothing = FigureCache().maker(view(), "light")("ht01" + RUNS)
    assert nothing["layout"]["annotations"][0]["text"] == "no entries yet"


def test_19_it_stands_beside_a_plot_and_not_beside_a_trend() -> None:
    assert figures_on("/plot/ht01") == ["ht01", "ht01" + WINDOWS, "ht01" + RUNS]
    assert figures_on("/plot/daq_rate") == ["daq_rate"]
    assert followed_on("/detector/tof") is None
