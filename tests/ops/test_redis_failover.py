"""A master of Redis that fails, is cut off or comes back: all parts go on with the new one; each spill counts once."""

import asyncio
import re
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ResponseError

from dashboards.choices import Choices
from dashboards.data import Data
from ops.topics import ensure_topics
from schemas.records import RawSpill
from streams.books import connect as connecting
from streams.books import layout, sentinels
from streams.books.compare import differences
from streams.books.connect import AWAY, PATIENCE_S, connect, connect_async, no_redis, sentinels_of
from streams.books.reader import BookReader
from streams.books.store import CheckpointStore
from streams.books.stored import PartitionState
from streams.books.watchers import watching
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.freshness import WATCHER_SILENT_S
from streams.process import process
from streams.settings import Settings, load_settings
from tests.conftest import PROJECT, wait_until_counted
from tests.ended import is_away_for_whom_it_has_ended
from tests.ops.conftest import Spilldeck
from tests.ops.parts import WAIT_S, Site
from tests.redis_servers import NAME, Replicated, ask, client, sentinel, until
from tests.servers import environment

pytestmark = pytest.mark.servers

RUN, SPILLS = 900_029, 35


@pytest.fixture(scope="module")
def group(servers_can_be_had: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    group = Replicated(tmp_path_factory.mktemp("replicated"))
    yield group
    group.end()


@pytest.fixture
def reached(group: Replicated) -> Settings:
    """Return settings that reach the master by its sentinels."""
    return load_settings(redis=group.settings(f"test-{uuid.uuid4().hex[:12]}"))


def test_each_spill_counts_once_through_a_killed_a_stale_and_an_older_master(
    group: Replicated, settings: Settings, spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"redis": group.settings(settings.redis.key_prefix)})
    ensure_topics(settings)
    records = list(SimulatedRun(run=RUN, spills=SPILLS, mean_triggers=3, detectors=("tof",)).records())
    parts = Site(settings, tmp_path)
    quick = {"SPILLDECK_DASHBOARD__REFRESH_S": "0.2"}
    archive = tmp_path / "archive"
    for name, command in (("worker", "worker"), ("alarms", "alarms watch"), ("keeper", "keeper")):
        parts.start(name, *command.split(), environment=quick | {"SPILLDECK_KEEPER__ARCHIVE": str(archive)})
    try:
        with SpillProducer(settings) as producer, connect(settings) as redis, Data(settings) as data:
            reader, filled = BookReader.of(redis, settings), 0

            def send(upto: int) -> None:
                nonlocal filled
                for record in records[filled:upto]:
                    producer.send(record)
                producer.flush()
                filled = upto

            def is_shown() -> bool:
                """Say whether the page shows all, and the watcher has said that it is at work."""
                wait_until_counted(settings, reader)
                spills = sum(isinstance(record, RawSpill) for record in records[:filled])
                at_work = watching(redis, settings.redis.key_prefix, settings.session, WATCHER_SILENT_S).at_work
                return data.view(Choices(run=RUN)).book.totals.filled == spills and at_work == 1

            send(8)
            until(is_shown)

            group.kill(group.master)
            send(14)
            until(is_shown)
            group.switched()
            group.start("--replicaof", f"127.0.0.1 {group.master}", port=group.replica)
            group.follow()

            # What comes now the replica never gets: what takes the master's place is older than what was acknowledged.
            client(group.replica).replicaof("127.0.0.1", 1)
            send(20)
            until(is_shown)
            with group.hung(group.master):
                group.switched()
            send(26)  # the old one takes itself for the master, and has what the new one lacks
            until(is_shown)
            group.follow()
            send(len(records))
            until(is_shown)
            (expected,) = process(records, ConditionsStore([]).for_run).values()
            assert differences(expected.run_book(), reader.run(RUN, {})) == []
            done = spilldeck_here("books", "--deep", env=environment(settings))
            assert done.returncode == 0, done.stdout
            until(lambda: list(archive.glob("*.avro")))
    finally:
        for part in parts.running.values():
            part.terminate()
        for part in parts.running.values():
            part.wait(WAIT_S)
    assert "NOSCRIPT" not in parts.log("worker")
    assert "Traceback" not in "".join(map(parts.log, parts.running))


async def _write(redis: AsyncRedis, settings: Settings, number: int) -> None:
    """Write a checkpoint of nothing but how far a partition is."""
    before = f"a:{number - 1}" if number > 1 else ""
    store = CheckpointStore(redis, settings.redis.key_prefix, "live")
    await store.checkpoint(0, before, PartitionState(next=number, fence=f"a:{number}"), {})


async def _port(redis: AsyncRedis) -> int | None:
    """Return where the server is that answers now; none where a connection has just ended."""
    with suppress(*AWAY):
        return int((await redis.info("server"))["tcp_port"])
    return None


def test_a_new_master_that_knows_no_script_gets_it(group: Replicated, reached: Settings) -> None:
    async def go_on() -> None:
        async with connect_async(reached) as redis:
            await _write(redis, reached, 1)
            until(group.is_whole)
            client(group.replica).script_flush()  # it may have been a master before
            sentinel(group.sentinels[0]).sentinel_failover(NAME)
            group.switched()
            before = client(group.master).info("errorstats").get("errorstat_NOSCRIPT", {"count": 0})["count"]
            while await _port(redis) != group.master:
                pass  # the old one knows nothing of it for a while, and takes all
            await _write(redis, reached, 2)
            assert client(group.master).info("errorstats")["errorstat_NOSCRIPT"]["count"] == before + 1

    asyncio.run(go_on())
    with connect(reached) as redis:
        assert redis.hget(layout.Keys(reached.redis.key_prefix, "live", 0).state, "fence") == b"a:2"


def test_a_connection_to_a_master_that_has_ended_is_a_redis_that_is_away(group: Replicated, reached: Settings) -> None:
    assert is_away_for_whom_it_has_ended(reached)


def test_a_master_that_is_made_a_replica_is_away(group: Replicated, reached: Settings) -> None:
    async def refused() -> None:
        async with connect_async(reached) as redis:
            await redis.ping()
            with group.hung(*group.sentinels):  # they have not seen it
                client(group.master).replicaof("127.0.0.1", group.replica)
                with pytest.raises(AWAY, match="previous master is now a slave"):
                    await _write(redis, reached, 1)
                client(group.master).replicaof("NO", "ONE")

    asyncio.run(refused())


def test_sentinels_answer_a_user_with_the_rights_that_the_page_names(group: Replicated, reached: Settings) -> None:
    page = (PROJECT / "docs" / "operations.md").read_text()
    (rights,) = re.findall(r"where sentinels have users,\s+`([^`]+)`", page)
    for port in group.sentinels:
        asked = ("ACL", "SETUSER", "asker", "reset", "on", ">asks-hunter2", *rights.split())
        ask(port, *asked, is_sentinel=True)
    own = reached.redis.model_copy(update={"sentinel_user": "asker", "sentinel_password": SecretStr("asks-hunter2")})
    with connect(reached.model_copy(update={"redis": own})) as redis:
        assert redis.ping()
    assert sentinels_of(own).without_quorum(NAME) == ["", "", ""]


def test_who_connects_to_a_master_that_hangs_waits_as_for_a_sentinel_and_for_answers_as_ever(
    group: Replicated, reached: Settings
) -> None:
    async def connecting() -> None:
        async with connect_async(reached) as redis:
            await redis.ping()

    async def go_on() -> None:
        async with connect_async(reached) as of_a_loop:
            with connect(reached) as waits:
                waits.ping()
                await of_a_loop.ping()
                group.send(group.master, signal.SIGSTOP)  # sentinels are patient: nobody takes its place
                try:
                    began_s = time.monotonic()
                    with connect(reached) as other, pytest.raises(AWAY):
                        other.ping()
                    with pytest.raises(AWAY):
                        await connecting()
                    assert time.monotonic() - began_s < PATIENCE_S
                    answer_s = 2 * sentinels.PATIENCE_S
                    threading.Timer(answer_s, group.send, (group.master, signal.SIGCONT)).start()
                    began_s = time.monotonic()
                    await of_a_loop.ping()
                    assert time.monotonic() - began_s > answer_s / 2
                    threading.Timer(answer_s, group.send, (group.master, signal.SIGCONT)).start()
                    group.send(group.master, signal.SIGSTOP)
                    waits.ping()
                finally:
                    group.send(group.master, signal.SIGCONT)

    asyncio.run(go_on())


def test_nobody_goes_on_with_a_master_that_does_not_know_that_another_has_its_place(
    group: Replicated, reached: Settings
) -> None:
    async def go_on() -> None:
        async with connect_async(reached) as of_a_loop:
            with connect(reached) as waits:
                waits.ping()
                await of_a_loop.ping()
                with group.hung(group.master):
                    group.switched()
                stale, ends_s = group.replica, time.monotonic() + 3 * sentinels.ASK_S
                while client(group.master).exists("test:a", "test:b") < 2:
                    assert time.monotonic() < ends_s
                    waits.set("test:a", "1")
                    await of_a_loop.set("test:b", "1")
                assert client(stale).role()[0] == b"master"

    asyncio.run(go_on())
    group.follow()


def test_nobody_waits_for_a_master_that_hangs_when_another_has_its_place(
    group: Replicated, reached: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "PATIENCE_S", 2 * WAIT_S)  # for an answer

    async def go_on(port: int) -> None:
        async with connect_async(reached) as of_a_loop:
            with connect(reached) as waits, connect(reached) as announces, announces.pubsub() as announced:
                announced.subscribe("test")
                announced.get_message(timeout=1)
                for each in (waits, announces):
                    each.ping()
                await of_a_loop.ping()
                until(group.is_whole)
                with group.hung(port):
                    asked = [asyncio.to_thread(each.ping) for each in (waits, announces)]
                    found = await asyncio.wait_for(
                        asyncio.gather(of_a_loop.ping(), *asked, return_exceptions=True), WAIT_S
                    )
                    assert all(isinstance(each, AWAY) for each in found), found
                    with pytest.raises(AWAY):  # who hears announcements of it begins anew, too
                        announced.get_message(timeout=1)
                    assert [await _port(of_a_loop), waits.info("server")["tcp_port"]] == [group.replica] * 2
                    group.switched()

    asyncio.run(go_on(group.master))
    group.follow()


def test_a_command_at_work_goes_on_when_another_is_the_master_or_replicas_follow_again(
    group: Replicated, reached: Settings
) -> None:
    async def written(redis: AsyncRedis) -> bool:
        return bool(await redis.set("test:c", "1"))

    async def go_on() -> None:
        async with connect_async(reached, WAIT_S) as of_a_loop:
            with connect(reached, WAIT_S) as waits:
                assert waits.ping()
                assert await of_a_loop.ping()
                until(group.is_whole)
                group.kill(group.master)
                asked = asyncio.create_task(written(of_a_loop))
                assert await asyncio.to_thread(waits.set, "test:d", "1")
                assert await asked
                group.switched()
                group.start("--replicaof", f"127.0.0.1 {group.master}", port=group.replica)
                group.follow()
                master = client(group.master)
                master.config_set("min-replicas-to-write", 2)
                with connect(reached) as hasty, pytest.raises(ResponseError) as refused:
                    hasty.set("test:d", "1")
                assert "fewer replicas follow it than min-replicas-to-write" in str(no_redis(reached, refused.value))
                threading.Timer(1.0, master.config_set, ("min-replicas-to-write", 0)).start()
                assert await written(of_a_loop)

    asyncio.run(go_on())


def test_a_command_that_begins_waits_for_sentinels_that_answer_a_little_late(
    group: Replicated, reached: Settings, spilldeck_here: Spilldeck
) -> None:
    late_s = 3 * sentinels.PATIENCE_S

    def go_on() -> None:
        for port in group.sentinels:
            group.send(port, signal.SIGCONT)

    with group.hung(*group.sentinels):
        soon = threading.Timer(late_s, go_on)
        soon.start()
        done = spilldeck_here("runs", "list", env=environment(reached))
        soon.join()
    assert done.returncode == 0, done.stderr


def test_a_sentinel_that_hangs_is_waited_for_only_where_most_have_not_answered(
    group: Replicated, reached: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinels, "PATIENCE_S", WAIT_S)

    async def asks() -> None:
        async with connect_async(reached) as redis:
            await redis.ping()

    with group.hung(group.sentinels[0]):
        began_s = time.monotonic()
        asyncio.run(asks())
        with connect(reached) as redis:
            redis.ping()
        assert time.monotonic() - began_s < WAIT_S / 2
    monkeypatch.setattr(sentinels, "PATIENCE_S", 3.0)
    with group.hung(*group.sentinels[:2]):
        began_s = time.monotonic()
        with connect(reached) as redis:
            redis.ping()
        assert time.monotonic() - began_s > 2.0
