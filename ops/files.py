"""Files that are written whole or not at all, whatever dies meanwhile."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streams.errors import UsageError

_PREFIX = ".spilldeck-"
_LEFT_S = 86_400
"""Nothing takes so long to be written: who began it was killed."""


@contextmanager
def workspace(directory: Path) -> Iterator[Path]:
    """Give a hidden directory inside another, to write in and to rename from.

    It is removed at the end; what was killed before its end is removed a day later, by the next one.

    Raises
    ------
    OSError
        When nothing can be written there.
    """
    for left in directory.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):  # another has just removed it
            if time.time() - left.stat().st_mtime > _LEFT_S:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=directory, ignore_cleanup_errors=True) as new:
        yield Path(new)


def write_whole(path: Path, text: str) -> None:
    """Write a text to a file, all or nothing; through a link, and into what is no file, as a device or a pipe.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    target = path.resolve()
    with workspace(target.parent) as directory:
        new = directory / target.name
        new.write_text(text, encoding="utf-8")
        new.replace(target)


def write_together(directory: Path, write: Callable[[Path], object]) -> list[Path]:
    """Have files written into a directory, in place of those of the same names, all of them or none; return them.

    Parameters
    ----------
    write
        Writes them into the directory that it is given.

    Raises
    ------
    UsageError
        When they cannot be written; then none has been.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with workspace(directory) as new:
            write(new)
            return [each.replace(directory / each.name) for each in sorted(new.iterdir())]
    except OSError as error:
        raise UsageError(f"nothing was written to {directory}: {error.strerror}") from error


def sync(path: Path) -> None:
    """Have a file, or the names in a directory, on the disk before this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
