"""A run's raw spills back to one file, as the DAQ wrote them, so that the run outlives what Kafka keeps."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ops.files import sync, workspace
from ops.replay.checks import check_can_be_replayed
from ops.replay.checksum import CHECKSUM_SUFFIX
from ops.replay.origins import kafka_spans, of_topic
from schemas.records import RawFormat, RawSpill, RunControl
from streams.books.reader import BookReader
from streams.daq.sources import read_source
from streams.errors import SpilldeckError, UsageError
from streams.kafka import Spans
from streams.settings import Settings
from streams.topics import Topics

_SUFFIXES = {RawFormat.DATE: "000", RawFormat.SPILL_JSON: "json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What was written."""

    file: Path
    spills: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A record's bytes in the spool."""

    source: str
    byte: int
    """Where they lay in their source."""
    spill: int | None
    """None for run control."""
    format: RawFormat
    at: int
    size: int
    digest: bytes

    @property
    def known_by(self) -> tuple[str, int, bytes]:
        """What is the same in the same bytes of the DAQ, however often they were sent."""
        return self.source, self.byte, self.digest


def archives(directory: Path, run: int) -> list[str]:
    """Return the names of the archives of a run in a directory."""
    names = [f"{run:08d}.{suffix}" for suffix in _SUFFIXES.values()]
    return [name for name in names if (directory / name).exists()]


def write_archive(settings: Settings, live: BookReader, run: int, directory: Path, *, replace: bool = False) -> Archive:
    """Write a run's raw spills and run control, in the order in which the DAQ wrote them; whole or not at all.

    What was sent twice from the same place of the same source is written once. The file is read back before it gets
    its name: it holds the same spills. Beside it lies its SHA-256. With `replace` it takes the place of the archives
    of the run that are there.

    Raises
    ------
    SpilldeckError
        When the run is unknown, still running, no longer whole in Kafka, or the file cannot be written or is there.
    """
    spans = kafka_spans(settings, Topics.of(settings).raw)
    check_can_be_replayed(settings, live, run, spans)
    try:
        with workspace(directory) as new, tempfile.TemporaryFile(dir=new) as spool:
            pieces = _in_order(_spooled(settings, run, spans, spool))
            if all(piece.spill is None for piece in pieces):
                raise UsageError(f"run {run} is not in Kafka: there is nothing to archive")
            file = directory / f"{run:08d}.{_SUFFIXES[_format(run, pieces)]}"
            if file.exists() and not replace:
                raise UsageError(f"{file} is there already: remove it, or give another --out")
            written = _written(new / file.name, spool, pieces)
            # The former file before its checksum, and the new checksum before its file: none has a wrong one.
            for name in archives(directory, run) if replace else ():
                (directory / name).unlink()
                (directory / (name + CHECKSUM_SUFFIX)).unlink(missing_ok=True)
            for name in (file.name + CHECKSUM_SUFFIX, file.name):
                (new / name).rename(directory / name)
            sync(directory)
            return Archive(
                file=file,
                spills=sum(piece.spill is not None for piece in pieces),
                size=file.stat().st_size,
                sha256=written,
            )
    except OSError as error:
        raise UsageError(f"the archive cannot be written to {directory}: {error.strerror}") from error


def _spooled(settings: Settings, run: int, spans: Spans, spool: IO[bytes]) -> Iterator[_Piece]:
    """Write the payloads into a temporary file as they come; yield where each is, those sent again left out."""
    known: set[tuple[str, int, bytes]] = set()
    at = 0
    for partition, (low, stop) in enumerate(spans):
        for message in of_topic(settings, Topics.of(settings).raw, partition, low, stop, (run,)):
            record = message.record
            if not isinstance(record, RawSpill | RunControl) or not record.payload:
                continue
            piece = _Piece(
                source=record.source,
                byte=record.byte,
                spill=record.spill if isinstance(record, RawSpill) else None,
                format=record.format if isinstance(record, RawSpill) else RawFormat.UNREADABLE,
                at=at,
                size=len(record.payload),
                digest=_digest(record.payload),
            )
            if piece.known_by not in known:
                known.add(piece.known_by)
                spool.write(record.payload)
                at += piece.size
                yield piece


def _in_order(pieces: Iterable[_Piece]) -> list[_Piece]:
    """Return the pieces as the DAQ wrote them: by their place in their source, sources by their first spill."""
    found = list(pieces)
    firsts: dict[str, int] = {}
    for piece in found:
        if piece.spill is not None and piece.spill >= 0:
            firsts[piece.source] = min(piece.spill, firsts.get(piece.source, piece.spill))
    return sorted(found, key=lambda piece: (firsts.get(piece.source, 0), piece.source, piece.byte))


def _format(run: int, pieces: Iterable[_Piece]) -> RawFormat:
    forms = {piece.format for piece in pieces} - {RawFormat.UNREADABLE} or {RawFormat.DATE}
    if len(forms) > 1:
        raise SpilldeckError(f"run {run} has spills from DATE files and from JSON: one file cannot hold both")
    return forms.pop()


def _written(file: Path, spool: IO[bytes], pieces: list[_Piece]) -> str:
    """Write a file and its checksum; return its SHA-256."""
    digest = hashlib.sha256()
    separator = b"\n" if file.suffix == f".{_SUFFIXES[RawFormat.SPILL_JSON]}" else b""
    with file.open("xb") as output:
        for piece in pieces:
            spool.seek(piece.at)
            payload = spool.read(piece.size) + separator
            digest.update(payload)
            output.write(payload)
    _check_that_it_reads_back(file, pieces)
    checksum = file.with_name(file.name + CHECKSUM_SUFFIX)
    checksum.write_text(f"{digest.hexdigest()}  {file.name}\n")
    for each in (file, checksum):
        sync(each)
    return digest.hexdigest()


def _check_that_it_reads_back(file: Path, pieces: list[_Piece]) -> None:
    """Refuse a file of which a source would make other spills, in number or bytes."""
    wanted = sorted((piece.spill, piece.digest) for piece in pieces if piece.spill is not None)
    there = sorted(
        (record.spill, _digest(record.payload)) for record in read_source(file) if isinstance(record, RawSpill)
    )
    if wanted != there:
        raise SpilldeckError(
            f"the spills do not make a file that reads back as the same ({len(there)} of {len(wanted)} spills): it "
            f"would hold bytes that were damaged at the source, or parts of several files that number differently"
        )


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16).digest()
