"""The command line's frame: errors, exit status, settings."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from confluent_kafka import Producer
from redis import Redis

from ops.stack import free_port
from ops.stack import redis as redis_server
from ops.topics import ensure_topics
from streams import __version__
from streams.settings import Settings
from streams.topics import Topics
from tests.conftest import PROJECT, WAIT_S
from tests.kafka import reached
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.servers import environment

NOBODY = "127.0.0.1:1"
"""Nobody listens on port 1."""


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, ops.cli; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = [
        "confluent_kafka",
        "faust",
        "dash",
        "redis",
        "boost_histogram",
        "fastavro",
        "numpy",
        "structlog",
        "asyncio",
    ]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


TOLD_WHERE_NOBODY_HEARS = """
import os, signal, time
from ops import cli

class Gone:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

def command(standalone_mode):
    Gone()
    time.sleep(60)

cli.app = command
cli.main()
"""


def test_what_tells_a_command_to_end_is_not_lost() -> None:
    words = [sys.executable, "-c", TOLD_WHERE_NOBODY_HEARS]
    done = subprocess.run(words, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stderr) == (130, "")


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


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("command", [["topics", "plan"], ["topics", "diff", "--json"], ["topics", "apply"], ["worker"]])
def test_without_a_kafka_one_sentence_says_where_it_was_looked_for(
    spilldeck_here: Spilldeck, command: list[str]
) -> None:
    done = spilldeck_here(*command, env={"SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": NOBODY})
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


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "foo://:hunter2@host/0",
        "redis://:hunter2@host:99999999/0",
        "redis://:hunter2@host:port/0",
        "redis://host/0?pasword=hunter2",
    ],
)
def test_an_address_that_no_redis_has_is_an_error_without_its_secrets(spilldeck: Spilldeck, url: str) -> None:
    line = assert_one_sentence(spilldeck("runs", "list", env={"SPILLDECK_REDIS__URL": url}), 2)
    assert "redis.url is no address of a Redis" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0?password=hunter2", "unix:///no/such.sock?password=hunter2"])
def test_a_redis_that_is_away_is_named_without_its_secrets(spilldeck: Spilldeck, url: str) -> None:
    line = assert_one_sentence(spilldeck("runs", "list", env={"SPILLDECK_REDIS__URL": url}), 3)
    assert "no Redis answers at" in line
    assert "hunter2" not in line


@pytest.mark.usefixtures("quickly")
def test_what_listens_and_is_no_kafka_is_not_taken_for_nobody(spilldeck_here: Spilldeck) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        env = {"SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{other.getsockname()[1]}"}
        line = assert_one_sentence(spilldeck_here("topics", "plan", env=env), 3)
    assert "does not answer as a Kafka without TLS and passwords does" in line


@pytest.mark.servers
def test_what_is_logged_is_none_of_what_a_program_reads(settings: Settings, spilldeck_here: Spilldeck) -> None:
    ensure_topics(settings)
    producer = Producer(reached(settings))
    producer.produce(Topics.of(settings).quality, b"no action")
    assert producer.flush(WAIT_S) == 0
    done = spilldeck_here("references", "pinned", "--json", env=environment(settings))
    assert json.loads(done.stdout) == {}
    assert "an action cannot be read" in done.stderr


@pytest.mark.servers
def test_a_redis_that_refuses_says_why(spilldeck: Spilldeck, tmp_path: Path) -> None:
    port = free_port()
    process = redis_server.start(tmp_path, port, keep=False)
    try:
        while not redis_server.answers(port, 1.0):
            assert process.runs
        with Redis(port=port) as redis:
            redis.acl_setuser("reader", enabled=True, passwords=["+right"], commands=["+ping", "+info"], keys=["*"])
        wrong = spilldeck("runs", "list", env={"SPILLDECK_REDIS__URL": f"redis://reader:hunter2@127.0.0.1:{port}/0"})
        may_not = spilldeck("runs", "list", env={"SPILLDECK_REDIS__URL": f"redis://reader:right@127.0.0.1:{port}/0"})
    finally:
        process.end()
    assert "refuses who asks" in assert_one_sentence(wrong, 3)
    assert "hunter2" not in wrong.stderr
    assert "does not let its user do this" in assert_one_sentence(may_not, 3)


def test_the_version_is_shown(spilldeck: Spilldeck) -> None:
    done = spilldeck("--version")
    asked = ["git", "-C", PROJECT, "rev-parse", "--short=7", "HEAD"]
    at = (
        subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() if shutil.which("git") else ""
    )
    begin = f"spilldeck {__version__}, a checkout{f' at g{at}' if at else ''}"
    assert (done.returncode, done.stdout.replace(", changed", "")) == (0, f"{begin}\n")


def test_a_version_that_is_not_done_says_so() -> None:
    (newest, *_) = re.findall(r"^## (.+)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    number, _, state = newest.partition(", ")
    wanted = f"{number}.dev0" if state == "in work" else number
    assert tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"] == wanted


def test_a_shell_completes_what_it_is_told_to(tmp_path: Path) -> None:
    program = Path(sys.prefix) / "bin" / "spilldeck"
    asked = 'COMP_WORDS=(spilldeck runs re); COMP_CWORD=2; _spilldeck_completion "$1"; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-ec", f'"$1" --install-completion bash >/dev/null; . ~/.bashrc; {asked}', "bash", program],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "restore\n"), done.stderr


@pytest.mark.parametrize("command", [["-h"], ["runs", "-h"], ["runs", "list", "-h"]])
def test_h_is_help(spilldeck: Spilldeck, command: list[str]) -> None:
    done = spilldeck(*command)
    assert done.returncode == 0
    assert "Usage" in done.stdout


@pytest.mark.parametrize("arguments", [["config", "show"], ["config", "show", "--json"]])
def test_output_that_cannot_be_written_is_one_sentence(spilldeck: Spilldeck, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ops", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["spilldeck: the output cannot be written: No space left on device"]


def test_output_is_utf_8_whatever_the_locale_is(spilldeck: Spilldeck) -> None:
    done = spilldeck("config", "show", env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert "│" in done.stdout


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_has_its_status_wherever_it_comes(tmp_path: Path, number: signal.Signals) -> None:
    """Python forgets that it was handled where it comes within exec() of a text."""
    interrupted = f"import os; os.kill(os.getpid(), {number.value})\nwhile True: pass"
    code = f"from ops.cli import app, main\n@app.command()\ndef halt(): exec({interrupted!r})\nmain()\n"
    (tmp_path / "halting.py").write_text(code)
    path = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "halting", "halt"]
    done = subprocess.run(command, env=path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "")
