"""Topics that an administrator made otherwise than `topics apply` does: no counter is wrong, and no spill waits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from schemas.records import NO_RUN, RawFormat, RawSpill, ReconstructedSpill, RunControl
from streams.books.compare import differences
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics
from tests.kafka import messages, rejected, set_topic
from tests.records import raw_spill
from tests.wire import decode
from tests.workers import Workers

pytestmark = pytest.mark.servers

Record = RawSpill | RunControl
RUN, NOISE_RUN = 900_070, 900_071
MOST_BYTES = 300_000
OF_OURS = f"""
from schemas.known import WireError
from streams.agents import products

encode = products.encode

def bounded(record, tables):
    message = encode(record, tables)
    if len(message) > {MOST_BYTES}:
        raise WireError(f"the message has {{len(message)}} bytes, more than {MOST_BYTES}")
    return message

products.encode = bounded
"""
"""Has a worker take a smaller message for the largest that there may be."""


def produce(settings: Settings, records: list[Record]) -> None:
    with SpillProducer(settings) as producer:
        for record in records:
            producer.send(record)


def check(reader: BookReader, records: list[Record]) -> None:
    for run, expected in process(records, ConditionsStore([]).for_run).items():
        assert differences(expected.run_book(), reader.run(run, expected.book.ranges)) == []


@pytest.mark.nightly
@pytest.mark.timeout(300)  # each time the partitions of a killed worker are free after its session alone
def test_times_of_the_broker_tell_of_no_loss_however_often_a_worker_is_killed(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    raw = Topics.of(settings).raw
    set_topic(settings, raw, "message.timestamp.type", "LogAppendTime")
    records = list(SimulatedRun(run=RUN, spills=40, mean_triggers=3, detectors=("tof",)).records())
    for part in (records[:14], records[14:28], records[28:], records[:1]):
        which = workers.start()
        produce(settings, part)
        until_counted()
        workers.kill(which)
    assert {message.timestamp()[0] for message in messages(settings, raw)} == {TIMESTAMP_LOG_APPEND_TIME}
    check(reader, [*records, records[0]])
    assert [progress.lost for progress in reader.progress().values()] == [()] * settings.kafka.partitions


@pytest.mark.parametrize("whose", ["the topic's", "ours"])
def test_a_spill_too_large_for_what_comes_out_counts_or_is_kept_in_words_and_the_next_one_counts(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None], whose: str
) -> None:
    topics = Topics.of(settings)
    small = list(SimulatedRun(run=RUN, spills=12, mean_triggers=3).records())
    (large,) = (
        replace(record, spill=12)
        for record in SimulatedRun(run=RUN, spills=1, mean_triggers=300).records()
        if isinstance(record, RawSpill)
    )
    noise = np.random.default_rng(1).bytes(2 * MOST_BYTES)
    bad = raw_spill(run=NOISE_RUN, spill=NO_RUN, format=RawFormat.UNREADABLE, payload=noise, problem="noise")
    records = [*small[:6], large, bad, *small[6:]]
    workers.start(plugin=OF_OURS if whose == "ours" else "")
    produce(settings, records[:3])
    until_counted()
    # A worker that starts with such a topic is refused; somebody may change it under one that is there.
    for topic in (topics.reco, topics.rejected) if whose == "the topic's" else (topics.rejected,):
        set_topic(settings, topic, "max.message.bytes", str(MOST_BYTES))
    produce(settings, records[3:])
    until_counted()
    check(reader, records)
    made = {
        (r.run, r.spill)
        for m in messages(settings, topics.reco)
        if isinstance(r := decode(m.value() or b""), ReconstructedSpill)
    }
    assert made == {(r.run, r.spill) for r in [*small, bad] if isinstance(r, RawSpill)}
    (kept,) = rejected(settings)
    assert (kept.run, kept.step, kept.payload) == (NOISE_RUN, "framing", b"")
    assert "its bytes are too many for spills.rejected: see" in kept.reason
    assert "noise" in kept.reason
    assert workers.log(0).count("left out") == 1
