"""Files of the DAQ to records: DATE files and spills as JSON, recognised by what they hold."""

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

from schemas.records import RawSpill, RunControl
from streams.daq.date_file import read_date
from streams.daq.json_file import read_json
from streams.errors import BadDataError, UsageError
from streams.unpack.framing import SWAPPED_MAGIC, headers

_LOOKED_AT = 1 << 20
"""Bytes at the beginning of a file of JSON in which a line must begin with an object."""


def read_source(path: Path) -> Iterator[RawSpill | RunControl]:
    """Yield what a file holds, in its order.

    In a file of the DAQ nothing is passed over: bytes in which there is no spill come as unreadable spills, with the
    reason, the name of the file and the place. The file is mapped, never read as a whole.

    Raises
    ------
    UsageError
        When the file cannot be read or is empty.
    BadDataError
        When it is no file of the DAQ: neither a DATE event nor a JSON object is in it, or it is byte-swapped.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise UsageError(f"{path} is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield from _reader(content, path.name)(content, path.name)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _reader(content: mmap.mmap, source: str) -> Callable[[mmap.mmap, str], Iterator[RawSpill | RunControl]]:
    """Return what reads a file with this content: DATE if there is one event in it, which no text can hold."""
    if any(True for _ in headers(content, 0, len(content))):
        return read_date
    beginning = content[:_LOOKED_AT]
    if beginning.lstrip()[:1] == b"{" or b"\n{" in beginning:
        return read_json
    if int.from_bytes(content[4:8], "little") == SWAPPED_MAGIC:
        raise BadDataError("framing", f"{source} is byte-swapped, written by a big-endian DAQ: swap its words first", 4)
    raise BadDataError("framing", f"{source} is no file of the DAQ: it has neither DATE events nor spills as JSON", 0)
