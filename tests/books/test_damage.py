"""What Redis lost or got that nobody wrote: found whatever else comes, mended once, and nothing else touched."""

from collections.abc import Awaitable, Callable

import pytest
from redis import Redis

from streams.agents.registry import Registry
from streams.books.part_reader import UnreadableRunError
from streams.books.part_store import DamagedPartError
from streams.books.products import Product, Products
from streams.books.reader import BookReader
from streams.settings import RedisSettings, load_settings
from tests.books.one_partition import RUN, Log, Worker, check, filled_log, run_scenario, spill_bytes

pytestmark = pytest.mark.servers

PARTITION = "test:v2:{live:0}"
PARTITIONS = "test:v2:live:partitions"
OLDER_RUN = RUN - 1

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture
def run(redis_url: str) -> Run:
    """Return what runs a scenario on an empty Redis."""
    return lambda scenario: run_scenario(redis_url, scenario)


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return Redis.from_url(redis_url)


def reader_of(redis: Redis) -> BookReader:
    return BookReader(redis, "test", "live")


def assert_unreadable(redis: Redis) -> None:
    reader = reader_of(redis)
    with pytest.raises(UnreadableRunError):
        reader.run(RUN, {})
    redis.sadd(f"{PARTITION}:repair", RUN)  # as readers did that took what is newer for damaged


async def come_and_be_looked_after(worker: Worker, log: Log, spills: int) -> None:
    """Have spills come so often that the partition is never quiet, and look after it meanwhile."""
    for spill in range(spills):
        log.append(spill_bytes(1000 + spill))
        worker.fetch(1)
        await worker.take(1)
        await worker.look()


def test_what_is_gone_is_found_though_the_partition_is_never_quiet(run: Run, redis: Redis, redis_url: str) -> None:
    log = filled_log(3, run=OLDER_RUN)
    filled_log(2, log=log)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        redis.delete(f"{PARTITION}:book:{OLDER_RUN}")
        await come_and_be_looked_after(worker, log, 120)
        assert redis.exists(f"{PARTITION}:book:{OLDER_RUN}")
        check(redis_url, log)

    run(scenario)


@pytest.mark.parametrize("how", ["gone", "of another type"])
def test_the_set_of_partitions_comes_back_by_itself(run: Run, redis: Redis, redis_url: str, how: str) -> None:
    log = filled_log(3)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        redis.delete(PARTITIONS)
        if how == "of another type":
            redis.set(PARTITIONS, "rubbish")
        worker.now += 10
        await worker.look()
        check(redis_url, log)

    run(scenario)


def test_rubbish_where_readers_ask_for_a_repair_stops_nothing(run: Run, redis: Redis, redis_url: str) -> None:
    log = filled_log(3)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        redis.set(f"{PARTITION}:repair", "rubbish")
        redis.delete(f"{PARTITION}:book:{RUN}")
        for _ in range(3):
            worker.now += 10
            await worker.look()
        check(redis_url, log)
        redis.sadd(f"{PARTITION}:repair", RUN)

    run(scenario)


@pytest.mark.parametrize("fence", ["rubbish", "worker-1:rubbish", "worker-1:-5", b"\xff:1"])
def test_a_fence_that_nobody_wrote_stops_no_worker(run: Run, redis: Redis, redis_url: str, fence: str) -> None:
    log = filled_log(3)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        redis.hset(f"{PARTITION}:state", "fence", fence)
        log.append(spill_bytes(3))
        await worker.drain()
        await Worker(log, redis_url, log.end - 1).drain()
        check(redis_url, log)

    run(scenario)


def test_totals_that_alone_are_older_are_found_by_looking(run: Run, redis: Redis, redis_url: str) -> None:
    log = filled_log(3, run=OLDER_RUN)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        older = redis.dump(f"{PARTITION}:run:{OLDER_RUN}")
        log.append(log.messages[2].value)  # a duplicate changes the totals alone
        filled_log(2, log=log)
        await worker.drain()
        redis.restore(f"{PARTITION}:run:{OLDER_RUN}", 0, older, replace=True)  # type: ignore[arg-type]
        for _ in range(3):
            worker.now += 10
            await worker.look()
        check(redis_url, log)

    run(scenario)


def test_how_a_spill_was_handled_is_left_out_where_it_cannot_be_read(run: Run, redis: Redis, redis_url: str) -> None:
    log = filled_log(3)

    async def scenario() -> None:
        await Worker(log, redis_url).drain()
        redis.hset(f"{PARTITION}:handling:{RUN}", mapping={"1": "rubbish", "rubbish": "rubbish!"})
        assert reader_of(redis).run(RUN, {}).handling.keys() == {0, 2}
        check(redis_url, log)

    run(scenario)


def test_a_run_that_a_reader_of_another_release_cannot_read_is_not_made_again(
    run: Run, redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = filled_log(3)

    async def scenario() -> None:
        with monkeypatch.context() as newer:
            newer.setattr("streams.books.totals.FORMAT", 99)
            worker = Worker(log, redis_url)
            await worker.drain()
            state = redis.dump(f"{PARTITION}:state")
            for _ in range(3):
                with monkeypatch.context() as older:
                    older.setattr("streams.books.totals.FORMAT", 2)
                    assert_unreadable(redis)
                worker.now += 10
                await worker.look()
            assert redis.dump(f"{PARTITION}:state") == state

    run(scenario)


def test_a_run_is_made_again_only_if_it_is_not_whole_when_nobody_writes(run: Run, redis: Redis, redis_url: str) -> None:
    log = filled_log(3)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        # Whoever looks while a checkpoint is written may see half of each.
        await worker.counter.make_again(worker.partitions[0], DamagedPartError(RUN, "book is older than the rest"))
        assert worker.partitions[0].state.repairs == {}
        redis.delete(f"{PARTITION}:book:{RUN}")
        await worker.counter.make_again(worker.partitions[0], DamagedPartError(RUN, "book is gone"))
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_a_worker_that_lost_its_partition_leaves_the_list_of_runs_to_the_other(
    run: Run, redis: Redis, redis_url: str
) -> None:
    log = filled_log(3)

    async def scenario() -> None:
        late = Worker(log, redis_url)
        await late.drain()
        log.append(spill_bytes(3))
        await Worker(log, redis_url, log.end - 1).drain()
        index = redis.dump(f"{PARTITION}:index")
        assert await late.counter.runs(late.partitions[0]) == []
        assert late.partitions == {}
        assert redis.dump(f"{PARTITION}:index") == index

    run(scenario)


RUN_STATES, WRITTEN = "test:v2:live:run-states", "test:live:written"


@pytest.mark.parametrize("key", [RUN_STATES, WRITTEN])
@pytest.mark.parametrize("how", ["of another type", "a field of another name", "a value of another kind"])
def test_rubbish_in_place_of_what_was_written_of_runs_has_it_written_again(
    run: Run, redis: Redis, redis_url: str, key: str, how: str
) -> None:
    log = filled_log(3)
    settings = load_settings(redis=RedisSettings(url=redis_url, key_prefix="test"))

    async def scenario() -> None:
        await Worker(log, redis_url).drain()
        Products(redis, "test", "live").note(RUN, Product.ARCHIVE, ["a file"], 1)
        if how == "of another type":
            redis.delete(key)
            redis.set(key, "rubbish")
        else:
            redis.hset(
                key, f"{RUN}" if how == "a value of another kind" and key == RUN_STATES else "rubbish", "rubbish"
            )
            redis.hset(key, f"{RUN}:archive" if how == "a value of another kind" else b"\xff", b"\xff")
        registry = Registry(redis, settings)
        ((record, what),) = registry.changed(1.0, {})
        assert record.run == RUN
        Products(redis, "test", "live").note(RUN, Product.ARCHIVE, ["a file"], 1)
        registry.note(RUN, what)
        assert Products(redis, "test", "live").names() == {RUN: ["a file"]}
        Registry(redis, settings).changed(1.0, {})

    run(scenario)
