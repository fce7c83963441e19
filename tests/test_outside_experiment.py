"""An experiment outside the package: another one with a board and a detector of its own, and nothing else touched."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.date import PHYSICS, Stamp, equipment, super_event
from tests import begun
from tests.date_builder import v1290_event
from tests.lanes import again
from tests.ops.conftest import assert_one_sentence

BOARD = """
import numpy as np
from schemas.columns import I4, Table, column
from dataclasses import dataclass
from streams.experiments.mice.unpack.added import Board

@dataclass(frozen=True, kw_only=True, eq=False)
class TaggerWords(Table):
    light: I4 = column("<i4")

def unpack(boards):
    for board in boards:
        if (bad := board.words > 1000).any():
            raise board.error(bad.argmax(), f"light {board.words[bad.argmax()]}, more than 1000")
    return TaggerWords(light=np.concatenate([board.words for board in boards]).astype(np.int32))

BOARD = Board(name="tagger board", unpack=unpack, read_by=("tagger",))
"""
RECO = '''
from dataclasses import dataclass
from made_up.board import TaggerWords
from schemas.columns import I4, Detector, Table, column

@dataclass(frozen=True, kw_only=True, eq=False)
class TaggerHits(Table):
    light: I4 = column("<i4")

@dataclass(frozen=True, kw_only=True, eq=False)
class Tagger(Detector):
    """What the tagger saw."""
    hits: TaggerHits

def reconstruct(hits, conditions):
    words = hits.added.get("tagger board", TaggerWords.empty())
    return Tagger(hits=TaggerHits(light=words.light[words.light > 10] * 2))
'''
PLOTS = """
from made_up.reco import TaggerHits
from streams.plots.model import Axis, DetectorPlots, Plot, Words

TAGGER = DetectorPlots(name="tagger", title="Tagger", overview=("tagger_light",), plots=(Plot(
    name="tagger_light", detector="tagger", title="Light in the tagger",
    axes=(Axis(label="Light", unit="mV", bins=10, low=0, high=100),),
    fill=lambda batch: (batch.join(TaggerHits).light,),
    canvas="tagger", keywords=("tagger",), words=Words(shows="Light.", normal="Light.", action="Call.", call="Nobody"),
),))
"""
INIT = """
from made_up.board import BOARD
from made_up.plots import TAGGER
from made_up.reco import Tagger, reconstruct
from streams.experiment import Reconstruction, Subsystem
from streams.experiments.mice import mice

EXPERIMENT = mice(boards={199: BOARD}, subsystems=(Subsystem(
    plots=TAGGER,
    reconstruction=Reconstruction(tables=Tagger, step=reconstruct, needs_conditions=False),
),))
"""


@pytest.fixture
def made_up(tmp_path: Path) -> dict[str, str]:
    """Write the four files; return the environment that names the experiment."""
    package = tmp_path / "made_up"
    package.mkdir()
    for name, text in (("__init__", INIT), ("board", BOARD), ("reco", RECO), ("plots", PLOTS)):
        (package / f"{name}.py").write_text(text)
    plain = {name: value for name, value in os.environ.items() if not name.upper().startswith("SPILLDECK_")}
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    return plain | {"PYTHONPATH": path, "SPILLDECK_EXPERIMENT": "made_up", "COLUMNS": "200"}


def spilldeck(made_up: dict[str, str], cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    said, nothing = cwd / f"said-{time.time_ns()}", Path(os.devnull)
    said.mkdir()
    return begun.run(arguments, env=made_up, cwd=cwd, stdin=nothing, said=said, timeout=100)


def write_run(path: Path, *light: list[int], triggers: int = 0) -> None:
    """Write a DATE file whose spills have a tagger board with this light, and a TDC if there are triggers."""
    run = SimulatedRun(spills=1, mean_triggers=3)
    first, spill, last = run.records()
    content = first.payload
    for number, words in enumerate(light):
        stamp = Stamp(type=PHYSICS, run=run.run, number_in_run=number, number_in_burst=1, time_us=spill.time_us)
        tdc = [word for trigger in range(triggers) for word in v1290_event([], counter=trigger)]
        others = [equipment(102, 1, tdc)] if triggers else [equipment(110, 0)]
        content += super_event(stamp, {0: [equipment(199, 0, words)], 1: others})
    path.write_bytes(content + last.payload)


def test_a_made_up_detector_is_unpacked_reconstructed_and_filled(made_up: dict[str, str], tmp_path: Path) -> None:
    write_run(tmp_path / "run.000", [5, 20, 30], [40, 7], [2000])
    done = spilldeck(made_up, tmp_path, "process", "run.000", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["detectors"]["tagger"] == {"hits": 3}
    assert found["plots"]["tagger_light"]["entries"] == 3
    # The third spill has no other board that tells the particle triggers.
    assert (found["spills"], found["rejected"]) == (2, 1)
    assert "rejected by unpack" in done.stderr
    assert "cannot be known: tagger board of LDC 0, geo 0: light 2000, more than 1000" in done.stderr


def test_an_added_board_that_cannot_be_read_is_an_error_of_the_added_detectors_alone(
    made_up: dict[str, str], tmp_path: Path
) -> None:
    write_run(tmp_path / "run.000", [5, 20, 30], [2000], triggers=3)
    done = spilldeck(made_up, tmp_path, "process", "run.000", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["spills"], found["rejected"], found["errors"]["tagger"]) == (2, 0, 1)
    assert found["detectors"]["tagger"] == {"hits": 2}


@again
@pytest.mark.servers
@pytest.mark.usefixtures("servers_can_be_had")
def test_a_made_up_detector_goes_the_whole_way(made_up: dict[str, str], tmp_path: Path) -> None:
    write_run(tmp_path / "run.000", [5, 20, 30], [40, 7])
    done = spilldeck(made_up, tmp_path, "demo", "--check", "run.000")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "identical"


@pytest.mark.parametrize("where", ["here", "beside the settings file"])
def test_an_experiment_is_found_where_one_stands_and_beside_the_settings_file(
    made_up: dict[str, str], tmp_path: Path, where: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "spilldeck.toml").write_text('experiment = "made_up"\n')
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise SystemExit('what is installed comes before what is here')")
    here = {name: value for name, value in made_up.items() if name not in ("PYTHONPATH", "SPILLDECK_EXPERIMENT")}
    if where != "here":
        here["SPILLDECK_CONFIG"] = "../spilldeck.toml"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ops", "conditions", "check"],
        env=here,
        cwd=tmp_path if where == "here" else tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0\n", "the experiment made_up cannot be had: ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)\n", "the experiment made_up cannot be had: SystemExit: 0"),
        ("x = 1\n", "the experiment made_up cannot be had: it has no EXPERIMENT"),
        ("EXPERIMENT = 1\n", "the experiment made_up cannot be had: its EXPERIMENT is a int"),
        ("import nothing_of_that_name\n", "the experiment made_up cannot be had: ModuleNotFoundError"),
    ],
)
def test_an_experiment_that_cannot_be_had_is_one_sentence(
    made_up: dict[str, str], tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "made_up" / "__init__.py").write_text(text)
    for command in (["config", "show"], ["worker"]):
        assert said in assert_one_sentence(spilldeck(made_up, tmp_path, *command), 2)


def test_a_plot_whose_name_is_taken_is_refused(made_up: dict[str, str], tmp_path: Path) -> None:
    plots = tmp_path / "made_up" / "plots.py"
    plots.write_text(plots.read_text().replace("tagger_light", "ht01"))
    assert "the name ht01 is taken" in assert_one_sentence(spilldeck(made_up, tmp_path, "conditions", "check"), 2)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ('overview=("tagger_ligth",)', "tagger has no plot tagger_ligth for the overview"),
        ('detector="taggers"', "tagger_light is a plot of taggers, and stands among those of tagger"),
    ],
)
def test_a_plot_that_would_break_a_page_is_refused(
    made_up: dict[str, str], tmp_path: Path, typed: str, said: str
) -> None:
    plots, right = tmp_path / "made_up" / "plots.py", typed.replace("ligth", "light").replace("taggers", "tagger")
    plots.write_text(plots.read_text().replace(right, typed))
    assert said in assert_one_sentence(spilldeck(made_up, tmp_path, "conditions", "check"), 2)


@pytest.mark.parametrize(
    ("file", "right", "typed", "said"),
    [
        ("plots", 'name="tagger"', 'name="run"', "'run' cannot be a detector's name"),
        ("plots", 'name="tagger"', 'name="tag-ger"', "'tag-ger' cannot be a detector's name"),
        (
            "reco",
            "    hits: TaggerHits",
            "    hits: TaggerHits\n    veto: TaggerHits",
            "tagger.hits and tagger.veto are both",
        ),
        ("reco", "def ", 'TaggerHits.__name__ = "Tagger"\n\ndef ', "two classes of tagger are called Tagger"),
        (
            "reco",
            'column("<i4")',
            'column("<i4")\n    trigger: I4 = column("<u2")',
            "TaggerHits.trigger is no column of int",
        ),
        (
            "reco",
            'column("<i4")',
            'column("<i4")\n    trigger: I4 = column("<i4", row=(2,))',
            "TaggerHits.trigger is no",
        ),
    ],
)
def test_tables_that_could_not_be_written_or_joined_are_refused(
    made_up: dict[str, str], tmp_path: Path, file: str, right: str, typed: str, said: str
) -> None:
    path = tmp_path / "made_up" / f"{file}.py"
    path.write_text(path.read_text().replace(right, typed))
    assert said in assert_one_sentence(spilldeck(made_up, tmp_path, "conditions", "check"), 2)


def test_detectors_that_are_left_out_are_no_error_and_have_no_plots(made_up: dict[str, str], tmp_path: Path) -> None:
    run = SimulatedRun(spills=3, mean_triggers=5)
    (tmp_path / "run.000").write_bytes(b"".join(record.payload for record in run.records()))

    def processed(detectors: str) -> dict[str, Any]:
        done = spilldeck(made_up | {"SPILLDECK_DETECTORS": detectors}, tmp_path, "process", "run.000", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    whole, part = processed("[]"), processed('["tof", "kl"]')
    assert (part["errors"], part["not_read_out"], part["lacking"]) == ({}, {}, {})
    assert part["detectors"] == {name: whole["detectors"][name] for name in ("tof", "kl")}
    assert {"ht01", "hPMT1", "tof_A"} & part["plots"].keys() == {"ht01"}
    assert part["plots"] == {name: of for name, of in whole["plots"].items() if name in part["plots"]}
    assert not any(name.startswith(("raw_", "emr", "tagger")) for name in part["plots"])
    line = assert_one_sentence(spilldeck(made_up | {"SPILLDECK_DETECTORS": '["tof2"]'}, tmp_path, "config", "show"), 2)
    assert "MICE has no detector tof2: there are scalers, tof, ckov" in line
