"""The messages of one partition, read from Kafka with bounded memory whatever they are compressed to."""

import asyncio
import selectors
import threading
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka import Message

from streams.errors import ServerError
from streams.kafka.clients import aio_consumer
from streams.kafka.large_batches import bound_batches
from streams.settings import KafkaSettings

_FETCH_WAIT_MS = 20
"""How long a broker holds back an answer without messages."""
_LOOK_MS = 50
"""How long to wait for a message before looking whether there are more."""
_AHEAD_BYTES, _AHEAD = 1 << 20, 500
"""What is taken from the client at once: bytes, messages; one message that has more all the same."""
_END_S = 10.0
"""The client ends within it."""
_CLOSED_S = 1.0
"""Its sockets are closed within it, or are left: the other end of TLS may be silent."""
_LOOKS = 100
"""So often it is looked whether they are."""
_OF_THE_LOOP = 1
"""Sockets that a loop has for itself."""

_T = TypeVar("_T")


class Records:
    """Reads a partition from an offset on, or from its first message if it ends before; close it.

    It is of no group. The client lives in a thread of its own, so that whoever reads may change threads.

    Raises
    ------
    ServerError
        From `next`, too, when Kafka does not answer within the time.
    """

    def __init__(
        self, kafka: KafkaSettings, servers: list[str], topic: str, partition: int, start: int, timeout_s: float
    ) -> None:
        bound_batches()
        self.position = start
        """The offset behind what was read; where `next` says that there is no more, the partition's end."""
        self._place = TopicPartition(topic, partition)
        self._timeout_s = timeout_s
        self._ahead: deque[Any] = deque()
        # Not the worker's uvloop: that waits for half a minute, as it happens, for the other end of TLS to close.
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._consumer: Any = None
        try:
            self._wait(self._begin(kafka, servers, start))
        except BaseException:
            self.close()
            raise

    def next(self) -> Message | None:
        """Return the next message, or None at the end of the partition."""
        if not self._ahead:
            self._ahead += self._wait(self._some())
        if not self._ahead:
            return None
        one = self._ahead.popleft()
        self.position = one.offset + 1
        # confluent-kafka counts the kinds of times from one.
        timestamp = (one.timestamp_type + 1, one.timestamp)
        place = self._place
        return Message(place.topic, place.partition, one.offset, one.key, one.value, [*one.headers], None, timestamp)

    def close(self) -> None:
        """End the client."""
        try:
            if self._consumer is not None:
                with suppress(TimeoutError, KafkaError):
                    asyncio.run_coroutine_threadsafe(self._consumer.stop(), self._loop).result(_END_S)
            asyncio.run_coroutine_threadsafe(self._break_off(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _break_off(self) -> None:
        """End what the client was still at, as a connection that is being made; wait until its sockets are closed."""
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            for each in others:
                each.cancel()
            await asyncio.wait(others, timeout=_CLOSED_S)
        for _ in range(_LOOKS):
            if len(self._selector.get_map()) <= _OF_THE_LOOP:
                break
            await asyncio.sleep(_CLOSED_S / _LOOKS)

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, self._timeout_s), self._loop).result()
        except (KafkaError, TimeoutError) as error:
            said = f": {error}" if str(error) else ""
            raise ServerError(
                f"Kafka does not answer for {self._place.topic}[{self._place.partition}]{said}"
            ) from error

    async def _begin(self, kafka: KafkaSettings, servers: list[str], start: int) -> None:
        self._consumer = aio_consumer(
            kafka,
            servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        await self._consumer.start()
        self._consumer.assign([self._place])
        self._consumer.seek(self._place, start)

    async def _some(self) -> list[Any]:
        """Return some messages, none at the end of the partition."""
        found: list[Any] = []
        size = 0
        while not found:
            found = await self._one(_LOOK_MS)
            if not found and await self._is_at_end():
                return []
        while size < _AHEAD_BYTES and len(found) < _AHEAD and (more := await self._one(0)):
            found += more
            size += len(more[0].value or b"")
        return found

    async def _one(self, wait_ms: int) -> list[Any]:
        found = await self._consumer.getmany(self._place, timeout_ms=wait_ms, max_records=1)
        return [*found.get(self._place, ())]

    async def _is_at_end(self) -> bool:
        end = self._consumer.last_stable_offset(self._place)
        at = await self._consumer.position(self._place)
        if end is None or at < end:
            return False
        self.position = at
        return True
