"""A file of Avro whose records are spills, hits as columns, to records: of DAQs that have unpacked already.

A block that cannot be read costs its spills alone: the marker that the file's header names, and that stands behind each
block, says where the next one begins. A marker that is damaged, or not there as its writer died, costs the spills
before it alone: the block behind them is known as it ends at a marker, too.

A spill is complete when its block is: a file is followed block by block, and whoever writes it ends the block with each
spill.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import fastavro
import numpy as np

from schemas.records import NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from schemas.wire import MAX_NUMBER, MAX_TIME_US
from streams.avro.container import (
    CODEC,
    CODECS,
    LONG,
    MAGIC,
    MARKER_BYTES,
    SCHEMA,
    UNREADABLE,
    Header,
    content_of,
    read_header,
)
from streams.avro.spills import (
    HEAD,
    KIND,
    RUN,
    SPILL,
    TIME,
    HitTable,
    Value,
    block_of,
    container_of,
    lines,
    read_value,
    schema_of,
    unpack_tables,
)
from streams.daq.archive_file import begins_archive
from streams.daq.times import UNKNOWN, SourceTimes
from streams.daq.unreadable import unreadable
from streams.errors import BadDataError, SpilldeckError
from streams.experiment import Format
from streams.framed import walk_over
from streams.source_format import SourceFormat
from streams.unpacked import Hits

LONGEST_BYTES = 16 << 20
"""Of what a block holds: as columns are lists of numbers while they are read, it takes many times the memory."""
MOST_RECORDS = 100_000
"""Of a block: each becomes a message of its own, with the schema."""
_SIZE_BYTES = 4
"""That the size of a block has at most."""
_TRIED = 100
"""Places at which a block may seem to begin; more are not there by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """A block that was read."""

    start: int
    stop: int
    records: list[tuple[bytes, dict[str, Value]]]
    """Bytes, and what says which spill or control it is: all values would take many times the memory."""


class ColumnsReader:
    """Reads such a file, at once or while it grows.

    The spills of a block lie in bytes that are compressed together: of the n-th of them the place is n bytes behind
    that of the block, so that each has its own.

    Parameters
    ----------
    source
        Name that the records give as theirs.

    Attributes
    ----------
    at
        What lies before this byte is made into records.
    """

    def __init__(self, source: str) -> None:
        self.at = 0
        self._source = source
        self._header: Header | None = None
        self._run = NO_RUN
        self._neighbours = SourceTimes()

    def read(
        self,
        content: bytes,
        *,
        ended: bool,
        settled: bool,  # noqa: ARG002 - a spill that has its end is complete
    ) -> Iterator[RawSpill | RunControl]:
        """Yield the records that are complete, as `Reader.read` does."""
        if self._header is None:
            self._header = read_header(content)
            self.at = self._header.size
            content = content[self.at :]
        header, begin = self._header, self.at
        last = content.rfind(header.marker)
        stop = len(content) if ended else last + MARKER_BYTES if last >= 0 else 0
        for found in walk_over(0, stop, partial(_frame, content, header)):
            if isinstance(found, _Block):
                self.at = begin + found.stop
                for number, (record, values) in enumerate(found.records):
                    payload = container_of(header.meta[SCHEMA], record)
                    yield self._record(payload, values, begin + found.start, number)
            elif found.stop < stop or ended:  # else more that is damaged may follow it
                self.at = begin + found.stop
                payload = content[found.start : found.stop]
                byte = begin + found.start
                yield unreadable(payload, byte, run=self._run, source=self._source, reason=found.reason)

    def _record(self, payload: bytes, values: dict[str, Value], block: int, number: int) -> RawSpill | RunControl:
        """Return the record of a spill, or of a run's start or end; one that says neither is unreadable."""
        try:
            run, time_us = _number(values, RUN), values[TIME].value
            kind = _kind(values)
            spill = _number(values, SPILL) if kind is None else NO_RUN
        except BadDataError as error:
            problem = f"{self._source}, record {number} of the block at byte {block}: {error.reason}"
            found = unreadable(payload, block + number, run=self._run, source=self._source, reason="")
            return replace(found, problem=problem)
        self._run = run
        times = [[time_us if 0 <= time_us <= MAX_TIME_US else UNKNOWN]]
        judged = self._neighbours.judge(run, times, begins=kind is ControlKind.START)
        its: dict[str, Any] = {"run": run, "source": self._source, "byte": block + number, "events": 1}
        its |= {"payload": payload, "time_us": judged.time_us, "time_problem": judged.problem}
        if kind is None:
            return RawSpill(spill=spill, format=RawFormat.COLUMNS, **its)
        return RunControl(kind=kind, **its)


def _number(values: Mapping[str, Value], name: str) -> int:
    number: int = values[name].value
    if not 0 <= number <= MAX_NUMBER:
        raise BadDataError("framing", f"its {name} is {number}, not 0 to {MAX_NUMBER}")
    return number


def _kind(values: Mapping[str, Value]) -> ControlKind | None:
    """Return what a record says of its run; None if it is a spill."""
    kind = values[KIND].value if KIND in values else SPILL
    try:
        return ControlKind(kind) if kind != SPILL else None
    except ValueError as error:
        problem = f"it is of the kind {str(kind)[:40]!a}, neither a spill nor a start or an end"
        raise BadDataError("framing", problem) from error


def _frame(content: bytes, header: Header, at: int) -> tuple[_Block | int, str]:
    """Return the block at a byte; or where to go on, and what is wrong with it."""
    end = content.find(header.marker, at)
    if end < 0:
        return len(content), "a block without its end"
    try:
        return _read_block(content, header, at, end), ""
    except UNREADABLE as error:
        reason = f"a block cannot be read: {str(error) or type(error).__name__}"
    for start in _starts(content, at + 1, end):
        try:
            return _read_block(content, header, start, end).start, reason
        except UNREADABLE:
            continue
    return end + MARKER_BYTES, reason


def _read_block(content: bytes, header: Header, start: int, end: int) -> _Block:
    """Return the block in these bytes, whose marker begins at `end`; raises one of `UNREADABLE` if there is none."""
    stream = io.BytesIO(content[start:end])
    count, size = (fastavro.schemaless_reader(stream, LONG) for _ in range(2))
    if size != end - start - stream.tell() or not 0 <= count <= end - start:
        raise ValueError(f"it claims {count} records in {size} bytes, and {end - start - stream.tell()} are there")
    if count > MOST_RECORDS:
        raise ValueError(f"it has {count} records, more than {MOST_RECORDS}")
    stream = io.BytesIO(content_of(header.meta.get(CODEC, b"null"), stream.read(), LONGEST_BYTES))
    of, records = schema_of(header.meta[SCHEMA]), []
    for _ in range(count):
        values = read_value(stream, of)
        its = {name: value for name, value in values.value.items() if name in HEAD}
        records.append((stream.getvalue()[values.at : stream.tell()], its))
    if stream.read(1):
        raise ValueError("bytes follow its records")
    return _Block(start=start, stop=end + MARKER_BYTES, records=records)


def _starts(content: bytes, first: int, end: int) -> list[int]:
    """Return where, from a byte on, a block may begin that ends here, of up to 63 records: where its size says so."""
    first = max(first, end - LONGEST_BYTES)
    data = np.frombuffer(content, np.uint8)[first:end].astype(np.int32)
    found: list[int] = []
    for width in range(1, min(_SIZE_BYTES, len(data) - 1) + 1):
        count = len(data) - width  # places at which a size of so many bytes may stand, with its data behind it
        digits = [data[at : at + count + 1] for at in range(width)]
        size = sum((digit & 0x7F) << 7 * at for at, digit in enumerate(digits))
        is_one = (size == 2 * np.arange(count, -1, -1)) & (digits[-1] < 0x80)
        for digit in digits[:-1]:
            is_one &= digit >= 0x80
        found += (np.flatnonzero(is_one) + first - 1).tolist()
    return [start for start in sorted(found) if start >= first and 0 < content[start] < 0x80][:_TRIED]


def _why_not(content: bytes) -> tuple[str, int] | None:
    """Return why these bytes begin no file whose records are spills, and where; None if they do."""
    if begins_archive(content):
        return "is the archive of a run", 0
    try:
        header = read_header(content)
    except UNREADABLE as error:
        return f"is a file of Avro whose header cannot be read ({type(error).__name__})", 0
    codec = header.meta.get(CODEC, b"null")
    if codec not in CODECS:
        names = ", ".join(each.decode() for each in CODECS)
        return f"is a file of Avro that is compressed with {codec[:40]!a}: what is read is {names}", 0
    try:
        schema_of(header.meta.get(SCHEMA, b""))
    except ValueError as error:
        return f"is a file of Avro, but not of spills: {error}", 0
    return None


def _joined(payloads: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file of the records with these payloads; what was damaged stays as it was."""
    begin, damaged = b"", list[bytes]()
    for payload in payloads:
        try:
            block = block_of(payload)
        except UNREADABLE:
            damaged.append(payload)
            continue
        head = payload[: -len(block)]
        if not begin:
            begin = head
            yield head
        elif head != begin:
            raise SpilldeckError("the spills have several schemas of Avro: one file cannot hold both")
        yield from damaged
        damaged.clear()
        yield block
    yield from damaged


def column_spills(*, tables: Mapping[str, HitTable], make: Callable[..., Hits]) -> Format:
    """Return the format of files of Avro in which an experiment's hits lie as columns.

    Parameters
    ----------
    tables
        Name in the record of a spill, and in the experiment's hits → what is read of it.
    make
        The experiment's `Hits`.
    """
    source = SourceFormat(
        holds="spills as columns in Avro",
        begins=lambda content, _whole: content.startswith(MAGIC) and _why_not(content) is None,
        reader=lambda name, _place, _firsts: ColumnsReader(name),
        refusal=lambda content: _why_not(content) if content.startswith(MAGIC) else None,
    )
    return Format(
        raw=RawFormat.COLUMNS,
        source=source,
        unpack=lambda payload, _conditions: unpack_tables(payload, tables, make),
        show=lines,
        join=_joined,
    )
