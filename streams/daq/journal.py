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
from streams.errors import UsageError

Record = RawSpill | RunControl
_HEAD_BYTES = 4096
"""Of the file's beginning, by which it is known again."""


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
        The file.
    topic
        Where its records go.
    """

    def __init__(self, directory: Path, source: Path, topic: str) -> None:
        self._source = source.resolve()
        name = hashlib.sha256(f"{self._source}\n{topic}".encode()).hexdigest()[:32]
        self._path = directory.expanduser() / f"{name}.json"
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
            offsets, partitions = _numbers(stored["offsets"]), _numbers(stored.get("partitions", {}))
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UsageError(
                f"the journal {self._path} of {self._source} cannot be read, remove it: {reason}"
            ) from error
        if head != self._head(byte) or byte > self._source.stat().st_size:
            return False  # another file under the same name
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
        content: dict[str, Any] = {
            "source": str(self._source),
            "head": self._head(self.position.byte),
            "byte": self.position.byte,
            "offsets": self.position.offsets,
            "partitions": self.position.partitions,
        }
        partial = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError as error:
            raise UsageError(f"the journal {self._path} cannot be written: {error.strerror}") from error

    def _head(self, byte: int) -> str:
        with self._source.open("rb") as file:
            return hashlib.sha256(file.read(min(byte, _HEAD_BYTES))).hexdigest()


def _numbers(stored: Mapping[str, Any]) -> dict[int, int]:
    return {int(key): int(value) for key, value in stored.items()}


def behind(position: Position, records: Iterable[Record], acknowledged: Iterable[Record]) -> Iterator[Record]:
    """Yield the records that are not in Kafka yet: behind a position, and not among those found there behind it."""
    there = {(record.run, record.byte) for record in acknowledged}
    for record in records:
        if record.byte >= position.byte and (record.run, record.byte) not in there:
            yield record
