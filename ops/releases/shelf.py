"""The directory of releases: which there are, which is current, and the links that say so."""

import fcntl
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from pydantic import TypeAdapter, ValidationError

from ops.files import sync, write_whole
from ops.releases.formats import Formats
from streams.errors import SpilldeckError, UsageError
from streams.moving import CURRENT, WITNESS
from streams.settings import Settings

PREVIOUS = "previous"
FORMAT = 1
"""Of what is kept of a release; another one is refused."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
ANSWER_S = 60.0
"""A command of a release that asks no server answers within it: the first one reads all packages from the disk."""
_MARKER = "release.json"
_LOCK = ".lock"
_BEGUN = ".begun-"
_FIRST = 1
"""Process of a machine or a container, which runs for as long as anything does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is known of a release since it was installed."""

    name: str
    version: str
    """As `--version` and the books say it."""
    digest: str
    """Of its code, see `digest_of`."""
    source: str
    """What it was installed from."""
    commit: str = ""
    """That the checkout was at; empty if it was none of git's."""
    installed_s: float
    """Seconds since 1970 UTC."""
    formats: Formats | None = None
    """What it reads and writes; None of one from before releases said so."""
    format: int = FORMAT


_RELEASE = TypeAdapter(Release)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A process that runs a release."""

    process: int
    release: str
    does: str
    """The command, as ``worker``."""
    follows: bool
    """Whether it was started through `CURRENT`."""


class Shelf:
    """The releases of a directory.

    A release is a virtual environment, which cannot be moved: it is made where it stays, and is one from when its
    marker is written, the last thing of all.

    Parameters
    ----------
    directory
        That holds them.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.expanduser().absolute()

    @classmethod
    def of(cls, settings: Settings) -> "Shelf":
        """Return that of these settings."""
        return cls(settings.releases.directory)

    def path(self, name: str) -> Path:
        """Return where a release is, or would be."""
        return self.directory / name

    def command(self, name: str) -> Path:
        """Return the executable of a release, or of the one that a link names."""
        return self.path(name) / "bin" / "spilldeck"

    def all(self) -> list[Release]:
        """Return the releases, the oldest first.

        Raises
        ------
        UsageError
            When what is known of one cannot be read.
        """
        return sorted(map(self.get, self._names()), key=lambda release: release.installed_s)

    def _names(self) -> list[str]:
        markers = self.directory.glob(f"*/{_MARKER}")
        return sorted(marker.parent.name for marker in markers if not marker.parent.is_symlink())

    def get(self, name: str) -> Release:
        """Return a release.

        Raises
        ------
        UsageError
            When there is none of this name, or what is known of it cannot be read.
        """
        there = self._names()
        if name not in there:
            are = f"are {', '.join(there)}" if there else "is none"
            raise UsageError(f"there is no release {name}: there {are} (spilldeck release list)")
        marker = self.path(name) / _MARKER
        what = f"what is known of the release {name} cannot be read ({marker})"
        try:
            plain = json.loads(marker.read_text(encoding="utf-8"))
            if isinstance(plain, dict) and plain.get("format") != FORMAT:
                raise UsageError(f"{what}: it has the format {plain.get('format')}, this version knows {FORMAT}")
            return _RELEASE.validate_python(plain)
        except (OSError, ValueError, ValidationError) as error:
            raise UsageError(f"{what}: {error}".partition("\n")[0]) from error

    def linked(self, link: str) -> str | None:
        """Return the name of the release that `CURRENT` or `PREVIOUS` names, if it does."""
        try:
            return self.path(link).readlink().name
        except OSError:
            return None

    def use(self, name: str) -> None:
        """Have `CURRENT` name a release, and `PREVIOUS` the one that it named; each in one step.

        Raises
        ------
        UsageError
            When there is no such release.
        """
        self.get(name)
        now = self.linked(CURRENT)
        if name != now:
            # In this order: killed in between, nothing has changed but what one would go back to.
            if now is not None:
                self._link(PREVIOUS, now)
            self._link(CURRENT, name)

    def _link(self, link: str, name: str) -> None:
        with tempfile.TemporaryDirectory(prefix=".link-", dir=self.directory) as new:
            path = Path(new) / link
            path.symlink_to(name)
            path.replace(self.path(link))
        sync(self.directory)

    @contextmanager
    def making(self, name: str) -> Iterator[Path]:
        """Give where a release is to be made; without `add`, nothing stays of it, whenever this is killed."""
        self._begun(name).touch()
        try:
            yield self.path(name)
        finally:
            self._clear_away()

    def add(self, release: Release) -> None:
        """Have a release that is made be one of those that there are."""
        write_whole(self.path(release.name) / _MARKER, json.dumps(asdict(release), indent=1))
        sync(self.path(release.name))

    def remove(self, name: str) -> None:
        """Remove a release that nobody uses.

        Raises
        ------
        UsageError
            When it is current or previous, or something of it runs on this machine.
        """
        with self.alone():
            self.get(name)
            for link in (CURRENT, PREVIOUS):
                if self.linked(link) == name:
                    raise UsageError(f"{name} is the {link} release: use another one first")
            if there := [part.process for part in self.parts() if part.release == name]:
                raise UsageError(f"{name} runs on this machine (process {', '.join(map(str, there))}): end it first")
            with self.making(name) as path:
                (path / _MARKER).unlink()

    def parts(self) -> list[Part]:
        """Return the processes of this machine that interpreters of releases run, without workers' witnesses.

        Raises
        ------
        UsageError
            When processes of others are hidden from us, as `ProtectProc=` does in a unit: none seen is not none there.
        """
        if _FIRST not in psutil.pids():
            raise UsageError("processes of others are hidden here, and with them workers: run it as root, in no unit")
        found = []
        for process in psutil.process_iter(["cmdline", "name"]):
            words: list[str] = process.info["cmdline"] or []
            interpreter, command, does, *_ = [*words, "", "", ""]
            if not self._is_within(interpreter) or process.info["name"] == WITNESS:
                continue
            follows = self._is_within(command) and Path(command).parents[1].name == CURRENT
            part = Part(
                process=process.pid,
                release=Path(interpreter).parents[1].name,
                does=does,
                follows=follows,
            )
            found.append(part)
        return found

    def _is_within(self, command: str) -> bool:
        """Say whether this is an executable of a release, or of a link to one."""
        path = Path(command)
        if not path.is_absolute() or path.parent.name != "bin":
            return False
        return path.parent.parent.parent.resolve() == self.directory.resolve()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from adding and removing; what was killed at it is removed first.

        Raises
        ------
        UsageError
            When another is at it, or nothing can be written here.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with (self.directory / _LOCK).open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise UsageError(f"another is changing {self.directory}: try again when it is done") from error
                self._clear_away()
                yield
        except OSError as error:
            raise UsageError(f"{self.directory} cannot be changed: {error.strerror or error}") from error

    def _begun(self, name: str) -> Path:
        """Return the file that says that a directory is being made or removed: no other one is ever taken away."""
        return self.directory / f"{_BEGUN}{name}"

    def _clear_away(self) -> None:
        """Remove what was begun and is no release."""
        for begun in self.directory.glob(f"{_BEGUN}*"):
            path = self.path(begun.name.removeprefix(_BEGUN))
            if path.exists() and not (path / _MARKER).exists():
                shutil.rmtree(path)
            begun.unlink()

    def ask(self, name: str, *arguments: str) -> dict[str, Any]:
        """Return what a command of a release answers as JSON.

        Raises
        ------
        SpilldeckError
            Says why it does not.
        """
        done = run([self.command(name), *arguments], ANSWER_S)
        try:
            plain: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise SpilldeckError(
                f"the release {name} does not answer to `spilldeck {' '.join(arguments)}`; it says: {said}"
            ) from None
        return plain


def run(command: Sequence[str | Path], timeout_s: float | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command with nothing to read; return what it says.

    Raises
    ------
    SpilldeckError
        When it cannot be started, or takes longer.
    """
    try:
        return subprocess.run(  # noqa: S603 - our own commands
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpilldeckError(f"{command[0]} cannot be run: {error}") from error
