"""What the page believes of Redis's copy of what people decided."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from dashboards.choices import Choices
from dashboards.data import Data
from dashboards.data.decisions import DecisionsWatcher
from dashboards.data.store import Store
from ops.stack import free_port
from ops.topics import ensure_topics
from streams.books.connect import connect
from streams.books.decided import Copy, decide
from streams.books.flags import Verdict
from streams.settings import Settings
from tests.books.test_decided import SHOWN, dropped, planned, promoted, restored
from tests.books.test_decisions import RUNS
from tests.books.test_flags import flagged
from tests.dashboards.conftest import WAIT_S

pytestmark = pytest.mark.servers


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    with connect(settings) as client:
        yield client


def test_a_copy_that_is_gone_or_older_is_not_believed_and_asked_of_kafka(settings: Settings, redis: Redis) -> None:
    ensure_topics(settings)
    decide(settings, redis, planned("a"))
    key = Copy(redis, settings.redis.key_prefix).key
    older = redis.get(key)
    assert isinstance(older, bytes)
    decide(settings, redis, promoted("a"))
    page = DecisionsWatcher(settings, redis)
    page.refresh()
    for lost in (lambda: redis.set(key, older), lambda: redis.delete(key)):
        assert page.look().all == SHOWN
        page.asked.clear()
        lost()
        assert page.look().all == SHOWN
        assert page.asked.is_set()
        page.refresh()
        assert page.look().all == SHOWN
    # What is decided otherwise is seen without waiting for Kafka.
    decide(settings, redis, restored(*RUNS))
    assert page.look().all == {}
    decide(settings, redis, dropped("a"))
    assert page.look().all == {}
    assert page.known.plans == {}


def test_a_page_that_begins_with_an_older_copy_waits_for_kafka(settings: Settings, redis: Redis) -> None:
    ensure_topics(settings)
    decide(settings, redis, planned("a"))
    key = Copy(redis, settings.redis.key_prefix).key
    older = redis.get(key)
    assert isinstance(older, bytes)
    decide(settings, redis, promoted("a"))
    redis.set(key, older)
    page = DecisionsWatcher(settings, redis)
    page.refresh()
    assert page.look().all == SHOWN


def test_a_run_of_which_redis_has_nothing_but_a_lost_promotion_says_so(settings: Settings, redis: Redis) -> None:
    ensure_topics(settings)
    for action in (planned("a"), promoted("a")):
        decide(settings, redis, action)
    with Data(settings) as data:
        view = data.view(Choices(run=RUNS[0]))
        assert not view.is_stored
        assert f"Run {RUNS[0]}: showing live’s book: the promoted replay a was lost with Redis" in view.warnings[0]
        assert data.view(Choices(run=RUNS[0] + 7)).warnings == ()


def test_whether_anything_was_promoted_is_said_to_be_unknown_where_nobody_can_tell(
    settings: Settings, redis: Redis
) -> None:
    away = settings.kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    page = DecisionsWatcher(settings.model_copy(update={"kafka": away}), redis)
    page.refresh()
    assert page.look().all == {}
    assert "Redis does not know which replays were promoted, and no Kafka answers at 127.0.0.1" in page.warning
    # Without its topic nothing can have been decided.
    page = DecisionsWatcher(settings, redis)
    page.refresh()
    assert (page.look().all, page.warning) == ({}, "")
    ensure_topics(settings)
    decide(settings, redis, planned("a"))
    page.refresh()
    assert (page.warning, [*page.known.plans]) == ("", ["replay-a"])


def test_a_flag_reaches_the_page_while_its_books_are_judged(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(settings)
    rung, judging, judged = threading.Event(), threading.Event(), threading.Event()
    with Data(settings) as data:
        data.view()
        data.on_change = rung.set
        really = data._store_watcher.look

        def slowly(*what: Any) -> Store:
            judging.set()
            judged.wait(WAIT_S)
            return really(*what)

        monkeypatch.setattr(data._store_watcher, "look", slowly)
        data._ask.set()
        assert judging.wait(WAIT_S)
        rung.clear()
        before = data.changes
        decide(settings, redis, flagged(1, Verdict.BAD))
        begun = time.monotonic()
        assert rung.wait(1.0)
        assert time.monotonic() - begun < 1.0
        seen = data.view()
        assert seen.changes > before
        assert [flag.verdict for flag in seen.flags[RUNS[0]]] == ["bad"]
        judged.set()
