"""What is in the topics, read with a plain consumer."""

from confluent_kafka import Consumer, Message, TopicPartition

from schemas.records import RejectedSpill
from schemas.wire import decode
from streams.settings import Settings
from streams.topics import Topics


def ends(settings: Settings) -> list[int]:
    """Return the end of each partition of spills.raw."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "tests"})
    try:
        topic, partitions = Topics.of(settings).raw, range(settings.kafka.partitions)
        return [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions]
    finally:
        consumer.close()


def messages(settings: Settings, topic: str) -> list[Message]:
    """Return all messages of a topic."""
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "tests"})
    found = []
    try:
        for partition in range(settings.kafka.partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            consumer.assign([TopicPartition(topic, partition, low)])
            while low < high:
                message = consumer.poll(10)
                assert message is not None
                assert message.error() is None
                if message.partition() == partition:
                    found.append(message)
                    low = message.offset() + 1
    finally:
        consumer.close()
    return found


def rejected(settings: Settings) -> list[RejectedSpill]:
    """Return what is in spills.rejected."""
    found = [decode(m.value() or b"") for m in messages(settings, Topics.of(settings).rejected)]
    assert all(isinstance(record, RejectedSpill) for record in found)
    return [record for record in found if isinstance(record, RejectedSpill)]
