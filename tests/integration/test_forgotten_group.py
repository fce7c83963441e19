"""Kafka forgets how far a group has read, or never knew the group: the checkpoint knows."""

from collections.abc import Callable

import pytest

from streams.books.compare import differences
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics, workers_group
from streams.transform import raw_offset_of
from tests.kafka import admin as admin_of
from tests.kafka import messages
from tests.lanes import again
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = 900_080


@again
def test_a_group_that_kafka_does_not_know_goes_on_where_the_checkpoint_says(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None]
) -> None:
    records = list(SimulatedRun(run=RUN, spills=60, mean_triggers=3, detectors=("tof",)).records())
    admin, group = (
        admin_of(settings),
        workers_group(settings, settings.session),
    )
    for part in (records[:30], records[30:40], records[40:]):
        workers.start()
        with SpillProducer(settings) as producer:
            for record in part:
                producer.send(record)
        until_counted()
        workers.stop()
        admin.delete_consumer_groups([group])[group].result(10)
    (expected,) = process(records, ConditionsStore([]).for_run).values()
    assert differences(expected.run_book(), reader.run(RUN, {})) == []
    topics = Topics.of(settings)
    made = [(m.partition(), raw_offset_of(dict(m.headers() or ()))) for m in messages(settings, topics.reco)]
    assert sorted(made) == [(m.partition(), m.offset()) for m in messages(settings, topics.raw)]
