"""What is in the topics, read with a plain consumer."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from confluent_kafka import ConsumerGroupState, KafkaException, Message
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.records import RejectedSpill
from streams import kafka
from streams.kafka import clients
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
    client, deadline = admin(settings), time.monotonic() + SHARED_S
    while not is_shared(client, settings, workers):
        assert time.monotonic() < deadline, f"{workers} workers do not share the partitions"
        time.sleep(0.1)


def is_shared(client: AdminClient, settings: Settings, workers: int) -> bool:
    """Say whether so many workers of live share the partitions, and nothing moves."""
    group = workers_group(settings, settings.session)
    try:
        described = client.describe_consumer_groups([group])[group].result(timeout=ANSWER_S)
    except KafkaException:  # brokers are away, or nobody has ever asked for a group
        return False
    return described.state is ConsumerGroupState.STABLE and len(described.members) == workers


def admin(settings: Settings) -> AdminClient:
    """Return a client to be held: one that is collected cancels what it was asked."""
    return clients.admin(settings.kafka)


def reached(settings: Settings) -> dict[str, Any]:
    """Return how a client reaches Kafka that is like none of ours, as anybody may have it."""
    return clients.configuration(settings.kafka)


def until(shown: Callable[[], bool]) -> None:
    """Wait until the broker shows a change; it hears of it a little after it was made."""
    deadline = time.monotonic() + ANSWER_S
    while not shown():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def names(settings: Settings) -> set[str]:
    """Return those of all topics."""
    return set(admin(settings).list_topics(timeout=ANSWER_S).topics)


def create(settings: Settings, topic: str, partitions: int) -> None:
    """Make a topic, and wait until it is listed."""
    client = admin(settings)
    client.create_topics([NewTopic(topic, partitions, 1)])[topic].result(ANSWER_S)
    until(lambda: topic in names(settings))


def delete(settings: Settings, topic: str) -> None:
    """Remove a topic, and wait until it is listed no more."""
    client = admin(settings)
    client.delete_topics([topic])[topic].result(ANSWER_S)
    until(lambda: topic not in names(settings))


def config(settings: Settings, topic: str) -> dict[str, str]:
    """Return how a topic is set."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    client = admin(settings)
    return {name: its.value for name, its in client.describe_configs([resource])[resource].result(ANSWER_S).items()}


def set_topic(settings: Settings, topic: str, setting: str, value: str) -> None:
    """Give a topic a setting, and wait until it is shown."""
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    client = admin(settings)
    client.incremental_alter_configs([resource])[resource].result(ANSWER_S)
    until(lambda: config(settings, topic)[setting] == value)
