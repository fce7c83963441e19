"""What several parts need of Kafka: consumers of no group, how far a topic is, and the words for a broker away."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from math import inf
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.wire import MAX_MESSAGE_BYTES
from streams.errors import ServerError
from streams.kafka.records import Records
from streams.settings import Settings

ANSWER_S = 10.0
"""A broker that does not answer within it is taken to be down, if whoever asks has no other patience."""
POLL_S = 0.5
"""How long to wait for room or for acknowledgements before looking again."""
LEADER_S = 0.1
"""How long to wait before asking again for a partition without a leader, or for what its leader does not show yet."""
SHOWN_S = 60.0
"""A new leader shows all that the one before it showed within it: as soon as it knows which followers have it. One that
is gone is waited for, 30 s by Kafka's default, looked at each 15 s."""
CONNECT_S = 1.0
"""What listens takes a connection within it."""
NO_ANSWER = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._TRANSPORT,
}
"""Codes of the errors that say that no broker answers."""
_NO_LEADER_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.OFFSET_NOT_AVAILABLE,
}
NO_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
"""Codes of the errors that say that there is no such topic, or not as many partitions."""
Delivered = Callable[[KafkaError | None, Message], None]
"""Takes what the broker says of a message, and the message."""
Spans = tuple[tuple[int, int], ...]
"""By partition: the offset of the oldest message, and the one behind the last; or of what is read of them."""


def reader(settings: Settings, **changes: Any) -> Consumer:
    """Return a consumer of no group that is asked what there is; its messages are read with `messages`.

    `changes` are settings of the library, with ``_`` for the dots in their names.
    """
    return Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": "spilldeck-reader",  # asked for by the library, joined by nobody
            "enable.auto.commit": False,
            "log_level": 0,
        }
        | {name.replace("_", "."): value for name, value in changes.items()}
    )


@contextmanager
def asking(settings: Settings) -> Iterator[Consumer]:
    """Give a consumer from `reader`; if Kafka refuses, or does not answer, that is said in a `ServerError`."""
    try:
        with closing(reader(settings)) as consumer:
            yield consumer
    except KafkaException as error:
        raise no_kafka(settings, error) from error


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
            # A message that is larger than the whole queue would wait for room for ever.
            "queue.buffering.max.kbytes": max(settings.producer.queue_kib, MAX_MESSAGE_BYTES // 1024),
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


def span(consumer: Consumer, topic: str, partition: int, timeout_s: float = ANSWER_S) -> tuple[int, int]:
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
            # A partition is without a leader for a moment when it was just made, and when its broker went away; and a
            # new one does not know at once how far its followers are.
            if error.args[0].code() not in _NO_LEADER_YET or left < LEADER_S:
                raise
            time.sleep(LEADER_S)
        else:
            return max(low, 0), high


def partitions(client: Consumer | Producer, topic: str, timeout_s: float = ANSWER_S) -> int:
    """Return how many partitions a topic has now. Ask each time: an administrator may add some at any moment.

    Raises
    ------
    confluent_kafka.KafkaException
        When Kafka does not answer within the time, or has no such topic.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        left = max(deadline - time.monotonic(), 0.0)
        found = client.list_topics(topic, timeout=left).topics[topic]
        if found.error is None:
            return len(found.partitions)
        if found.error.code() not in _NO_LEADER_YET or left < LEADER_S:
            raise KafkaException(KafkaError(found.error.code(), f"{topic}: {found.error.str()}"))
        time.sleep(LEADER_S)


def spans(consumer: Consumer, topic: str, timeout_s: float = ANSWER_S) -> Spans:
    """Return the span of each partition that a topic has now; raises as `span` does."""
    return tuple(
        span(consumer, topic, partition, timeout_s) for partition in range(partitions(consumer, topic, timeout_s))
    )


def topic_partitions(settings: Settings, topic: str) -> int:
    """Return how many partitions a topic has now.

    Raises
    ------
    ServerError
        When Kafka does not answer, or has no such topic.
    """
    with asking(settings) as consumer:
        return partitions(consumer, topic)


def topic_spans(settings: Settings, topic: str) -> Spans:
    """Return the span of each partition that a topic has now; raises as `topic_partitions` does."""
    with asking(settings) as consumer:
        return spans(consumer, topic)


def messages(
    consumer: Consumer, topic: str, partition: int, start: int, stop: int, timeout_s: float = ANSWER_S
) -> Iterator[Message]:
    """Yield the messages of a partition with offsets in [start, stop), with a consumer from `reader`.

    Offsets without a message, as compaction and transactions leave them, are passed over, at the end too. What Kafka
    does not show, though it showed it when `stop` was asked for, is waited for.

    Raises
    ------
    ServerError
        When Kafka does not answer within the time, or does not show all within `SHOWN_S`.
    confluent_kafka.KafkaException
        When it refuses.
    """
    at, deadline_s = start, inf
    while at < stop:
        with closing(records(consumer, topic, partition, at, timeout_s)) as there:
            while at < stop and (message := there.next()) is not None and (offset := message.offset() or 0) >= at:
                at, deadline_s = offset + 1, inf
                if at <= stop:
                    yield message
            at = max(at, there.position)
        if at < stop:
            deadline_s = min(deadline_s, time.monotonic() + SHOWN_S)
            _wait_for_more(consumer, topic, partition, at, stop, timeout_s, deadline_s)


def records(consumer: Consumer, topic: str, partition: int, start: int, timeout_s: float) -> Records:
    """Return what reads a partition from an offset on, where a consumer from `reader` has its Kafka; close it."""
    brokers = consumer.list_topics(topic, timeout=timeout_s).brokers.values()
    servers = [f"{broker.host}:{broker.port}" for broker in brokers]
    return Records(servers, topic, partition, start, timeout_s)


def _wait_for_more(
    consumer: Consumer, topic: str, partition: int, at: int, stop: int, timeout_s: float, deadline_s: float
) -> None:
    """Wait until Kafka shows something from an offset on."""
    while True:
        time.sleep(LEADER_S)
        if time.monotonic() > deadline_s:
            raise ServerError(
                f"Kafka had messages of {topic}[{partition}] up to offset {stop - 1} and has shown none from {at} on "
                f"for {SHOWN_S:.0f} s: start the brokers that are away; what none of them has is lost, begin again then"
            )
        if span(consumer, topic, partition, timeout_s)[1] > at:
            return


def no_kafka(settings: Settings, error: KafkaException) -> ServerError:
    """Return the words for a broker that does not answer, or does and refuses what was asked."""
    said = error.args[0]
    place = settings.kafka.bootstrap_servers
    if said.code() in NO_ANSWER:
        if _takes_connections(place):
            return ServerError(
                f"what takes connections at {place} does not answer as a Kafka without TLS and passwords does: wait if "
                f"it has just started, look at its log, or correct kafka.bootstrap_servers"
            )
        return ServerError(f"no Kafka answers at {place}: start one (spilldeck up), or correct kafka.bootstrap_servers")
    if said.code() in NO_TOPIC:
        return ServerError(f"Kafka at {place} lacks what was asked for ({said.str()}): run spilldeck topics apply")
    return ServerError(f"Kafka at {place} refuses: {said.str()}; look at its log and at spilldeck topics diff")


def _takes_connections(servers: str) -> bool:
    """Say whether something listens at one of some addresses, host:port, separated by commas."""
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        with suppress(OSError, ValueError), socket.create_connection((host.strip("[]"), int(port)), CONNECT_S):
            return True
    return False
