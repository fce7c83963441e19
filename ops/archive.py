"""A run's messages of spills.raw to a file that is the run, so that it outlives what Kafka keeps."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.daq_file import SUFFIXES
from ops.files import sync, workspace
from ops.replay.checks import not_whole, where_they_lie
from ops.replay.checksum import CHECKSUM_SUFFIX, sha256_of
from schemas.records import RawSpill, RunControl
from streams.books.compare import few
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.books.topic_spills import messages_of
from streams.books.totals import Totals
from streams.daq.archive_file import Contents, Message, write_messages
from streams.daq.sources import read_source
from streams.errors import SpilldeckError, UsageError
from streams.settings import Settings
from streams.topics import Topics

SUFFIX = "spills.avro"
_FORMER_SUFFIXES = tuple(SUFFIXES.values())
"""An archive was a file of the DAQ once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What was written."""

    file: Path
    contents: Contents
    spills: int
    """Messages that are spills, however often they were sent."""
    sha256: str


def archives(directory: Path, run: int) -> list[str]:
    """Return the names of the archives of a run in a directory, a former kind's too."""
    names = [f"{run:08d}.{suffix}" for suffix in (SUFFIX, *_FORMER_SUFFIXES)]
    return [name for name in names if (directory / name).exists()]


def write_archive(settings: Settings, live: BookReader, run: int, directory: Path, *, replace: bool = False) -> Archive:
    """Write all messages of a run, as Kafka has them; whole or not at all.

    The file is read back before it gets its name. Beside it lies its SHA-256. With `replace` it takes the place of the
    archives of the run that are there, of which it must have every spill.

    Raises
    ------
    SpilldeckError
        When the run is unknown, still running, no longer whole in Kafka, or the file cannot be written or is there.
    """
    file = directory / f"{run:08d}.{SUFFIX}"
    if file.exists() and not replace:
        raise UsageError(f"{file} is there already: remove it, or give another --out")
    # Before its place is looked for: what is counted meanwhile may lie behind.
    book = live.run(run, {}, of_spills=False)
    spills: list[int] = []

    def messages() -> Iterator[Message]:
        for message, record in raw_messages(settings, live, run):
            if isinstance(record, RawSpill):
                spills.append(record.spill)
            yield message

    try:
        with workspace(directory) as new:
            contents = write_messages(new / file.name, run, messages())
            _refuse_a_part(run, book, contents, spills)
            if not contents.parts:
                raise UsageError(f"run {run} is not in Kafka: there is nothing to archive")
            former = archives(directory, run) if replace else []
            for name in former:
                _refuse_to_lose(directory / name, new / file.name)
            sha256 = sha256_of(new / file.name)
            (new / (file.name + CHECKSUM_SUFFIX)).write_text(f"{sha256}  {file.name}\n")
            for name in (file.name, file.name + CHECKSUM_SUFFIX):
                sync(new / name)
            _give_its_place(new, file, former)
            return Archive(file=file, contents=contents, spills=len(spills), sha256=sha256)
    except OSError as error:
        raise UsageError(f"the archive cannot be written to {directory}: {error.strerror}") from error


def raw_messages(settings: Settings, live: BookReader, run: int) -> Iterator[tuple[Message, RawSpill | RunControl]]:
    """Yield the messages of a run that has ended, partition by partition, as Kafka has them.

    Raises
    ------
    SpilldeckError
        When it is still running, or no longer whole in Kafka.
    """
    topic = Topics.of(settings).raw
    for partition, (start, stop) in enumerate(where_they_lie(settings, live, (run,))):
        for message, record in messages_of(settings, topic, partition, start, stop, (run,)):
            if isinstance(record, RawSpill | RunControl):
                key = message.key()
                yield (
                    Message(
                        partition=partition,
                        offset=message.offset() or 0,
                        time_ms=message.timestamp()[1],
                        key=key.encode() if isinstance(key, str) else key,
                        value=message.value() or b"",
                        headers=tuple(message.headers() or ()),
                    ),
                    record,
                )


def lacking(contents: Contents, totals: Totals) -> list[int]:
    """Return the partitions of which an archive has not all from the first to the last message of a run."""
    parts = contents.parts
    firsts = {p for p, first in totals.first_raw.items() if p not in parts or parts[p].first > first}
    lasts = {p for p, last in totals.last_raw.items() if p not in parts or parts[p].last < last}
    return sorted(firsts | lasts)


def _refuse_a_part(run: int, book: RunBook, contents: Contents, spills: Iterable[int]) -> None:
    """Refuse an archive that has not all that was in the book before it was written."""
    gone = book.ledger.keys() - set(spills)
    if gone or lacking(contents, book.totals):
        raise not_whole(run, book.ledger, gone)


def _refuse_to_lose(former: Path, new: Path) -> None:
    """Refuse to put an archive in the place of one that has spills which it has not."""
    lost = _spills_of(former) - _spills_of(new)
    if lost:
        numbers = few({spill for spill, _ in lost})
        raise SpilldeckError(f"{former} stays: it has spills that Kafka no longer has ({numbers})")


def _spills_of(archive: Path) -> set[tuple[int, bytes]]:
    """Return the spills of an archive, by number and bytes; what has no number was framed by whoever read it."""
    return {
        (record.spill, hashlib.blake2b(record.payload, digest_size=16).digest())
        for record in read_source(archive)
        if isinstance(record, RawSpill) and record.spill >= 0
    }


def _give_its_place(new: Path, file: Path, former: Iterable[str]) -> None:
    """Move a new archive with its checksum to its place; at each moment a whole one is there, and no wrong checksum."""
    checksum = file.name + CHECKSUM_SUFFIX
    (file.parent / checksum).unlink(missing_ok=True)
    (new / file.name).rename(file)
    (new / checksum).rename(file.parent / checksum)
    sync(file.parent)
    for name in former:
        if name != file.name:
            for each in (name, name + CHECKSUM_SUFFIX):
                (file.parent / each).unlink(missing_ok=True)
