"""A run as a file of the DAQ: its bytes as they were written there, what was sent again left out."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ops.files import sync, workspace
from ops.replay.checksum import CHECKSUM_SUFFIX
from schemas.records import RawFormat, RawSpill, RunControl
from streams.daq.sources import read_source
from streams.errors import SpilldeckError, UsageError
from streams.experiment import Format, experiment

SUFFIXES = {RawFormat.DATE: "000", RawFormat.SPILL_JSON: "json", RawFormat.MIDAS: "mid", RawFormat.COLUMNS: "avro"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DaqFile:
    """What was written."""

    file: Path
    spills: int
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


def write_daq_file(run: int, records: Iterable[RawSpill | RunControl], directory: Path) -> DaqFile:
    """Write the bytes of a run in the order in which the DAQ wrote them; whole or not at all.

    What was sent twice from the same place of the same source is written once. The file is read back before it gets
    its name: it holds the same spills. Beside it lies its SHA-256.

    Raises
    ------
    SpilldeckError
        When they make no file of the DAQ, or it cannot be written or is there; what `records` raises, too.
    """
    try:
        with workspace(directory) as new, tempfile.TemporaryFile(dir=new) as spool:
            pieces = _in_order(_spooled(records, spool))
            if all(piece.spill is None for piece in pieces):
                raise UsageError(f"there are no spills of run {run}")
            form = _format(run, pieces)
            file = directory / f"{run:08d}.{SUFFIXES[form.raw]}"
            if file.exists():
                raise UsageError(f"{file} is there already: remove it, or give another --out")
            written = _written(new / file.name, spool, pieces, form)
            for name in (file.name + CHECKSUM_SUFFIX, file.name):
                (new / name).rename(directory / name)
            sync(directory)
            return DaqFile(
                file=file,
                spills=sum(piece.spill is not None for piece in pieces),
                sha256=written,
            )
    except OSError as error:
        raise UsageError(f"nothing can be written to {directory}: {error.strerror}") from error


def _spooled(records: Iterable[RawSpill | RunControl], spool: IO[bytes]) -> Iterator[_Piece]:
    """Write the payloads into a temporary file as they come; yield where each is, those sent again left out."""
    known: set[tuple[str, int, bytes]] = set()
    at = 0
    for record in records:
        if not record.payload:
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


def _format(run: int, pieces: Iterable[_Piece]) -> Format:
    forms = {piece.format for piece in pieces} - {RawFormat.UNREADABLE} or {experiment().formats[0].raw}
    if len(forms) > 1:
        raise SpilldeckError(
            f"run {run} has spills of the formats {' and '.join(sorted(forms))}: one file cannot hold both"
        )
    if (found := experiment().format_of(form := forms.pop())) is None:
        raise SpilldeckError(f"run {run} has spills in the format {form}, which {experiment().title} does not write")
    return found


def _written(file: Path, spool: IO[bytes], pieces: list[_Piece], form: Format) -> str:
    """Write a file and its checksum; return its SHA-256."""
    digest = hashlib.sha256()
    with file.open("xb") as output:
        for content in form.join(_payloads(spool, pieces)):
            digest.update(content)
            output.write(content)
    _check_that_it_reads_back(file, pieces)
    checksum = file.with_name(file.name + CHECKSUM_SUFFIX)
    checksum.write_text(f"{digest.hexdigest()}  {file.name}\n")
    for each in (file, checksum):
        sync(each)
    return digest.hexdigest()


def _payloads(spool: IO[bytes], pieces: list[_Piece]) -> Iterator[bytes]:
    for piece in pieces:
        spool.seek(piece.at)
        yield spool.read(piece.size)


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
