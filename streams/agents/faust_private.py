"""All that is used of Faust and its Kafka client beyond what they promise, in one place.

How batches are unpacked is in ``streams/kafka/large_batches.py``, as all readers need it, not workers alone.
``tests/agents/test_faust_private.py`` fails when a new version takes one of it away.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import faust
from aiokafka.consumer import consumer as client
from aiokafka.consumer import fetcher, group_coordinator
from aiokafka.errors import IllegalStateError, for_code
from aiokafka.protocol.group import LeaveGroupRequest
from faust.stores.memory import Store as MemoryStore
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

from streams.kafka.clients import aio_admin
from streams.settings import KafkaSettings

FETCH_WAIT_MS = 50
"""How long the broker holds back the answer that there is nothing new, where a question leaves partitions out."""
IDLE_WAIT_MS = 500
"""The same of a question after all that a broker leads: whatever comes to one of them is the answer, at once."""


class App(faust.App):
    """An application without directories, which says by which name its group knows it."""

    on_named: Callable[[str], None]
    """Called with the name, empty when the group knows it no longer; from the consumer's thread."""

    def _create_directories(self) -> None:
        """Make none: nothing is kept in files, and a worker may be started where it cannot write."""


class _Fetcher(fetcher.Fetcher):
    def _get_actions_per_node(self, assignment: Any) -> Any:
        requests, *others = super()._get_actions_per_node(assignment)
        for node, request in requests:
            led = sum(self._select_read_replica(place) == node for place in assignment.tps)
            if sum(len(partitions) for _, partitions in request.topics) == led:
                request._max_wait_ms = IDLE_WAIT_MS
        return requests, *others


class _Coordinator(group_coordinator.GroupCoordinator):
    def __init__(self, *args: Any, on_named: Callable[[str], None], **kwargs: Any) -> None:
        self._on_named = on_named
        super().__init__(*args, **kwargs)

    @property
    def member_id(self) -> str:
        return self._member_id

    @member_id.setter
    def member_id(self, name: str) -> None:
        self._member_id = name
        self._on_named(name)


class _Thread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust says 1500 and has no setting for it. A question is of those partitions of which all is read; another
        # one of which all is read meanwhile must wait for its answer, while there is nothing new in those.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        # By these names it makes its own when it starts.
        client.Fetcher = _Fetcher
        client.GroupCoordinator = partial(_Coordinator, on_named=transport.app.on_named)
        return consumer


class _Consumer(Consumer):
    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class PromptTransport(Transport):
    """The transport of ``kafka://``, with a worker's consumer that asks again soon."""

    Consumer = _Consumer


class _LiveStore(MemoryStore):
    """Keeps the objects in memory; whoever fills them hears when partitions come and go."""

    async def on_rebalance(
        self,
        assigned: set[TP],  # noqa: ARG002 - the signature is Faust's
        revoked: set[TP],  # noqa: ARG002
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        await self.table.on_moved()


class Worker(faust.Worker):
    """A worker that writes neither a moving sign nor a cursor's escapes, leaves logging to us, and ends when it has."""

    def __init__(self, app: faust.App) -> None:
        super().__init__(app, redirect_stdouts=False, quiet=True, override_logging=False)
        # It is told that all has started, and shows the cursor again that it never hid, also in a file.
        self.spinner = None

    async def _sentinel_task(self) -> None:
        """Wait for nothing: all has ended, and the loop is closed next. Else a worker takes a second more to end."""


async def leave(kafka: KafkaSettings, group: str, member: str) -> None:
    """Leave a group in the name of a member that is gone.

    Raises
    ------
    aiokafka.errors.KafkaError, OSError
        When Kafka does not answer, or refuses it.
    """
    client = aio_admin(kafka)
    try:
        await client.start()
        coordinator = await client.find_coordinator(group)
        answer = await client._send_request(LeaveGroupRequest(group, member), coordinator)
        if answer.error_code:
            raise for_code(answer.error_code)
    finally:
        await client.close()


def fetched_end(app: faust.App, tp: TP) -> int | None:
    """Return the offset that a partition's next message will get, as of the last fetch; None if that is not known."""
    try:
        return cast("int | None", app.consumer.highwater(tp))
    except (AssertionError, IllegalStateError):  # it has just moved
        return None


class BookTable(faust.Table):
    """A Faust table of live books, by whatever key their partition gives them.

    It writes nothing to its changelog topic: the values are large and change with every batch, and Redis and the
    source topic hold all that a changelog would.
    """

    on_moved: Callable[[], Awaitable[None]]
    """Called when partitions come or go. Set by who fills the table."""

    def _new_store(self) -> MemoryStore:
        return _LiveStore("memory://", self.app, self, table_name=self.name, loop=self.loop)

    def on_key_set(self, key: Any, value: Any) -> None:
        """Write no changelog."""

    def on_key_del(self, key: Any) -> None:
        """Write no changelog."""
