"""The command, run as a user runs it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ops.console
import ops.topics
from dashboards.data import data, decisions
from ops.cli import main
from ops.stack import LocalStack
from streams import tls
from streams.daq import producer
from tests import begun
from tests.conftest import PROJECT, WAIT_S
from tests.kafka import wait_until_shared
from tests.live import OWN_TABLES, RUNS, Live, count_live, interleaved, own_run, small_run
from tests.servers import KIND, settings_on
from tests.tables import copy_tables, naming

Spilldeck = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def spilldeck(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Spilldeck:
    """Return a function that runs the command in an empty directory, with no settings but those it is given."""

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, stdin: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        plain = {name: value for name, value in os.environ.items() if not name.upper().startswith("SPILLDECK_")}
        # Wide, so that no sentence is broken where a test looks for its words.
        return begun.run(
            [str(each) for each in arguments],
            env=plain | {"COLUMNS": "200"} | (env or {}),
            cwd=tmp_path,
            stdin=stdin or Path(os.devnull),
            said=tmp_path_factory.mktemp("said"),
            timeout=100,
        )

    return run


@pytest.fixture
def spilldeck_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Spilldeck]:
    """Return a function that runs the command in this process: a second sooner than in one of its own."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        command = ["spilldeck", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        begun.replay_alike(monkeypatch)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(command, int(ended.value.code or 0), *capsys.readouterr())

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for console in (ops.console.out, ops.console.err):
        monkeypatch.setattr(console, "_width", 200)
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody wait long for what does not come."""
    monkeypatch.setattr(ops.topics, "ASK_S", 0.5)
    monkeypatch.setattr(producer, "CONNECT_S", 0.5)
    monkeypatch.setattr(tls, "CONNECT_S", 1.0)


@pytest.fixture(autouse=True)
def _books_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is asked of a page once be of the books: a busy machine reads them later than a reader would wait."""
    monkeypatch.setattr(data, "FIRST_READ_S", WAIT_S)
    monkeypatch.setattr(decisions, "FIRST_S", WAIT_S)


@pytest.fixture
def with_tables(shared: Path) -> dict[str, str]:
    """Return the settings that name the experiment's own conditions."""
    source = {
        "index": PROJECT / "streams/experiments/mice/conditions/mice.toml",
        "tables": shared / "data/mice-conditions",
    }
    return {"SPILLDECK_CONDITIONS": json.dumps([source], default=str)}


def assert_one_sentence(done: "subprocess.CompletedProcess[str]", status: int) -> str:
    """Check that a command failed with this status and one line, no traceback; return the line.

    One that waits for sentinels says so before.
    """
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    *before, line = done.stderr.splitlines()
    assert not before or (KIND == "sentinel" and len(before) == 1 and "Redis is away: waiting" in before[0])
    assert line.startswith("spilldeck: ")
    return line


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tables of the run `OWN_TABLES`."""
    return copy_tables(tmp_path_factory.mktemp("conditions") / "tables", OWN_TABLES, OWN_TABLES).parent


@pytest.fixture(scope="session")
def counted(stack: LocalStack, tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return interleaved runs that workers counted, one of which was killed meanwhile."""
    records = interleaved([own_run(), *map(small_run, RUNS)])
    half = len(records) // 2
    logs = tmp_path_factory.mktemp("live")
    with count_live(settings_on(stack), logs, [records[:half], records[half:]], naming(tables / "index.toml")) as live:
        yield live


@pytest.fixture(scope="module")
def live(counted: Live) -> Iterator[Live]:
    """Return these runs, and two workers, which are ended with a file: Kafka would tell them that nothing comes."""
    workers = counted.workers
    if all(worker.poll() is not None for worker in workers.running):
        for _ in range(2):
            workers.start()
        wait_until_shared(counted.settings, 2)
    yield counted
    workers.stop()
