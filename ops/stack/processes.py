"""Server processes of the local stack: started, found again by their pid files, and ended; never anybody else's."""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from streams.errors import ServerError
from streams.told import told_later

STOP_S = 20.0
"""A broker writes out its logs within it; what has not ended then is killed."""
KILL_S = 5.0
"""The kernel clears away a killed process within it."""
OWN = 0o077
"""The mask of what servers make: files that their user alone reads."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here: a child between fork and exec must not load anything


def die_with_parent() -> None:
    """Have the kernel end this process when its parent dies, however it dies.

    For ``preexec_fn``, in a block of `told_later`, as that forks in Python; Linux alone.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is known by more than its id, which the system gives to another one some day."""

    pid: int
    started: str
    """The kernel's start time of the process, in ticks since boot; with the id it names one process for ever."""
    port: int
    """Where it was told to listen."""

    @property
    def runs(self) -> bool:
        """Whether it is still there."""
        return _start_time(self.pid) == self.started

    def end(self) -> None:
        """Ask it to end; kill it if it does not."""
        end([self])

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        if self.runs:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def end(those: Sequence[Process]) -> None:
    """Ask all of them to end, at the same time; kill those that do not."""
    for number, seconds in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, KILL_S)):
        for process in those:
            process.send(number)
        deadline = time.monotonic() + seconds
        while any(process.runs for process in those) and time.monotonic() < deadline:
            time.sleep(0.05)
    for process in those:
        _reap(process.pid)


def _start_time(pid: int) -> str | None:
    """Return the start time of a process, None if there is none of this id (or it has ended and is not reaped)."""
    try:
        # The name may hold spaces and brackets: what counts follows the last bracket.
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # not our child: started by an earlier command


def environment() -> dict[str, str]:
    """Return the environment of a server: in any other locale Java finds no file whose name is not ASCII."""
    return os.environ | {"LC_ALL": "C.UTF-8"}


def start(name: str, command: Sequence[str | Path], directory: Path, port: int, *, keep: bool) -> Process:
    """Start a server; its output goes to ``directory/name.log``, its id to ``directory/name.pid``.

    Parameters
    ----------
    keep
        Let it live on when we end; else it ends with us.

    Raises
    ------
    ServerError
        When it cannot be started.
    """
    with own_file(directory / f"{name}.log") as log, told_later():
        try:
            child = subprocess.Popen(  # noqa: S603 - the commands are ours
                command,
                cwd=directory,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=OWN,
                preexec_fn=None if keep else die_with_parent,  # noqa: PLW1509 - a system call, nothing that locks
            )
        except OSError as error:
            raise ServerError(f"{name} cannot be started: {command[0]}: {error.strerror}") from error
    started = _start_time(child.pid)
    # From here on known by id and start time alone, as every later command knows it.
    child.returncode = 0
    if started is None:
        raise ServerError(f"{name} ended at once: {last_words(name, directory)}")
    process = Process(child.pid, started, port)
    with own_file(directory / f"{name}.pid") as file:
        file.write(json.dumps(asdict(process)).encode())
    return process


def own_file(path: Path) -> BinaryIO:
    """Open a file anew that only its user reads; through no link, which another user may have put there."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb")


def find(name: str, directory: Path) -> Process | None:
    """Return the server that a pid file of ours names, if it runs."""
    file = directory / f"{name}.pid"
    try:
        if file.lstat().st_uid != os.getuid():
            return None
        process = Process(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return process if process.runs else None


def last_words(name: str, directory: Path) -> str:
    """Return the last line of a server's log that says something; the lines of a Java stack trace are indented."""
    log = directory / f"{name}.log"
    lines = log.read_text(errors="replace").split("\n") if log.is_file() else []
    said = [line for line in lines if line.strip() and not line[0].isspace()]
    return f"{said[-1] if said else 'it said nothing'} (see {log})"
