"""Histograms of a file as the reference: said to be imported, compared where the bins agree, never taken for a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import boost_histogram as bh
import numpy as np
import pytest
from redis import Redis

from dashboards.choices import Choices, Mode
from dashboards.data import Data, Reference, View
from dashboards.make import FigureCache
from dashboards.pages.controls import controls
from dashboards.pages.dialogs import runs_list
from dashboards.pages.strip import banners, strip
from ops.references import keep
from streams.books.cells import Histogram
from streams.books.imported import Imported, Imports
from streams.settings import Settings, load_settings
from tests.dashboards.conftest import until
from tests.dashboards.test_controls import links
from tests.dashboards.test_reference import compared_with
from tests.dashboards.views import RUN, run_book, text_of, view
from tests.stored import checkpoint

CALLED, IN_FULL = "file tof.root", "tof.root (imported 14 Nov 2023)"


def histogram(edges: Any, *values: Any) -> Histogram:
    axes = [bh.axis.Variable(edges)] * len(values)
    return bh.Histogram(*axes, storage=bh.storage.Int64()).fill(*values)


def imported(**changes: Any) -> Imported:
    histograms = {
        "ht01": histogram(np.linspace(20, 40, 201), [28.0] * 5),
        "ht12": histogram(np.linspace(0, 20, 201), [8.0] * 5),
        "hspxy_1": histogram(np.linspace(-0.5, 6.5, 8), [3, 4], [3, 4]),
        "hnsp_vs_spill_tof0": histogram(np.linspace(-0.5, 4999.5, 5001), [0, 0, 1]),
    }
    its: dict[str, Any] = {"name": "tof.root", "imported_ms": 1_700_000_000_000, "sha256": "0"}
    return Imported(**its | {"histograms": histograms} | changes)


def compared(mode: Mode = Mode.SHAPE) -> tuple[View, Any]:
    """Return a view that is compared with the file, and what makes its figures."""
    shown = view(run_book(), reference=Reference.of_file(imported()), imports=("tof.root",))
    return shown, FigureCache().maker(shown, "light", Choices(mode=mode))


def test_a_histogram_of_the_file_is_drawn_over_ours_where_the_bins_agree() -> None:
    _, make = compared()
    entries = run_book().book["ht01"].sum()
    line, dashed = make("ht01")["data"]
    assert max(dashed["y"]) == entries
    assert dashed["line"]["dash"] == "dash"
    assert dashed["x"] == pytest.approx(line["x"])
    assert compared_with(make("ht01")) == f"– – {CALLED} × {entries / 5:.3g}"
    _, make = compared(Mode.RATIO)
    assert compared_with(make("hspxy_1")) == f"over {CALLED}"
    assert compared_with(compared()[1]("hnsp_vs_spill_tof0")) == f"– – {CALLED}"


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ht12", f"{CALLED}: bins 200 [0, 20], not 200 [25, 45]"),
        ("ht02", f"not in {CALLED}"),
        ("h4", f"not in {CALLED}"),
        ("daq_triggers", f"not in {CALLED}"),
    ],
)
def test_a_plot_without_its_like_in_the_file_is_drawn_alone_and_says_so(name: str, said: str, mode: Mode) -> None:
    figure = compared(mode)[1](name)
    assert compared_with(figure) == said
    assert len(figure["data"]) == 1


def test_nobody_scales_by_the_spills_of_a_file_that_does_not_tell_them() -> None:
    _, make = compared(Mode.SPILLS)
    assert compared_with(make("ht01")) == f"{CALLED} does not say of how many spills it is"
    assert len(make("ht01")["data"]) == 1


def test_the_page_says_which_file_it_is_and_takes_it_for_no_run() -> None:
    shown, _ = compared()
    said = text_of(controls(shown, Choices(reference_file="tof.root"), ["ht01"]))
    assert f"Reference {IN_FULL} chosen Shape" in said
    assert text_of(strip(shown)) == text_of(strip(replace(shown, reference=None)))
    *_, last = runs_list(shown)
    assert text_of(last) == "tof.root imported Compare"
    assert links(last) == {"Compare": "reference=file:tof.root"}


def test_figures_are_made_anew_for_another_file_of_the_same_name() -> None:
    figures = FigureCache()
    one, other = (
        view(run_book(), reference=Reference.of_file(each), version=each.sha256)
        for each in (imported(), imported(sha256="1", histograms={}))
    )
    assert len(figures.maker(one, "light")("ht01")["data"]) == 2
    assert len(figures.maker(other, "light")("ht01")["data"]) == 1


@pytest.fixture
def quick(quick: Settings, tmp_path: Path) -> Settings:
    dashboard = quick.dashboard.model_copy(update={"references": tmp_path / "kept"})
    return load_settings(kafka=quick.kafka, redis=quick.redis, dashboard=dashboard)


@pytest.mark.servers
def test_an_import_outlives_an_emptied_redis_and_one_that_is_gone_is_said(
    quick: Settings, data: Data, redis: Redis
) -> None:
    imports, choices = Imports.of(quick), Choices(reference_file="tof.root")
    checkpoint(quick, {RUN: run_book()}, next=8)
    until(data, lambda v: v.run)

    def said() -> str:
        shown = data.view(choices)
        return text_of([controls(shown, choices, ["ht01"]), banners(shown)])

    assert "Reference tof.root, not here" in said()
    assert "No reference tof.root is kept in" in said()
    keep(imports, imported(name="kl.root"))
    assert data.view(choices).imports == ("kl.root",)
    keep(imports, imported())
    before = data.view(choices)
    assert before.reference is not None
    assert before.reference.in_full == IN_FULL
    keep(imports, imported(sha256="1"))
    assert data.view(choices).version != before.version
    redis.flushdb()
    emptied = until(data, lambda v: v.run is None)
    assert [run.run for run in emptied.runs.newest_first()] == []
    assert f"Reference {IN_FULL}" in said()
    imports.path("tof.root").write_text("[]")
    assert "The reference tof.root cannot be read" in said()
    imports.remove("tof.root")
    assert "Reference tof.root, not here" in said()
