"""The whole way of a spill on a real Kafka and a real Redis: every bin as the pure functions fill it."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.records import NO_RUN, RawFormat, RawSpill, RunControl
from streams import kafka
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.known_runs import KnownRuns
from streams.books.reader import BookReader
from streams.books.windows import window_at
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import RunResult, process
from streams.settings import Settings
from streams.topics import Topics, workers_group
from tests.conftest import WAIT_S
from tests.kafka import messages, reached, rejected
from tests.lanes import again
from tests.records import raw_spill
from tests.wire import decode
from tests.workers import Workers

pytestmark = pytest.mark.servers

Record = RawSpill | RunControl
PAUSE_S = 6
"""Redis answers nobody for it: several times what a worker waits between two commits, and still no error to it."""


def run_with_faults(run: int, spills: int) -> Iterator[Record]:
    """Yield a run with duplicates, neighbours swapped, a conflict, and spills of which bytes are damaged."""
    records = list(SimulatedRun(run=run, spills=spills, mean_triggers=8).records())
    rng = random.Random(run)
    for i in range(3, len(records) - 3, 7):
        records[i], records[i + 1] = records[i + 1], records[i]
    for i, original in enumerate(records):
        if not isinstance(original, RawSpill):
            yield original
            continue
        record = original
        if i % 11 == 4:
            at = rng.randrange(2000, len(record.payload) - 2000)
            record = replace(record, payload=record.payload[:at] + b"\xff" * 64 + record.payload[at + 64 :])
        yield record
        if i % 9 == 5:
            yield record
        if i == spills // 2:
            yield replace(record, payload=record.payload[:-4] + b"\0\0\0\1")


def expected_of(records: list[Record]) -> dict[int, RunResult]:
    return process(records, ConditionsStore([]).for_run)


def check(expected: dict[int, RunResult], reader: BookReader) -> None:
    assert reader.runs().keys() == expected.keys()
    for run, result in expected.items():
        assert differences(result.run_book(), reader.run(run, result.book.ranges)) == []


def produce(settings: Settings, records: list[Record]) -> None:
    with SpillProducer(settings) as producer:
        for record in records:
            producer.send(record)


def test_kafka_workers_and_redis_make_what_the_pure_functions_make(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None], tmp_path: Path
) -> None:
    records = [*run_with_faults(900010, 40), *run_with_faults(900011, 25)]
    expected = expected_of(records)
    totals = expected[900010].part.totals
    assert totals.duplicates
    assert totals.all_rejected
    assert totals.filled + totals.all_rejected == totals.received - totals.duplicates
    workers.start()
    workers.start()
    produce(settings, records)
    until_counted()
    check(expected, reader)
    stored = reader.run(900010, expected[900010].book.ranges)
    assert stored.handling.keys() == stored.ledger.keys()
    assert all(0 <= handled.delay_s < 120 and 50 < handled.resident_mb < 400 for handled in stored.handling.values())
    # Every rejected spill is kept with its bytes and the reason; twice, if a worker that lost its partition meanwhile
    # had sent it already.
    kept = list({(spill.topic, spill.partition, spill.offset): spill for spill in rejected(settings)}.values())
    assert len(kept) == sum(r.part.totals.all_rejected for r in expected.values())
    damaged = [r for r in records if isinstance(r, RawSpill) and b"\xff" * 64 in r.payload]
    for spill in kept:
        assert spill.reason
        if spill.step != "conflict":
            message = decode(spill.payload)
            assert isinstance(message, RawSpill)
            assert message in damaged
    # A worker keeps nothing in files.
    assert {path.suffix for path in tmp_path.iterdir()} == {".log"}


@again
def test_windows_go_by_the_clock_of_the_spills(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    simulated = SimulatedRun(run=900012, spills=30, period_s=10.0, mean_triggers=5)
    records = list(simulated.records())
    workers.start()
    produce(settings, records)
    until_counted()
    windows = reader.windows(900012)
    times = [r.time_us // 1_000_000 for r in records if isinstance(r, RawSpill)]
    # The run is over: what is older is in longer windows.
    at = [window_at(time_s, max(times), window_s=60, kept=1) for time_s in times]
    assert windows == {window: at.count(window) for window in sorted(set(at))}
    assert {window.length for window in windows} == {60, 240}
    whole = reader.run(900012, {}).book
    total = sum(reader.window(900012, window, {})["ht01"].view(flow=True) for window in windows)
    assert np.array_equal(total, whole["ht01"].view(flow=True))


@again
def test_kill_9_of_a_worker_changes_nothing(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    records = list(run_with_faults(900013, 120))
    expected = expected_of(records)
    workers.start()
    workers.start()
    produce(settings, records[:60])
    while not any(p.next for p in reader.progress().values()):
        time.sleep(0.05)
    produce(settings, records[60:])
    workers.kill(0)
    workers.start()
    until_counted()
    check(expected, reader)


@again
def test_an_emptied_redis_is_rebuilt_from_kafka(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    records = list(run_with_faults(900014, 20))
    expected = expected_of(records)
    workers.start()
    produce(settings, records)
    until_counted()
    with connect(settings) as redis:
        redis.flushall()
    until_counted()
    check(expected, reader)


@again
def test_the_run_that_is_taken_comes_back_first_when_redis_was_emptied(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    older, current = (list(SimulatedRun(run=run, spills=60, mean_triggers=8).records()) for run in (900020, 900021))
    workers.start()
    produce(settings, older)
    until_counted()
    produce(settings, current)
    until_counted()
    known, places = KnownRuns(settings, Topics.of(settings).runs), reader.places()
    deadline = time.monotonic() + WAIT_S
    while any(
        known.of(places[900021].log, p).below <= known.of(places[900021].log, p).runs.get(900021, 10**9)
        for p in range(settings.kafka.partitions)
    ):
        assert time.monotonic() < deadline, "the topic of runs never said where the current run begins"
        time.sleep(0.2)
    with connect(settings) as redis:
        redis.flushall()
    filled: dict[int, int] = {}
    while filled.get(900021, 0) < 60:
        assert time.monotonic() < deadline + WAIT_S
        filled = {run: place.filled for run, place in BookReader.of(reader._redis, settings).places().items()}
        time.sleep(0.02)
    assert filled.get(900020, 0) < 60
    until_counted()
    check(expected_of([*older, *current]), reader)


@again
def test_a_committed_offset_that_is_too_far_on_loses_nothing(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    records = list(run_with_faults(900018, 40))
    workers.start()
    produce(settings, records[:20])
    until_counted()
    workers.stop()
    produce(settings, records[20:])
    # The worker shall begin behind all that there is, of which Redis has nothing.
    with connect(settings) as redis:
        redis.flushall()
    consumer = Consumer(reached(settings) | {"group.id": workers_group(settings, settings.session)})
    places = [TopicPartition(Topics.of(settings).raw, p) for p in range(settings.kafka.partitions)]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, timeout=10)[1]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()
    workers.start()
    until_counted()
    check(expected_of(records), reader)


def test_nothing_is_acknowledged_before_its_checkpoint(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    records = list(SimulatedRun(run=900019, spills=40, mean_triggers=5).records())

    def acknowledged() -> list[int]:
        places = [TopicPartition(Topics.of(settings).raw, p) for p in range(settings.kafka.partitions)]
        with closing(kafka.reader(settings, group_id=workers_group(settings, settings.session))) as consumer:
            return [place.offset for place in consumer.committed(places, timeout=10)]

    def until_acknowledged() -> list[int]:
        """Wait until the worker has acknowledged all that the books hold, and return that."""
        wanted = [progress.next for progress in reader.progress().values()]
        deadline = time.monotonic() + WAIT_S
        while acknowledged() != wanted:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return wanted

    workers.start()
    produce(settings, records[:20])
    until_counted()
    before = until_acknowledged()
    with connect(settings) as redis:
        redis.client_pause(PAUSE_S * 1000)
    produce(settings, records[20:])
    # Long enough for the worker to have them in hand and to commit several times.
    time.sleep(PAUSE_S / 2)
    assert acknowledged() == before
    until_counted()
    assert until_acknowledged() > before


def test_after_any_garbage_the_next_spill_is_counted(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    topics = Topics.of(settings)
    hostile = [b"", b"\0" * 50, b"\xc3\x01", b"\xc3\x01" + bytes(8) + b"x" * 100, b"[" * 10_000, bytes(range(256)) * 40]
    producer = Producer(reached(settings))
    for topic in (topics.raw, topics.reco):
        for value in hostile:
            producer.produce(topic, value, partition=1)
    producer.flush(10)
    records = list(SimulatedRun(run=900015, spills=8, mean_triggers=5).records())
    workers.start()
    produce(settings, records)
    until_counted()
    result = expected_of(records)[900015]
    assert differences(result.run_book(), reader.run(900015, {})) == []
    # Those in spills.raw are counted and kept; nothing is counted from spills.reco.
    assert reader.runs()[NO_RUN].all_rejected == len(hostile)
    assert len(messages(settings, topics.rejected)) == len(hostile)


def test_a_message_larger_than_a_fetch_goes_its_way(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    large = list(SimulatedRun(run=900016, spills=3, mean_triggers=300).records())
    noise = np.random.default_rng(1).bytes(40 << 20)
    huge = raw_spill(run=900016, spill=NO_RUN, format=RawFormat.UNREADABLE, payload=noise, problem="noise")
    records = [*large[:2], huge, *large[2:]]
    assert all(
        len(record.payload) > settings.kafka.fetch_kib * 1024 for record in records if isinstance(record, RawSpill)
    )
    workers.start()
    produce(settings, records)
    until_counted()
    check(expected_of(records), reader)
    (kept,) = rejected(settings)
    assert decode(kept.payload) == huge


@pytest.mark.nightly
def test_a_flood_is_counted_in_bounded_memory(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    records = list(SimulatedRun(run=900017, spills=800, detectors=("tof", "ckov", "kl", "scalers")).records())
    workers.start()
    produce(settings, records)
    assert sum(len(record.payload) for record in records) > 200e6
    until_counted()
    check(expected_of(records), reader)
    assert psutil.Process(workers.running[0].pid).memory_info().rss < 300e6
