"""What Kafka still has of a topic: asked when a message that must come does not."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.errors import ServerError
from streams.kafka import reader, span
from streams.settings import Settings

TIMEOUT_S = 10.0
"""A broker that does not answer for so long is down."""


class Probe:
    """Asks with a consumer of its own that belongs to no group. Blocking: call it from a thread.

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
        self._asked_for_ends = reader(self._settings)

    def end(self, partition: int) -> int:
        """Return the offset that the partition's next message will get."""
        with self._saying_where(partition):
            try:
                return span(self._asked_for_ends, self._topic, partition, TIMEOUT_S)[1]
            except KafkaException:
                # After a loss of all brokers the library may take the topic for unknown, and asks no more for minutes.
                self._asked_for_ends.close()
                self._asked_for_ends = reader(self._settings)
                raise

    def first_from(self, partition: int, offset: int) -> tuple[int | None, int]:
        """Return the first offset at or after one that has a message, if any, and the partition's low watermark."""
        # A new consumer: one used before may still hand out a message of the partition that it was asked about then.
        with self._saying_where(partition), closing(reader(self._settings)) as consumer:
            low, _ = span(consumer, self._topic, partition, TIMEOUT_S)
            consumer.assign([TopicPartition(self._topic, partition, max(offset, low))])
            message = consumer.poll(TIMEOUT_S)
            if message is None:
                raise ServerError(f"Kafka does not answer for {self._topic}[{partition}]")
            error = message.error()
            if error is None:
                return message.offset(), low
            if error.code() == KafkaError._PARTITION_EOF:
                return None, low
            raise KafkaException(error)

    @contextmanager
    def _saying_where(self, partition: int) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise ServerError(f"Kafka does not answer for {self._topic}[{partition}]: {error}") from error
