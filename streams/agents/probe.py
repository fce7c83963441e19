"""What Kafka still has of a topic: asked when a message that must come does not."""

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from streams.errors import ServerError

TIMEOUT_S = 10.0
"""A broker that does not answer for so long is down."""


class Probe:
    """A consumer of its own that belongs to no group. Blocking: call it from a thread.

    Parameters
    ----------
    bootstrap_servers
        Brokers.
    topic
        Topic.
    """

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "spilldeck-probe",  # asked for by the library, joined by nobody
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )

    def end(self, partition: int) -> int:
        """Return the offset that the partition's next message will get."""
        return self._watermarks(partition)[1]

    def first_from(self, partition: int, offset: int) -> tuple[int | None, int]:
        """Return the first offset at or after one that has a message, if any, and the partition's low watermark."""
        low, _ = self._watermarks(partition)
        self._consumer.assign([TopicPartition(self._topic, partition, max(offset, low))])
        try:
            message = self._consumer.poll(TIMEOUT_S)
        finally:
            self._consumer.unassign()
        if message is None:
            raise ServerError(f"Kafka does not answer for {self._topic}[{partition}]")
        error = message.error()
        if error is None:
            return message.offset(), low
        if error.code() == KafkaError._PARTITION_EOF:
            return None, low
        raise ServerError(f"Kafka answers for {self._topic}[{partition}]: {error.str()}")

    def _watermarks(self, partition: int) -> tuple[int, int]:
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=TIMEOUT_S)
        except KafkaException as error:
            raise ServerError(f"Kafka does not answer for {self._topic}[{partition}]: {error}") from error
        return (0 if low == OFFSET_INVALID else low), high
