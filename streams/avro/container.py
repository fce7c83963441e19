"""An Avro object container file: a header with the schema, and blocks of records, each with a marker behind it.

A block is the number of its records, the size of its data, the data, and the marker that the header names. So a reader
finds its way again behind damage, and a file can be followed block by block.
"""

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fastavro

from schemas.known import NOT_AVRO
from streams.zstd import ZstdDecompressor, ZstdError

MAGIC = b"Obj\x01"
"""First bytes of a file."""
MARKER_BYTES = 16
SCHEMA, CODEC = "avro.schema", "avro.codec"
"""What Avro asks for in a header; without the second nothing is compressed."""
CODECS = (b"null", b"deflate", b"zstandard")
"""What blocks may be compressed with."""
LONG = "long"
HEADER: Any = fastavro.parse_schema(
    {
        "type": "record",
        "name": "org.apache.avro.file.Header",
        "fields": [
            {"name": "magic", "type": {"type": "fixed", "name": "magic", "size": len(MAGIC)}},
            {"name": "meta", "type": {"type": "map", "values": "bytes"}},
            {"name": "sync", "type": {"type": "fixed", "name": "sync", "size": MARKER_BYTES}},
        ],
    }
)
UNREADABLE = (*NOT_AVRO, zlib.error, ZstdError)
"""What comes of reading bytes that nobody wrote so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands before the blocks of a file."""

    meta: Mapping[str, bytes]
    marker: bytes
    """Stands behind each block."""
    size: int


def read_header(content: bytes) -> Header:
    """Return the header that some bytes begin with; raises one of `UNREADABLE` if it is damaged, or not there whole."""
    stream = io.BytesIO(content)
    read = fastavro.schemaless_reader(stream, HEADER)
    if read["magic"] != MAGIC:
        raise ValueError("it does not begin as a file of Avro")
    return Header(meta=read["meta"], marker=read["sync"], size=stream.tell())


def header(meta: Mapping[str, bytes], marker: bytes) -> bytes:
    """Return the bytes of a header."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, HEADER, {"magic": MAGIC, "meta": meta, "sync": marker})
    return out.getvalue()


def block_head(records: int, size: int) -> bytes:
    """Return what stands before the data of a block."""
    out = io.BytesIO()
    for number in (records, size):
        fastavro.schemaless_writer(out, LONG, number)
    return out.getvalue()


def content_of(codec: bytes, data: bytes, most: int) -> bytes:
    """Return the data of a block as they were before they were compressed; raises one of `UNREADABLE` if it cannot be.

    Parameters
    ----------
    codec
        One of `CODECS`.
    most
        Bytes that they may be.
    """
    content = data
    if codec != b"null":
        decompressor = zlib.decompressobj(wbits=-zlib.MAX_WBITS) if codec == b"deflate" else ZstdDecompressor()
        content = decompressor.decompress(data, most + 1)
        if len(content) <= most and not decompressor.eof:  # behind it fastavro leaves a part of zlib's checksum
            raise ValueError("what is compressed in it has no end")
    if len(content) > most:
        raise ValueError(f"it has more than {most} bytes")
    return content
