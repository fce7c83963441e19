"""A hash that is looked at again and again is read whole only after a change."""

from collections.abc import Iterator, Mapping

import pytest
from redis import Redis

from streams.books.changing import ChangingHash
from streams.books.connect import connect
from streams.settings import Settings

pytestmark = pytest.mark.servers

Fields = dict[str, str]


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    with connect(settings) as client:
        yield client


def plain(stored: Mapping[bytes, bytes]) -> Fields:
    return {field.decode(): value.decode() for field, value in stored.items()}


def test_each_change_is_seen_by_all_and_nothing_is_read_again_without_one(settings: Settings, redis: Redis) -> None:
    key = f"{settings.redis.key_prefix}:changing"
    ours, theirs = ChangingHash(redis, key, plain), ChangingHash(redis, key, plain)
    assert ours.read() == {}
    theirs.set({"a": "1", "b": "2"})
    first = ours.read()
    assert first == {"a": "1", "b": "2"}
    assert ours.read() is first
    ours.set({"b": "3"})
    assert theirs.read() == ours.read() == {"a": "1", "b": "3"}
    assert theirs.remove("a")
    assert not theirs.remove("a")
    assert ours.read() == {"b": "3"}
    redis.delete(key)
    assert ours.read() == {}
    theirs.set({"b": "3"})
    assert ours.read() == {"b": "3"}


def test_what_was_written_without_a_stamp_is_read_each_time(settings: Settings, redis: Redis) -> None:
    key = f"{settings.redis.key_prefix}:changing"
    ours = ChangingHash(redis, key, plain)
    for value in ("1", "2"):
        redis.hset(key, "a", value)
        assert ours.read() == {"a": value}
