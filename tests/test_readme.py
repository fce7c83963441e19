"""The README's words on how MICE gets a plot or a detector more, done as they stand there in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.guide import follow, put_below, section

README = (PROJECT / "README.md").read_text()
FOLDER = Path("streams", "experiments", "mice")
FILES = {
    "tables": '''"""The tagger's table."""

from dataclasses import dataclass

from schemas.columns import I4, Detector, Table, column


@dataclass(frozen=True, kw_only=True, eq=False)
class TaggerHits(Table):
    """One row a hit of the time-to-digital converters."""

    trigger: I4 = column("<i4")
    time: I4 = column("<i4")


@dataclass(frozen=True, kw_only=True, eq=False)
class Tagger(Detector):
    """What the tagger makes of a spill."""

    hits: TaggerHits
''',
    "reco": '''"""The tagger's hits."""

from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.tables.tagger import Tagger, TaggerHits
from streams.experiments.mice.unpack.hits import RawHits


def reconstruct_tagger(hits: RawHits, _conditions: Conditions) -> Tagger:
    """Return the times of all hits."""
    return Tagger(hits=TaggerHits(trigger=hits.tdc.trigger, time=hits.tdc.leading_time))
''',
    "plots": '''"""The tagger's plots."""

from streams.experiments.mice.tables.tagger import TaggerHits
from streams.plots.model import Axis, DetectorPlots, Plot, Words

TAGGER = DetectorPlots(
    name="tagger",
    title="Tagger",
    overview=("tagger_time",),
    plots=(
        Plot(
            name="tagger_time",
            detector="tagger",
            title="Time",
            axes=(Axis(label="Time", unit="counts", bins=64, low=0, high=1 << 21),),
            fill=lambda batch: (batch.join(TaggerHits).time,),
            canvas="tagger",
            keywords=("tagger",),
            words=Words(shows="Time.", normal="Level.", action="Ask.", call="Nobody"),
        ),
    ),
)
''',
}
IMPORTS = """from streams.experiments.mice.plots.tagger import TAGGER
from streams.experiments.mice.reco.tagger import reconstruct_tagger
from streams.experiments.mice.tables.tagger import Tagger"""
THERE_AND_BACK = """
from schemas.records import RawSpill
from schemas.wire import decode, encode
from streams.conditions.store import ConditionsStore
from streams.experiment import experiment, simulator
from streams.reconstruct import reconstruct

raw = next(each for each in simulator().simulate(900_001, 1, 1).records() if isinstance(each, RawSpill))
spill = reconstruct(raw, ConditionsStore([]).for_run(900_001))
tables = experiment().tables
print(len(decode(encode(spill, tables), tables).detectors["tagger"].hits))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the project's own code and documents."""
    for name in ("schemas", "streams", "dashboards", "ops", "docs"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "pictures"))
    return tmp_path


def python(copy: Path, *arguments: str) -> str:
    """Run the copy's code; return what it says."""
    plain = {name: value for name, value in os.environ.items() if not name.upper().startswith("SPILLDECK_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=plain | {"PYTHONPATH": str(copy)},
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def entries(copy: Path, plot: str) -> int:
    """Return how many entries a plot has after a simulated run."""
    python(copy, "-m", "ops", "simulate", "--spills", "2", "--out", "run.000")
    found = json.loads(python(copy, "-m", "ops", "process", "run.000", "--json"))
    assert found["errors"] == {}
    return int(found["plots"][plot]["entries"])


def test_the_plot_of_the_readme_is_filled_and_listed_where_it_says(copy: Path) -> None:
    text = section(README, "Add a plot")
    assert follow(text, copy) == 1
    assert entries(copy, "tof1_charge") > 0
    (command,) = re.findall(r"`\.venv/bin/python (docs/\S+)`", text)
    python(copy, command)
    assert "`tof1_charge`" in (copy / "docs" / "plots.md").read_text()


def test_a_detector_is_the_files_and_the_entry_that_the_readme_names(copy: Path) -> None:
    text = section(README, "Add a detector")
    files = re.findall(r"^\d\. `(\w+)/DETECTOR\.py`", text, re.MULTILINE)
    assert files == list(FILES)
    for name in files:
        (copy / FOLDER / name / "tagger.py").write_text(FILES[name])
    ((file, line, entry),) = re.findall(r"^4\. in `([^`]+)`, below the line `([^`]+)`,\s+`([^`]+)`", text, re.MULTILINE)
    for name, its in (("PLOTS", "TAGGER"), ("TABLES", "Tagger"), ("FUNCTION", "reconstruct_tagger")):
        entry = re.sub(rf"\b{name}\b", its, entry)
    put_below(copy / FOLDER / file, line, f"    {entry}")
    put_below(copy / FOLDER / file, "from streams.experiments.mice.tables.tracker import Tracker", IMPORTS)
    assert entries(copy, "tagger_time") > 0
    assert int(python(copy, "-c", THERE_AND_BACK)) > 0
