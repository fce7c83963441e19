"""Files that others name, opened so that none of them holds the program up."""

import errno
import os
import stat
from pathlib import Path
from typing import IO

from streams.errors import UsageError


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
