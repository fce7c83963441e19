"""The command, run as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.conftest import PROJECT

Spilldeck = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def spilldeck(tmp_path: Path) -> Spilldeck:
    """Return a function that runs the command in an empty directory, with no settings but those it is given."""

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, stdin: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        plain = {name: value for name, value in os.environ.items() if not name.upper().startswith("SPILLDECK_")}
        # Wide, so that no sentence is broken where a test looks for its words.
        with (stdin or Path(os.devnull)).open("rb") as given:
            return subprocess.run(
                [sys.executable, "-m", "ops", *arguments],
                env=plain | {"COLUMNS": "200"} | (env or {}),
                cwd=tmp_path,
                stdin=given,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )

    return run


@pytest.fixture
def with_tables(shared: Path) -> dict[str, str]:
    """Return the settings that name the experiment's own conditions."""
    source = {"index": PROJECT / "streams/conditions/mice.toml", "tables": shared / "data/mice-conditions"}
    return {"SPILLDECK_CONDITIONS": json.dumps([source], default=str)}


def environment(settings: Settings) -> dict[str, str]:
    """Return settings as the environment gives them."""
    kafka = settings.kafka
    return {
        "SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SPILLDECK_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "SPILLDECK_KAFKA__PARTITIONS": str(kafka.partitions),
        "SPILLDECK_KAFKA__REPLICATION": str(kafka.replication),
        "SPILLDECK_REDIS__URL": settings.redis.url.get_secret_value(),
    }


def assert_one_sentence(done: "subprocess.CompletedProcess[str]", status: int) -> str:
    """Check that a command failed with this status and one line, no traceback; return the line."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("spilldeck: ")
    return line
