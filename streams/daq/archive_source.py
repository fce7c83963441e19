"""An archive of a run to records, as a file of the DAQ is read."""

import heapq
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from schemas.known import WireError
from schemas.records import ControlKind, RawSpill, RunControl
from schemas.wire import decode
from streams.daq.archive_file import Message, contents_of, read_messages
from streams.errors import BadDataError


def record_of(message: Message, name: str) -> RawSpill | RunControl:
    """Return the record that a message of the archive of this name carries.

    Raises
    ------
    BadDataError
        When it is none of ``spills.raw``.
    """
    try:
        record = decode(message.value)
    except WireError as error:
        problem = str(error)
    else:
        if isinstance(record, RawSpill | RunControl):
            return record
        problem = f"a {type(record).__name__} has no place there"
    place = f"message {message.offset} of partition {message.partition}"
    raise BadDataError("archive", f"{name}: {place} is no raw spill: {problem}")


def read_archive(path: Path) -> Iterator[RawSpill | RunControl]:
    """Yield what an archive holds as whoever produced it sent it: by time, and run control once, not once a partition.

    Raises
    ------
    UsageError
        When the file cannot be read.
    BadDataError
        When it is no archive, or one that is damaged, cut or newer than this code.
    """
    there, sent = Counter[tuple[int, bytes]](), Counter[bytes]()
    parts = (_records(path, partition) for partition in contents_of(path).parts)
    for message, record in heapq.merge(*parts, key=_when):
        if isinstance(record, RunControl):
            place = message.partition, message.value
            there[place] += 1
            if there[place] <= sent[message.value]:
                continue
            sent[message.value] += 1
        yield record


def _records(path: Path, partition: int) -> Iterator[tuple[Message, RawSpill | RunControl]]:
    for message in read_messages(path, partition):
        yield message, record_of(message, path.name)


def _when(came: tuple[Message, RawSpill | RunControl]) -> tuple[int, int, int]:
    """Return by what messages of several partitions are ordered: of one millisecond, as they lay in their source."""
    message, record = came
    if isinstance(record, RawSpill):
        return message.time_ms, 1, record.byte
    return message.time_ms, 0 if record.kind is ControlKind.START else 2, record.byte
