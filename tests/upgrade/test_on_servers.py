"""What c7218c2 left, with half of it still in a real Kafka: the command, and workers that go on."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from redis import Redis

from ops.topics import ensure_topics
from schemas.records import NO_RUN
from streams.books.compare import differences
from streams.books.promotions import Promoted, Promotions
from streams.books.reader import BookReader
from streams.kafka import writer
from streams.settings import Settings
from streams.topics import Topics
from tests.conftest import wait_until_counted
from tests.kafka import ANSWER_S, set_topic
from tests.kafka import admin as client_of
from tests.lanes import first
from tests.ops.conftest import Spilldeck, assert_one_sentence, spilldeck, spilldeck_here
from tests.servers import environment
from tests.upgrade.conftest import Upgrade
from tests.upgrade.left import (
    AFTER_FIRST,
    ENDS,
    EXPECTED,
    FIRST,
    RAW,
    SECOND,
    WINDOWS_KEPT,
    Log,
    Produced,
    as_before,
    check,
    continued,
    later_spills,
    ranges,
)
from tests.workers import Workers

__all__ = ["spilldeck", "spilldeck_here"]
pytestmark = pytest.mark.servers


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    """Return the settings as the environment gives them, to commands and to workers."""
    return environment(settings) | {
        "SPILLDECK_BOOKS__WINDOWS_KEPT": str(WINDOWS_KEPT),
    }


@pytest.fixture
def admin(settings: Settings) -> AdminClient:
    """Return a client of a Kafka that has all of spills.raw that was counted, at the same offsets and times."""
    ensure_topics(settings)
    # Whatever this machine's clock says of the times at which it was produced.
    for setting, value in (("message.timestamp.after.max.ms", str(2**63 - 1)), ("retention.ms", "-1")):
        set_topic(settings, Topics.of(settings).raw, setting, value)
    produce(settings, RAW)
    return client_of(settings)


def produce(settings: Settings, messages: Sequence[Sequence[Produced]]) -> None:
    producer = writer(settings)
    for partition, its in enumerate(messages):
        for one in its:
            producer.produce(Topics.of(settings).raw, one.value, partition=partition, timestamp=one.at_ms)
    assert producer.flush(ANSWER_S) == 0


def drop_below(settings: Settings, admin: AdminClient, lows: Sequence[int]) -> None:
    """Have Kafka lose what is below these offsets, as retention does."""
    raw = Topics.of(settings).raw
    wanted = [TopicPartition(raw, partition, low) for partition, low in enumerate(lows)]
    for future in admin.delete_records(wanted).values():
        future.result(ANSWER_S)


@pytest.mark.parametrize("is_started_before", first([True, False], 1))
def test_workers_go_on_with_what_is_carried_over(
    settings: Settings,
    redis: Redis,
    admin: AdminClient,
    upgrade: Upgrade,
    spilldeck: Spilldeck,
    env: dict[str, str],
    tmp_path: Path,
    is_started_before: bool,
) -> None:
    log = Log(messages=[[*left, *later] for left, later in zip(RAW, later_spills(), strict=True)])
    upgrade(Log(lows=ENDS))  # all as it was counted
    wanted = continued(settings, redis, log, ENDS)
    for name in redis.scan_iter(match=f"{settings.redis.key_prefix}:v2:*"):
        redis.delete(name)
    drop_below(settings, admin, (4, 6))
    workers = Workers(settings, tmp_path, env)
    reader = BookReader.of(redis, settings)
    try:
        if is_started_before:
            workers.start()
            wait_until_counted(settings, reader)
            assert reader.run(FIRST, ranges(FIRST)).ledger.keys() < wanted.ledger.keys()
        done = spilldeck("upgrade", "--do", env=env)
        assert done.returncode == 0, done.stderr
        if not is_started_before:
            workers.start()
        produce(settings, later_spills())
        wait_until_counted(settings, reader)
        assert differences(as_before(wanted), as_before(reader.run(FIRST, ranges(FIRST)))) == []
        check(settings, redis, "live", SECOND, without=("handling",))
        check(settings, redis, "live", NO_RUN)
    finally:
        workers.stop()


def test_the_command_says_what_it_would_do_does_it_and_says_what_is_there(
    settings: Settings, redis: Redis, admin: AdminClient, spilldeck_here: Spilldeck, env: dict[str, str]
) -> None:
    drop_below(settings, admin, (4, 6))

    def rows(*options: str) -> list[str]:
        done = spilldeck_here("upgrade", *options, env=env)
        assert done.returncode == 0, done.stderr
        return [" ".join(line.replace("│", "").split()) for line in done.stdout.splitlines()]

    def is_in(words: str, lines: list[str]) -> bool:
        return any(line.startswith(words) for line in lines)  # behind it, the plots that it is carried over without

    would = rows()
    assert is_in(f"live {FIRST} 11 0, 1 carried over", would)
    assert f"live {SECOND} 4 0, 1 rebuilt from Kafka" in would
    assert "live none 0 1 rebuilt from Kafka" in would
    assert is_in(f"night {FIRST} 11 0, 1 carried over with messages that were missed: 1", would)
    assert is_in(f"replay-half {SECOND} 1 0 carried over", would)
    assert "Nothing is written yet: spilldeck upgrade --do does it." in would
    prefix = settings.redis.key_prefix
    assert not list(redis.scan_iter(match=f"{prefix}:v2:*"))
    assert not redis.exists(f"{prefix}:decisions", f"{prefix}:made")
    promotions = Promotions(redis, prefix)
    assert is_in(f"live {FIRST} 11 0, 1 carried over", rows("--do"))
    check(settings, redis, "live", FIRST)
    assert promotions.look() == Promoted(shown={FIRST: "replay-again"})
    assert f"live {FIRST} 11 0, 1 already there" in rows()


def test_the_command_ends_with_status_1_when_something_cannot_be_carried_over(
    settings: Settings, redis: Redis, spilldeck_here: Spilldeck, env: dict[str, str]
) -> None:
    ensure_topics(settings)  # anew: Kafka has nothing
    for session in ("live", "replay-again"):
        redis.delete(f"{settings.redis.key_prefix}:{{{session}:1}}:book:{FIRST}")
    for options in (["--json"], ["--json", "--do"]):
        done = spilldeck_here("upgrade", *options, env=env)
        assert done.returncode == 1
        left = [one for one in json.loads(done.stdout) if one["verdict"] == "cannot be carried over"]
        assert [(one["session"], one["partition"], one["run"], one["spills"]) for one in left] == [
            ("live", 1, FIRST, 5),
            ("replay-again", 1, FIRST, 5),
        ]
        assert all("has 0 entries of the plot" in one["why"] for one in left)
    check(settings, redis, "live", SECOND)
    for run in EXPECTED["night"]:
        check(settings, redis, "night", run)
    # A replay of which not all is there is not shown in place of live's book.
    assert Promotions(redis, settings.redis.key_prefix).look() == Promoted(lost={FIRST: "replay-again"})


def test_a_replay_that_was_dropped_since_does_not_come_back(
    settings: Settings, redis: Redis, spilldeck_here: Spilldeck, env: dict[str, str]
) -> None:
    ensure_topics(settings)
    for arguments in (["upgrade", "--do"], ["replays", "restore", str(FIRST)], ["replays", "drop", "again"]):
        assert spilldeck_here(*arguments, env=env).returncode == 0
    done = spilldeck_here("upgrade", "--do", "--json", env=env)
    assert {one["session"] for one in json.loads(done.stdout)} == {"live", "night", "replay-half"}
    assert not list(redis.scan_iter(match=f"{settings.redis.key_prefix}:v2:{{replay-again:*"))


def test_what_was_counted_of_a_partition_that_there_is_no_more_is_carried_over(
    settings: Settings, redis: Redis, spilldeck_here: Spilldeck, env: dict[str, str]
) -> None:
    ensure_topics(settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"partitions": 1})}))
    done = spilldeck_here("upgrade", "--do", env=env)
    assert done.returncode == 0, done.stderr
    check(settings, redis, "live", FIRST)
    assert not any(its.repairs for its in BookReader.of(redis, settings).progress().values())


def test_the_command_finds_nothing_where_nothing_was_left(
    settings: Settings, spilldeck_here: Spilldeck, env: dict[str, str]
) -> None:
    assert_one_sentence(spilldeck_here("upgrade", env=env), 3)  # there are no topics
    ensure_topics(settings)
    done = spilldeck_here("upgrade", "--do", env=env)
    assert (done.returncode, done.stdout) == (0, "There is nothing of an earlier version.\n")


def test_a_replay_that_was_stopped_is_gone_on_with(
    settings: Settings, redis: Redis, admin: AdminClient, spilldeck: Spilldeck, env: dict[str, str], tmp_path: Path
) -> None:
    drop_below(settings, admin, (AFTER_FIRST[0] + 2, AFTER_FIRST[1]))  # what it has read is gone
    workers = Workers(settings, tmp_path, env)
    workers.start()  # a replay waits for live
    try:
        for arguments in (["upgrade", "--do"], ["replay", "--name", "half", "--resume", "--workers", "1"]):
            done = spilldeck(*arguments, env=env)
            assert done.returncode == 0, done.stderr
    finally:
        workers.stop()
    check(settings, redis, "replay-half", SECOND, EXPECTED["live"][SECOND], without=("handling",))
