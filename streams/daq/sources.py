"""Files to records: DATE files and spills as JSON of the DAQ, and archives of runs, recognised by what they hold."""

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.records import RawSpill, RunControl
from streams.daq.archive_file import MAGIC, is_archive
from streams.daq.archive_source import read_archive
from streams.daq.date_file import DateReader
from streams.daq.json_file import read_json
from streams.errors import BadDataError, UsageError
from streams.unpack.framing import SWAPPED_MAGIC, headers

LOOK_S = 0.1
"""Time between two looks at a file that is followed."""
SETTLED_S = 0.5
"""The DAQ writes the events of a spill's end within milliseconds."""
_WINDOW = 256 << 20
"""Bytes of a file that is followed which are read at once."""
_BEGINNING = 4096
"""Bytes that a file that is followed must have before it is judged: damaged ones may come before its first event."""
_LOOKED_AT = 1 << 20
"""Bytes at the beginning of a file of JSON in which a line must begin with an object."""


def read_source(path: Path) -> Iterator[RawSpill | RunControl]:
    """Yield what a file holds, in its order.

    In a file of the DAQ nothing is passed over: bytes in which there is no spill come as unreadable spills, with the
    reason, the name of the file and the place. The file is mapped, never read as a whole. Records of an archive are as
    they were sent, with the sources that they had then.

    Raises
    ------
    UsageError
        When the file cannot be read or is empty.
    BadDataError
        When it is no file of the DAQ: neither a DATE event nor a JSON object is in it, or it is byte-swapped; or when
        it is an archive that is damaged.
    """
    if is_archive(path):
        yield from read_archive(path)
        return
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise UsageError(f"{path} is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield from _reader(content, path.name)(content, path.name)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def follow_date(path: Path) -> Iterator[RawSpill | RunControl]:
    """Yield what a DATE file holds, and what is written to it from now on, for ever; stop asking to end it.

    A spill comes when it is complete: when something follows it, or it has its end and the file has not grown for
    `SETTLED_S`. Bytes at the end wait for their rest.

    Raises
    ------
    UsageError
        When the file cannot be read, or becomes shorter.
    BadDataError
        When it does not begin as a DATE file.
    """
    reader = DateReader(path.name)
    size, grown_s = 0, time.monotonic()
    try:
        while True:
            now = path.stat().st_size
            if now < size:
                raise UsageError(f"{path} has become shorter while it was followed: is it another file now?")
            if now > size:
                size, grown_s = now, time.monotonic()
            before = reader.at
            if size > before and size >= _BEGINNING:
                settled = time.monotonic() - grown_s > SETTLED_S
                with _copied(path, before, min(size, before + _WINDOW)) as content:
                    if before == 0 and not _is_date(content):
                        raise BadDataError("framing", f"{path.name} is no DATE file: only these are followed", 0)
                    yield from reader.read_growing(content, settled=settled and len(content) == size)
                    if reader.at == before and len(content) == before + _WINDOW:
                        yield from reader.read(content)  # no spill is so long
            if size - reader.at < _WINDOW:
                time.sleep(LOOK_S)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def _copied(path: Path, start: int, stop: int) -> Iterator[mmap.mmap]:
    """Give a copy of a file up to `stop`, of which the bytes before `start` are left out: they take no memory.

    A mapping of the file itself would end the process when somebody makes the file shorter.
    """
    with path.open("rb") as file, mmap.mmap(-1, stop) as copy:
        file.seek(start)
        content = file.read(stop - start)
        copy[start : start + len(content)] = content
        yield copy


def _is_date(content: mmap.mmap) -> bool:
    """Say whether there is a DATE event; those in an archive are none of a file's own."""
    return content[: len(MAGIC)] != MAGIC and any(True for _ in headers(content, 0, len(content)))


def _reader(content: mmap.mmap, source: str) -> Callable[[mmap.mmap, str], Iterator[RawSpill | RunControl]]:
    """Return what reads a file of the DAQ with this content: DATE if one event is in it, which no text can hold."""
    if _is_date(content):
        return lambda content, source: DateReader(source).read(content)
    beginning = content[:_LOOKED_AT]
    if beginning.lstrip()[:1] == b"{" or b"\n{" in beginning:
        return read_json
    if int.from_bytes(content[4:8], "little") == SWAPPED_MAGIC:
        raise BadDataError("framing", f"{source} is byte-swapped, written by a big-endian DAQ: swap its words first", 4)
    raise BadDataError("framing", f"{source} is no file of the DAQ: it has neither DATE events nor spills as JSON", 0)
