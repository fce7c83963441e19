"""Batches of Kafka that decompress to more than may be: they are passed over by offset, and one message tells why.

aiokafka decompresses a batch whole, so some megabytes of it may take all the memory there is. Here its decompressors
are bounded, and in place of a batch that has more, or cannot be decompressed, it hands out one message at the batch's
last offset: a raw spill of no run that is rejected with the reason. This uses what aiokafka does not promise;
``tests/agents/test_faust_private.py`` fails when a new version takes it away.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import cramjam
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record._crecords import default_records
from lz4.frame import LZ4FrameDecompressor

from schemas.records import MAX_TEXT, NO_RUN, RawFormat, RawSpill
from schemas.wire import encode
from streams.zstd import ZstdDecompressor

MAX_BATCH_BYTES = 100_000_000
"""That a batch may have when it is decompressed: one message of the longest that we take, or many of usual ones."""
_PIECE_BYTES = 16 << 10
_XERIAL = b"\x82SNAPPY\0"
"""How Java's snappy begins: a header of 16 bytes, then blocks, each behind its length."""
_XERIAL_BYTES = 16
_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class _BatchError(Exception):
    """A batch that is not decompressed; the text says why."""


def bound_batches() -> None:
    """Have all of aiokafka's consumers in this process pass over batches that are too large."""
    default_records.gzip_decode = _bounded(lambda: zlib.decompressobj(wbits=16 + zlib.MAX_WBITS))
    default_records.lz4_decode = _bounded(LZ4FrameDecompressor)
    default_records.zstd_decode = _bounded(ZstdDecompressor)
    default_records.snappy_decode = _snappy
    fetcher.PartitionRecords = _PartitionRecords


def _bounded(new: Callable[[], Any]) -> Callable[[Any], bytes]:
    """Return what decompresses with these decompressors, one for each frame."""

    def decode(payload: Any) -> bytes:
        pieces, left = [], MAX_BATCH_BYTES
        decompressor = new()
        view = memoryview(payload)
        try:
            for at in range(0, len(view), _PIECE_BYTES):
                data: Any = view[at : at + _PIECE_BYTES]
                while data:
                    if decompressor.eof:
                        decompressor = new()
                    pieces.append(decompressor.decompress(data, left + 1))
                    left -= len(pieces[-1])
                    _check(left)
                    data = decompressor.unused_data if decompressor.eof else b""
        except _BatchError:
            raise
        except Exception as error:
            raise _damaged(error) from error
        if not decompressor.eof:
            raise _damaged(EOFError("it is cut"))
        return b"".join(pieces)

    return decode


def _snappy(payload: Any) -> bytes:
    """Decompress snappy, whose blocks say how long they will be."""
    view = memoryview(payload)
    try:
        blocks = list(_snappy_blocks(view))
        _check(MAX_BATCH_BYTES - sum(map(cramjam.snappy.decompress_raw_len, blocks)))
        return b"".join(bytes(cramjam.snappy.decompress_raw(block)) for block in blocks)
    except _BatchError:
        raise
    except Exception as error:
        raise _damaged(error) from error


def _snappy_blocks(view: memoryview) -> Iterator[memoryview]:
    if view[: len(_XERIAL)] != _XERIAL:
        yield view
        return
    at = _XERIAL_BYTES
    while at < len(view):
        (size,) = struct.unpack_from("!I", view, at)
        yield view[at + 4 : at + 4 + size]
        at += 4 + size


def _check(left: int) -> None:
    if left < 0:
        raise _BatchError(f"decompress to more than {MAX_BATCH_BYTES} bytes")


def _damaged(error: Exception) -> _BatchError:
    return _BatchError(f"cannot be decompressed: {type(error).__name__}: {error}")


class _Records:
    """The batches of one answer of Kafka, with the one that was handed out last."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.has_next = records.has_next
        self.batch: Any = None

    def next_batch(self) -> Any:
        self.batch = self._records.next_batch()
        return self.batch


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    _records: Any

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        self._records = _Records(self._records)
        while True:
            try:
                yield from super()._unpack_records()
            except _BatchError as error:
                batch = self._records.batch
                self.next_fetch_offset = batch.next_offset
                yield _stand_in(self._tp, batch, str(error))
            else:
                return


def _stand_in(place: TopicPartition, batch: Any, problem: str) -> ConsumerRecord:
    """Return the message that stands for a batch."""
    last = batch.next_offset - 1
    of_all = f"messages {batch.base_offset} to {last} of {place.topic}[{place.partition}]"
    spill = RawSpill(
        run=NO_RUN,
        spill=NO_RUN,
        time_us=0,
        format=RawFormat.UNREADABLE,
        source="",
        byte=0,
        events=0,
        payload=b"",
        problem=f"{of_all}, a batch compressed with {_CODECS[batch.compression_type]}, {problem}"[:MAX_TEXT],
    )
    value, time_ms, kind = encode(spill), batch.max_timestamp, batch.timestamp_type
    return ConsumerRecord(place.topic, place.partition, last, time_ms, kind, None, value, None, -1, len(value), ())
