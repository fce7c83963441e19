"""A checkpoint's steps, in the order that its docstring gives them, and what it writes nothing after."""

import asyncio
import threading

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from streams.books.book import fill
from streams.books.checkpoint import RunChanges
from streams.books.layout import Place
from streams.books.part_store import DamagedPartError
from streams.books.reader import BookReader
from streams.books.run import RunPart
from streams.books.store import CheckpointRefusedError, CheckpointStore, DamagedIndexError
from streams.books.stored import PartitionState, StoredPart
from streams.books.windows import Window
from streams.transform import ledger_entry
from tests.conftest import WAIT_S
from tests.records import reconstructed_spill

pytestmark = pytest.mark.servers

PARTITION = "test:v2:{live:0}:"
NAMES = ("spills:7", "key-numbers:7", "channel-counts:7", "book:7", "window:7:60:60", "windows:7")
WINDOW = Window(60, 60)
FIRST = PartitionState(next=5, fence="a:1")


def changes(*, grown: bool = False) -> dict[int, RunChanges]:
    """Return what a spill of a run changes, and, for a part that is there already, what it must be then."""
    spill = reconstructed_spill(3, run=7)
    part = RunPart({3: ledger_entry(spill)})
    part.totals.count_filled(spill, 0)
    filled = fill([spill], {})
    stamps = {PARTITION + name: "a:1" for name in NAMES} if grown else {}
    stored = StoredPart(part=part, book=filled.book, windows={WINDOW: 1}, upto=5, log="a log", stamps=stamps)
    return {
        7: RunChanges(
            stored=stored,
            place=Place.of(part.totals, 0, "a log"),
            ledger=part.ledger,
            key_numbers=filled.key_numbers,
            channel_counts=filled.channel_counts,
            plots=filled.book.cells,
            windows={WINDOW: filled.book.cells},
            expired=[Window(0, 60)],
        )
    }


def commands(redis_url: str, fence: str, state: PartitionState, *, grown: bool = False) -> list[tuple[str, str]]:
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
                await CheckpointStore(redis, "test", "live").checkpoint(0, fence, state, changes(grown=grown))
            finally:
                await redis.set("the-end", "")

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        assert listening.wait(WAIT_S)
        asyncio.run(write())
    finally:
        thread.join(WAIT_S)
    return done


@pytest.fixture(autouse=True)
def _empty(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.flushall()


def test_the_steps_of_a_checkpoint_have_their_order(redis_url: str) -> None:
    steps = [(command, key.removeprefix(PARTITION)) for command, key in commands(redis_url, "", FIRST)]
    compared = [at for at, (command, _) in enumerate(steps) if command in ("TYPE", "HGET")]
    written = list(dict.fromkeys(step for step in steps if step[0] not in ("TYPE", "HGET")))
    assert compared == list(range(len(compared)))  # all of it before anything is written
    assert written == [
        *(("HKEYS", "spills:7"), ("HSET", "spills:7")),
        *(("HKEYS", "key-numbers:7"), ("HSET", "key-numbers:7")),
        *(("HKEYS", "channel-counts:7"), ("HSET", "channel-counts:7")),
        *(("HKEYS", "book:7"), ("HSET", "book:7")),
        *(("HKEYS", "window:7:60:60"), ("HSET", "window:7:60:60")),
        *(("HKEYS", "windows:7"), ("HSET", "windows:7")),
        ("HDEL", "windows:7"),
        ("DEL", "window:7:0:60"),
        *(("HKEYS", "run:7"), ("HSET", "run:7")),
        ("ZADD", "changed"),
        *(("HKEYS", "index"), ("HSET", "index")),
        *(("HKEYS", "state"), ("HSET", "state")),
        ("PUBLISH", "test:v2:live:changed"),
    ]


def test_what_is_written_comes_back(redis_url: str) -> None:
    commands(redis_url, "", FIRST)
    written = changes()[7]

    async def load() -> StoredPart | None:
        async with AsyncRedis.from_url(redis_url) as redis:
            store = CheckpointStore(redis, "test", "live")
            await store.begin(0)
            assert await store.load_state(0) == PartitionState(next=5, fence="a:1", index="a:1")
            return await store.parts.load(0, 7, {})

    part = asyncio.run(load())
    assert part is not None
    assert (part.upto, part.log, part.windows, part.place) == (5, "a log", {WINDOW: 1}, written.place)
    assert part.part.ledger == written.ledger
    with Redis.from_url(redis_url) as redis:
        reader = BookReader(redis, "test", "live")
        assert reader.run(7, {}).key_numbers == written.key_numbers
        assert reader.run(7, {}, of_spills=False).key_numbers == {}
        assert reader.key_numbers(7, [3, 4]) == {**written.key_numbers, 4: b""}
        assert reader.run(7, {}).channel_counts == written.channel_counts
        assert reader.run(7, {}, of_spills=False).channel_counts == {}
        assert reader.channel_counts(7, [3, 4]) == {**written.channel_counts, 4: b""}
        assert reader.places() == {7: written.place}


def test_a_refused_checkpoint_stops_at_the_comparison(redis_url: str) -> None:
    commands(redis_url, "", FIRST)
    with Redis.from_url(redis_url) as redis:
        before = {key: redis.dump(key) for key in redis.keys(PARTITION + "*")}
        with pytest.raises(CheckpointRefusedError, match="another has written since b:7"):
            commands(redis_url, "b:7", PartitionState(next=9, fence="b:8"), grown=True)
        assert {key: redis.dump(key) for key in redis.keys(PARTITION + "*")} == before


@pytest.mark.parametrize("name", [*NAMES, "index"])
@pytest.mark.parametrize("how", ["gone", "of another stamp", "of another type"])
def test_a_checkpoint_writes_nothing_when_one_key_is_not_as_it_was_left(redis_url: str, name: str, how: str) -> None:
    commands(redis_url, "", FIRST)
    with Redis.from_url(redis_url) as redis:
        if how == "of another stamp":
            redis.hset(PARTITION + name, "", "z:9")
        else:
            redis.delete(PARTITION + name)
        if how == "of another type":
            redis.set(PARTITION + name, "rubbish")
        before = {key: redis.dump(key) for key in redis.keys(PARTITION + "*")}
        with pytest.raises(DamagedIndexError if name == "index" else DamagedPartError, match=name):
            commands(redis_url, "a:1", PartitionState(next=9, fence="a:2", index="a:1"), grown=True)
        assert {key: redis.dump(key) for key in redis.keys(PARTITION + "*")} == before
