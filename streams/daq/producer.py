"""Raw spills and run control into Kafka: nothing lost, nothing out of order, waiting when the broker cannot follow.

The spills of a run stay spread over as many partitions as the topic has when the run begins, though some be added while
it runs: so a spill that is sent again comes to where it was.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException

from schemas.known import WireError
from schemas.records import ControlKind, RawSpill, RunControl
from schemas.wire import MAX_MESSAGE_BYTES, encode
from streams.errors import BadDataError, ServerError
from streams.kafka import NO_ANSWER, POLL_S, no_kafka, partitions, queue, writer
from streams.settings import Settings
from streams.topics import Topics, partition_of

CONNECT_S = 5.0
"""A broker that does not answer at the start within it is taken to be down."""
SAID_AFTER_S = 2.0
"""A broker that is well acknowledges within some milliseconds."""


class SpillProducer:
    """Sends records of the DAQ to ``spills.raw``; use it in a ``with`` block, which ends when all are acknowledged.

    Parameters
    ----------
    settings
        Broker and topics.
    on_acknowledged
        Called with each record, and its offsets by partition, once all replicas in step have it.
    on_waiting
        Called while nothing is acknowledged, at growing distances: for how many seconds, and how many messages wait.

    Attributes
    ----------
    partitions
        Run → over how many partitions its spills are spread. One that is not in it gets those that the topic has when
        its first record is sent.

    Raises
    ------
    ServerError
        When the broker does not answer, or has no such topic.
    """

    def __init__(
        self,
        settings: Settings,
        on_acknowledged: Callable[[RawSpill | RunControl, dict[int, int]], None] = lambda _record, _offsets: None,
        on_waiting: Callable[[float, int], None] = lambda _seconds, _messages: None,
    ) -> None:
        self.partitions = dict[int, int]()
        self._settings, self._topic = settings, Topics.of(settings).raw
        self._on_acknowledged = on_acknowledged
        self._on_waiting = on_waiting
        self._moved_s, self._told_s = time.monotonic(), 0.0
        self._failure: str | None = None
        self._most_bytes, self._waiting_bytes = settings.producer.queue_kib * 1024, 0
        # No time-out of a message: a broker that is away for an hour makes the producer wait for an hour.
        self._producer = writer(settings, linger_ms=5, message_timeout_ms=0)
        try:
            partitions(self._producer, self._topic, CONNECT_S)
        except KafkaException as error:
            raise no_kafka(settings, error) from error

    @property
    def waiting(self) -> tuple[int, int]:
        """Messages that are not acknowledged, and their bytes."""
        return len(self._producer), self._waiting_bytes

    @property
    def stands_s(self) -> float:
        """For how long messages wait and none has been acknowledged; 0 if none waits."""
        return time.monotonic() - self._moved_s if len(self._producer) else 0.0

    def _partitions_of(self, run: int) -> int:
        if run not in self.partitions:
            self._moved_s = time.monotonic()
            while (there := self._partitions_now()) is None:
                self._wait()
            self.partitions[run] = there
        return self.partitions[run]

    def _partitions_now(self) -> int | None:
        """Return how many partitions the topic has; None while no broker answers."""
        try:
            return partitions(self._producer, self._topic, POLL_S)
        except KafkaException as error:
            if error.args[0].code() in NO_ANSWER:
                return None
            raise no_kafka(self._settings, error) from error

    def send(self, record: RawSpill | RunControl) -> None:
        """Queue a record; wait for room if the broker cannot follow.

        Raises
        ------
        BadDataError
            When nobody could read the message, or it is too large; the next can be sent.
        ServerError
            When the broker refuses a message for good.
        """
        over = self._partitions_of(record.run)
        if isinstance(record, RunControl) and record.kind is ControlKind.START:
            record = replace(record, partitions=over)
        place = f"{record.source} byte {record.byte}"
        try:
            value = encode(record)
        except WireError as error:
            raise BadDataError("produce", f"what is at {place} cannot be sent: {error}") from error
        if len(value) > MAX_MESSAGE_BYTES - 1024:  # room for Kafka's own framing
            raise BadDataError("produce", f"the spill at {place} takes {len(value)} bytes, too many for a message")
        to = range(over) if isinstance(record, RunControl) else [partition_of(record.spill, over)]
        offsets: dict[int, int] = {}

        def delivered(error: Any, message: Any) -> None:
            self._moved_s, self._told_s = time.monotonic(), 0.0
            self._waiting_bytes -= len(value)
            if error is not None:
                self._failure = error.str()
                return
            offsets[message.partition()] = message.offset()
            if len(offsets) == len(to):
                self._on_acknowledged(record, offsets)

        for partition in to:
            self._wait_for_room(len(value))
            self._waiting_bytes += len(value)
            queue(
                self._producer,
                self._topic,
                value,
                key=str(record.run),
                partition=partition,
                on_delivery=delivered,
                while_full=self._wait,
            )

    def _wait_for_room(self, size: int) -> None:
        self._raise_failure()
        while self._waiting_bytes and self._waiting_bytes + size > self._most_bytes:
            self._producer.poll(POLL_S)
            self._wait()

    def _wait(self) -> None:
        """Say that nothing moves, first after `SAID_AFTER_S`, then each time after twice as long."""
        self._raise_failure()
        waited_s = time.monotonic() - self._moved_s
        if waited_s >= max(SAID_AFTER_S, 2 * self._told_s):
            self._told_s = waited_s
            self._on_waiting(waited_s, len(self._producer))

    def hear(self) -> None:
        """Take what the broker has acknowledged since something was sent."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until all that was sent is acknowledged.

        Raises
        ------
        ServerError
            When the broker refuses a message for good.
        """
        self._moved_s = time.monotonic()
        while self._producer.flush(POLL_S):
            self._wait()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise ServerError(f"Kafka refuses a spill for {self._topic}: {self._failure}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
