"""What the page reads of real servers, and what it makes of them when they fail."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException
from redis import Redis

from dashboards.app import serve
from dashboards.choices import LAST_MINUTE, Choices
from dashboards.data import Data, View, broker
from ops.stack import free_port
from ops.stack import redis as redis_server
from ops.topics import ensure_topics
from streams.books import layout, uhi
from streams.books.book import new_histogram
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.run import RunBook, spill_facts
from streams.books.totals import Control, Totals
from streams.daq.producer import SpillProducer
from streams.daq.simulator import SimulatedRun
from streams.errors import ServerError
from streams.freshness import Level
from streams.settings import DashboardSettings, KafkaSettings, RedisSettings, Settings, load_settings
from tests.dashboards.views import EMPTY, RUN, run_book, write

pytestmark = pytest.mark.servers

WAIT_S = 30.0


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Return settings of a page that looks often."""
    return load_settings(
        kafka=settings.kafka, redis=settings.redis, dashboard=DashboardSettings(port=free_port(), refresh_s=0.2)
    )


@pytest.fixture
def redis(quick: Settings) -> Iterator[Redis]:
    with connect(quick) as client:
        yield client


@pytest.fixture
def data(quick: Settings) -> Iterator[Data]:
    with Data(quick) as data:
        yield data


def until(data: Data, true: Callable[[View], Any]) -> View:
    """Return the first view of which something is true."""
    deadline = time.monotonic() + WAIT_S
    while not true(view := data.view()):
        assert time.monotonic() < deadline, f"never so: {view}"
        time.sleep(0.02)
    return view


def test_without_a_book_there_is_no_run(data: Data) -> None:
    view = data.view()
    assert view.run is None
    assert view.book.totals == Totals()


def test_the_view_is_what_redis_holds(quick: Settings, redis: Redis, data: Data) -> None:
    write(redis, quick, run_book(), offset=7)
    view = until(data, lambda v: v.run)
    assert view.run == RUN
    assert differences(view.book, run_book()) == []
    assert view.spills.equal(spill_facts(run_book().ledger))


def test_the_version_changes_with_whatever_is_shown(quick: Settings, redis: Redis, data: Data) -> None:
    stored = run_book()
    write(redis, quick, stored, offset=7)
    version = until(data, lambda v: v.run).version
    changes: list[Any] = [
        {"control": {"end": Control(time_us=1, events=2, run_type="")}},
        {"rejected": Counter(unpack=1)},
        {"duplicates": 1},
    ]
    for offset, change in enumerate(changes, start=8):
        write(redis, quick, replace(stored, totals=replace(stored.totals, **change)), offset=offset)
        version = until(data, lambda v, before=version: v.version != before).version
    assert data.view().book.totals.duplicates == 1
    time.sleep(0.5)
    assert data.view().version == version


def start_another_after(old: RunBook, quick: Settings, redis: Redis, data: Data) -> View:
    """Write a run, and then only the start of the next, which is the current one: it began after the last spill."""
    write(redis, quick, old, offset=7)
    until(data, lambda v: v.run == RUN)
    started = Totals(control={"start": Control(time_us=old.totals.last_us + 1, events=2, run_type="")})
    write(redis, quick, replace(EMPTY, totals=started), run=RUN + 1, offset=8)
    return until(data, lambda v: v.run == RUN + 1)


def test_a_new_run_takes_over_and_a_late_spill_of_the_old_one_does_not(
    quick: Settings, redis: Redis, data: Data
) -> None:
    old = run_book()
    view = start_another_after(old, quick, redis, data)
    assert "waiting for its first spill" in view.daq.text
    assert not view.book.ledger
    write(redis, quick, replace(old, totals=replace(old.totals, duplicates=1)), offset=9)
    before = view.version
    assert until(data, lambda v: v.version != before).run == RUN + 1


def test_29_14_any_run_and_one_to_compare_with_are_read_when_asked_for(
    quick: Settings, redis: Redis, data: Data
) -> None:
    old = run_book()
    start_another_after(old, quick, redis, data)
    view = data.view(Choices(run=RUN, reference=RUN))
    assert (view.run, view.current, [each.run for each in view.runs]) == (RUN, RUN + 1, [RUN, RUN + 1])
    assert differences(view.book, old) == []
    assert view.reference is not None
    assert differences(view.reference.book, old) == []
    # A late spill of the old run is seen by who looks at it.
    write(redis, quick, replace(old, totals=replace(old.totals, duplicates=1)), offset=9)
    deadline = time.monotonic() + WAIT_S
    while data.view(Choices(run=RUN)).book.totals.duplicates != 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    missing = data.view(Choices(run=5, reference=6))
    assert (missing.run, missing.is_stored, missing.reference) == (5, False, None)


def test_11_the_last_minute_is_the_newest_window_and_the_one_before(quick: Settings, redis: Redis, data: Data) -> None:
    stored = run_book(60)
    write(redis, quick, stored, offset=7)
    keys = layout.Keys(quick.redis.key_prefix, quick.session, 0)
    newest = stored.totals.last_us // 60_000_000 * 60
    for start, entries in ((newest - 120, 4), (newest - 60, 2), (newest, 1)):
        histogram = new_histogram("ht01", {}).fill([28.0] * entries)
        redis.hset(keys.windows(RUN), str(start), entries)
        redis.hset(keys.window(RUN, start), "ht01", uhi.encode(histogram))
    until(data, lambda v: v.run == RUN)
    view = data.view(Choices(window=LAST_MINUTE))
    assert view.window == LAST_MINUTE
    assert view.shown["ht01"].sum() == 3
    assert view.spills.spill.tolist() == [n for n, e in stored.ledger.items() if e.time_us >= (newest - 60) * 1_000_000]
    assert 0 < len(view.spills) < 60
    assert view.book.totals.filled == 60
    # 20: each window can be looked at by itself.
    assert view.windows == (newest - 120, newest - 60, newest)
    first = data.view(Choices(window=newest - 120))
    assert first.shown["ht01"].sum() == 4
    within = range((newest - 120) * 1_000_000, (newest - 60) * 1_000_000)
    assert first.spills.spill.tolist() == [n for n, e in stored.ledger.items() if e.time_us in within]
    assert data.view(Choices(window=newest - 180)).shown["ht01"].sum() == 0


def test_an_emptied_redis_shows_no_run_of_before(quick: Settings, redis: Redis, data: Data) -> None:
    write(redis, quick, run_book(), offset=7)
    until(data, lambda v: v.run)
    redis.delete(*redis.keys(f"{quick.redis.key_prefix}:*"))
    view = until(data, lambda v: v.run is None)
    assert not view.book.ledger


def test_spills_that_kafka_had_no_longer_are_told(quick: Settings, redis: Redis, data: Data) -> None:
    write(redis, quick, run_book(), offset=7)
    now = int(time.time())
    losses = [layout.Loss(now - 90_000, "others were, the day before"), layout.Loss(now, "messages 3 to 4 are gone")]
    redis.hset(layout.Keys(quick.redis.key_prefix, quick.session, 0).state, "lost", layout.pack_rows(losses))
    warning = "Kafka no longer has what was needed: partition 0: messages 3 to 4 are gone"
    until(data, lambda v: warning in v.warnings)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("state", "raw", b"\xff\xfe"),
        ("state", "raw", b"[" * 5000),
        ("state", "offset", b"many"),
        ("state", "lost", b"[[5]]"),
        ("state", "lost", b"7"),
        ("runs", str(RUN), b"{}"),
        ("runs", str(RUN), b"null"),
        ("runs", "nine", b"{}"),
        ("spills", "7", b"short"),
        ("book", "ht01", b"no histogram"),
    ],
)
def test_garbage_in_redis_is_told_and_what_was_shown_stays(
    quick: Settings, redis: Redis, data: Data, kind: str, field: str, value: bytes
) -> None:
    write(redis, quick, run_book(), offset=7)
    until(data, lambda v: v.run)
    keys = layout.Keys(quick.redis.key_prefix, quick.session, 0)
    key = {"state": keys.state, "runs": keys.runs, "spills": keys.spills(RUN), "book": keys.book(RUN)}[kind]
    redis.hset(key, field, value)
    redis.hincrby(keys.state, "produced_ms")
    view = until(data, lambda v: any("holds what cannot be read" in w for w in v.warnings))
    assert view.run == RUN
    assert view.book.totals.filled == 8
    assert view.pipeline.level is Level.UNKNOWN
    # It recovers by itself as soon as there are books again.
    redis.delete(*redis.keys(f"{quick.redis.key_prefix}:*"))
    write(redis, quick, run_book(), offset=8)
    until(data, lambda v: not any("Redis" in w for w in v.warnings))


def test_a_key_of_another_kind_is_told_as_garbage(quick: Settings, redis: Redis, data: Data) -> None:
    redis.set(layout.Keys(quick.redis.key_prefix, quick.session, 0).state, "a string")
    until(data, lambda v: any("holds what cannot be read" in w for w in v.warnings))


def test_a_redis_that_dies_leaves_the_last_view_and_a_banner(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as started:

        def start() -> Any:
            server = redis_server.start(tmp_path, port, keep=False)
            started.callback(server.end)
            while not redis_server.answers(port, 1.0):
                time.sleep(0.05)
            return server

        own = load_settings(kafka=settings.kafka, redis=RedisSettings(url=f"redis://127.0.0.1:{port}/0"))
        server, data = start(), started.enter_context(Data(own))
        with connect(own) as redis:
            write(redis, own, run_book(), offset=7)
        until(data, lambda v: v.run)
        server.end()
        view = until(data, lambda v: any("does not answer, for" in w for w in v.warnings))
        assert view.book.totals.filled == 8
        assert view.pipeline.text.startswith("Redis does not answer")
        start()
        assert until(data, lambda v: not any("Redis" in w for w in v.warnings)).run == RUN


def test_a_view_never_waits_for_a_server_that_hangs(settings: Settings) -> None:
    own = load_settings(
        kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"),
        redis=RedisSettings(url=f"redis://127.0.0.1:{free_port()}/0"),
    )
    with Data(own) as data:
        until(data, lambda v: any("does not answer" in w for w in v.warnings))
        start = time.monotonic()
        for _ in range(200):
            data.view()
        assert time.monotonic() - start < 1


def test_a_broker_that_is_away_is_told(settings: Settings) -> None:
    with Data(
        load_settings(kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"), redis=settings.redis)
    ) as d:
        view = until(d, lambda v: v.daq.text.startswith("Kafka does not answer"))
        assert view.pipeline.level is Level.UNKNOWN
        assert view.warnings[0].startswith("Kafka does not answer, for ")


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        # As when the process may open no more files, or start no more threads.
        ("reader", KafkaException(KafkaError(KafkaError._CRIT_SYS_RESOURCE, "no thread")), "no thread"),
        ("spans", KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not ours")), "not ours"),
        ("spans", ValueError("odd"), "ValueError: odd"),
    ],
)
def test_whatever_goes_wrong_with_kafka_is_told_and_is_over_when_it_is_well(
    quick: Settings, monkeypatch: pytest.MonkeyPatch, what: str, error: Exception, said: str
) -> None:
    ensure_topics(quick)

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched, ExitStack() as started:
        patched.setattr(broker, what, fail)
        data = started.enter_context(Data(quick))
        view = until(data, lambda v: v.warnings and v.warnings[0].startswith("Kafka cannot be asked"))
        assert f"({said}), for " in view.warnings[0]
        assert view.pipeline.level is Level.UNKNOWN
        patched.undo()
        assert until(data, lambda v: not v.warnings).behind == 0


def test_books_are_read_on_when_a_change_cannot_be_told(quick: Settings, redis: Redis, data: Data) -> None:
    def fail() -> None:
        raise RuntimeError("the loop is closed")

    data.on_change = fail
    write(redis, quick, run_book(), offset=7)
    until(data, lambda v: v.run)
    write(redis, quick, run_book(9), offset=8)
    until(data, lambda v: v.book.totals.filled == 9)


def test_topics_that_are_not_there_are_told_until_they_are(quick: Settings, data: Data) -> None:
    view = until(data, lambda v: v.warnings)
    assert "has no topic" in view.warnings[0]
    assert not view.daq.text.startswith("Kafka does not answer")
    ensure_topics(quick)
    until(data, lambda v: not v.warnings)


def test_spills_that_no_worker_takes_are_behind_from_when_they_came(quick: Settings, redis: Redis, data: Data) -> None:
    ensure_topics(quick)
    until(data, lambda _: data._broker.spans == ((0, 0),) * 4)
    with SpillProducer(quick) as producer:
        for number in range(4):
            producer.send(SimulatedRun(run=RUN, mean_triggers=2).spill(number).raw)
    view = until(data, lambda v: v.behind == 4)
    assert view.pipeline.text == "Processing 4 spills"
    first = data._behind_since_s
    assert view.now_s - first < 5
    until(data, lambda v: "Last spill" in v.daq.text)
    # One partition is processed: the others wait as long as before.
    write(redis, quick, run_book(), offset=0)
    until(data, lambda v: v.behind == 3)
    assert data._behind_since_s == first
    # New spills come while all the old ones are processed: only the new ones wait.
    with SpillProducer(quick) as producer:
        producer.send(SimulatedRun(run=RUN, mean_triggers=2).spill(4).raw)
    until(data, lambda v: v.behind == 4)
    for partition in (1, 2, 3):
        write(redis, quick, RunBook(totals=Totals(), ledger={}, book=EMPTY.book), offset=0, partition=partition)
    until(data, lambda v: v.behind == 1)
    assert data._behind_since_s > first
    # All is processed, and says that it was produced in 1970.
    write(redis, quick, run_book(), offset=1)
    until(data, lambda v: v.daq.text.startswith("Clock behind by 2"))


def test_while_partitions_run_apart_trends_end_before_the_first_spill_that_may_still_come(
    quick: Settings, redis: Redis, data: Data
) -> None:
    ensure_topics(quick)
    with SpillProducer(quick) as producer:
        for number in range(12):
            producer.send(SimulatedRun(run=RUN, mean_triggers=2).spill(number).raw)
    until(data, lambda v: v.behind == 12)
    stored = run_book(12)
    early = {n: entry for n, entry in stored.ledger.items() if n not in {6, 9, 10}}
    write(redis, quick, replace(stored, ledger=early), offset=0)
    view = until(data, lambda v: v.run)
    assert view.behind
    assert np.array_equal(view.spills.spill, [0, 1, 2, 3, 4, 5])
    assert len(view.book.ledger) == 9


def test_a_port_in_use_is_named(settings: Settings, stack: Any) -> None:
    own = load_settings(redis=settings.redis, dashboard=DashboardSettings(port=stack.redis_port))
    with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{stack.redis_port}"):
        serve(own)
