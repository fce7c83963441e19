"""Files that others name, opened so that none of them holds the program up."""

import errno
import os
import stat
from pathlib import Path
from typing import IO

from streams.errors import UsageError

_SECRET_BYTES = 1 << 20


def open_file(path: Path) -> IO[bytes]:
    """Open a file to be read. Nobody may ever write to a pipe, and a device may never end: they are refused.

    Raises
    ------
    OSError
        When it cannot be opened, or is no regular file.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115 - given away
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


def read_whole(path: Path, bytes_max: int, what: str) -> bytes:
    """Return the bytes of a file; `what` it is, the error says.

    Raises
    ------
    UsageError
        When it cannot be read, or is longer.
    """
    try:
        with open_file(path) as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read: {error.strerror}") from error
    if len(content) > bytes_max:
        raise UsageError(f"{what} {path} is longer than {bytes_max >> 20} MiB")
    return content


def read_secret(path: Path, what: str) -> str:
    """Return the text of a file for its owner alone, without the white space around it; `what` it is, the error says.

    Raises
    ------
    ValueError
        When it cannot be read, is empty, or others may read it.
    """
    try:
        with open_file(path) as file:
            refuse_shared(path, os.fstat(file.fileno()))
            text = file.read(_SECRET_BYTES).decode().strip()
    except OSError as error:
        raise ValueError(f"{what} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{what} {path} is no text") from None
    if not text:
        raise ValueError(f"{what} {path} is empty")
    return text


def refuse_shared(path: Path, status: os.stat_result) -> None:
    """Refuse a secret that others may read.

    Raises
    ------
    ValueError
        Says what to do.
    """
    if status.st_mode & 0o077:
        mode = stat.filemode(status.st_mode)
        raise ValueError(f"others may read {path} ({mode}): chmod 600 it, and change what is in it")
