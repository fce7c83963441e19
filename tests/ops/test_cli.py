"""The command line's frame: errors, exit status, settings."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ops.conftest import Spilldeck, assert_one_sentence

NOBODY = "127.0.0.1:1"
"""Nobody listens on port 1."""


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, ops.cli; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["confluent_kafka", "faust", "dash", "redis", "boost_histogram", "fastavro"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["nosuch"], ["topics", "nosuch"], ["up", "--nosuch"], ["process"]])
def test_wrong_use_ends_with_status_2_and_no_traceback(spilldeck: Spilldeck, arguments: list[str]) -> None:
    done = spilldeck(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert done.stderr


def test_the_help_of_every_command_fits_on_a_terminal(spilldeck: Spilldeck) -> None:
    for arguments in ([], ["up"], ["down"], ["status"], ["books"], ["topics"], ["topics", "apply"], ["config", "show"]):
        done = spilldeck(*arguments, "--help", env={"COLUMNS": "80"})
        assert done.returncode == 0, done.stderr
        assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_error_is_printed_letter_by_letter(spilldeck: Spilldeck) -> None:
    name = "[/x] [local] :b: no such file"
    line = assert_one_sentence(spilldeck("config", "show", env={"SPILLDECK_CONFIG": name}), 2)
    assert name in line


@pytest.mark.parametrize("command", [["topics", "plan"], ["topics", "diff", "--json"], ["topics", "apply"], ["worker"]])
def test_without_a_kafka_one_sentence_says_where_it_was_looked_for(spilldeck: Spilldeck, command: list[str]) -> None:
    done = spilldeck(*command, env={"SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": NOBODY})
    line = assert_one_sentence(done, 3)
    assert NOBODY in line
    assert "spilldeck up" in line


def shown(spilldeck: Spilldeck, env: dict[str, str]) -> dict[str, dict[str, str]]:
    done = spilldeck("config", "show", "--json", env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def test_config_show_says_where_each_value_comes_from(spilldeck: Spilldeck, tmp_path: Path) -> None:
    (tmp_path / "spilldeck.toml").write_text("[kafka]\npartitions = 3\nreplication = 2\n[books]\nwindow_s = 30\n")
    env = {"SPILLDECK_KAFKA__PARTITIONS": "7", "SPILLDECK_REDIS": '{"key_prefix": "other"}'}
    found = shown(spilldeck, env)
    assert found["kafka.partitions"] == {"value": "7", "from": "environment"}
    assert found["redis.key_prefix"] == {"value": "other", "from": "environment"}
    assert found["redis.url"]["from"] == "default"
    assert found["kafka.replication"] == {"value": "2", "from": "spilldeck.toml"}
    assert found["books.window_s"] == {"value": "30", "from": "spilldeck.toml"}
    assert found["session"] == {"value": "live", "from": "default"}


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://:hunter2@host:1/0", "redis://***@host:1/0"),
        ("rediss://anna:hunter2@host:1/0", "rediss://***@host:1/0"),
        ("redis://anna:hun@ter2@host:1/0", "redis://***@host:1/0"),
        ("redis://host:1/0?password=hunter2", "redis://host:1/0?***"),
        ("redis://host:1/0", "redis://host:1/0"),
        ("hunter2", "***"),
    ],
)
def test_config_show_masks_secrets(spilldeck: Spilldeck, url: str, masked: str) -> None:
    env = {"SPILLDECK_REDIS__URL": url}
    assert shown(spilldeck, env)["redis.url"]["value"] == masked
    assert "ter2" not in spilldeck("config", "show", env=env).stdout


def test_config_show_fits_on_a_terminal(spilldeck: Spilldeck) -> None:
    done = spilldeck("config", "show", env={"COLUMNS": "80", "SPILLDECK_LOCAL__DIRECTORY": "/" + "x" * 200})
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", ["SPILLDECK_KAFKA__PARTITONS", "SPILLDECK_KAFKA_PARTITIONS", "SPILLDECK_SESION"])
def test_a_misspelt_setting_in_the_environment_is_an_error(spilldeck: Spilldeck, name: str) -> None:
    line = assert_one_sentence(spilldeck("config", "show", env={name: "1"}), 2)
    assert name.rpartition("_")[2] in line.upper()


@pytest.mark.parametrize("text", ["[kafka]\npartitons = 3\n", "partitons = 3\n"])
def test_a_misspelt_setting_in_the_file_is_an_error(spilldeck: Spilldeck, tmp_path: Path, text: str) -> None:
    (tmp_path / "spilldeck.toml").write_text(text)
    assert "partitons" in assert_one_sentence(spilldeck("config", "show"), 2)


@pytest.mark.parametrize("text", ["[kafka", "session = \udcff"])
def test_a_file_that_is_no_toml_is_an_error(spilldeck: Spilldeck, tmp_path: Path, text: str) -> None:
    (tmp_path / "spilldeck.toml").write_bytes(text.encode(errors="surrogateescape"))
    assert "spilldeck.toml" in assert_one_sentence(spilldeck("config", "show"), 2)
