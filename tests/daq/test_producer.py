"""The producer with a broker that is slow or hangs: what waits is bounded, and everything goes out."""

from collections.abc import Iterator

import psutil
import pytest

from ops.stack import LocalStack
from ops.topics import ensure_topics
from schemas.records import RawSpill
from streams.daq.producer import SpillProducer
from streams.settings import ProducerSettings, Settings
from streams.topics import Topics
from tests.kafka import messages
from tests.records import raw_spill
from tests.wire import decode

pytestmark = pytest.mark.servers

QUEUE_KIB = 1024


@pytest.fixture
def small(settings: Settings) -> Settings:
    """Return the settings of a producer with little room, on fresh topics."""
    ensure_topics(settings)
    return settings.model_copy(update={"producer": ProducerSettings(queue_kib=QUEUE_KIB)})


@pytest.fixture
def broker(stack: LocalStack) -> Iterator[psutil.Process]:
    (kafka,) = [psutil.Process(s.pid) for s in stack.status() if s.name == "kafka" and s.pid is not None]
    yield kafka
    kafka.resume()


def sizes(settings: Settings) -> dict[int, int]:
    """Return the length of each spill's payload in spills.raw."""
    found = [decode(message.value() or b"") for message in messages(settings, Topics.of(settings).raw)]
    return {record.spill: len(record.payload) for record in found if isinstance(record, RawSpill)}


@pytest.mark.parametrize("large", [1_048_576, 1_500_000, 60 << 20])
def test_a_spill_that_is_larger_than_all_that_may_wait_goes_out(small: Settings, large: int) -> None:
    sent = {0: 1000, 1: large, 2: 1000, 3: large}
    with SpillProducer(small) as producer:
        for spill, size in sent.items():
            producer.send(raw_spill(spill=spill, payload=bytes(size)))
    assert sizes(small) == sent


def test_no_more_waits_for_a_broker_that_hangs_than_the_settings_allow(small: Settings, broker: psutil.Process) -> None:
    size, count = 100_000, 40
    waiting: list[int] = []

    def wait(_seconds: float, messages: int) -> None:
        waiting.append(messages)
        broker.resume()

    with SpillProducer(small, on_waiting=wait) as producer:
        for spill in range(count):
            if spill == 1:  # which run is in which partitions is known
                broker.suspend()
            producer.send(raw_spill(spill=spill, payload=bytes(size)))
    assert 0 < waiting[0] <= QUEUE_KIB * 1024 // size
    assert sizes(small) == dict.fromkeys(range(count), size)
