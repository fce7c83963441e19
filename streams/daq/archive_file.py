"""An archive of a run: its messages of ``spills.raw`` as they are, in one Avro object container file.

The messages of a partition lie together, in the order of their offsets. The header says of each partition what there
is and where it begins, so that each can be read alone. Header and messages carry a CRC-32: damage is found where it is.
Nothing says when or where it was written: the same messages make the same file.
"""

import hashlib
import io
import json
import mmap
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import cramjam
import fastavro

from schemas.wire import MAX_MESSAGE_BYTES
from streams import __version__
from streams.avro.container import CODEC, LONG, MAGIC, SCHEMA, UNREADABLE, block_head, header, read_header
from streams.daq.source import HEAD_BYTES
from streams.errors import BadDataError, SpilldeckError, UsageError
from streams.files import open_file

FORMAT = 1
"""Version of all that is said here; a reader refuses a newer one."""
_BLOCK_BYTES = 256 << 10
"""Of the messages that are compressed together; one that alone has more comes alone."""
_LONGEST_BLOCK = MAX_MESSAGE_BYTES + (1 << 20)
"""A message with its key, its headers and its place."""
_LONGEST_HEADER = 1 << 20
_ZSTD_LEVEL = 3
_CRC_BYTES = 4
_ABOUT, _CRC = "spilldeck.archive", "spilldeck.crc32"
"""What the header has besides what Avro asks for."""

_HEADERS = {
    "type": "array",
    "items": {
        "type": "record",
        "name": "Header",
        "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
    },
}
_FIELDS: list[dict[str, Any]] = [
    {"name": "partition", "type": "int"},
    {"name": "offset", "type": "long"},
    {"name": "time_ms", "type": "long"},
    {"name": "key", "type": ["null", "bytes"]},
    {"name": "value", "type": "bytes"},
    {"name": "headers", "type": _HEADERS},
]
_CRC_FIELD = {"name": "crc32", "type": {"type": "fixed", "name": "Crc32", "size": _CRC_BYTES}}
_MESSAGE = {"type": "record", "name": "Message", "namespace": "spilldeck.archive.v1", "fields": [*_FIELDS, _CRC_FIELD]}
_READ = fastavro.parse_schema(_MESSAGE)
_WRITTEN = fastavro.parse_schema({**_MESSAGE, "fields": _FIELDS})
"""All but the CRC, which is over the rest."""

_UNREADABLE = (*UNREADABLE, cramjam.DecompressionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of Kafka, with where and when it was there."""

    partition: int
    offset: int
    time_ms: int
    """As Kafka has it, Unix milliseconds."""
    key: bytes | None
    value: bytes = field(repr=False)
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(slots=True, kw_only=True)
class Part:
    """What an archive has of one partition."""

    first: int
    last: int
    """Offsets of the first and the last message."""
    messages: int = 0
    begins: int
    """Bytes between the end of the header and its first block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What the header of an archive says."""

    run: int
    code: str
    """Version of the code that wrote it."""
    produced_ms: int
    """When the newest message was produced, Unix milliseconds."""
    size: int
    """Bytes of all that follows the header."""
    parts: dict[int, Part]
    """Partition → what there is of it; without those that have no message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    contents: Contents
    size: int
    sync: bytes
    """Stands behind each block."""


def is_archive(path: Path) -> bool:
    """Say whether a file is an archive by its first bytes.

    Raises
    ------
    UsageError
        When it cannot be read.
    """
    with _opened(path) as file:
        return begins_archive(file.read(HEAD_BYTES))


def begins_archive(head: bytes) -> bool:
    """Say whether these first bytes are of an archive: spills of the DAQ may lie in a file of Avro, too."""
    return head.startswith(MAGIC) and _ABOUT.encode() in head[:HEAD_BYTES]


def write_messages(path: Path, run: int, messages: Iterable[Message]) -> Contents:
    """Write messages to a new archive, and read it back.

    Parameters
    ----------
    path
        Of the file, which must not be there; its directory has room for another as large meanwhile.
    run
        That they are of.
    messages
        Those of a partition together, in the order of their offsets.

    Raises
    ------
    SpilldeckError
        When it does not read back as the same messages; `OSError` when it cannot be written.
    """
    sync = hashlib.blake2b(f"run {run}".encode(), digest_size=16).digest()
    digest = hashlib.blake2b()
    parts: dict[int, Part] = {}
    produced_ms = 0
    with tempfile.TemporaryFile(dir=path.parent) as body, path.open("xb") as file:
        for block in _blocks(messages):
            first, last, encoded = block[0][0], block[-1][0], b"".join(data for _, data in block)
            part = parts.setdefault(first.partition, Part(first=first.offset, last=first.offset, begins=body.tell()))
            part.last, part.messages = last.offset, part.messages + len(block)
            produced_ms = max(produced_ms, *(message.time_ms for message, _ in block))
            digest.update(encoded)
            compressed = bytes(cramjam.zstd.compress(encoded, level=_ZSTD_LEVEL))
            body.write(block_head(len(block), len(compressed)) + compressed + sync)
        contents = Contents(
            run=run, code=__version__, produced_ms=produced_ms, size=body.tell(), parts=dict(sorted(parts.items()))
        )
        _write_header(file, contents, sync)
        body.seek(0)
        shutil.copyfileobj(body, file)
    again = hashlib.blake2b()
    for partition in parts:
        for message in read_messages(path, partition):
            again.update(_encode(message))
    if again.digest() != digest.digest():
        raise SpilldeckError(f"{path.name} does not read back as it was written: the disk may be damaged")
    return contents


def _blocks(messages: Iterable[Message]) -> Iterator[list[tuple[Message, bytes]]]:
    """Yield messages with their bytes, in blocks that are of one partition and bounded in size."""
    block: list[tuple[Message, bytes]] = []
    size = 0
    for message in messages:
        data = _encode(message)
        if block and (block[0][0].partition != message.partition or size + len(data) > _BLOCK_BYTES):
            yield block
            block, size = [], 0
        block.append((message, data))
        size += len(data)
    if block:
        yield block


def _encode(message: Message) -> bytes:
    out = io.BytesIO()
    headers = [{"name": name, "value": value} for name, value in message.headers]
    fastavro.schemaless_writer(
        out,
        _WRITTEN,
        {
            "partition": message.partition,
            "offset": message.offset,
            "time_ms": message.time_ms,
            "key": message.key,
            "value": message.value,
            "headers": headers,
        },
    )
    plain = out.getvalue()
    return plain + zlib.crc32(plain).to_bytes(_CRC_BYTES, "big")


def _write_header(file: IO[bytes], contents: Contents, sync: bytes) -> None:
    about = json.dumps({"format": FORMAT, **asdict(contents)}, separators=(",", ":")).encode()
    meta = {
        SCHEMA: json.dumps(_MESSAGE, separators=(",", ":")).encode(),
        CODEC: b"zstandard",
        _ABOUT: about,
        _CRC: b"%08x" % zlib.crc32(about),
    }
    file.write(header(meta, sync))


def contents_of(path: Path) -> Contents:
    """Return what the header of an archive says.

    Raises
    ------
    UsageError
        When the file cannot be read.
    BadDataError
        When it is no archive, or one that is damaged, cut or newer than this code.
    """
    with _opened(path) as file:
        return _read_header(file, path.name).contents


def _read_header(file: IO[bytes], name: str) -> _Header:
    """Read the header, and check the size of the file by it."""
    try:
        read = read_header(file.read(_LONGEST_HEADER))
    except _UNREADABLE as error:
        raise _damaged(name, f"its header cannot be read ({type(error).__name__})", 0) from error
    meta, size = read.meta, read.size
    if _ABOUT not in meta:
        raise BadDataError("archive", f"{name} is no archive of a run, as spilldeck runs archive writes it")
    if meta.get(_CRC) != b"%08x" % zlib.crc32(meta[_ABOUT]):
        raise _damaged(name, "its header is not as it was written", 0)
    try:
        about = json.loads(meta[_ABOUT])
        if about["format"] > FORMAT:
            raise BadDataError("archive", f"{name} was written by a newer version of spilldeck: read it with that one")
        contents = Contents(
            run=int(about["run"]),
            code=str(about["code"]),
            produced_ms=int(about["produced_ms"]),
            size=int(about["size"]),
            parts={int(partition): _part(part, about["size"]) for partition, part in about["parts"].items()},
        )
    except _UNREADABLE as error:
        raise _damaged(name, f"its header cannot be read ({type(error).__name__})", 0) from error
    there = file.seek(0, io.SEEK_END)
    if there < size + contents.size:
        raise _damaged(name, f"it was cut: {there} of its {size + contents.size} bytes are there", there)
    if there > size + contents.size:
        raise _damaged(name, f"{there - size - contents.size} bytes follow its end", size + contents.size)
    return _Header(contents=contents, size=size, sync=read.marker)


def _part(values: dict[str, Any], size: int) -> Part:
    first, last, messages, begins = (int(values[name]) for name in ("first", "last", "messages", "begins"))
    if not 0 <= begins <= size:
        raise ValueError("a place that is not in the file")
    return Part(first=first, last=last, messages=messages, begins=begins)


def read_messages(path: Path, partition: int) -> Iterator[Message]:
    """Yield the messages of one partition of an archive, a block at a time in memory.

    Raises
    ------
    UsageError
        When the file cannot be read.
    BadDataError
        When it is no archive, or one that is damaged, cut or newer than this code.
    """
    with _opened(path) as file:
        header = _read_header(file, path.name)
        part = header.contents.parts.get(partition)
        if part is None:
            return
        at = file.seek(header.size + part.begins)
        read, last = 0, part.first - 1
        # Memory that is not written to takes no room.
        with mmap.mmap(-1, _LONGEST_BLOCK) as room:
            while read < part.messages:
                for message in _read_block(file, path.name, header.sync, room):
                    if message.partition != partition or not last < message.offset <= part.last:
                        raise _damaged(path.name, f"another message than one of partition {partition} is there", at)
                    yield message
                    read, last = read + 1, message.offset
                at = file.tell()
        if read != part.messages or last != part.last:
            raise _damaged(path.name, f"other messages than its header says are there of partition {partition}", at)


def _read_block(file: IO[bytes], name: str, sync: bytes, room: mmap.mmap) -> Iterator[Message]:
    at = file.tell()
    try:
        messages, size = (fastavro.schemaless_reader(file, LONG) for _ in range(2))
        if messages < 1 or not 0 < size <= _LONGEST_BLOCK:
            raise ValueError(f"it claims {messages} messages in {size} bytes")
        compressed = file.read(size)
        if file.read(len(sync)) != sync:
            raise ValueError("it has no end")
        content = room[: cramjam.zstd.decompress_into(compressed, room)]
        stream = io.BytesIO(content)
        for _ in range(messages):
            yield _read_message(stream, content)
        if stream.tell() != len(content):
            raise ValueError("bytes follow its messages")
    except _UNREADABLE as error:
        raise _damaged(name, f"a block cannot be read: {str(error) or type(error).__name__}", at) from error


def _read_message(stream: io.BytesIO, content: bytes) -> Message:
    start = stream.tell()
    values: dict[str, Any] = fastavro.schemaless_reader(stream, _READ)
    plain = memoryview(content)[start : stream.tell() - _CRC_BYTES]
    if zlib.crc32(plain).to_bytes(_CRC_BYTES, "big") != values.pop("crc32"):
        raise ValueError("a message is not as it was written")
    headers = tuple((header["name"], header["value"]) for header in values.pop("headers"))
    return Message(**values, headers=headers)


def check_messages(path: Path) -> None:
    """Read an archive through; raises as `read_messages` does."""
    for partition in contents_of(path).parts:
        for _ in read_messages(path, partition):
            pass


def _damaged(name: str, problem: str, byte: int) -> BadDataError:
    return BadDataError("archive", f"{name} is damaged: {problem}", byte)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with open_file(path) as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
