"""A worker that is told that somebody could not read a run looks for itself, and makes only again what is damaged."""

from collections.abc import Awaitable, Callable

import pytest
from redis import Redis

from streams.books.layout import Keys
from streams.books.part_reader import UnreadableRunError
from streams.books.reader import BookReader
from streams.books.reading import AUDIT_S
from tests.books.one_partition import RUN, Worker, check, filled_log, run_scenario
from tests.records import reconstructed_spill

pytestmark = pytest.mark.servers

KEYS = Keys("test", "live", 0)
Run = Callable[[Callable[[], Awaitable[None]]], None]


def read_all(reader: BookReader) -> None:
    reader.run(RUN, {})
    for window in reader.windows(RUN):
        reader.window(RUN, window, {})


@pytest.fixture
def run(redis_url: str) -> Run:
    """Return what runs a scenario on an empty Redis."""
    return lambda scenario: run_scenario(redis_url, scenario)


async def look(worker: Worker, times: int = 2) -> None:
    for _ in range(times):
        worker.now += AUDIT_S
        await worker.look()


def test_a_run_that_is_whole_is_left_as_it_is_though_somebody_cannot_read_it(run: Run, redis_url: str) -> None:
    log = filled_log(5)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        # What it was made of is gone: to make it again would be to lose it.
        log.low = 3
        with Redis.from_url(redis_url) as redis:
            before = {key: redis.dump(key) for key in redis.keys(f"*:{RUN}")}
            redis.sadd(KEYS.repair, RUN, RUN + 1)
            await look(worker)
            assert {key: redis.dump(key) for key in before} == before
            (progress,) = BookReader(redis, "test", "live").progress().values()
            assert (progress.repairs, progress.lost) == ({}, ())
            assert redis.smembers(KEYS.repair) == set()

    run(scenario)


@pytest.mark.parametrize("key", ["key-numbers", "windows", "window"])
def test_a_value_that_no_worker_reads_is_found_when_somebody_cannot_read_it(run: Run, redis_url: str, key: str) -> None:
    log = filled_log(5)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            name = next(name for name in redis.keys(f"*:{key}:{RUN}*"))
            field = next(field for field in redis.hkeys(name) if field)
            redis.hset(name, field, b"rubbish")
            reader = BookReader(redis, "test", "live")
            with pytest.raises(UnreadableRunError, match=f"run {RUN} in partition 0 cannot be read"):
                read_all(reader)
        await look(worker)
        await worker.drain()
        check(redis_url, log)

    run(scenario)


@pytest.mark.parametrize("comes", [True, False], ids=["with another spill of it", "when somebody asks"])
def test_rubbish_in_the_list_of_runs_has_the_list_made_again_and_no_run(
    run: Run, redis_url: str, *, comes: bool
) -> None:
    log = filled_log(5)

    async def scenario() -> None:
        await Worker(log, redis_url).drain()
        log.low = 3
        with Redis.from_url(redis_url) as redis:
            kept = redis.dump(KEYS.spills(RUN))
            redis.hset(KEYS.index, str(RUN), b"rubbish")
            if comes:
                log.append(reconstructed_spill(7))
            else:
                redis.sadd(KEYS.repair, RUN)
            worker = Worker(log, redis_url, log.end - 1)
            await worker.drain()
            await look(worker)
            reader = BookReader(redis, "test", "live")
            assert len(reader.run(RUN, {}).ledger) == 5 + comes
            assert comes or redis.dump(KEYS.spills(RUN)) == kept
            assert reader.places()[RUN].filled == 5 + comes
            assert redis.keys("*aside*") == []
            (progress,) = reader.progress().values()
            assert progress.lost == ()

    run(scenario)
