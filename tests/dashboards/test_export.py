"""A plot's numbers as files: every bin, and what lies outside the axes."""

import csv
import json

import numpy as np
from boost_histogram.serialization import from_uhi

from dashboards.export import as_csv, as_json
from tests.catalogue import PLOTS, TRENDS
from tests.dashboards.views import run_book, view

SHOWN = view(run_book())


def rows(name: str) -> list[list[str]]:
    return list(csv.reader(as_csv(SHOWN, name).splitlines()))


def test_33_a_table_has_all_bins_of_every_plot_and_those_outside() -> None:
    for name in PLOTS:
        head, *bins = rows(name)
        stored = SHOWN.shown[name]
        assert len(head) == 2 * stored.ndim + 1
        assert [int(each[-1]) for each in bins] == stored.view(flow=True).ravel().tolist()
        assert bins[0][0] == "-inf"


def test_33_a_bin_of_two_axes_has_its_four_edges() -> None:
    head, *bins = rows("hspxy_1")
    sides = [f"Slab of the {plane} plane {end}" for plane in ("vertical", "horizontal") for end in ("from", "to")]
    assert head == [*sides, "entries"]
    found = {tuple(each[:4]): int(each[4]) for each in bins}
    assert found["1.5", "2.5", "3.5", "4.5"] == SHOWN.shown["hspxy_1"].view()[2, 4]


def test_33_a_trend_has_a_row_a_spill() -> None:
    for name, trend in TRENDS.items():
        _, *points = rows(name)
        assert [int(spill) for spill, _ in points] == SHOWN.spills.spill.tolist()
        there = [float(value) if value else np.nan for _, value in points]
        assert np.allclose(there, np.asarray(trend.value(SHOWN.spills), float), equal_nan=True)


def test_33_other_programs_read_the_histogram() -> None:
    assert from_uhi(json.loads(as_json(SHOWN, "tof_A"))) == SHOWN.shown["tof_A"]
