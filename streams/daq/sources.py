"""Sources to records: files in the formats of the experiment, and archives of runs, recognised by what they hold."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from schemas.records import MAX_PAYLOAD_BYTES, RawSpill, RunControl
from streams.avro.container import MAGIC
from streams.daq.archive_file import begins_archive
from streams.daq.archive_source import read_archive
from streams.daq.compressed import COMPRESSED, decompressed, is_compressed
from streams.daq.source import SETTLED_S, Source
from streams.errors import BadDataError, SpilldeckError, UsageError
from streams.experiment import experiment
from streams.midas.events import byte_order
from streams.source_format import FirstCounts, Reader

LONGEST_BYTES = 2 * MAX_PAYLOAD_BYTES
"""Bytes that are held unread: no spill is so long."""
_BEGINNING = 4096
"""Bytes that a source that grows must have before it is refused: damaged ones may come before its first event."""
_OTHER: dict[bytes, str] = {
    b"root": "a ROOT file: what the DAQ wrote is read, not what was made of it",
    b"\xff\xfe": "text in UTF-16: write it as UTF-8",
    b"\xfe\xff": "text in UTF-16: write it as UTF-8",
    b"PK\x03\x04": "a zip file: take out what is in it",
    **dict.fromkeys(COMPRESSED, "compressed, and damaged at its begin"),
}
"""First bytes → what such a source is."""


def read_source(path: Path, firsts: FirstCounts | None = None) -> Iterator[RawSpill | RunControl]:
    """Yield what a file holds, as `read_opened` does."""
    with Source(path) as source:
        yield from read_opened(source, {} if firsts is None else firsts)


def read_opened(source: Source, firsts: FirstCounts) -> Iterator[RawSpill | RunControl]:
    """Yield what a source holds, in its order; what comes from a pipe as soon as it is complete.

    In a file of the DAQ nothing is passed over: bytes in which there is no spill come as unreadable spills, with the
    reason, the name of the file and the place, in a compressed one that in what was compressed. Records of an archive
    are as they were sent, with the sources that they had then.

    Parameters
    ----------
    firsts
        What is known of the runs from other files; is told what this one shows.

    Raises
    ------
    UsageError
        When the file cannot be read, is empty, or becomes shorter meanwhile.
    BadDataError
        When it is no file of the DAQ; or when it is compressed or an archive, and damaged.
    """
    if source.is_file and begins_archive(source.head):
        yield from read_archive(source.place)
    else:
        yield from _records(decompressed(source.pieces(), source.name), source, firsts)


def follow(
    source: Source, firsts: FirstCounts, on_idle: Callable[[], None] = lambda: None
) -> Iterator[RawSpill | RunControl]:
    """Yield what a file holds, and what is written to it from now on, until another file has its name.

    A spill comes when it is complete: when something follows it, or it has its end and the file has not grown for
    `SETTLED_S`. Bytes at the end wait for their rest. `on_idle` is called at each look that finds nothing new.

    Raises
    ------
    UsageError
        When the file cannot be read.
    BadDataError
        When it is no file of the DAQ.
    """
    if begins_archive(source.head) or is_compressed(source.head):
        raise BadDataError("framing", f"{source.name} is no file that the DAQ writes to: only these are followed", 0)
    yield from _records(source.pieces_as_it_grows(), source, firsts, on_idle)


def _records(
    pieces: Iterator[bytes], source: Source, firsts: FirstCounts, on_idle: Callable[[], None] = lambda: None
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
        if piece == b"":
            on_idle()
        if piece:
            came_s = time.monotonic()
            waiting.append(piece)
            waiting_bytes += len(piece)
            if waiting_bytes < len(content) // 2:
                continue  # each byte is looked at a few times at most
        content, waiting, waiting_bytes = content + b"".join(waiting), [], 0
        settled, full = time.monotonic() - came_s > SETTLED_S, len(content) > LONGEST_BYTES
        if reader is None and not (ended and failure):
            reader = _reader(content, source, firsts, whole=ended or full, settled=settled)
        if reader is not None:
            before = reader.at
            yield from reader.read(content, ended=ended, settled=settled)
            if full and reader.at == before:
                yield from reader.read(content, ended=True, settled=settled)
            content = content[reader.at - before :]
    if failure is not None:
        raise failure


def _reader(content: bytes, source: Source, firsts: FirstCounts, *, whole: bool, settled: bool) -> Reader | None:
    """Return what reads a source that begins so; None: not known.

    Parameters
    ----------
    whole
        There is no more of it, or so much is there that more tells nothing.
    """
    if not content:
        if whole and source.at == 0:
            raise UsageError(f"{source.path} is empty")
        return None
    whole = whole or (settled and len(content) >= _BEGINNING)
    for each in experiment().formats:
        if each.source.begins(content, whole):
            return each.source.reader(source.name, source.place, firsts)
    return _guess(content, source, firsts) if whole else None


def _guess(content: bytes, source: Source, firsts: FirstCounts) -> Reader:
    """Return what may read a source that is surely of no format.

    Raises
    ------
    BadDataError
        When nothing may.
    """
    name = source.name
    for magic, words in _OTHER.items():
        if content.startswith(magic):
            raise BadDataError("framing", f"{name} is {words}", 0)
    if begins_archive(content):
        what = "an archive that is compressed once more, or comes from a pipe: give the file as it was written"
        raise BadDataError("framing", f"{name} is {what}", 0)
    formats, is_avro = [each.source for each in experiment().formats], content.startswith(MAGIC)
    for each in formats:
        if not is_avro and each.may_be(content):
            return each.reader(name, source.place, firsts)
    for each in formats:
        if (refusal := each.refusal(content)) is not None:
            raise BadDataError("framing", f"{name} {refusal[0]}", refusal[1])
    *others, last = [each.holds for each in formats]
    its = f"neither {', '.join(others)} nor {last}" if others else f"no {last}"
    if is_avro or byte_order(content) is not None:
        what = "a file of Avro" if is_avro else "a MIDAS file"
        raise BadDataError("framing", f"{name} is {what}, which the DAQ of {experiment().title} does not write", 0)
    raise BadDataError("framing", f"{name} is no file of the DAQ: it has {its}", 0)
