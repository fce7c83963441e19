"""Redis's copy of what people decided, on a real Kafka and a real Redis that lose what they have."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka import TopicPartition
from redis import Redis

from ops.topics import ensure_topics
from schemas.records import MAX_DECIDED_TEXT, Action, ActionKind
from streams.books import decided, layout
from streams.books.actions import ActionLog, append, new_action
from streams.books.book import Book
from streams.books.connect import connect
from streams.books.decided import Copy, decide, refresh
from streams.books.decisions import Decisions
from streams.books.flags import Flag, Verdict
from streams.books.kept_book import book_text
from streams.books.made import Books, Made
from streams.books.pinned_books import PinnedBooks
from streams.books.pinning import pin_file
from streams.books.plan import Plan
from streams.books.promotions import Promotions
from streams.books.run import RunBook
from streams.books.totals import Totals
from streams.errors import ServerError, UsageError
from streams.settings import Settings
from streams.topics import Topics
from tests.books.test_decisions import RUNS, plan
from tests.conftest import WAIT_S
from tests.kafka import admin as admin_of
from tests.wire import decode

pytestmark = pytest.mark.servers

SHOWN = dict.fromkeys(RUNS, "replay-a")


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    ensure_topics(settings)
    with connect(settings) as client:
        yield client


def planned(name: str, began_s: float = 1.5) -> Action:
    made = plan(name, began_s)
    return new_action(ActionKind.PLAN_REPLAY, made.session, after=made.to_json(), origin="a test")


def promoted(name: str) -> Action:
    after = json.dumps(dict.fromkeys(RUNS, f"replay-{name}"))
    return new_action(ActionKind.PROMOTE, f"replay-{name}", after=after, origin="a test")


def restored(*runs: int) -> Action:
    return new_action(ActionKind.RESTORE, runs[0], after=json.dumps(dict.fromkeys(runs)), origin="a test")


def dropped(name: str) -> Action:
    return new_action(ActionKind.DROP_REPLAY, f"replay-{name}", origin="a test")


def known(settings: Settings, redis: Redis) -> Decisions:
    found = Copy(redis, settings.redis.key_prefix).read()
    assert found is not None
    return found


def refreshed(settings: Settings, redis: Redis) -> Decisions:
    refresh(settings, redis)
    assert not refresh(settings, redis)  # then nothing is new
    return known(settings, redis)


def keys(settings: Settings, redis: Redis) -> list[bytes]:
    return list(redis.scan_iter(match=f"{settings.redis.key_prefix}:*"))


def lose_everything(settings: Settings, redis: Redis) -> None:
    for key in keys(settings, redis):
        redis.delete(key)


def dump(settings: Settings, redis: Redis) -> dict[bytes, bytes]:
    return {key: redis.dump(key) for key in keys(settings, redis)}


def bring_back(settings: Settings, redis: Redis, older: dict[bytes, bytes]) -> None:
    lose_everything(settings, redis)
    for key, content in older.items():
        redis.restore(key, 0, content)


def logged(settings: Settings) -> list[Action]:
    with ActionLog(settings) as log:
        found = [decode(message) for _, message in log.read(*log.span())]
    assert all(isinstance(each, Action) for each in found)
    return [each for each in found if isinstance(each, Action)]


def drop_records(settings: Settings, before: int) -> None:
    admin = admin_of(settings)
    for future in admin.delete_records([TopicPartition(Topics.of(settings).quality, 0, before)]).values():
        future.result()


def make_topic_anew(settings: Settings) -> None:
    admin = admin_of(settings)
    for future in admin.delete_topics([Topics.of(settings).quality]).values():
        future.result()
    ensure_topics(settings)


def test_what_was_decided_comes_back_when_redis_is_emptied(settings: Settings, redis: Redis) -> None:
    for action in (planned("a"), planned("b"), promoted("a")):
        decide(settings, redis, action)
    before = known(settings, redis)
    assert (before.promoted, {*before.plans}) == (SHOWN, {"replay-a", "replay-b"})
    assert not refresh(settings, redis)
    lose_everything(settings, redis)
    assert Copy(redis, settings.redis.key_prefix).read() is None
    assert refresh(settings, redis)
    assert known(settings, redis) == before
    # What is stored in its place may be rubbish, or of another kind.
    key = Copy(redis, settings.redis.key_prefix).key
    redis.set(key, "rubbish")
    assert refreshed(settings, redis) == before
    redis.delete(key)
    redis.hset(key, "a", "b")
    assert refreshed(settings, redis) == before


def test_an_older_dump_of_redis_does_not_bring_back_what_was_decided_otherwise(
    settings: Settings, redis: Redis
) -> None:
    decide(settings, redis, planned("a"))
    before = dump(settings, redis)
    decide(settings, redis, promoted("a"))
    with_promotion = dump(settings, redis)
    bring_back(settings, redis, before)
    assert known(settings, redis).promoted == {}
    assert refreshed(settings, redis).promoted == SHOWN
    decide(settings, redis, restored(*RUNS))
    decide(settings, redis, dropped("a"))
    bring_back(settings, redis, with_promotion)
    assert known(settings, redis).promoted == SHOWN
    assert refreshed(settings, redis).is_empty


def test_an_action_that_kafka_has_counts_though_whoever_wrote_it_died_before_redis_heard_of_it(
    settings: Settings, redis: Redis
) -> None:
    decide(settings, redis, planned("a"))
    append(settings, promoted("a"))
    assert known(settings, redis).promoted == {}
    assert refreshed(settings, redis).promoted == SHOWN


def test_of_two_that_decide_at_once_the_order_in_kafka_says_who_is_refused(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        decide(settings, redis, planned(name))

    def faster(rival: Action) -> None:
        """Have another's action come between the look and the writing of the next one."""

        def late(settings: Settings, action: Action) -> int:
            append(settings, rival)
            return append(settings, action)

        monkeypatch.setattr(decided, "append", late)

    faster(promoted("a"))
    with pytest.raises(UsageError, match="somebody else was faster: the book of run 6008 is that of this replay"):
        decide(settings, redis, dropped("a"))
    assert refreshed(settings, redis).promoted == SHOWN
    assert "replay-a" in known(settings, redis).plans
    faster(dropped("b"))
    with pytest.raises(UsageError, match="somebody else was faster: there is no replay b"):
        decide(settings, redis, promoted("b"))
    assert refreshed(settings, redis).promoted == SHOWN


def test_many_that_decide_at_once_end_with_what_the_last_one_said(settings: Settings, redis: Redis) -> None:
    names = [*"abcdef"]
    for name in names:
        append(settings, planned(name))
    together = threading.Barrier(len(names))

    def promote(name: str) -> None:
        together.wait(WAIT_S)
        with connect(settings) as ours:
            decide(settings, ours, promoted(name))

    threads = [threading.Thread(target=promote, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    actions = logged(settings)
    assert len(actions) == 2 * len(names)
    assert refreshed(settings, redis).promoted == dict.fromkeys(RUNS, actions[-1].subject)


def test_each_action_says_who_did_what_where_and_when(settings: Settings, redis: Redis) -> None:
    decide(settings, redis, replace(planned("a"), reason="the new t0"))
    (action,) = logged(settings)
    user, _, host = action.who.partition("@")
    assert user
    assert host
    assert (action.kind, action.subject, action.reason) == ("plan replay", "replay-a", "the new t0")
    assert (action.origin, action.before, Plan.from_json(action.after)) == ("a test", "", plan("a"))
    assert action.at_us > 1_700_000_000_000_000
    with pytest.raises(UsageError, match=r"this cannot be noted: Action\.reason has 10001 characters"):
        decide(settings, redis, replace(promoted("a"), reason="x" * 10_001))
    assert len(logged(settings)) == 1


def left_by_an_older_version(settings: Settings, redis: Redis) -> None:
    """Write what c7218c2 kept in Redis alone: a replay that was done and promoted, and one that was stopped."""
    prefix = settings.redis.key_prefix
    redis.hset(f"{prefix}:replays", "replay-a", replace(plan("a"), done=True).to_json())
    redis.hset(f"{prefix}:replays", "replay-b", plan("b").to_json())
    redis.hset(f"{prefix}:replays", "replay-rubbish", "{}")
    redis.hset(f"{prefix}:promoted", mapping={str(run): "replay-a" for run in RUNS})
    for session in ("replay-a", "replay-b"):
        redis.hset(layout.Keys(prefix, session, 1).state, "offset", 5)


def test_what_an_older_version_kept_in_redis_alone_is_taken_over_into_kafka_once(
    settings: Settings, redis: Redis
) -> None:
    left_by_an_older_version(settings, redis)
    older = dump(settings, redis)
    together = threading.Barrier(4)

    def start() -> None:
        together.wait(WAIT_S)
        with connect(settings) as ours:
            refresh(settings, ours)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = refreshed(settings, redis)
    assert (found.promoted, {*found.plans}) == (SHOWN, {"replay-a", "replay-b"})
    promotions, made = Promotions(redis, settings.redis.key_prefix), Made(redis, settings.redis.key_prefix)
    assert promotions.all() == SHOWN
    assert made.of([plan("a"), plan("b")]) == {"replay-a": Books.WHOLE, "replay-b": Books.BEGUN}
    assert {action.kind for action in logged(settings)} == {ActionKind.TAKE_OVER}
    # The older version finds its own when it is gone back to, and nothing of it is believed again.
    assert redis.exists(f"{settings.redis.key_prefix}:replays", f"{settings.redis.key_prefix}:promoted") == 2
    made.finish(plan("b"), [1])
    redis.delete(f"{settings.redis.key_prefix}:decisions")
    assert refreshed(settings, redis).promoted == SHOWN
    assert made.of([plan("b")]) == {"replay-b": Books.WHOLE}
    decide(settings, redis, restored(6008))
    lose_everything(settings, redis)
    assert refreshed(settings, redis).promoted == {6009: "replay-a"}
    # Neither does a dump from before that bring back what was taken back since; but its books are good.
    bring_back(settings, redis, older)
    assert refreshed(settings, redis).promoted == {6009: "replay-a"}
    assert promotions.all() == {6009: "replay-a"}


def test_what_kafka_loses_of_decisions_is_taken_over_from_redis(settings: Settings, redis: Redis) -> None:
    for action in (planned("a"), promoted("a"), restored(6008)):
        decide(settings, redis, action)
    wanted = known(settings, redis)

    def is_there_still() -> bool:
        found = refreshed(settings, redis)
        return (found.promoted, found.plans) == (wanted.promoted, wanted.plans)

    make_topic_anew(settings)
    assert is_there_still()
    lose_everything(settings, redis)
    assert is_there_still()
    # A retention that somebody set has come to the beginning; Redis still knows what was there.
    decide(settings, redis, planned("b"))
    wanted = known(settings, redis)
    drop_records(settings, 1)
    assert is_there_still()
    lose_everything(settings, redis)
    assert is_there_still()
    # All of it is gone, and the next offset is not 0.
    with ActionLog(settings) as log:
        _, end = log.span()
    drop_records(settings, end)
    assert is_there_still()
    lose_everything(settings, redis)
    assert is_there_still()


def test_more_than_any_other_action_may_say_is_taken_over_too(settings: Settings, redis: Redis) -> None:
    flags = tuple(
        Flag(f"flag-{at:05}", "tof", Verdict.BAD, at, at, "a script", 1, "a test", "x" * 1000) for at in range(6000)
    )
    there = Copy(redis, settings.redis.key_prefix)
    assert there.put(None, Decisions(next=6000, tail=("a digest",), flags={6008: flags}))
    assert len(known(settings, redis).state_json()) > MAX_DECIDED_TEXT
    assert refreshed(settings, redis).flags == {6008: flags}
    lose_everything(settings, redis)
    assert refreshed(settings, redis).flags == {6008: flags}
    (action,) = logged(settings)
    assert action.kind == ActionKind.TAKE_OVER


def test_a_topic_of_which_the_end_was_lost_gets_it_back_and_another_topic_is_not_touched(
    settings: Settings, redis: Redis
) -> None:
    actions = [planned("a"), planned("b"), promoted("a")]
    for action in actions:
        decide(settings, redis, action)
    wanted = known(settings, redis)
    # A power cut: the same actions but the last.
    make_topic_anew(settings)
    for action in actions[:2]:
        append(settings, action)
    refresh(settings, redis)
    found = refreshed(settings, redis)
    assert (found.promoted, found.plans) == (wanted.promoted, wanted.plans)
    assert [action.kind for action in logged(settings)] == ["plan replay", "plan replay", "take over"]
    # The topic of somebody else, by a wrong setting: it is believed, and stays as it is.
    make_topic_anew(settings)
    append(settings, planned("c"))
    assert {*refreshed(settings, redis).plans} == {"replay-c"}
    assert len(logged(settings)) == 1
    # One that is as long, or longer.
    make_topic_anew(settings)
    for name in "de":
        append(settings, planned(name))
    assert {*refreshed(settings, redis).plans} == {"replay-d", "replay-e"}


def test_a_book_that_was_pinned_is_in_kafka_again_when_its_topic_was_made_anew(
    settings: Settings, redis: Redis
) -> None:
    text = book_text(6008, RunBook(totals=Totals(), ledger={}, book=Book({})), {}).encode()
    book, of_type = pin_file(settings, redis, text, "good.json", "physics", origin="a test")
    assert of_type == "physics"
    pins = known(settings, redis).pins
    make_topic_anew(settings)
    assert refreshed(settings, redis).pins == pins
    assert [action.kind for action in logged(settings)] == [ActionKind.TAKE_OVER, ActionKind.PIN_BOOK]
    redis.delete(f"{settings.redis.key_prefix}:pinned:{book.sha256}")
    lose_everything(settings, redis)
    assert refreshed(settings, redis).pins == pins, "what was written again says nothing new"
    assert PinnedBooks(settings, redis).read(book.sha256).run == 6008
    assert PinnedBooks(settings, redis).read(book.sha256).sha256 == book.sha256


def test_an_empty_copy_follows_a_topic_that_was_made_anew(settings: Settings, redis: Redis) -> None:
    for action in (planned("a"), dropped("a")):
        decide(settings, redis, action)
    make_topic_anew(settings)
    assert refreshed(settings, redis) == Decisions()
    assert logged(settings) == []


def test_without_its_topic_nothing_is_known_and_nothing_is_believed_lost(settings: Settings) -> None:
    with connect(settings) as redis:
        left_by_an_older_version(settings, redis)
        with pytest.raises(ServerError, match=r"no topic .*\.quality: start a worker, or run spilldeck topics apply"):
            refresh(settings, redis)
        assert Copy(redis, settings.redis.key_prefix).read() is None
        ensure_topics(settings)
        assert refreshed(settings, redis).promoted == SHOWN


def test_a_promoted_replay_whose_books_are_not_all_there_is_lost(settings: Settings, redis: Redis) -> None:
    prefix, again = settings.redis.key_prefix, plan("a", 2.5)
    made, promotions = Made(redis, prefix), Promotions(redis, prefix)
    for action in (planned("a"), promoted("a")):
        decide(settings, redis, action)
    assert promotions.look().lost == SHOWN
    made.begin(plan("a"))
    states = [layout.Keys(prefix, "replay-a", partition).state for partition in range(2)]
    for state in states:
        redis.hset(state, "offset", 5)
    assert promotions.look().lost == SHOWN
    made.finish(plan("a"), [0, 1])
    assert promotions.look().shown == SHOWN
    made.begin(plan("a"))  # gone on with, though there is nothing to do
    assert promotions.look().shown == SHOWN
    redis.delete(states[1])
    assert promotions.look().lost == SHOWN
    made.begin(plan("a"))
    redis.hset(states[1], "offset", 1)  # on the way, not yet there
    assert promotions.look().lost == SHOWN
    assert made.of([again]) == {"replay-a": Books.LOST}
    # What another plan of the same name left is not gone on with.
    made.begin(again)
    assert not redis.exists(*states)
    assert made.of([again]) == {"replay-a": Books.BEGUN}
    assert promotions.look().loss(6007) == ""
    assert "the promoted replay a was lost with Redis; make it again with spilldeck replay --resume --name a" in (
        promotions.look().loss(6008)
    )
