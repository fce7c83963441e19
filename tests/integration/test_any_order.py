"""Law 2 on a real Kafka: any order, any batches, partitions and workers, duplicates anywhere make the same book."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ops.stack import LocalStack
from ops.topics import ensure_topics
from schemas.records import RawSpill, RunControl
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import BookSettings
from tests.conftest import wait_until_counted
from tests.lanes import again
from tests.servers import settings_on
from tests.workers import Workers

RUN = 900_019
RECORDS: Sequence[RawSpill | RunControl] = tuple(
    SimulatedRun(run=RUN, spills=150, mean_triggers=3, detectors=("tof",)).records()
)


@again
@pytest.mark.servers
@pytest.mark.timeout(400)  # each example starts up to four workers
@hypothesis_settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.generate],  # to make a failure smaller would take many minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    partitions=st.integers(1, 8),
    number_of_workers=st.integers(1, 4),
    batch_spills=st.integers(1, 64),
    again=st.lists(st.sampled_from(RECORDS), max_size=40),
    seed=st.integers(0, 1000),
)
def test_any_order_batches_partitions_and_workers_make_the_same_book(
    stack: LocalStack,
    tmp_path: Path,
    *,
    partitions: int,
    number_of_workers: int,
    batch_spills: int,
    again: list[RawSpill | RunControl],
    seed: int,
) -> None:
    records = [*RECORDS, *again]
    random.Random(seed).shuffle(records)
    settings = settings_on(stack, kafka={"partitions": partitions}, books=BookSettings(batch_spills=batch_spills))
    ensure_topics(settings)
    workers = Workers(settings, tmp_path)
    try:
        for _ in range(number_of_workers):
            workers.start()
        with SpillProducer(settings) as producer:
            for record in records:
                producer.send(record)
        with connect(settings) as redis:
            reader = BookReader.of(redis, settings)
            wait_until_counted(settings, reader)
            (expected,) = process(records, ConditionsStore([]).for_run).values()
            assert differences(expected.run_book(), reader.run(RUN, expected.book.ranges)) == []
    finally:
        for which in range(len(workers.running)):
            workers.kill(which)
