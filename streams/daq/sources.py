"""Sources to records: DATE files, spills as JSON, MIDAS files, and archives of runs, recognised by what they hold."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from schemas.records import MAX_PAYLOAD_BYTES, RawSpill, RunControl
from streams.daq.archive_file import MAGIC
from streams.daq.archive_source import read_archive
from streams.daq.compressed import COMPRESSED, decompressed, is_compressed
from streams.daq.date_file import DateReader, FirstCounts
from streams.daq.json_file import JsonReader
from streams.daq.midas_file import MidasReader, MidasSpills
from streams.daq.source import SETTLED_S, Source
from streams.errors import BadDataError, SpilldeckError, UsageError
from streams.midas.events import begins_with_run, byte_order
from streams.unpack.framing import SWAPPED_MAGIC, headers

LONGEST_BYTES = 2 * MAX_PAYLOAD_BYTES
"""Bytes that are held unread: no spill is so long."""
_SHORTEST = 80
"""Bytes of a header: with fewer nothing is known of a source."""
_BEGINNING = 4096
"""Bytes that a source that grows must have before it is refused: damaged ones may come before its first event."""
_LOOKED_AT = 1 << 20
"""Bytes at the beginning of a source of JSON in which a line must begin with an object."""
_BOM = b"\xef\xbb\xbf"
_OTHER: dict[bytes, str] = {
    b"root": "a ROOT file: what the DAQ wrote is read, not what was made of it",
    b"\xff\xfe": "text in UTF-16: write it as UTF-8",
    b"\xfe\xff": "text in UTF-16: write it as UTF-8",
    b"PK\x03\x04": "a zip file: take out what is in it",
    **dict.fromkeys(COMPRESSED, "compressed, and damaged at its begin"),
    MAGIC: "an archive that is compressed once more, or comes from a pipe: give the file as it was written",
}
"""First bytes → what such a source is."""


class Reader(Protocol):
    """Makes records of bytes that come by and by."""

    at: int
    """What lies before this byte of the source is made into records."""

    def read(self, content: bytes, *, ended: bool, settled: bool) -> Iterator[RawSpill | RunControl]:
        """Yield the records that are complete in the bytes from `at` on; all, if they have `ended`."""


def read_source(
    path: Path, firsts: FirstCounts | None = None, midas: MidasSpills | None = None
) -> Iterator[RawSpill | RunControl]:
    """Yield what a file holds, as `read_opened` does."""
    with Source(path) as source:
        yield from read_opened(source, {} if firsts is None else firsts, midas)


def read_opened(
    source: Source, firsts: FirstCounts, midas: MidasSpills | None = None
) -> Iterator[RawSpill | RunControl]:
    """Yield what a source holds, in its order; what comes from a pipe as soon as it is complete.

    In a file of the DAQ nothing is passed over: bytes in which there is no spill come as unreadable spills, with the
    reason, the name of the file and the place, in a compressed one that in what was compressed. Records of an archive
    are as they were sent, with the sources that they had then.

    Parameters
    ----------
    firsts
        What is known of the runs from other files; is told what this one shows.
    midas
        How the experiment marks its spills in MIDAS files; None if it has no such files.

    Raises
    ------
    UsageError
        When the file cannot be read, is empty, or becomes shorter meanwhile.
    BadDataError
        When it is no file of the DAQ: neither an event of DATE or MIDAS nor a JSON object is in it, or it is DATE and
        byte-swapped; when it is a MIDAS file, and the experiment has none; or when it is compressed or an archive, and
        damaged.
    """
    if source.is_file and source.head.startswith(MAGIC):
        yield from read_archive(source.place)
    else:
        yield from _records(decompressed(source.pieces(), source.name), source, firsts, midas)


def follow(source: Source, firsts: FirstCounts, midas: MidasSpills | None = None) -> Iterator[RawSpill | RunControl]:
    """Yield what a file holds, and what is written to it from now on, until another file has its name.

    A spill comes when it is complete: when something follows it, or it has its end and the file has not grown for
    `SETTLED_S`. Bytes at the end wait for their rest.

    Raises
    ------
    UsageError
        When the file cannot be read.
    BadDataError
        When it is no file of the DAQ.
    """
    if source.head.startswith(MAGIC) or is_compressed(source.head):
        raise BadDataError("framing", f"{source.name} is no file that the DAQ writes to: only these are followed", 0)
    yield from _records(source.pieces_as_it_grows(), source, firsts, midas)


def _records(
    pieces: Iterator[bytes], source: Source, firsts: FirstCounts, midas: MidasSpills | None
) -> Iterator[RawSpill | RunControl]:
    content, waiting, waiting_bytes = b"", list[bytes](), 0
    reader: Reader | None = None
    ended, failure, came_s = False, None, time.monotonic()
    while not ended:
        try:
            piece = next(pieces, None)
        except SpilldeckError as error:
            piece, failure = None, error
        ended = piece is None
        if piece:
            came_s = time.monotonic()
            waiting.append(piece)
            waiting_bytes += len(piece)
            if waiting_bytes < len(content) // 2:
                continue  # each byte is looked at a few times at most
        content, waiting, waiting_bytes = content + b"".join(waiting), [], 0
        settled, full = time.monotonic() - came_s > SETTLED_S, len(content) > LONGEST_BYTES
        if reader is None and not (ended and failure):
            reader = _reader(content, source, firsts, midas, whole=ended or full, settled=settled)
        if reader is not None:
            before = reader.at
            yield from reader.read(content, ended=ended, settled=settled)
            if full and reader.at == before:
                yield from reader.read(content, ended=True, settled=settled)
            content = content[reader.at - before :]
    if failure is not None:
        raise failure


def _reader(
    content: bytes, source: Source, firsts: FirstCounts, midas: MidasSpills | None, *, whole: bool, settled: bool
) -> Reader | None:
    """Return what reads a source that begins so; None: not known.

    It is DATE or MIDAS if one event of it is in it, which no text can hold.

    Parameters
    ----------
    whole
        There is no more of it, or so much is there that more tells nothing.
    """
    name = source.name
    if not content:
        if whole and source.at == 0:
            raise UsageError(f"{source.path} is empty")
        return None
    if begins_with_run(content):
        return _midas_reader(content, source, midas)
    if not content.startswith(MAGIC) and any(True for _ in headers(content, 0, len(content))):
        return DateReader(name, firsts)
    beginning = content[:_LOOKED_AT].removeprefix(_BOM)
    if beginning.lstrip()[:1] == b"{" and (whole or len(content) >= _SHORTEST):
        return JsonReader(name)
    is_other = content.startswith(tuple(_OTHER))
    if not is_other and byte_order(content) is not None:
        return _midas_reader(content, source, midas)
    if not (whole or (settled and len(content) >= _BEGINNING)):
        return None
    if b"\n{" in beginning and not is_other:
        return JsonReader(name)
    raise BadDataError("framing", *_what_else(content, name))


def _midas_reader(content: bytes, source: Source, midas: MidasSpills | None) -> MidasReader:
    order = byte_order(content)
    if midas is None or order is None:
        raise BadDataError(
            "framing", f"{source.name} is a MIDAS file: the experiment has none, and nothing here unpacks its spills", 0
        )
    return MidasReader(source.name, source.place, order, midas)


def _what_else(content: bytes, name: str) -> tuple[str, int]:
    """Return what a source is that is no file of the DAQ, and the byte that tells."""
    for magic, words in _OTHER.items():
        if content.startswith(magic):
            return f"{name} is {words}", 0
    if int.from_bytes(content[4:8], "little") == SWAPPED_MAGIC:
        return f"{name} is byte-swapped, written by a big-endian DAQ: swap its words first", 4
    return f"{name} is no file of the DAQ: it has neither DATE events nor spills as JSON, nor events of MIDAS", 0
