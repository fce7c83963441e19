"""A Redis Cluster: each master has a part of the keys, parts move to another while a worker writes, and one fails."""

import asyncio
import gc
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr
from redis.exceptions import AuthenticationError, NoPermissionError

from dashboards.choices import Choices
from dashboards.data import Data
from ops.stack import free_port
from streams.books import layout
from streams.books.compare import differences
from streams.books.connect import AWAY, check_redis, connect, connect_async, masters, risks_of
from streams.books.reader import BookReader
from streams.books.store import CheckpointStore
from streams.books.stored import PartitionState
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.errors import ServerError
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from tests.dashboards.views import RUN as VIEWED
from tests.dashboards.views import run_book
from tests.ended import is_away_for_whom_it_has_ended
from tests.ops.conftest import Spilldeck
from tests.redis_servers import Cluster, ask, client, until
from tests.servers import environment
from tests.stored import checkpoint
from tests.workers import Workers

# The library forgets connections to nodes that it no longer lists, without closing them.
pytestmark = [pytest.mark.servers, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

RUN = 900_019
MOVED_S = 0.02
"""Between two keys of a slot that moves: a worker writes meanwhile."""


@pytest.fixture(scope="module")
def cluster(servers_can_be_had: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.end()
    gc.collect()  # here, where that is known


@pytest.fixture
def settings(settings: Settings, cluster: Cluster) -> Settings:
    """Return settings that name a node of the cluster."""
    return settings.model_copy(update={"redis": cluster.settings(settings.redis.key_prefix)})


def moving(cluster: Cluster, settings: Settings, partition: int, pause_s: float = 0.0) -> Iterator[None]:
    """Move all keys of a partition to another master; yields before the first moves, and after each."""
    key = layout.Keys(settings.redis.key_prefix, settings.session, partition).state
    slot = int(ask(cluster.nodes[1], "CLUSTER", "KEYSLOT", key))
    to = next(port for port in cluster.masters if port != cluster.owner(slot))
    yield from cluster.moving(slot, to, pause_s=pause_s)


def test_while_a_slot_moves_a_checkpoint_writes_all_or_nothing_and_then_all_goes_on(
    cluster: Cluster, settings: Settings
) -> None:
    book = run_book(3)
    checkpoint(settings, {VIEWED: book}, next=3)
    with connect(settings) as redis:
        reader = BookReader.of(redis, settings)
        moves = moving(cluster, settings, 0)
        next(moves)
        checkpoint(
            settings, {VIEWED: book}, next=4
        )  # none has moved: a key that is removed for a moment is gone for good
        next(moves)
        next(moves)
        with pytest.raises(AWAY):
            checkpoint(settings, {VIEWED: book}, next=5)
        with pytest.raises(AWAY):
            reader.run(VIEWED, {})
        assert sum(1 for _ in moves) > 2
        assert reader.progress()[0].next == 4
        assert differences(book, reader.run(VIEWED, {})) == []
        checkpoint(settings, {VIEWED: book}, next=5)
        assert reader.progress()[0].next == 5


def test_a_slot_that_moves_to_a_node_that_nobody_knows_yet_is_no_damage(cluster: Cluster, settings: Settings) -> None:
    async def load() -> PartitionState:
        async with connect_async(settings) as redis:
            return await CheckpointStore(redis, settings.redis.key_prefix, "live").load_state(0)

    book = run_book(3)
    checkpoint(settings, {VIEWED: book}, next=3)
    key = layout.Keys(settings.redis.key_prefix, "live", 0).state
    slot = int(ask(cluster.nodes[1], "CLUSTER", "KEYSLOT", key))
    with connect(settings) as redis:
        reader = BookReader.of(redis, settings)
        moves = cluster.moving(slot, cluster.grow())
        while ask(cluster.owner(slot), "CLUSTER", "COUNTKEYSINSLOT", slot):
            next(moves)
        with pytest.raises(AWAY):
            asyncio.run(load())
        with pytest.raises(AWAY):
            reader.progress()
        for _ in moves:
            pass
        assert asyncio.run(load()).next == 3
        assert differences(book, reader.run(VIEWED, {})) == []


def test_a_cluster_of_which_no_node_answers_is_away_as_any_redis_is(settings: Settings) -> None:
    async def ask_later() -> None:
        async with connect_async(away) as redis:
            await redis.ping()

    redis = settings.redis.model_copy(update={"url": SecretStr(f"redis://127.0.0.1:{free_port()}/0")})
    away = settings.model_copy(update={"redis": redis})
    with connect(away) as client_of_it, pytest.raises(AWAY):
        client_of_it.ping()
    with pytest.raises(AWAY):
        asyncio.run(ask_later())
    with pytest.raises(ServerError, match=r"no Redis answers at 127.0.0.1:\d+/0 .*: try again in some seconds"):
        check_redis(away)


def test_a_connection_to_a_node_that_has_ended_is_a_redis_that_is_away(settings: Settings) -> None:
    assert is_away_for_whom_it_has_ended(settings)


def test_a_node_that_is_of_no_cluster_is_told(settings: Settings, redis_url: str) -> None:
    redis = settings.redis.model_copy(update={"url": SecretStr(redis_url), "password": SecretStr("")})
    with pytest.raises(ServerError, match="Cluster mode is not enabled on this node"):
        check_redis(settings.model_copy(update={"redis": redis}))


def test_who_may_not_ask_a_cluster_is_told_so(cluster: Cluster, settings: Settings) -> None:
    async def ask_later(who: Settings) -> None:
        async with connect_async(who) as redis:
            await redis.ping()

    port = cluster.nodes[1]
    client(port).acl_setuser("reader", enabled=True, passwords=["+right"], categories=["+@read", "+@connection"])
    try:
        for password, why, words in (
            ("right", NoPermissionError, "does not let its user do this .*cluster.slots"),
            ("wrong", AuthenticationError, "refuses who asks"),
        ):
            user = {"user": "reader", "password": SecretStr(password)}
            who = settings.model_copy(update={"redis": settings.redis.model_copy(update=user)})
            with pytest.raises(why):
                asyncio.run(ask_later(who))
            with pytest.raises(ServerError, match=words):
                check_redis(who)
    finally:
        client(port).acl_deluser("reader")


def test_each_master_is_looked_at_for_what_it_will_lose(cluster: Cluster, settings: Settings) -> None:
    with connect(settings) as redis:
        assert not risks_of(redis).evicts
        client(cluster.masters[-1]).config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "allkeys-lru" in risks_of(redis).evicts
        finally:
            client(cluster.masters[-1]).config_set("maxmemory-policy", "noeviction")


def test_spills_are_counted_shown_made_again_and_replayed(
    cluster: Cluster,
    settings: Settings,
    workers: Workers,
    reader: BookReader,
    until_counted: Callable[[], None],
    spilldeck_here: Spilldeck,
) -> None:
    records = list(SimulatedRun(run=RUN, spills=40, mean_triggers=3, detectors=("tof",)).records())
    workers.start()
    with SpillProducer(settings) as producer, Data(settings) as data:

        def send(first: int, upto: int) -> None:
            for record in records[first:upto]:
                producer.send(record)
            producer.flush()

        send(0, 8)
        until_counted()
        at = 8
        for partition in range(2):
            for _ in moving(cluster, settings, partition, MOVED_S):
                if at < 28:
                    send(at, at := at + 1)
        send(at, 30)
        until_counted()

        cluster.fail()
        send(30, len(records))
        until(reader.progress)  # the replica has its place
        until_counted()
        (expected,) = process(records, ConditionsStore([]).for_run).values()
        assert differences(expected.run_book(), reader.run(RUN, {})) == []

        with connect(settings) as redis:
            for master in masters(redis):
                master.flushall()
        until_counted()
        assert differences(expected.run_book(), reader.run(RUN, {})) == []
        until(lambda: data.view(Choices(), "ht01").book.totals.filled == expected.run_book().totals.filled)
    for command in (
        ("replay", str(RUN), "--name", "again", "--workers", "1"),
        ("replays", "promote", "again", "--reason", "to see"),
        ("replays", "list"),
        ("runs", "list"),
        ("verify", str(RUN), "--workers", "1"),
    ):
        done = spilldeck_here(*command, env=environment(settings))
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    for word in ("CROSSSLOT", "NOSCRIPT", "non local key", "Traceback"):
        assert word not in workers.log(0)


def test_a_cluster_of_which_all_nodes_hang_is_away_and_comes_back(
    cluster: Cluster, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.books.connect.PATIENCE_S", 0.1)
    with connect(settings) as redis:
        redis.ping()
        with cluster.hung(*cluster.nodes), pytest.raises(AWAY):
            redis.hget("key", "field")
        until(redis.ping)
