"""What several parts need of Kafka: consumers of no group, how far a topic is, and the words for a broker away."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.wire import MAX_MESSAGE_BYTES
from streams.errors import ServerError
from streams.settings import Settings

QUEUE_KIB = 64 * 1024
"""What a producer has waiting for the broker's acknowledgement, and a consumer for who reads, at most."""
POLL_S = 0.5
"""How long to wait for room or for acknowledgements before looking again."""
Delivered = Callable[[KafkaError | None, Message], None]
"""Takes what the broker says of a message, and the message."""


def reader(settings: Settings, **changes: Any) -> Consumer:
    """Return a consumer that reads what it is assigned, commits nothing and joins no group.

    `changes` are settings of the library, with ``_`` for the dots in their names.
    """
    return Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": "spilldeck-reader",  # asked for by the library, joined by nobody
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
        | {name.replace("_", "."): value for name, value in changes.items()}
    )


def writer(settings: Settings, **changes: Any) -> Producer:
    """Return a producer that loses nothing that it has acknowledged, and writes nothing twice.

    `changes` are settings of the library, with ``_`` for the dots in their names.
    """
    return Producer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "zstd",
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "log_level": 0,
        }
        | {name.replace("_", "."): value for name, value in changes.items()}
    )


def queue(
    producer: Producer,
    topic: str,
    value: bytes,
    *,
    key: str,
    partition: int,
    on_delivery: Delivered,
    while_full: Callable[[], None] = lambda: None,
) -> None:
    """Queue a message; wait while there is no room.

    `while_full` is called again and again meanwhile; what it raises ends the waiting.
    """
    while True:
        try:
            producer.produce(topic, value, key=key, partition=partition, on_delivery=on_delivery)
        except BufferError:
            producer.poll(POLL_S)
            while_full()
        else:
            producer.poll(0)
            return


def ends(consumer: Consumer, topic: str, partitions: Sequence[int], timeout_s: float) -> tuple[int, ...]:
    """Return the offset that the next message of each partition will get.

    Raises
    ------
    confluent_kafka.KafkaException
        When Kafka does not answer within the time, or has no such partition.
    """
    return tuple(consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=timeout_s)[1] for p in partitions)


def messages(
    consumer: Consumer, topic: str, partition: int, start: int, stop: int, timeout_s: float
) -> Iterator[Message]:
    """Yield the messages of a partition with offsets in [start, stop); the consumer must tell of a partition's end.

    Raises
    ------
    ServerError
        When Kafka does not answer within the time.
    confluent_kafka.KafkaException
        When it refuses.
    """
    consumer.assign([TopicPartition(topic, partition, start)])
    at = start
    while at < stop:
        message = consumer.poll(timeout_s)
        if message is None:
            raise ServerError(f"Kafka does not answer for {topic}[{partition}]")
        error = message.error()
        if message.partition() != partition:
            continue  # fetched before the assignment changed
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                return
            raise KafkaException(error)
        at = (message.offset() or 0) + 1
        if at <= stop:
            yield message


def no_kafka(settings: Settings) -> ServerError:
    """Return the error of a broker that does not answer."""
    return ServerError(
        f"no Kafka answers at {settings.kafka.bootstrap_servers}: start one (spilldeck up), or correct "
        f"kafka.bootstrap_servers"
    )
