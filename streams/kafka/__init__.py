"""What several parts need of Kafka: consumers of no group, how far a topic is, and the words for a broker away."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from math import inf
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from streams import tls
from streams.errors import ServerError
from streams.kafka.clients import SECTION, Reader, admin
from streams.kafka.clients import reader as reader
from streams.kafka.clients import writer as writer
from streams.kafka.records import Records
from streams.settings import Protocol, Settings

ANSWER_S = 10.0
"""A broker that does not answer within it is taken to be down, if whoever asks has no other patience."""
POLL_S = 0.5
"""How long to wait for room or for acknowledgements before looking again."""
LEADER_S = 0.1
"""How long to wait before asking again for a partition without a leader, or for what its leader does not show yet."""
SHOWN_S = 60.0
"""A new leader shows all that the one before it showed within it: as soon as it knows which followers have it. One that
is gone is waited for, 30 s by Kafka's default, looked at each 15 s."""
REFUSED_S = 3.0
"""A broker says within it that it does not take a password: it waits for a second first."""
NO_ANSWER = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._AUTHENTICATION,
    KafkaError._RESOLVE,
    KafkaError._SSL,
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
NO_RIGHT = {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
"""Codes of the errors that say that a user may not do what was asked."""
_WITH = {
    Protocol.PLAINTEXT: "without TLS and passwords",
    Protocol.SSL: "with TLS and without passwords",
    Protocol.SASL_SSL: "with TLS and passwords",
    Protocol.SASL_PLAINTEXT: "without TLS and with passwords",
}
_T = TypeVar("_T")
_GREETING = bytes.fromhex("0000000a 0012 0000 00000001 ffff")
"""Asks which versions of the protocol a broker knows, which it says whoever asks."""
Delivered = Callable[[KafkaError | None, Message], None]
"""Takes what the broker says of a message, and the message."""
Spans = tuple[tuple[int, int], ...]
"""By partition: the offset of the oldest message, and the one behind the last; or of what is read of them."""


@contextmanager
def asking(settings: Settings) -> Iterator[Reader]:
    """Give a consumer from `reader`; if Kafka refuses, or does not answer, that is said in a `ServerError`."""
    try:
        with closing(reader(settings)) as consumer:
            yield consumer
    except KafkaException as error:
        raise no_kafka(settings, error) from error


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
    place = TopicPartition(topic, partition)
    low, high = of_leader(lambda left_s: consumer.get_watermark_offsets(place, timeout=left_s), timeout_s)
    return max(low, 0), high


def of_leader(ask: Callable[[float], _T], timeout_s: float) -> _T:
    """Return what a partition's leader answers, asked again within the time while there is none yet.

    A partition is without one for a moment when it was just made, and when its broker went away; and a new one does not
    know at once how far its followers are.

    Parameters
    ----------
    ask
        Asks it, in so many seconds at most; what it raises else is passed on.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        left_s = max(deadline - time.monotonic(), 0.0)
        try:
            return ask(left_s)
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET or left_s < LEADER_S:
                raise
            time.sleep(LEADER_S)


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
    consumer: Reader, topic: str, partition: int, start: int, stop: int, timeout_s: float = ANSWER_S
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


def records(consumer: Reader, topic: str, partition: int, start: int, timeout_s: float) -> Records:
    """Return what reads a partition from an offset on, where a consumer from `reader` has its Kafka; close it."""
    brokers = consumer.list_topics(topic, timeout=timeout_s).brokers.values()
    servers = [f"{broker.host}:{broker.port}" for broker in brokers]
    return Records(consumer.kafka, servers, topic, partition, start, timeout_s)


def _wait_for_more(
    consumer: Reader, topic: str, partition: int, at: int, stop: int, timeout_s: float, deadline_s: float
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
        if why := refused(settings) or other_server(settings):
            return ServerError(f"Kafka at {place}: {why}")
        return ServerError(f"no Kafka answers at {place}: start one (spilldeck up), or correct kafka.bootstrap_servers")
    if said.code() in NO_TOPIC:
        return ServerError(f"Kafka at {place} lacks what was asked for ({said.str()}): run spilldeck topics apply")
    if said.code() in NO_RIGHT:
        who = f"user {settings.kafka.user}" if settings.kafka.user else "who asks"
        return ServerError(
            f"Kafka at {place} does not let {who} do this ({said.str()}): have its administrator give the right (ACL)"
        )
    return ServerError(f"Kafka at {place} refuses: {said.str()}; look at its log and at spilldeck topics diff")


def other_server(settings: Settings) -> str:
    """Return what may be the matter with what takes connections and gives no answer; empty if nothing takes any."""
    kafka = settings.kafka
    if any(port.isdecimal() and tls.listens(host, int(port)) for host, port in kafka.servers):
        return (
            f"what takes connections there does not answer as a Kafka {_WITH[kafka.protocol]} does: wait if it has "
            f"just started, look at its log, or correct kafka.protocol or kafka.bootstrap_servers"
        )
    return ""


def refused(settings: Settings) -> str:
    """Return what a Kafka says that does not let us in, and what to correct; empty if none says so.

    It says of TLS and of passwords what each side expects of the other, within `REFUSED_S`.
    """
    kafka = settings.kafka
    for host, port in kafka.servers:
        if not (port.isdecimal() and tls.listens(host, int(port))):
            continue
        if why := tls.refusal(
            host, int(port), kafka, SECTION, is_encrypted=kafka.protocol.is_encrypted, greeting=_GREETING
        ):
            return why
        if kafka.protocol.has_user and (said := _said_of_password(settings)):
            return (
                f"it refuses user {kafka.user} by {kafka.mechanism} ({said}): correct kafka.user, kafka.password or "
                f"kafka.mechanism"
            )
        return ""
    return ""


def _said_of_password(settings: Settings) -> str:
    """Return what a broker says that refuses a user's password; empty if none says so."""
    said: list[str] = []

    def note(error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:
            # Behind where it was met, before how long that took.
            said.append(error.str().rpartition(": ")[2].partition(" (after ")[0])

    client = admin(settings.kafka, error_cb=note)
    deadline = time.monotonic() + REFUSED_S
    while not said and time.monotonic() < deadline:
        client.poll(LEADER_S)
    return said[0] if said else ""
