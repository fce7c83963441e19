"""How far a file is in Kafka, kept on disk: a producer that was killed goes on behind the last acknowledged record."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.records import RawSpill, RunControl
from streams.daq.source import Source
from streams.errors import UsageError
from streams.source_format import FirstCounts

Record = RawSpill | RunControl


@dataclass(slots=True)
class Position:
    """How far a source is."""

    byte: int = 0
    """All records that begin before it are acknowledged."""
    offsets: dict[int, int] = field(default_factory=dict)
    """Partition → the first offset of ``spills.raw`` in which a record that begins at or behind `byte` may be."""
    partitions: dict[int, int] = field(default_factory=dict)
    """Run → over how many partitions its spills are spread."""


class Journal:
    """Takes note of what is acknowledged; records are acknowledged in any order, those of a partition in theirs.

    Parameters
    ----------
    directory
        Where the journals are.
    source
        The file, which is open: another may have its name by now.
    topic
        Where its records go.

    Attributes
    ----------
    position
        How far the file is.
    former
        How far another file was that had its name before; None if there was none.
    """

    def __init__(self, directory: Path, source: Source, topic: str) -> None:
        self._source = source
        name = hashlib.sha256(f"{source.place}\n{topic}".encode()).hexdigest()[:32]
        self._path = directory.expanduser() / f"{name}.json"
        self.former: int | None = None
        self.position = Position()
        self._sent: deque[int] = deque()
        self._acknowledged: dict[int, dict[int, int]] = {}

    def load(self) -> bool:
        """Take up the position that was written last; return whether there is one of this very file.

        Raises
        ------
        UsageError
            When the journal is damaged.
        """
        try:
            stored = json.loads(self._path.read_text())
            head, byte = stored["head"], int(stored["byte"])
            read = int(stored.get("read", byte))
            offsets, partitions = _numbers(stored["offsets"]), _numbers(stored.get("partitions", {}))
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UsageError(
                f"the journal {self._path} of {self._source.place} cannot be read, remove it: {reason}"
            ) from error
        if head != self._head(read) or read > self._source.size:
            self.former = byte
            return False
        self.position = Position(byte, offsets, partitions)
        return True

    def send(self, record: Record) -> None:
        """Take note that a record is on its way; in the order of the file."""
        self._sent.append(record.byte)

    def acknowledge(self, record: Record, offsets: dict[int, int]) -> None:
        """Take note that all replicas in step have a record, at these offsets by partition."""
        self._acknowledged[record.byte] = offsets
        while self._sent and self._sent[0] in self._acknowledged:
            start = self._sent.popleft()
            for partition, offset in self._acknowledged.pop(start).items():
                self.position.offsets[partition] = offset + 1
            self.position.byte = start + 1

    def write(self) -> None:
        """Write the position, all or nothing.

        Raises
        ------
        UsageError
            When it cannot be written.
        """
        seen = max(self._source.at, len(self._source.head))
        content: dict[str, Any] = {
            "source": str(self._source.place),
            "head": self._head(seen),
            "read": seen,
            "byte": self.position.byte,
            "offsets": self.position.offsets,
            "partitions": self.position.partitions,
        }
        _write(self._path, content)

    def _head(self, read: int) -> str:
        return hashlib.sha256(self._source.head[:read]).hexdigest()


class FollowedName:
    """Which file had a name that is followed, kept on disk: a link may have moved while nobody followed it.

    Parameters
    ----------
    directory
        Where the journals are.
    name
        What is followed.
    """

    def __init__(self, directory: Path, name: Path) -> None:
        digest = hashlib.sha256(str(name.absolute()).encode()).hexdigest()[:32]
        self._path = directory.expanduser() / "names" / f"{digest}.json"

    def former(self) -> Path | None:
        """Return the file that was followed last, if it is still there."""
        try:
            place = Path(json.loads(self._path.read_text())["place"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self._path} cannot be read, remove it: {type(error).__name__}: {error}") from error
        return place if place.is_file() else None

    def keep(self, place: Path) -> None:
        """Write which file it is."""
        _write(self._path, {"place": str(place)})


class StoredFirsts:
    """The DAQ's first counts of runs, kept on disk: the next file of a run may come to another process.

    Parameters
    ----------
    directory
        Where the journals are; each run has a file of its own, so that several producers may write.

    Attributes
    ----------
    known
        As the readers of DATE files take and change it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.expanduser() / "runs"
        self.known: FirstCounts = {}
        for path in self._directory.glob("*.json"):
            try:
                self.known[int(path.stem)] = json.loads(path.read_text())["first"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{path} cannot be read, remove it: {type(error).__name__}: {error}") from error
        self._written = dict(self.known)

    def keep(self, run: int) -> None:
        """Write what is known of a run, if that is new."""
        if run in self.known and (run not in self._written or self._written[run] != self.known[run]):
            self._written[run] = self.known[run]
            _write(self._directory / f"{run}.json", {"first": self.known[run]})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file, all or nothing.

    Raises
    ------
    UsageError
        When it cannot be written.
    """
    partial = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"the journal {path} cannot be written: {error.strerror}") from error


def _numbers(stored: Mapping[str, Any]) -> dict[int, int]:
    return {int(key): int(value) for key, value in stored.items()}


def behind(position: Position, records: Iterable[Record], acknowledged: Iterable[Record]) -> Iterator[Record]:
    """Yield the records that are not in Kafka yet: behind a position, and not among those found there behind it."""
    there = {(record.run, record.byte) for record in acknowledged}
    for record in records:
        if record.byte >= position.byte and (record.run, record.byte) not in there:
            yield record
