"""The guide to an experiment of one's own, followed word for word: who copies what stands there has a page."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from ops.demo import Running
from ops.stack import LocalStack, free_port
from ops.topics import ensure_topics
from tests.conftest import PROJECT
from tests.guide import commands, follow, section
from tests.lanes import again
from tests.ops.test_demo import wait_for
from tests.servers import environment, settings_on

GUIDE = (PROJECT / "docs" / "experiments.md").read_text()
BEGIN = GUIDE.partition("\n## ")[0]
FIRST_PLOT = section(GUIDE, "The first plot, in ten minutes")
FIRST_DETECTOR = section(GUIDE, "The first detector, in an hour")
SPILLDECK = ".venv/bin/spilldeck"


def shell(directory: Path, *lines: str) -> str:
    """Have a shell do these lines, one after the other, for somebody without settings; return what they said."""
    plain = {name: value for name, value in os.environ.items() if not name.upper().startswith("SPILLDECK_")}
    plain.pop("PYTHONPATH", None)
    done = subprocess.run(
        ["bash", "-ec", "\n".join(lines)], env=plain, cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


OF_A_RUN = [line for line in commands(BEGIN) if "run900001.mid" in line]
"""The commands that simulate a run, and process it."""


def entries(directory: Path) -> dict[str, int]:
    """Return how many entries each plot has after a simulated run."""
    simulate, process = OF_A_RUN
    found = json.loads(
        shell(directory, "export SPILLDECK_EXPERIMENT=mybeam", f"{simulate} >/dev/null", f"{process} --json")
    )
    assert (found["spills"], found["rejected"], found["errors"]) == (200, 0, {})
    return {name: of["entries"] for name, of in found["plots"].items()}


def keeps_the_style(directory: Path) -> None:
    """Check the folder as `make lint` checks ours, from where the settings of ruff and mypy are."""
    for tool in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        command = [sys.executable, "-m", *tool, directory / "mybeam"]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where somebody stands who has done what the guide begins with, without servers."""
    directory = tmp_path_factory.mktemp("begun")
    (directory / ".venv").symlink_to(sys.prefix)
    lines = commands(BEGIN)
    assert [line for line in lines if f"{SPILLDECK} demo" in line] == [f"{SPILLDECK} demo", f"{SPILLDECK} demo --check"]
    shell(directory, *(line for line in lines if "demo" not in line))
    return directory


@pytest.fixture(scope="module")
def with_plot(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("plot") / "here"
    shutil.copytree(begun, directory, symlinks=True)
    assert follow(FIRST_PLOT, directory) == 1
    return directory


@pytest.fixture(scope="module")
def with_detector(with_plot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("detector") / "here"
    shutil.copytree(with_plot, directory, symlinks=True)
    assert follow(FIRST_DETECTOR, directory) == 5
    return directory


def test_the_folder_runs_at_once_and_keeps_the_style(begun: Path) -> None:
    (plot,) = entries(begun).items()
    assert plot[0] == "counters_charge"
    assert plot[1] > 7000
    keeps_the_style(begun)


@again
def test_the_first_plot_is_filled(with_plot: Path) -> None:
    found = entries(with_plot)
    assert found.keys() == {"counters_hits", "counters_charge"}
    assert found["counters_hits"] == found["counters_charge"]


def test_the_first_detector_is_filled_from_data_of_its_own(with_detector: Path) -> None:
    found = entries(with_detector)
    assert found.keys() == {"counters_hits", "counters_charge", "wall_time"}
    assert set(found.values()) == {found["counters_charge"]}
    keeps_the_style(with_detector)
    shell(with_detector, *(line for line in commands(BEGIN) if "pytest" in line))


@pytest.mark.servers
def test_the_page_shows_what_was_added(
    with_detector: Path, stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, port = settings_on(stack), free_port()
    ensure_topics(settings)
    changes = environment(settings) | {
        "SPILLDECK_DASHBOARD__PORT": str(port),
        "SPILLDECK_EXPERIMENT": "mybeam",
    }
    monkeypatch.chdir(with_detector)

    def is_filled(plot: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/export/{plot}.csv", timeout=10) as answer:
                rows = answer.read().decode().splitlines()[1:]
        except OSError:  # the page has not begun, or nothing is counted yet
            return False
        return sum(float(row.rpartition(",")[2]) for row in rows) > 7000

    with Running(settings, tmp_path, os.environ | changes) as running:
        running.start("worker", "worker")
        running.start("page", "dashboard")
        shell(
            with_detector,
            *(f"export {name}={value}" for name, value in changes.items()),
            OF_A_RUN[0],
            f"{SPILLDECK} produce run900001.mid",
        )
        for plot in ("counters_hits", "wall_time"):
            wait_for(plot, partial(is_filled, plot))


def lines_of(*paths: Path) -> int:
    return sum(bool(line.strip()) for path in paths for line in path.read_text().splitlines())


def test_the_lines_that_the_guide_counts_are_those_of_the_files(begun: Path) -> None:
    counted = dict(re.findall(r"^\| `(\w+\.py)` \| (\d+) \|", BEGIN, re.MULTILINE))
    files = {path.name: path for path in (begun / "mybeam").glob("*.py")}
    assert counted == {name: str(lines_of(path)) for name, path in files.items()}
    for text, where in ((FIRST_PLOT, r"(\d+) lines:"), (FIRST_DETECTOR, r"`mybeam/wall.py`, (\d+) lines:")):
        (count,), (block,) = re.findall(where, text), re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        assert int(count) == sum(bool(line.strip()) for line in block.splitlines())
    testbeam = (PROJECT / "streams" / "experiments" / "testbeam").rglob("*.*")
    (count,) = re.findall(r"in\s+(\d+) lines", section(GUIDE, "Conditions, and a larger example: the test beam"))
    assert int(count) == lines_of(*(path for path in testbeam if path.suffix in (".py", ".txt", ".toml")))
