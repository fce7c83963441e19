"""The command in a process of its own, begun from one that has imported what takes long already.

The suite begins some thousand of them, and to import takes one or two seconds of a processor each time. How a command
begins from nothing is tested where `sys.executable` is called.
"""

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from ops.replay.part import Shared

PRELOADED = [
    *("tests.begun", "streams.app", "dashboards.app", "streams.experiments.mice"),
    *("rich.progress", "typer.rich_utils", "typer.main"),
]
"""What takes long to import; not the commands, which read the width of their lines from the environment then."""
_context = get_context("forkserver")
_context.set_forkserver_preload(PRELOADED)


class Begun:
    """A command that runs, as `subprocess.Popen` has it."""

    def __init__(self, words: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: Path, out: Path, err: Path):
        self.args = words
        self._process = _context.Process(target=_run, args=(list(words), dict(env), cwd, stdin, out, err))
        self._process.start()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Heard(Begun):
    """A command that runs, and what it says, which is kept in a directory: where it stands, too, by default."""

    def __init__(self, words: Sequence[str], *, env: Mapping[str, str], said: Path, cwd: Path | None = None):
        self._out, self._err = said / f"{time.time_ns()}.out", said / f"{time.time_ns()}.err"
        nothing = Path(os.devnull)
        super().__init__(words, env=env, cwd=cwd or said, stdin=nothing, out=self._out, err=self._err)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait until it has ended; return what it said, and to standard error."""
        self.wait(timeout)
        return self._out.read_text(), self._err.read_text()


def run(
    words: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdin: Path, said: Path, timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, as `subprocess.run` does; what it says is kept in a directory meanwhile."""
    out, err = said / "stdout", said / "stderr"
    begun = Begun(words, env=env, cwd=cwd, stdin=stdin, out=out, err=err)
    try:
        status = begun.wait(timeout)
    except subprocess.TimeoutExpired:
        begun.kill()
        raise
    return subprocess.CompletedProcess(words, status, out.read_text(), err.read_text())


def replay_alike(monkeypatch: "pytest.MonkeyPatch") -> None:
    """Have a replay that is made in this process begin its workers so, too; a command of its own begins them anew."""
    here = partial(_begin_here, dict(os.environ), Path.cwd())
    monkeypatch.setattr("ops.replay.run.multiprocessing", SimpleNamespace(get_context=lambda method: _context))
    monkeypatch.setattr("ops.replay.run.begin", here)


def _begin_here(env: dict[str, str], cwd: Path, shared: "Shared") -> None:
    from ops.replay.part import begin  # noqa: PLC0415

    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    begin(replace(shared, parent=os.getppid()))


@atexit.register
def _kill_all() -> None:
    """Leave none behind: who began them waits at its own end for those that a test did not end."""
    for each in active_children():
        each.kill()


def _run(words: list[str], env: dict[str, str], cwd: Path, stdin: Path, out: Path, err: Path) -> None:
    """Be the command: what follows is as in a process that was started with it."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[:0] = [str(cwd), *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["spilldeck", *words]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    ours = [os.open(stdin, os.O_RDONLY), os.open(out, flags), os.open(err, flags)]
    for number, opened in enumerate(ours):
        os.dup2(opened, number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    from ops.cli import main  # noqa: PLC0415

    main()
