"""spilldeck export: each file is opened with another library, and holds what the book does."""

import csv
import json
import re
import zipfile
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import boost_histogram as bh
import hist
import numpy as np
import pytest
import uhi.io.json
import uhi.io.zip
import uproot
from PIL import Image

from ops.export.chosen import Chosen, choose
from ops.export.write import export
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from tests.catalogue import DETECTORS, PLOTS
from tests.lanes import first
from tests.live import RUNS, Live
from tests.ops.conftest import Spilldeck, assert_one_sentence


@cache
def chosen(*plots: str, detectors: tuple[str, ...] = ()) -> Chosen:
    run = SimulatedRun(spills=3, mean_triggers=10)
    result = process(run.records(), ConditionsStore([]).for_run)[run.run]
    return choose(run.run, result.run_book(), plots, detectors)


def test_every_histogram_is_read_back_from_json_zip_and_root(tmp_path: Path) -> None:
    (archive,), (root,) = (export(chosen(), form, tmp_path) for form in ("zip", "root"))
    assert (archive.name, root.name) == ("run00900001_plots.zip", "run00900001_plots.root")
    files = {file.name: file for file in export(chosen(), "json", tmp_path)}
    assert len(files) == len(PLOTS)
    with zipfile.ZipFile(archive) as packed, uproot.open(root) as there:
        assert {key.partition(";")[0] for key in there} == PLOTS.keys()
        for name, histogram in chosen().histograms.items():
            text = files[f"run00900001_{name}.json"].read_text()
            from_json = bh.Histogram(json.loads(text, object_hook=uhi.io.json.object_hook))
            from_zip = hist.Hist(uhi.io.zip.read(packed, name))
            assert from_json == histogram
            assert np.array_equal(from_zip.values(flow=True), histogram.values(flow=True))
            assert (from_zip.axes[0].label, from_zip.name) == (histogram.axes[0].label, name)
            of_root = there[name]
            assert np.array_equal(of_root.values(flow=True), histogram.values(flow=True))
            assert of_root.title == PLOTS[name].title
            assert of_root.axis(0).member("fTitle") == PLOTS[name].axes[0].label


def test_csv_has_every_bin_and_every_point(tmp_path: Path) -> None:
    written = {file.name: file for file in export(chosen("ht01", "emr_beam_profile", "daq_triggers"), "csv", tmp_path)}
    for name in ("ht01", "emr_beam_profile"):
        rows = list(csv.reader(written[f"run00900001_{name}.csv"].read_text().splitlines()))
        counts = chosen().histograms[name].values(flow=True)
        assert [int(row[-1]) for row in rows[1:]] == counts.ravel().tolist()
    rows = list(csv.reader(written["run00900001_daq_triggers.csv"].read_text().splitlines()))
    assert [int(row[1]) for row in rows[1:]] == chosen().spills.triggers.tolist()


@pytest.mark.parametrize("detector", first(["daq", "emr"], 1))
def test_there_is_a_picture_of_each_canvas(tmp_path: Path, detector: str) -> None:
    of_detector = chosen(detectors=(detector,))
    canvases = {plot.canvas for plot in DETECTORS[detector].plots} or {f"{detector}_trends"}
    names = {f"run00900001_{canvas}" for canvas in canvases}
    for file in (pictures := export(of_detector, "png", tmp_path)):
        with Image.open(file) as picture:
            assert picture.width > 500
            assert len(picture.convert("L").getcolors() or ()) > 20
    assert {file.stem for file in pictures} == names
    for file in export(of_detector, "svg", tmp_path):
        assert ET.parse(file).getroot().tag.endswith("svg")
    (pages,) = export(of_detector, "pdf", tmp_path)
    assert len(re.findall(rb"/Type /Page\b[^s]", pages.read_bytes())) == len(names)


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"nothing was written to .*file"):
        export(chosen("ht01"), "csv", tmp_path / "file")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(UsageError, match=r"nothing was written to .*: No space left on device"):
            export(chosen("ht01"), "csv", tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.servers
def test_a_stored_run_is_exported_and_bad_use_is_one_sentence(
    spilldeck_here: Spilldeck, live: Live, tmp_path: Path
) -> None:
    run, out = RUNS[0], ("--out", str(tmp_path / "out"))
    done = spilldeck_here("export", str(run), "--format", "zip", *out, env=live.env)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "out" / f"run{run:08d}_plots.zip"
    assert done.stdout == f"{file}\n"
    with zipfile.ZipFile(file) as packed:
        found = bh.Histogram(uhi.io.zip.read(packed, "ht01"))
    assert found == live.reader.run(run, {}).book["ht01"]
    for arguments, said in (
        (("12", "--format", "csv"), "there is no run 12"),
        ((str(run), "--format", "docx"), "there is no format docx: there are json, zip, root, csv, png, svg, pdf"),
        ((str(run), "--format", "csv", "--plot", "ht99"), "there is no plot ht99"),
        ((str(run), "--format", "csv", "--detector", "lhc"), "there is no detector lhc: there are daq, "),
    ):
        assert said in assert_one_sentence(spilldeck_here("export", *arguments, *out, env=live.env), 2)
