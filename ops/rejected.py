"""What is in spills.rejected: listed, shown, and sent through again after a fix."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError

from schemas.known import WireError
from schemas.records import MAX_PAYLOAD_BYTES, RawSpill, RejectedSpill
from schemas.wire import decode
from streams.errors import ServerError, UsageError
from streams.kafka import asking, messages, partitions, queue, span, topic_partitions, writer
from streams.settings import Settings
from streams.topics import Topics

Place = tuple[int, int]
"""Partition and offset in spills.rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """One rejected spill, and where it is in spills.rejected."""

    partition: int
    offset: int
    time_ms: int
    """When it was rejected, Unix milliseconds."""
    spill: RejectedSpill = field(repr=False)

    @property
    def place(self) -> Place:
        """Where it is."""
        return self.partition, self.offset

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


def read_rejected(settings: Settings, only: Collection[Place] | None = None) -> Iterator[Rejected]:
    """Yield what is in spills.rejected now, one at a time, partition by partition; all of it, or what is at places.

    Raises
    ------
    ServerError
        When Kafka does not answer, or there is no such topic.
    """
    topic = Topics.of(settings).rejected
    with asking(settings) as consumer:
        for partition in range(partitions(consumer, topic)):
            yield from _read(consumer, topic, partition, only)


def _read(consumer: Consumer, topic: str, partition: int, only: Collection[Place] | None) -> Iterator[Rejected]:
    low, high = span(consumer, topic, partition)
    if only is not None:
        wanted = [offset for at, offset in only if at == partition and low <= offset < high]
        low, high = min(wanted, default=0), max(wanted, default=-1) + 1
    for message in messages(consumer, topic, partition, low, high):
        offset, time_ms = message.offset() or 0, message.timestamp()[1]
        if only is not None and (partition, offset) not in only:
            continue
        try:
            record = decode(message.value() or b"")
        except WireError:
            continue  # somebody else's message: it is not ours to judge
        if isinstance(record, RejectedSpill):
            yield Rejected(partition=partition, offset=offset, time_ms=time_ms, spill=record)


def check_can_be_replayed(settings: Settings, one: Rejected, partitions: int) -> None:
    """Refuse one that cannot be sent to spills.raw, which has so many partitions.

    Raises
    ------
    UsageError
        When it cannot be; says why.
    """
    topic = Topics.of(settings).raw
    if one.spill.topic != topic:
        raise UsageError(
            f"{one.name} was read from {one.spill.topic}, not {topic}: what is rejected there has its raw "
            f"bytes in {topic} still"
        )
    if len(one.spill.payload) >= MAX_PAYLOAD_BYTES:
        raise UsageError(f"{one.name} was too long to be kept whole: produce its source {one.spill.source} again")
    if not 0 <= one.spill.partition < partitions:
        raise UsageError(f"{one.name} says that it was in partition {one.spill.partition}, which {topic} has not")


def replay(settings: Settings, places: Collection[Place]) -> None:
    """Send rejected spills to spills.raw again, as they were; return when the brokers have them all.

    They are read and sent one after the other, so that memory is bounded however many there are. The workers treat
    each like a spill that has just come: it is counted if it is good now, and rejected again if not.

    Raises
    ------
    UsageError
        When one of them cannot be sent again; call `check_can_be_replayed` before, so that nothing is sent then.
    ServerError
        When Kafka refuses one.
    """
    topic = Topics.of(settings).raw
    there = topic_partitions(settings, topic)
    producer = writer(settings)
    failures: list[str] = []

    def delivered(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            failures.append(error.str())

    for one in read_rejected(settings, places):
        check_can_be_replayed(settings, one, there)
        # The library gives a message up after a while, so there will be room.
        queue(
            producer,
            topic,
            one.spill.payload,
            key=str(one.spill.run),
            partition=one.spill.partition,
            on_delivery=delivered,
        )
    producer.flush()
    if failures:
        raise ServerError(f"Kafka refuses {len(failures)} of {len(places)} spills for {topic}: {failures[0]}")
