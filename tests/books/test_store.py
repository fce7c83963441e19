"""A checkpoint's steps, in the order that its docstring gives them."""

import asyncio
import threading

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from streams.books.book import fill
from streams.books.ranges import Ranges
from streams.books.reader import BookReader
from streams.books.run import RunShare
from streams.books.store import NO_OFFSET, CheckpointRefusedError, CheckpointStore, PartitionState, RunChanges
from streams.books.totals import Totals
from tests.records import reconstructed_spill

pytestmark = pytest.mark.servers

PARTITION = "test:{live:0}:"


def changes() -> dict[int, RunChanges]:
    spill = reconstructed_spill(3, run=7)
    share = RunShare({}, Totals())
    share.admit(spill)
    filled = fill([spill], {})
    plots = {name: filled.book[name] for name in filled.book}
    window = {60: plots}
    return {
        7: RunChanges(
            totals=share.totals,
            ledger=share.ledger,
            key_numbers=filled.key_numbers,
            plots=plots,
            windows=window,
            window_spills={60: 1},
            expired=[0],
        )
    }


def commands(redis_url: str, previous: int, state: PartitionState) -> list[tuple[str, str]]:
    """Return what the script does when such a checkpoint is written: command and key."""
    done: list[tuple[str, str]] = []
    listening = threading.Event()

    def listen() -> None:
        with Redis.from_url(redis_url) as redis, redis.monitor() as monitor:
            listening.set()
            for command in monitor.listen():
                words = command["command"].split()
                if words[0] == "SET":
                    return
                if command["client_type"] == "lua":
                    done.append((words[0], words[1]))

    async def write() -> None:
        async with AsyncRedis.from_url(redis_url) as redis:
            try:
                await CheckpointStore(redis, "test", "live").checkpoint(0, previous, state, changes())
            finally:
                await redis.set("the-end", "")

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        assert listening.wait(10)
        asyncio.run(write())
    finally:
        thread.join(10)
    return done


def test_the_steps_of_a_checkpoint_have_their_order(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    done = commands(redis_url, NO_OFFSET, PartitionState(offset=4, raw=Ranges([(0, 5)])))
    steps = [
        ("HGET", PARTITION + "state"),
        ("HSET", PARTITION + "state"),
        ("HSET", PARTITION + "runs"),
        ("HSET", PARTITION + "spills:7"),
        ("HSET", PARTITION + "key-numbers:7"),
        ("HSET", PARTITION + "book:7"),
        ("HSET", PARTITION + "window:7:60"),
        ("HSET", PARTITION + "windows:7"),
        ("HDEL", PARTITION + "windows:7"),
        ("DEL", PARTITION + "window:7:0"),
        ("PUBLISH", "test:live:changed"),
    ]
    assert list(dict.fromkeys(done)) == steps


def test_key_numbers_come_back_and_may_be_missing(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    commands(redis_url, NO_OFFSET, PartitionState(offset=4, raw=Ranges([(0, 5)])))
    written = changes()[7].key_numbers

    async def load() -> RunShare:
        async with AsyncRedis.from_url(redis_url) as redis:
            return await CheckpointStore(redis, "test", "live").load_run(0, 7)

    with Redis.from_url(redis_url) as redis:
        reader = BookReader(redis, "test", "live", 2)
        assert reader.run(7, {}).key_numbers == written
        assert reader.run(7, {}, key_numbers=False).key_numbers == {}
        assert reader.key_numbers(7, [3, 4]) == written | {4: b""}
        redis.delete(PARTITION + "key-numbers:7")  # as in a book of before they were kept
        assert reader.run(7, {}).key_numbers == {}
        assert reader.key_numbers(7, [3]) == {3: b""}
    assert asyncio.run(load()).ledger.keys() == {3}


def test_a_refused_checkpoint_stops_at_the_comparison(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
        redis.hset(PARTITION + "state", "offset", 2)
    with pytest.raises(CheckpointRefusedError, match="Redis holds offset 2, not 3"):
        commands(redis_url, 3, PartitionState(offset=4))
    with Redis.from_url(redis_url) as redis:
        assert redis.keys(PARTITION + "*") == [(PARTITION + "state").encode()]


def test_a_checkpoint_goes_forward_alone(redis_url: str) -> None:
    with pytest.raises(AssertionError, match="checkpoint from offset 4 back to 4"):
        commands(redis_url, 4, PartitionState(offset=4))
