"""What is in the topics, read with a plain consumer."""

import time
from contextlib import closing

from confluent_kafka import ConsumerGroupState, KafkaException, Message
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from schemas.records import RejectedSpill
from streams import kafka
from streams.settings import Settings
from streams.topics import Topics, workers_group
from tests.wire import decode

ANSWER_S = 60.0
SHARED_S = 60.0
"""Workers that were started share the partitions within it."""


def ends(settings: Settings) -> list[int]:
    """Return the end of each partition of spills.raw."""
    with closing(kafka.reader(settings)) as consumer:
        return [end for _, end in kafka.spans(consumer, Topics.of(settings).raw, ANSWER_S)]


def messages(settings: Settings, topic: str) -> list[Message]:
    """Return all messages of a topic."""
    found: list[Message] = []
    with closing(kafka.reader(settings)) as consumer:
        for partition, (low, end) in enumerate(kafka.spans(consumer, topic, ANSWER_S)):
            found += kafka.messages(consumer, topic, partition, low, end, ANSWER_S)
    return found


def rejected(settings: Settings) -> list[RejectedSpill]:
    """Return what is in spills.rejected."""
    found = [decode(m.value() or b"") for m in messages(settings, Topics.of(settings).rejected)]
    assert all(isinstance(record, RejectedSpill) for record in found)
    return [record for record in found if isinstance(record, RejectedSpill)]


def wait_until_shared(settings: Settings, workers: int) -> None:
    """Wait until so many workers of live share the partitions."""
    admin, deadline = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers}), time.monotonic() + SHARED_S
    while not is_shared(admin, settings, workers):
        assert time.monotonic() < deadline, f"{workers} workers do not share the partitions"
        time.sleep(0.1)


def is_shared(admin: AdminClient, settings: Settings, workers: int) -> bool:
    """Say whether so many workers of live share the partitions, and nothing moves."""
    group = workers_group(settings, settings.session)
    try:
        described = admin.describe_consumer_groups([group])[group].result(timeout=ANSWER_S)
    except KafkaException:  # brokers are away, or nobody has ever asked for a group
        return False
    return described.state is ConsumerGroupState.STABLE and len(described.members) == workers


def set_topic(settings: Settings, topic: str, setting: str, value: str) -> None:
    """Give a topic a setting."""
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    admin.incremental_alter_configs([resource])[resource].result(ANSWER_S)
