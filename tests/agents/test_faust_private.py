"""What is used of Faust and its client beyond what they promise is there: an upgrade that takes it is seen here."""

import asyncio
import inspect
from types import SimpleNamespace

import faust
import mode
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.record._crecords import default_records
from faust.exceptions import ProducerSendError
from faust.stores.memory import Store
from faust.streams import Stream
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

from streams.agents.faust_private import FETCH_WAIT_MS, IDLE_WAIT_MS, App, BookTable, _Fetcher


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
        (Consumer, "_new_consumer_thread", ["self"]),
        (Consumer, "seek_wait", ["self", "partitions"]),
        (Consumer, "highwater", ["self", "tp"]),
        (faust.Worker, "_on_startup_end_spinner", ["self"]),
        (faust.Worker, "_sentinel_task", ["self"]),
        (Stream, "noack", ["self"]),
        (Stream, "events", ["self"]),
        (faust.Table, "_new_store", ["self"]),
        (faust.Table, "on_key_set", ["self", "key", "value"]),
        (faust.Table, "on_key_del", ["self", "key"]),
        (Store, "on_rebalance", ["self", "assigned", "revoked", "newly_assigned", "generation_id"]),
        (faust.App, "_create_directories", ["self"]),
        (faust.Event, "ack", ["self"]),
        (fetcher.PartitionRecords, "_unpack_records", ["self"]),
        (AIOKafkaAdminClient, "_send_request", ["self", "request", "node_id"]),
        (LeaveGroupRequest, "__init__", ["self", "group", "member_id"]),
    ],
)
def test_what_is_overridden_or_called_is_there_with_its_parameters(
    owner: type, name: str, parameters: list[str]
) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


def test_the_time_that_a_fetch_waits_is_where_it_is_set() -> None:
    assert "self._fetch_max_wait_ms = " in inspect.getsource(AIOKafkaConsumer.__init__)
    assert "self._fetcher = Fetcher(" in inspect.getsource(AIOKafkaConsumer.start)
    assert "self._max_wait_ms = max_wait_time" in inspect.getsource(FetchRequest.__init__)


def test_by_which_name_the_group_knows_a_member_is_where_it_is_heard() -> None:
    assert "self._coordinator = GroupCoordinator(" in inspect.getsource(AIOKafkaConsumer.start)
    assert "self.member_id = " in inspect.getsource(GroupCoordinator.__init__)
    assert "self.member_id = " in inspect.getsource(GroupCoordinator.reset_generation)
    assert "self.reset_generation()" in inspect.getsource(GroupCoordinator._maybe_leave_group)
    assert "self._coordinator.member_id = response.member_id" in inspect.getsource(CoordinatorGroupRebalance)


async def _waits_of_fetches(read_out: bool) -> list[int]:
    """Return how long the questions wait of a client with two partitions at one broker, one of them read out or not."""
    places = [TopicPartition("spills.raw", number) for number in (0, 1)]
    subscription = SubscriptionState()
    subscription.assign_from_user(places)
    assignment = subscription.subscription.assignment
    for place in places:
        assignment.state_value(place).reset_to(0)
    client = AIOKafkaClient()
    client.cluster.leader_for_partition = lambda _place: 7
    fetches = _Fetcher(client, subscription, fetch_max_wait_ms=FETCH_WAIT_MS)
    if not read_out:
        fetches._records[places[0]] = SimpleNamespace(calculate_backoff=lambda: 0.0)
    requests, *_ = fetches._get_actions_per_node(assignment)
    fetches._fetch_task.cancel()
    return [request._max_wait_ms for _, request in requests]


def test_a_fetch_waits_long_only_where_whatever_comes_is_its_answer() -> None:
    assert asyncio.run(_waits_of_fetches(read_out=True)) == [IDLE_WAIT_MS]
    assert asyncio.run(_waits_of_fetches(read_out=False)) == [FETCH_WAIT_MS]


def test_a_batch_is_decompressed_and_unpacked_by_what_is_put_in_place() -> None:
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        assert hasattr(default_records, f"{codec}_decode")
    # What is put in its place may be there already, above it.
    of_the_client = next(each for each in fetcher.PartitionRecords.__mro__ if each.__module__ == fetcher.__name__)
    source = inspect.getsource(of_the_client)
    for used in ("records = self._records", "records.has_next()", "records.next_batch()", "self.next_fetch_offset ="):
        assert used in source
    assert "PartitionRecords(" in inspect.getsource(fetcher.Fetcher)


def test_a_producers_failure_is_wrapped_in_an_error_that_is_none_of_kafkas() -> None:
    assert not issubclass(ProducerSendError, KafkaError)


def test_a_table_of_books_writes_no_changelog() -> None:
    app = App("test", broker="kafka://", store="memory://")
    table = BookTable(app, name="books", partitions=1)
    table.on_key_set("key", 1)
    table.on_key_del("key")
    assert table._changelog_topic is None


def test_a_worker_is_without_a_moving_sign_where_it_has_none_and_leaves_logging_alone() -> None:
    assert "if self.spinner:" in inspect.getsource(faust.Worker._on_startup_end_spinner)
    assert "if self.override_logging:" in inspect.getsource(mode.Worker.default_on_first_start)
