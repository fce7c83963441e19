"""What people decided, in the topic of quality: an action appended, and all of them read in their order."""

import getpass
import os
import socket
import time
from collections.abc import Iterator
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message

from schemas.known import WireError
from schemas.records import MAX_TEXT, Action, ActionKind
from schemas.wire import encode
from streams import metrics
from streams.errors import ServerError, UsageError
from streams.kafka import NO_TOPIC, messages, no_kafka, queue, reader, span, writer
from streams.settings import Settings
from streams.topics import Topics

ANSWER_S = 5.0
"""A broker that does not answer within it is taken to be down."""
WRITTEN_S = 10.0
"""A broker that has not acknowledged within it is given up."""
PARTITION = 0
"""The only one: decisions have one order."""


class NoTopicError(ServerError):
    """Kafka has no topic of quality: nothing was ever decided there."""


class ActionLog:
    """Reads the topic; use it in a ``with`` block. A moment's look at it takes 10 to 20 ms, a new client included.

    Raises
    ------
    ServerError
        From each of its functions, when Kafka does not answer or has no such topic.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = Topics.of(settings).quality

    def __enter__(self) -> Self:
        self._consumer = reader(self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def span(self) -> tuple[int, int]:
        """Return the offset of the oldest action that Kafka has, and the one that the next action will get."""
        try:
            return span(self._consumer, self._topic, PARTITION, ANSWER_S)
        except KafkaException as error:
            raise _words(self._settings, self._topic, error) from error

    def read(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Yield offset and content of the messages in [start, stop)."""
        try:
            for message in messages(self._consumer, self._topic, PARTITION, start, stop, ANSWER_S):
                yield message.offset() or 0, message.value() or b""
        except KafkaException as error:
            raise _words(self._settings, self._topic, error) from error


def new_action(
    kind: ActionKind,
    subject: object,
    *,
    before: str = "",
    after: str = "",
    origin: str,
    reason: str = "",
    who: str = "",
) -> Action:
    """Return what somebody does now: the user of this process, unless it is another."""
    return Action(
        who=(who or f"{_user()}@{socket.gethostname()}")[:MAX_TEXT],
        at_us=time.time_ns() // 1000,
        origin=origin[:MAX_TEXT],
        kind=kind.value,
        subject=str(subject),
        before=before,
        after=after,
        reason=reason,
    )


def append(settings: Settings, action: Action) -> int:
    """Write an action; return its offset when the brokers have it.

    Raises
    ------
    UsageError
        When nobody could read it.
    ServerError
        When Kafka does not acknowledge it: then nobody knows whether it has it.
    """
    try:
        content = encode(action)
    except WireError as error:
        raise UsageError(f"this cannot be noted: {error}") from error
    topic = Topics.of(settings).quality
    said: list[tuple[KafkaError | None, Message]] = []
    producer = writer(settings, message_timeout_ms=round(WRITTEN_S * 1000))
    queue(
        producer,
        topic,
        content,
        key=action.subject,
        partition=PARTITION,
        on_delivery=lambda error, message: said.append((error, message)),
    )
    producer.flush(WRITTEN_S + ANSWER_S)
    if not said:
        raise ServerError(f"Kafka at {settings.kafka.bootstrap_servers} does not acknowledge a message to {topic}")
    refused, message = said[0]
    if refused is not None:
        raise _words(settings, topic, KafkaException(refused))
    metrics.ACTIONS.labels(action.kind).inc()
    return message.offset() or 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _words(settings: Settings, topic: str, error: KafkaException) -> ServerError:
    if error.args[0].code() in NO_TOPIC:
        return NoTopicError(f"Kafka has no topic {topic}: start a worker, or run spilldeck topics apply")
    return no_kafka(settings, error)
