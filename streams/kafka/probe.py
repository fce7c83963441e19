"""What Kafka has of a topic, asked with clients of our own that belong to no group. Blocking: call it from a thread."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from confluent_kafka import KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.errors import ServerError
from streams.kafka import ANSWER_S, LEADER_S, of_leader, reader, records, span
from streams.kafka.clients import admin
from streams.settings import Settings

ID_KNOWN_S = 5.0
"""A topic is asked for its id again after it."""


class Probe:
    """Asks about one topic.

    Parameters
    ----------
    settings
        Brokers.
    topic
        Topic.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._lock = threading.Lock()
        self._asked_for_spans = reader(self._settings)
        self._admin: AdminClient | None = None
        self._id, self._id_asked_s = "", 0.0

    def id(self) -> str:
        """Return the topic's id: one that is made anew has another."""
        with self._lock:
            if not self._id or time.monotonic() - self._id_asked_s > ID_KNOWN_S:
                self._id, self._id_asked_s = self._ask_for_id(), time.monotonic()
            return self._id

    def _ask_for_id(self) -> str:
        with self._saying_where("its id"):
            client, self._admin = self._admin or admin(self._settings.kafka), None
            found = self._said(self._described_by(client).topic_id, "its id")
            self._admin = client  # one that failed is not asked again
            return str(found)

    def _described_by(self, client: AdminClient) -> Any:
        return client.describe_topics(TopicCollection([self._topic]), request_timeout=ANSWER_S)[self._topic].result()

    def epoch(self, partition: int) -> int:
        """Return the number of a partition's leader, which grows whenever one takes over."""
        place = TopicPartition(self._topic, partition)

        def ask(left_s: float) -> Any:
            # A new client: one that was used before may ask for the leader that was, and is refused.
            client = admin(self._settings.kafka)  # held: with the client its answer would go
            # Of one that has no connection yet, one in thirty waits for a leader for 1 or 3 s that has long been told.
            self._described_by(client)
            answer = client.list_offsets({place: OffsetSpec.latest()}, request_timeout=max(left_s, LEADER_S))
            return answer[place].result().leader_epoch

        with self._saying_where(partition):
            return int(self._said(of_leader(ask, ANSWER_S), partition))

    def span(self, partition: int) -> tuple[int, int]:
        """Return a partition's low watermark, and the offset that its next message will get."""
        with self._saying_where(partition), self._lock:
            try:
                return span(self._asked_for_spans, self._topic, partition, ANSWER_S)
            except KafkaException:
                # After a loss of all brokers the library may take the topic for unknown, and asks no more for minutes.
                self._asked_for_spans.close()
                self._asked_for_spans = reader(self._settings)
                raise

    def first_from(self, partition: int, offset: int) -> tuple[int | None, int]:
        """Return the first offset at or after one that has a message, if any, and the partition's low watermark."""
        message, low = self._first_from(partition, offset)
        return (message.offset() if message is not None else None), low

    def still_has(self, partition: int, offset: int, produced_ms: int) -> bool:
        """Say whether the message at an offset was produced at a time, or may have been: its offset is gone since."""
        message, low = self._first_from(partition, offset)
        if offset < low:
            return True
        if message is None or message.offset() != offset:
            return False
        time_ms: int = message.timestamp()[1]
        return time_ms <= 0 or time_ms == produced_ms  # without a time, nobody can tell

    def _first_from(self, partition: int, offset: int) -> tuple[Message | None, int]:
        # A new consumer: one used before may still hand out a message of the partition that it was asked about then.
        with self._saying_where(partition), closing(reader(self._settings)) as consumer:
            low, end = span(consumer, self._topic, partition, ANSWER_S)
            if max(offset, low) >= end:
                return None, low
            start = max(offset, low)
            with closing(records(consumer, self._topic, partition, start, ANSWER_S)) as there:
                if (message := there.next()) is not None:
                    return message, low
                # A new leader shows the newest messages only when it has heard that its followers have them.
                if there.position < end:
                    raise ServerError(f"Kafka does not show all of {self._topic}[{partition}] yet")
                return None, low

    def _said(self, found: Any, what: object) -> Any:
        """Return what Kafka said; while a partition has no leader it may answer, and say nothing."""
        if found is None:
            raise ServerError(f"Kafka does not say it of {self._topic}[{what}]")
        return found

    @contextmanager
    def _saying_where(self, what: object) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise ServerError(f"Kafka does not answer for {self._topic}[{what}]: {error}") from error
