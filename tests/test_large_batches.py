"""However a batch is compressed, no more of it is decompressed than may be, and one message stands for it."""

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import cramjam
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.codec import snappy_encode
from aiokafka.consumer import fetcher
from aiokafka.record._crecords import default_records
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from schemas.records import NO_RUN, RawFormat, RawSpill
from streams.kafka import large_batches
from tests.wire import decode

GZIP, SNAPPY, LZ4, ZSTD = range(1, 5)
FEW = 100_000
"""Stands for the bytes that a batch may have."""
FIRST = 40


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_batches, "MAX_BATCH_BYTES", FEW)
    large_batches.bound_batches()


def batch(codec: int, *values: bytes, offset: int = FIRST) -> bytes:
    """Return a batch of Kafka's."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    for number, value in enumerate(values):
        assert builder.append(number, timestamp=1_000 + number, key=None, value=value, headers=[])
    return struct.pack(">q", offset) + bytes(builder.build())[8:]


def read(*batches: bytes, start: int = 0) -> list[ConsumerRecord]:
    place = TopicPartition("spills.raw", 3)
    return list(fetcher.PartitionRecords(place, MemoryRecords(b"".join(batches)), [], start, None, None, True, 0))


def stand_in(record: ConsumerRecord) -> RawSpill:
    spill = decode(record.value)
    assert isinstance(spill, RawSpill)
    assert (spill.run, spill.format) == (NO_RUN, RawFormat.UNREADABLE)
    return spill


@pytest.mark.parametrize(("codec", "name"), [(GZIP, "gzip"), (SNAPPY, "snappy"), (LZ4, "lz4"), (ZSTD, "zstd")])
def test_one_message_stands_for_a_batch_that_is_too_large_and_what_follows_is_read(codec: int, name: str) -> None:
    too_large = batch(codec, b"small", *[bytes(FEW // 3)] * 3)
    good = batch(codec, b"next", bytes(FEW // 2), offset=FIRST + 4)
    found = read(batch(0, b"before", offset=FIRST - 1), too_large, good)
    assert [one.offset for one in found] == [39, 43, 44, 45]
    assert [found[0].value, *(one.value for one in found[2:])] == [b"before", b"next", bytes(FEW // 2)]
    assert stand_in(found[1]).problem == (
        f"messages 40 to 43 of spills.raw[3], a batch compressed with {name}, decompress to more than {FEW} bytes"
    )
    assert found[1].timestamp == 1_003
    # Whoever begins in the middle of it finds the same.
    assert read(too_large, start=FIRST + 2) == found[1:2]


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("gzip_decode", gzip.compress),
        ("lz4_decode", lambda data: bytes(cramjam.lz4.compress(data))),
        ("zstd_decode", lambda data: bytes(cramjam.zstd.compress(data))),
        ("snappy_decode", lambda data: bytes(cramjam.snappy.compress_raw(data))),
        ("snappy_decode", snappy_encode),
    ],
)
def test_a_bound_is_kept_to_the_byte_and_in_memory(name: str, compress: Callable[[bytes], bytes]) -> None:
    decode_bounded: Callable[[Any], bytes] = getattr(default_records, name)
    content = bytes(range(250)) * (FEW // 250)
    assert decode_bounded(compress(content)) == content
    compressed = [compress(content + b"x"), compress(bytes(300 * FEW))]
    tracemalloc.start()
    try:
        for data in compressed:
            with pytest.raises(large_batches._BatchError, match=f"to more than {FEW} bytes"):
                decode_bounded(data)
        assert tracemalloc.get_traced_memory()[1] < 10 * FEW
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["gzip_decode", "lz4_decode", "zstd_decode", "snappy_decode"])
@pytest.mark.parametrize("data", [b"", b"\5", b"\xff" * 40, b"\x82SNAPPY\0" + bytes(8) + b"\xff" * 9])
def test_damaged_bytes_are_said_to_be_damaged(name: str, data: bytes) -> None:
    with pytest.raises(large_batches._BatchError, match="cannot be decompressed"):
        getattr(default_records, name)(data)


def test_many_small_frames_are_read_as_one() -> None:
    frame = bytes(cramjam.zstd.compress(b"ab"))
    assert default_records.zstd_decode(memoryview(frame * 5_000)) == b"ab" * 5_000
