"""Kafka loses the end of its logs, or a topic is made anew: nothing that comes in its place is passed over."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from ops.stack import LocalStack, free_port
from ops.topics import ensure_topics
from schemas.records import RawSpill, RunControl
from streams.app import END_S
from streams.books.compare import differences
from streams.books.reader import BookReader
from streams.books.totals import Totals
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics
from tests.conftest import WAIT_S, wait_until_counted
from tests.kafka import admin as admin_of
from tests.kafka import ends
from tests.lanes import again
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN, LATER_RUN = 900050, 900051


@pytest.fixture
def stack(servers_can_be_had: None, tmp_path: Path) -> Iterator[LocalStack]:
    """Return a Kafka and a Redis for this test alone, which does harm to them."""
    with LocalStack(tmp_path / "stack", free_port(), free_port()) as running:
        yield running


def kill_kafka(stack: LocalStack) -> None:
    (kafka,) = [psutil.Process(status.pid) for status in stack.status() if status.name == "kafka" and status.pid]
    kafka.kill()
    kafka.wait()


def keep_of_the_logs(stack: LocalStack, settings: Settings, part: float) -> None:
    """Keep a part of Kafka's logs: what was on the disk already when the power was cut."""
    for log in (stack.directory / "kafka-data").glob(f"{Topics.of(settings).raw}-*/*.log"):
        os.truncate(log, int(log.stat().st_size * part))
        for index in log.parent.glob("*index"):
            index.unlink()


def produce(settings: Settings, records: Sequence[RawSpill | RunControl]) -> None:
    for at in range(0, len(records), 12):  # what is sent at once is lost at once
        with SpillProducer(settings) as producer:
            for record in records[at : at + 12]:
                producer.send(record)


def wait_for(reader: BookReader, run: int, received: int) -> None:
    """Wait until so many spills are counted; what is far behind Kafka's end counts as much as what is beyond it."""
    deadline = time.monotonic() + 2 * WAIT_S
    while (totals := reader.runs().get(run, Totals())).received < received:
        assert time.monotonic() < deadline, f"{totals.received} of {received} spills came"
        time.sleep(0.1)


def check(reader: BookReader, records: Sequence[RawSpill | RunControl]) -> None:
    ((run, expected),) = process(records, ConditionsStore([]).for_run).items()
    assert differences(expected.run_book(), reader.run(run, expected.book.ranges)) == []


@pytest.mark.nightly
def test_a_power_cut_that_takes_the_end_of_the_logs_hides_no_spill_that_comes_then(
    stack: LocalStack, settings: Settings, workers: Workers, reader: BookReader
) -> None:
    records = list(SimulatedRun(run=RUN, spills=120, mean_triggers=3).records())
    first, then = records[:61], records[61:]
    workers.start()
    produce(settings, first)
    wait_until_counted(settings, reader)
    counted = [progress.next for progress in reader.progress().values()]
    kill_kafka(stack)
    # A worker ends when it is told to, though no broker answers.
    workers.running[0].terminate()
    assert workers.running[0].wait(2 * END_S) == 0
    keep_of_the_logs(stack, settings, 0.6)
    stack.start(keep=False)
    assert all(end < before for end, before in zip(ends(settings), counted, strict=True))
    produce(settings, then)
    workers.start()
    wait_for(reader, RUN, 120)
    wait_until_counted(settings, reader)
    check(reader, records)
    said = [loss.what for progress in reader.progress().values() for loss in progress.lost]
    assert len(said) == settings.kafka.partitions
    assert all("lost its messages from " in what for what in said)


@again
def test_topics_that_are_made_anew_under_a_worker_are_counted_from_their_begin(
    settings: Settings, workers: Workers, reader: BookReader
) -> None:
    records = list(SimulatedRun(run=RUN, spills=60, mean_triggers=3).records())
    workers.start()
    produce(settings, records)
    wait_until_counted(settings, reader)
    topics = Topics.of(settings)
    admin = admin_of(settings)
    for done in admin.delete_topics([topics.raw, topics.reco]).values():
        done.result()
    ensure_topics(settings)
    later = list(SimulatedRun(run=LATER_RUN, spills=60, mean_triggers=3).records())
    produce(settings, later)
    wait_for(reader, LATER_RUN, 60)
    wait_until_counted(settings, reader)
    check(reader, records)
    check(reader, later)
