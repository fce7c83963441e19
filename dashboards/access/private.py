"""Files of secrets: for their owner alone, written whole or not at all, changed by one process at a time."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streams.errors import SpilldeckError, UsageError
from streams.files import read_whole, refuse_shared

_BYTES = 16 << 20


class AccessFileError(SpilldeckError):
    """A file of who is who cannot be read or written; whoever asks the page is not told which."""


def make_private(directory: Path) -> None:
    """Have a directory that its owner alone may look into.

    Raises
    ------
    AccessFileError
        When it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise AccessFileError(f"{directory} of access.directory cannot be made: {error.strerror}") from error


def read_private(path: Path) -> bytes | None:
    """Return what is in a file; None if there is none.

    Raises
    ------
    AccessFileError
        When it cannot be read, or others may read it.
    """
    try:
        refuse_shared(path, path.stat())
        return read_whole(path, _BYTES, "the file")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccessFileError(f"{path} cannot be read: {error.strerror}") from error
    except (UsageError, ValueError) as error:
        raise AccessFileError(str(error)) from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole, for its owner alone; what was there stays until then."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def damaged(path: Path) -> AccessFileError:
    """Return the error of a file that holds something else."""
    return AccessFileError(f"{path} is damaged: bring back a copy, or remove it and begin anew")


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep other processes and threads from changing the files of a directory in a ``with`` block.

    Raises
    ------
    AccessFileError
        When nothing can be written there.
    """
    make_private(directory)
    try:
        lock = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
    except OSError as error:
        raise AccessFileError(f"nothing can be written to {directory} of access.directory: {error.strerror}") from error


class PrivateJson:
    """A file with an object of JSON, read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, ...], dict[str, Any]] = ((), {})

    def read(self) -> dict[str, Any]:
        """Return what is in it; nothing if there is no file.

        Raises
        ------
        AccessFileError
            When it cannot be read, or holds something else.
        """
        stamp, known = self._read
        try:
            status = self._path.stat()
            now: tuple[int, ...] = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode)
        except OSError:  # what is wrong says who reads it
            now = ()
        if now and now == stamp:
            return known
        values = self._read_now()
        self._read = (now, values)
        return values

    def _read_now(self) -> dict[str, Any]:
        content = read_private(self._path)
        try:
            values = json.loads(content) if content is not None else {}
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise damaged(self._path)
        return values

    def change(self, how: Callable[[dict[str, Any]], None]) -> None:
        """Have it changed by a function, by one at a time.

        Raises
        ------
        AccessFileError
            When it cannot be read or written.
        """
        with alone(self._path.parent):
            values = self._read_now()
            how(values)
            write_private(self._path, json.dumps(values, indent=1).encode())
