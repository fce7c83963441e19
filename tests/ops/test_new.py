"""spilldeck new: a folder, or one sentence."""

from pathlib import Path

import pytest

from ops.new import TEMPLATE
from schemas.records import RawSpill
from streams.experiments import template
from streams.experiments.template import boards
from tests.ops.conftest import Spilldeck, assert_one_sentence


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_folder_is_written_where_one_stands_or_wants_it(
    spilldeck_here: Spilldeck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in ("", "a/b"):
        done = spilldeck_here("new", "mybeam", *(("--out", directory) if directory else ()))
        assert (done.returncode, done.stderr) == (0, "")
        assert contents(tmp_path / directory / "mybeam") == contents(TEMPLATE)
        assert [path.name for path in (tmp_path / directory).glob(".*")] == []


@pytest.mark.parametrize(
    "name",
    ["", "my-beam", "MyBeam", "1beam", "müon", "a/b", "..", "class", "my beam", "m\x1b[2J", "b" * 101, "__main__"],
)
def test_a_name_that_cannot_be_imported_is_refused(spilldeck_here: Spilldeck, tmp_path: Path, name: str) -> None:
    done = spilldeck_here("new", "--out", tmp_path, "--", name)
    line = assert_one_sentence(done, 2)
    assert "cannot be imported" in line
    assert "\x1b" not in line
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["numpy", "test", "sys", "ops", "streams", "mice", "testbeam", "template"])
def test_a_name_under_which_another_module_would_be_found_is_refused(
    spilldeck_here: Spilldeck, tmp_path: Path, name: str
) -> None:
    assert "Python has a module" in assert_one_sentence(spilldeck_here("new", name, "--out", tmp_path), 2)
    assert not any(tmp_path.iterdir())


def test_what_is_there_stays(spilldeck_here: Spilldeck, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("empty", "file", "link"):
        line = assert_one_sentence(spilldeck_here("new", name, "--out", tmp_path), 2)
        assert f"{name} is there already" in line
    assert not any((tmp_path / "empty").iterdir())
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("directory", ["file", "/proc"])
def test_a_directory_that_cannot_be_written_is_said(spilldeck_here: Spilldeck, tmp_path: Path, directory: str) -> None:
    (tmp_path / "file").write_text("mine")
    line = assert_one_sentence(spilldeck_here("new", "mybeam", "--out", tmp_path / directory), 2)
    assert "mybeam cannot be written: " in line


@pytest.mark.parametrize("fault", ["damaged_bank:ADC0", ""])
def test_a_board_that_two_detectors_read_is_an_error_of_both(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    faults = [fault] if fault else []
    simulator = template.EXPERIMENT.simulator
    assert simulator is not None
    run = simulator.simulate(900_001, 1, 1).with_faults(faults)
    (spill,) = (each for each in run.records() if isinstance(each, RawSpill))
    monkeypatch.setitem(boards.BOARDS, "ADC0", ("counters", "veto"))
    monkeypatch.setitem(boards.BOARDS, "TDC0", ("wall", "halo"))  # no event has it
    hits = boards.unpack(spill.payload, None)
    assert hits.failed.keys() == ({"counters", "veto"} if fault else set())
    assert hits.absent == {"wall", "halo"}
