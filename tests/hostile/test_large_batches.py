"""A batch that decompresses to more than may be is passed over, kept in words, and the next spill counts."""

import re
import time
from collections.abc import Callable

import psutil
import pytest
from confluent_kafka import Producer

from schemas.records import NO_RUN
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics
from tests.conftest import WAIT_S
from tests.kafka import messages, reached, rejected
from tests.ops.conftest import Spilldeck
from tests.servers import environment
from tests.wire import decode
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = 900079
MOST_RSS = 600e6
"""Of a worker: what it takes without spills, a batch as large as one may be, and that once more in pieces."""


def send(settings: Settings, codec: str, partition: int, *values: bytes) -> int:
    """Send messages to spills.raw in one batch; return the last one's offset."""
    offsets: list[int] = []

    def delivered(error: object, message: object) -> None:
        assert error is None
        offsets.append(message.offset())

    producer = Producer(
        reached(settings)
        | {
            "compression.type": codec,
            "message.max.bytes": 1_000_000_000,
            "batch.size": 1_000_000_000,
            "linger.ms": 500,
        }
    )
    for value in values:
        producer.produce(Topics.of(settings).raw, value, partition=partition, on_delivery=delivered)
    assert producer.flush(30) == 0
    return max(offsets)


def stand_ins(settings: Settings) -> dict[tuple[int, int], str]:
    """Return what stands for batches where a replay or a repair reads them: place → the reason."""
    found = {}
    for message in messages(settings, Topics.of(settings).raw):
        record = decode(message.value() or b"")
        if record.run == NO_RUN:
            found[message.partition() or 0, message.offset() or 0] = record.problem
    return found


def test_a_batch_that_is_too_large_is_rejected_once_and_the_next_spill_counts_whatever_reads_it(
    settings: Settings,
    workers: Workers,
    reader: BookReader,
    until_counted: Callable[[], None],
    spilldeck: Spilldeck,
) -> None:
    records = list(SimulatedRun(run=RUN, spills=4, mean_triggers=3, detectors=("tof",)).records())
    (expected,) = process(records, ConditionsStore([]).for_run).values()
    batches = {
        (0, send(settings, "zstd", 0, bytes(300 << 20))): "zstd",
        (1, send(settings, "lz4", 1, bytes(300 << 20))): "lz4",
        (2, send(settings, "zstd", 2, *[bytes(10 << 20)] * 12)): "zstd",
    }
    with SpillProducer(settings) as producer:
        for record in records:
            producer.send(record)
    workers.start()
    most, deadline = 0, time.monotonic() + WAIT_S
    while RUN not in (runs := reader.runs()) or runs[RUN].filled < expected.part.totals.filled:
        assert time.monotonic() < deadline, f"not all was counted: {runs}"
        most = max(most, psutil.Process(workers.running[0].pid).memory_info().rss)
        time.sleep(0.01)
    until_counted()

    assert most < MOST_RSS
    assert workers.running[0].poll() is None
    kept = {(one.partition, one.offset): one for one in rejected(settings)}
    assert len(rejected(settings)) == len(batches)
    for place, codec in batches.items():
        assert re.search(f"a batch compressed with {codec}, decompress to more than 100000000", kept[place].reason)
    assert {place: one.reason for place, one in kept.items()} == stand_ins(settings)
    counted = reader.run(RUN, {})
    assert differences(expected.run_book(), counted) == []
    nothing = reader.runs()[NO_RUN]
    assert nothing.rejected == {"framing": len(batches)}

    done = spilldeck("verify", str(RUN), env=environment(settings))
    assert f"run {RUN}: identical" in done.stdout, done.stderr
    with connect(settings) as redis:
        for key in redis.scan_iter(match=f"{settings.redis.key_prefix}:*"):
            redis.delete(key)
    until_counted()
    assert differences(counted, reader.run(RUN, {})) == []
    assert reader.runs()[NO_RUN] == nothing
