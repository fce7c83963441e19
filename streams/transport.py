"""Faust's way to Kafka, which does not leave new messages lying while it waits for others."""

from typing import Any

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

FETCH_WAIT_MS = 50
"""How long the broker holds back the answer that there is nothing new."""


class _Thread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust says 1500 and has no setting for it. A question is of those partitions of which all is read; another
        # one of which all is read meanwhile must wait for its answer, while there is nothing new in those.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class _Consumer(Consumer):
    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class PromptTransport(Transport):
    """The transport of ``kafka://``, with a worker's consumer that asks again soon."""

    Consumer = _Consumer
