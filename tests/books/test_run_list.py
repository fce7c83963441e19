"""The list of runs is read whole once, and then only what has changed, whoever writes and whatever Redis loses."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis

from streams.books import layout
from streams.books.book import Book
from streams.books.connect import connect
from streams.books.layout import Place
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.books.totals import Totals
from streams.settings import Settings
from tests.stored import checkpoint

pytestmark = pytest.mark.servers


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    with connect(settings) as client:
        yield client


def run_of(received: int, *, first_ms: int = 5, partition: int = 0) -> RunBook:
    first, last = {partition: 3}, {partition: 3 + received}
    totals = Totals(received=received, first_raw=first, last_raw=last)
    totals.first_ms, totals.produced_ms = first_ms, first_ms + received
    return RunBook(totals=totals, ledger={}, book=Book({}))


def received(places: dict[int, Place]) -> dict[int, int]:
    return {run: place.received for run, place in places.items()}


def test_a_run_is_summed_over_its_partitions(settings: Settings, redis: Redis) -> None:
    reader = BookReader.of(redis, settings)
    assert reader.places() == {}
    checkpoint(settings, {7: run_of(2), 5: run_of(1, first_ms=0)})
    checkpoint(settings, {7: run_of(3, first_ms=4, partition=1)}, partition=1)
    both = reader.places()
    assert list(both) == [5, 7]
    assert (both[7].received, both[7].partitions, both[7].first_ms, both[7].produced_ms) == (5, 2, 4, 7)
    assert (both[5].received, both[5].partitions) == (1, 1)
    # Where one partition does not know when a run came, another may.
    checkpoint(settings, {5: run_of(1, first_ms=9, partition=1)}, partition=1)
    assert reader.places()[5].first_ms == 9


def test_what_changes_is_followed_and_what_another_version_says_besides_is_passed_over(
    settings: Settings, redis: Redis
) -> None:
    reader, keys = BookReader.of(redis, settings), layout.Keys(settings.redis.key_prefix, settings.session, 0)
    checkpoint(settings, {run: run_of(1) for run in range(10)})
    reader.places()
    state = checkpoint(settings, {3: run_of(2), 12: run_of(4)})
    assert received(reader.places()) == dict.fromkeys(range(10), 1) | {3: 2, 12: 4}
    newer = layout.unpack_json(redis.hget(keys.index, "12")) | {"received": 6, "weather": "fine"}
    redis.hset(keys.index, "12", layout.pack_json(newer))
    redis.zadd(keys.changed, {"12": state.number + 1})
    redis.hset(keys.state, "fence", f"test:{state.number + 1}")
    assert received(reader.places())[12] == 6


def test_another_writer_and_a_store_that_was_emptied_or_set_back_are_noticed(settings: Settings, redis: Redis) -> None:
    reader, keys = BookReader.of(redis, settings), layout.Keys(settings.redis.key_prefix, settings.session, 0)
    checkpoint(settings, {1: run_of(1), 2: run_of(1)})
    saved = {key: redis.dump(key) for key in (keys.state, keys.index, keys.changed)}
    reader.places()
    for changed in ({2: run_of(5)}, {2: run_of(5), 3: run_of(1)}):
        for _ in range(3):
            checkpoint(settings, changed)
        assert received(reader.places()) == {1: 1, 2: 1} | {run: each.totals.received for run, each in changed.items()}
        for key, value in saved.items():
            redis.restore(key, 0, value, replace=True)  # type: ignore[arg-type]
        assert received(reader.places()) == {1: 1, 2: 1}
    # Another that has the partition now writes another list under a number that was seen.
    redis.hset(keys.index, "1", layout.pack_place(replace(reader.places()[1], received=8)))
    redis.hset(keys.state, "fence", "another:1")
    assert received(reader.places()) == {1: 8, 2: 1}
    redis.delete(*redis.keys(f"{settings.redis.key_prefix}:*"))
    assert reader.places() == {}
    checkpoint(settings, {4: run_of(2)})
    assert received(reader.places()) == {4: 2}


def test_a_run_came_after_those_that_lie_before_it_whatever_the_clock_said(settings: Settings, redis: Redis) -> None:
    reader = BookReader.of(redis, settings)
    runs = {run: run_of(1, first_ms=first_ms) for run, first_ms in ((1, 9000), (2, 20), (3, 30))}
    for at, run in enumerate(runs):
        runs[run].totals.first_raw, runs[run].totals.last_raw = {0: at}, {0: at + 9}
    checkpoint(settings, runs)
    assert {run: place.first_ms for run, place in reader.places().items()} == {1: 9000, 2: 20, 3: 30}
    assert reader.came_ms == {1: 9000, 2: 9001, 3: 9002}
    # A partition that has nothing before it believes the clock; and a run that goes as another comes is no harm.
    checkpoint(settings, {3: run_of(1, first_ms=25, partition=1)}, partition=1)
    reader.places()
    assert reader.came_ms == {1: 9000, 2: 9001, 3: 25}
    keys = layout.Keys(settings.redis.key_prefix, settings.session, 0)
    redis.hset(keys.index, "4", layout.pack_place(reader.places()[2]))
    redis.hdel(keys.index, "2")
    redis.hset(keys.state, "fence", "another:1")
    assert reader.places().keys() == {1, 3, 4}
    assert reader.came_ms == {1: 9000, 4: 9001, 3: 25}


@pytest.mark.parametrize("rubbish", ["gone", "a string", "a field that is no run", "a value that is none", "no stamp"])
def test_a_list_with_rubbish_is_read_again_until_it_is_whole(settings: Settings, redis: Redis, rubbish: str) -> None:
    keys = layout.Keys(settings.redis.key_prefix, settings.session, 0)
    checkpoint(settings, {1: run_of(1), 2: run_of(2)})
    whole = redis.dump(keys.index)
    fresh, old = BookReader.of(redis, settings), BookReader.of(redis, settings)
    old.places()
    if rubbish == "gone":
        redis.delete(keys.index)
    elif rubbish == "a string":
        redis.set(keys.index, "a string")
    elif rubbish == "no stamp":
        redis.hdel(keys.index, layout.STAMP)
    else:
        redis.hset(keys.index, "nine" if rubbish == "a field that is no run" else "2", "rubbish")
    assert received(old.places()) == {1: 1, 2: 2}
    assert received(fresh.places()) == ({} if rubbish in ("a string", "gone") else {1: 1, 2: 2})
    # A worker makes the list again, and the checkpoint is the one that it was.
    redis.restore(keys.index, 0, whole, replace=True)  # type: ignore[arg-type]
    assert received(fresh.places()) == received(old.places()) == {1: 1, 2: 2}


def test_a_run_of_which_nothing_tells_where_it_is_is_named(settings: Settings, redis: Redis) -> None:
    keys = layout.Keys(settings.redis.key_prefix, settings.session, 0)
    checkpoint(settings, {1: run_of(1), 2: run_of(2)})
    redis.hset(keys.index, "2", "rubbish")
    redis.hset(keys.run(2), "totals", "rubbish")
    reader = BookReader.of(redis, settings)
    assert received(reader.places()) == {1: 1}
    assert reader.unreadable[2].startswith("run 2 in partition 0 cannot be read: ")
    assert list(reader.runs()) == [1]
    assert reader.unreadable.keys() == {2}
