"""The units of systemd and the files of the containers: what checks them finds nothing, and what they run is there."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from ops.cli import app
from schemas.wire import MAX_MESSAGE_BYTES
from streams.agents.watch import DEAF_S
from streams.app import END_S
from streams.settings import load_settings
from tests.conftest import PROJECT
from tests.ops.parts import COMPOSE, OURS, services

UNITS = PROJECT / "ops" / "systemd"
RELEASES = "/opt/spilldeck/releases"
EXPOSED = 1.5
"""What `systemd-analyze security` may find at most, of 10."""
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
DAEMONS = [name for name in SERVICES if name != "spilldeck-books.service"]
UNKNOWN_BEFORE_254 = re.compile(r"Unknown key( name)? '(RestartSteps|RestartMaxDelaySec)'")


def parses(words: list[str]) -> bool:
    """Say whether the command line takes these words."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("spilldeck", [], resilient_parsing=True)
    while words and (found := getattr(command, "commands", {}).get(words[0])) is not None:
        context = found.make_context(words[0], words[1:], parent=context, resilient_parsing=True)
        command, words = found, words[1:]
    return not words or all(word.startswith("--") for word in words)


def read(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / name)
    return parser


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the units as they are where a release is installed; skip where there is no systemd to ask."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: it comes with Debian's package systemd")
    directory = tmp_path_factory.mktemp("units")
    shutil.copytree(UNITS, directory / "units")
    (directory / "current" / "bin").mkdir(parents=True)
    (directory / "current" / "bin" / "spilldeck").symlink_to(sys.executable)
    for unit in (directory / "units").glob("*.service"):
        unit.write_text(unit.read_text().replace(RELEASES, str(directory)))
    return directory / "units"


def analyze(units: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["systemd-analyze", *arguments]
    environment = os.environ | {"SYSTEMD_COLORS": "0", "COLUMNS": "200"}
    return subprocess.run(command, cwd=units, env=environment, capture_output=True, text=True, check=False)


def instance(name: str) -> str:
    return f"./{name.replace('@', '@1')}"


def test_systemd_finds_nothing_wrong_with_the_units(installed: Path) -> None:
    names = [*map(instance, SERVICES), "./spilldeck-books.timer", "./spilldeck.target"]
    done = analyze(installed, "verify", "--man=no", *names)
    said = [line for line in done.stderr.splitlines() if not UNKNOWN_BEFORE_254.search(line)]
    ours = [line for line in said if "spilldeck" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_shut_in(installed: Path, name: str) -> None:
    done = analyze(installed, "security", "--offline=true", "--no-pager", instance(name))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSED


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_runs_the_current_release_with_a_command_that_there_is(name: str) -> None:
    command, *words = read(name)["Service"]["ExecStart"].split()
    assert command == f"{RELEASES}/current/bin/spilldeck"
    assert parses(words)


def test_words_that_no_command_takes_are_found() -> None:
    assert parses(["alarms", "watch"])
    assert not parses(["alarm", "watch"])
    assert not parses(["alarms", "watches"])


@pytest.mark.parametrize("name", DAEMONS)
def test_a_part_says_that_it_is_ready_is_watched_and_comes_again(name: str) -> None:
    its = read(name)["Service"]
    assert (its["Type"], its["NotifyAccess"], its["Restart"]) == ("notify", "main", "always")
    assert {"WatchdogSec", "TimeoutStartSec", "TimeoutStopSec", "RestartSec"} <= {*its}
    common = read("spilldeck-.service.d/10-common.conf")
    assert common["Unit"]["StartLimitIntervalSec"] == "0"


def test_a_worker_ends_itself_before_it_is_ended() -> None:
    its = read("spilldeck-worker@.service")["Service"]
    assert float(its["WatchdogSec"]) > DEAF_S
    assert float(its["TimeoutStopSec"]) > END_S


@pytest.mark.parametrize("name", SERVICES)
def test_the_settings_of_a_unit_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        line.removeprefix("Environment=")
        for file in (UNITS / name, UNITS / "spilldeck-.service.d/10-common.conf")
        for line in file.read_text().splitlines()
        if line.startswith("Environment=SPILLDECK_")
    ]
    assert lines
    for line in lines:
        variable, _, its = line.partition("=")
        monkeypatch.setenv(variable, its.replace("%S", "/var/lib"))
    load_settings()


def test_all_units_have_the_same_settings() -> None:
    """The page looks where the keeper writes, and doctor, which runs in none of these, looks at all of it."""
    for name in SERVICES:
        assert "Environment=" not in (UNITS / name).read_text()


def test_the_services_of_the_compose_file_are_the_parts_and_their_commands_are_commands() -> None:
    assert set(services()) == set(OURS)
    for its in services().values():
        assert parses(its["command"])


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_a_container_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, its in services()[name]["environment"].items():
        assert isinstance(its, str)
        monkeypatch.setenv(variable, its)
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == "kafka:9092"


@pytest.mark.parametrize("name", OURS)
def test_a_container_has_no_rights_and_publishes_nothing_but_the_page_to_its_own_machine(name: str) -> None:
    its = services()[name]
    assert its["read_only"] is True
    assert its["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in its.get("ports", ()))
    assert bool(its.get("ports")) == (name == "page")
    assert all(
        volume.partition(":")[0] in yaml.safe_load(COMPOSE.read_text())["volumes"] for volume in its.get("volumes", ())
    )
    assert "/live" in its["healthcheck"]["test"][-1]


def test_kafka_takes_the_largest_message_there() -> None:
    kafka = yaml.safe_load(COMPOSE.read_text())["services"]["kafka"]
    assert int(kafka["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) >= MAX_MESSAGE_BYTES


def test_the_image_runs_as_nobody_and_takes_what_there_is() -> None:
    lines = (COMPOSE.parent / "Containerfile").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith(("#", " "))]
    (user,) = [line[1] for line in words if line[0] == "USER"]
    assert user == "10001:10001"
    assert [line[0] for line in words][-1] == "STOPSIGNAL"
    copied = [name for line in words if line[0] == "COPY" and not line[1].startswith("--") for name in line[1:-1]]
    assert {name for name in copied if not (PROJECT / name).exists()} == set()
    assert {"schemas", "streams", "dashboards", "ops"} <= set(copied)
