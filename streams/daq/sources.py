"""Files of the DAQ to records: DATE files and spills as JSON, recognised by what they hold."""

import mmap
from collections.abc import Iterator
from pathlib import Path

from schemas.records import RawSpill, RunControl
from streams.daq.date_file import read_date
from streams.daq.json_file import read_json
from streams.errors import UsageError


def read_source(path: Path) -> Iterator[RawSpill | RunControl]:
    """Yield what a file holds, in its order.

    Nothing is passed over: bytes in which there is no event come as unreadable spills, with the reason, the name of
    the file and the place.

    Raises
    ------
    UsageError
        When the file cannot be read or is empty.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise UsageError(f"{path} is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                read = read_json if content[:64].lstrip()[:1] == b"{" else read_date
                yield from read(content, path.name)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
