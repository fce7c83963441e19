"""Files of secrets: for their owner alone, written whole or not at all, changed by one process at a time."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from streams.errors import SpilldeckError, UsageError
from streams.files import read_whole, refuse_shared

_BYTES = 16 << 20
T = TypeVar("T")


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


class PrivateJson(Generic[T]):
    """A file with an object of JSON, read again when it has changed.

    Parameters
    ----------
    kind
        Makes of the object what it is; of an empty one, too, as which a file counts that is not there.
    """

    def __init__(self, path: Path, kind: TypeAdapter[T]) -> None:
        self._path, self._kind = path, kind
        self._known: tuple[tuple[int, ...], T] | None = None

    def read(self) -> T:
        """Return what is in it.

        Raises
        ------
        AccessFileError
            When it cannot be read, or holds something else.
        """
        try:
            status = self._path.stat()
            now: tuple[int, ...] = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode)
        except OSError:  # what is wrong says who reads it
            now = ()
        if self._known is None or not now or now != self._known[0]:
            self._known = now, self._read_now()[1]
        return self._known[1]

    def _read_now(self) -> tuple[dict[str, Any], T]:
        content = read_private(self._path)
        try:
            values = json.loads(content) if content is not None else {}
            return values, self._kind.validate_python(values)
        except (ValueError, RecursionError) as error:  # pydantic's is a ValueError
            raise AccessFileError(f"{self._path} is damaged: bring back a copy, or remove it and begin anew") from error

    def change(self, how: Callable[[dict[str, Any]], None]) -> None:
        """Have its object changed by a function, by one at a time.

        Raises
        ------
        AccessFileError
            When it cannot be read or written.
        """
        with alone(self._path.parent):
            values, _ = self._read_now()
            how(values)
            write_private(self._path, json.dumps(values, indent=1).encode())
