"""What is in spills.rejected: listed, shown, and sent through again after a fix."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.records import MAX_PAYLOAD_BYTES, RawSpill, RejectedSpill
from schemas.wire import MAX_MESSAGE_BYTES, WireError, decode
from streams.errors import ServerError, UsageError
from streams.kafka import messages, no_kafka, reader, writer
from streams.settings import Settings
from streams.topics import Topics

ANSWER_S = 10.0
"""A broker that does not answer within it is taken to be down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """One rejected spill, and where it is in spills.rejected."""

    partition: int
    offset: int
    time_ms: int
    """When it was rejected, Unix milliseconds."""
    spill: RejectedSpill = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return f"{self.partition}/{self.offset}"

    def raw(self) -> RawSpill | None:
        """Return the raw spill that was rejected; None if the message was none."""
        try:
            record = decode(self.spill.payload)
        except WireError:
            return None
        return record if isinstance(record, RawSpill) else None


def read_rejected(settings: Settings) -> Iterator[Rejected]:
    """Yield all that is in spills.rejected now, partition by partition.

    Raises
    ------
    ServerError
        When Kafka does not answer, or there is no such topic.
    """
    topic = Topics.of(settings).rejected
    consumer = reader(settings, enable_partition_eof=True, fetch_message_max_bytes=MAX_MESSAGE_BYTES)
    with closing(consumer):
        try:
            for partition in sorted(_partitions(consumer, topic)):
                yield from _read(consumer, topic, partition)
        except KafkaException as error:
            raise no_kafka(settings) from error


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    found = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
    if found.error is not None:
        raise ServerError(f"the topic {topic} is not there ({found.error.str()}): run spilldeck topics apply")
    return list(found.partitions)


def _read(consumer: Consumer, topic: str, partition: int) -> Iterator[Rejected]:
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_S)
    for message in messages(consumer, topic, partition, low, high, ANSWER_S):
        try:
            record = decode(message.value() or b"")
        except WireError:
            continue  # somebody else's message: it is not ours to judge
        if isinstance(record, RejectedSpill):
            offset, time_ms = message.offset() or 0, message.timestamp()[1]
            yield Rejected(partition=partition, offset=offset, time_ms=time_ms, spill=record)


def replay(settings: Settings, rejected: list[Rejected]) -> None:
    """Send rejected spills to spills.raw again, as they were; return when the brokers have them all.

    The workers treat each like a spill that has just come: it is counted if it is good now, and rejected again if not.

    Raises
    ------
    UsageError
        When one of them cannot be sent again.
    ServerError
        When Kafka refuses one.
    """
    topic = Topics.of(settings).raw
    for one in rejected:
        if one.spill.topic != topic:
            raise UsageError(
                f"{one.name} was read from {one.spill.topic}, not {topic}: what is rejected there has its raw bytes in "
                f"{topic} still"
            )
        if len(one.spill.payload) >= MAX_PAYLOAD_BYTES:
            raise UsageError(f"{one.name} was too long to be kept whole: produce its source {one.spill.source} again")
    producer = writer(settings)
    failures: list[str] = []

    def delivered(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            failures.append(error.str())

    for one in rejected:
        key = str(one.spill.run)
        producer.produce(topic, one.spill.payload, key=key, partition=one.spill.partition, on_delivery=delivered)
        producer.poll(0)
    producer.flush()
    if failures:
        raise ServerError(f"Kafka refuses {len(failures)} of {len(rejected)} spills for {topic}: {failures[0]}")
