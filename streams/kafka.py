"""What several parts need of Kafka: consumers of no group, how far a topic is, and the words for a broker away."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.wire import MAX_MESSAGE_BYTES
from streams.errors import ServerError
from streams.settings import Settings

_AHEAD_KIB = 8 * 1024
"""What a consumer holds that nobody has read yet, at most; a message that is larger all the same."""
_FETCH_WAIT_MS = 20
"""How long a broker holds back an answer without messages; the answer for the next partition waits behind it."""
POLL_S = 0.5
"""How long to wait for room or for acknowledgements before looking again."""
LEADER_S = 0.1
"""How long to wait before asking again for a partition without a leader."""
_NO_ANSWER = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._TRANSPORT,
}
NO_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
"""What is asked for is not there; a broker that has just started says so, too."""
_NO_LEADER_YET = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}
Delivered = Callable[[KafkaError | None, Message], None]
"""Takes what the broker says of a message, and the message."""


def reader(settings: Settings, **changes: Any) -> Consumer:
    """Return a consumer that reads what is there, says where a partition ends, commits nothing and joins no group.

    `changes` are settings of the library, with ``_`` for the dots in their names.
    """
    return Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": "spilldeck-reader",  # asked for by the library, joined by nobody
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": _AHEAD_KIB,
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
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
            "queue.buffering.max.kbytes": settings.producer.queue_kib,
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


def span(consumer: Consumer, topic: str, partition: int, timeout_s: float) -> tuple[int, int]:
    """Return the offset of the oldest message that a partition has, and the one that its next message will get.

    Raises
    ------
    confluent_kafka.KafkaException
        When Kafka does not answer within the time, or has no such partition.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        left = max(deadline - time.monotonic(), 0.0)
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=left)
        except KafkaException as error:
            # A partition is without a leader for a moment when it was just made, and when its broker went away.
            if error.args[0].code() not in _NO_LEADER_YET or left < LEADER_S:
                raise
            time.sleep(LEADER_S)
        else:
            return max(low, 0), high


def ends(consumer: Consumer, topic: str, partitions: Sequence[int], timeout_s: float) -> tuple[int, ...]:
    """Return the offset that the next message of each partition will get; raises as `span` does."""
    return tuple(span(consumer, topic, partition, timeout_s)[1] for partition in partitions)


def messages(
    consumer: Consumer, topic: str, partition: int, start: int, stop: int, timeout_s: float
) -> Iterator[Message]:
    """Yield the messages of a partition with offsets in [start, stop), with a consumer from `reader`.

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


def no_kafka(settings: Settings, error: KafkaException) -> ServerError:
    """Return the words for a broker that does not answer, or does and refuses what was asked."""
    said = error.args[0]
    place = settings.kafka.bootstrap_servers
    if said.code() in _NO_ANSWER:
        return ServerError(f"no Kafka answers at {place}: start one (spilldeck up), or correct kafka.bootstrap_servers")
    return ServerError(f"Kafka at {place} refuses: {said.str()}; look at its log and at spilldeck topics diff")
