"""What the page reads of real servers, and what it makes of them when they fail."""

import re
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException
from redis import Redis
from redis.client import PubSub

from dashboards.app import serve
from dashboards.choices import LAST_MINUTE, Choices
from dashboards.data import Data, View, broker
from dashboards.data import store as store_of_the_page
from dashboards.data.data import WANTED_RUNS
from dashboards.data.one_run import Wanted
from dashboards.data.store import StoreWatcher
from ops.stack import free_port
from ops.topics import ensure_topics
from streams.books import layout
from streams.books.book import new_histogram
from streams.books.compare import differences
from streams.books.run import RunBook, spill_facts
from streams.books.totals import Control, Totals
from streams.books.windows import Window
from streams.daq.producer import SpillProducer
from streams.errors import ServerError
from streams.experiments.mice.simulator import SimulatedRun
from streams.freshness import Level
from streams.settings import DashboardSettings, KafkaSettings, RedisSettings, Settings, load_settings
from tests.catalogue import PLOTS
from tests.dashboards.conftest import WAIT_S, until
from tests.dashboards.views import EMPTY, RUN, run_book
from tests.servers import own_redis
from tests.stored import checkpoint

pytestmark = pytest.mark.servers


def test_without_a_book_there_is_no_run(data: Data) -> None:
    view = data.view()
    assert view.run is None
    assert view.book.totals == Totals()


def test_the_view_is_what_redis_holds(quick: Settings, data: Data) -> None:
    checkpoint(quick, {RUN: run_book()}, next=8)
    view = until(data, lambda v: v.run)
    assert view.run == RUN
    assert differences(view.book, run_book()) == []
    assert view.spills.equal(spill_facts(run_book().ledger))


def test_the_version_changes_with_whatever_is_shown(quick: Settings, data: Data) -> None:
    stored = run_book()
    checkpoint(quick, {RUN: stored}, next=8)
    version = until(data, lambda v: v.run).version
    received = stored.totals.received
    changes: list[Any] = [
        {"control": {"end": Control(time_us=1, events=2, run_type="")}},
        {"rejected": Counter(unpack=1), "received": received + 1},
        {"duplicates": 1, "received": received + 2},
    ]
    for offset, change in enumerate(changes, start=8):
        checkpoint(quick, {RUN: replace(stored, totals=replace(stored.totals, **change))}, next=offset + 1)
        version = until(data, lambda v, before=version: v.version != before).version
    assert data.view().book.totals.duplicates == 1
    time.sleep(0.5)
    assert data.view().version == version


def start_another_after(old: RunBook, quick: Settings, data: Data) -> View:
    """Write a run, and then only the start of the next, which is the current one: it began to come later."""
    checkpoint(quick, {RUN: old}, next=8)
    until(data, lambda v: v.run == RUN)
    said = Control(time_us=old.totals.last_us + 1, events=2, run_type="")
    started = Totals(control={"start": said}, first_ms=said.time_us // 1000 + 1)
    checkpoint(quick, {RUN + 1: replace(EMPTY, totals=started)}, next=9)
    return until(data, lambda v: v.run == RUN + 1)


def with_a_late_duplicate(old: RunBook) -> RunBook:
    return replace(old, totals=replace(old.totals, duplicates=1, received=old.totals.received + 1))


def test_a_new_run_takes_over_and_a_late_spill_of_the_old_one_does_not(quick: Settings, data: Data) -> None:
    old = run_book()
    view = start_another_after(old, quick, data)
    assert "waiting for its first spill" in view.daq.text
    assert not view.book.ledger
    old_run = Choices(run=RUN)
    assert data.view(old_run).book.totals.duplicates == 0
    checkpoint(quick, {RUN: with_a_late_duplicate(old)}, next=10)
    until(data, lambda _: data.view(old_run).book.totals.duplicates)
    assert data.view().run == RUN + 1
    assert data.view().version == view.version


def test_29_14_any_run_and_one_to_compare_with_are_read_when_asked_for(quick: Settings, data: Data) -> None:
    old = run_book()
    start_another_after(old, quick, data)
    view = data.view(Choices(run=RUN, reference=RUN))
    assert (view.run, view.current, [each.run for each in view.runs.newest_first()]) == (RUN, RUN + 1, [RUN + 1, RUN])
    assert differences(view.book, old) == []
    assert view.reference is not None
    assert all(view.reference.histogram(name) == old.book[name] for name in PLOTS)
    assert view.reference.spills is not None
    assert view.reference.spills.equal(spill_facts(old.ledger))
    # A late spill of the old run is seen by who looks at it.
    checkpoint(quick, {RUN: with_a_late_duplicate(old)}, next=10)
    until(data, lambda _: data.view(Choices(run=RUN)).book.totals.duplicates)
    missing = data.view(Choices(run=5, reference=6))
    assert (missing.run, missing.is_stored, missing.reference) == (5, False, None)


def test_what_many_look_at_is_read_again_for_all_of_them(data: Data) -> None:
    plots = {Wanted(plot=name) for name in PLOTS}
    with data._looked:
        data._wanted |= dict.fromkeys(plots, time.monotonic())
    assert {*data._still_wanted()} >= plots
    # Of so many runs as nobody looks at, the newest alone: each takes some megabytes.
    with data._looked:
        data._wanted |= {Wanted(run): time.monotonic() for run in range(1000)}
    its = {each.run for each in data._still_wanted()} - {None}
    assert len(its) in (WANTED_RUNS - 1, WANTED_RUNS)  # the current one is among them
    assert its == {*range(1000 - len(its), 1000)}


def test_11_the_last_minute_is_the_newest_window_and_the_one_before(quick: Settings, data: Data) -> None:
    stored = run_book(60)
    newest = stored.totals.last_us // 60_000_000 * 60
    windows = {
        Window(start, 60): (entries, {"ht01": new_histogram("ht01", {}).fill([28.0] * entries)})
        for start, entries in ((newest - 120, 4), (newest - 60, 2), (newest, 1))
    }
    checkpoint(quick, {RUN: stored}, windows=windows, next=8)
    until(data, lambda v: v.run == RUN)
    view = data.view(Choices(window=LAST_MINUTE))
    assert view.window == LAST_MINUTE
    assert view.shown["ht01"].sum() == 3
    assert view.spills.spill.tolist() == [n for n, e in stored.ledger.items() if e.time_us >= (newest - 60) * 1_000_000]
    assert 0 < len(view.spills) < 60
    assert view.book.totals.filled == 60
    # 20: each window can be looked at by itself.
    assert view.windows == tuple(windows)
    first = data.view(Choices(window=newest - 120))
    assert first.shown["ht01"].sum() == 4
    within = range((newest - 120) * 1_000_000, (newest - 60) * 1_000_000)
    assert first.spills.spill.tolist() == [n for n, e in stored.ledger.items() if e.time_us in within]
    assert data.view(Choices(window=newest - 180)).shown["ht01"].sum() == 0
    # Older windows are joined to longer ones, and a link to one of them leads to what it is part of.
    joined = {Window(newest - 120, 120): (6, {"ht01": new_histogram("ht01", {}).fill([28.0] * 6)})}
    joined[Window(newest, 60)] = windows[Window(newest, 60)]
    checkpoint(quick, {RUN: with_a_late_duplicate(stored)}, windows=joined, next=9)
    until(data, lambda v: len(v.windows) == 2)
    assert data.view(Choices(window=newest - 60)).shown["ht01"].sum() == 6
    # Then the last minute is what the window before had, too.
    assert data.view(Choices(window=LAST_MINUTE)).shown["ht01"].sum() == 7


def test_an_emptied_redis_shows_no_run_of_before(quick: Settings, redis: Redis, data: Data) -> None:
    checkpoint(quick, {RUN: run_book()}, next=8)
    until(data, lambda v: v.run)
    redis.delete(*redis.keys(f"{quick.redis.key_prefix}:*"))
    view = until(data, lambda v: v.run is None)
    assert not view.book.ledger


def test_spills_that_kafka_had_no_longer_are_told(quick: Settings, data: Data) -> None:
    now = int(time.time())
    losses = (layout.Loss(now - 90_000, "others were, the day before"), layout.Loss(now, "messages 3 to 4 are gone"))
    checkpoint(quick, {RUN: run_book()}, next=8, lost=losses)
    warning = "Kafka no longer has what was needed: partition 0: messages 3 to 4 are gone"
    until(data, lambda v: warning in v.warnings)


def test_a_redis_that_dies_leaves_the_last_view_and_a_banner(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_of_the_page, "RISKS_S", 0.1)
    server = own_redis(tmp_path)
    with ExitStack() as started:
        started.callback(server.end)
        own = load_settings(kafka=settings.kafka, redis=server.settings(settings.redis.key_prefix))
        data = started.enter_context(Data(own))
        checkpoint(own, {RUN: run_book()}, next=8)
        until(data, lambda v: v.run)
        assert not any("not safe" in w for w in data.view().warnings)
        with server.asking(server.holding[0]) as redis:
            redis.config_set("maxmemory-policy", "allkeys-lru")
        until(data, lambda v: any("Redis) holds is not safe: it throws keys away" in w for w in v.warnings))
        server.kill_all()
        view = until(data, lambda v: any("does not answer, for" in w for w in v.warnings))
        assert view.book.totals.filled == 8
        assert view.pipeline.text.startswith("Redis does not answer")
        server.mend()
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


def test_a_kafka_that_hangs_lets_nobody_in_is_not_said_of_it(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:
        address = f"127.0.0.1:{hung.getsockname()[1]}"
        watcher = broker.BrokerWatcher(
            load_settings(kafka=KafkaSettings(bootstrap_servers=address), redis=settings.redis)
        )
        answered = watcher.look(broker.Broker(spans=((0, 7),), moved_s=5.0))
        assert (answered.why, answered.spans) == ("does not answer", ((0, 7),))
        never = watcher.look(broker.Broker()).why
    assert never.startswith("does not answer (what takes connections there does not answer as a Kafka")
    assert "correct kafka.protocol or kafka.bootstrap_servers" in never


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
    checkpoint(quick, {RUN: run_book()}, next=8)
    until(data, lambda v: v.run)
    checkpoint(quick, {RUN: run_book(9)}, next=9)
    until(data, lambda v: v.book.totals.filled == 9)


def test_what_was_announced_before_anybody_heard_it_is_seen_when_somebody_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rarely = DashboardSettings(refresh_s=2 * WAIT_S)
    own = load_settings(kafka=settings.kafka, redis=settings.redis, dashboard=rarely)
    hears, subscribe = threading.Event(), PubSub.subscribe
    monkeypatch.setattr(PubSub, "subscribe", lambda *what: hears.wait(WAIT_S) and subscribe(*what))
    with Data(own) as data:
        data.view()
        checkpoint(own, {RUN: run_book()}, next=8)
        hears.set()
        deadline = time.monotonic() + WAIT_S
        while not data.has_run(RUN):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_topics_that_are_not_there_are_told_until_they_are(quick: Settings, data: Data) -> None:
    view = until(data, lambda v: v.warnings)
    assert "has no topic" in view.warnings[0]
    assert not view.daq.text.startswith("Kafka does not answer")
    ensure_topics(quick)
    until(data, lambda v: not v.warnings)


def test_spills_that_no_worker_takes_are_behind_from_when_they_came(quick: Settings, data: Data) -> None:
    ensure_topics(quick)
    until(data, lambda _: data._broker.spans == ((0, 0),) * 4)
    with SpillProducer(quick) as producer:
        for number in range(4):
            producer.send(SimulatedRun(run=RUN, mean_triggers=2).spill(number).raw)
    view = until(data, lambda v: v.behind == 4)
    assert view.pipeline.text == "Processing 4 spills"
    first = data._store.waiting.since_s
    assert view.now_s - first < 5
    until(data, lambda v: "Last spill" in v.daq.text)
    # One partition is processed: the others wait as long as before.
    checkpoint(quick, {RUN: run_book()}, next=1)
    until(data, lambda v: v.behind == 3)
    assert data._store.waiting.since_s == first
    # New spills come while all the old ones are processed: only the new ones wait.
    with SpillProducer(quick) as producer:
        producer.send(SimulatedRun(run=RUN, mean_triggers=2).spill(4).raw)
    until(data, lambda v: v.behind == 4)
    for partition in (1, 2, 3):
        checkpoint(quick, {RUN: EMPTY}, next=1, partition=partition)
    until(data, lambda v: v.behind == 1)
    assert data._store.waiting.since_s > first
    # All is processed, and says that it was produced in 1970.
    checkpoint(quick, {RUN: run_book()}, next=2)
    until(data, lambda v: v.daq.text.startswith("Clock behind by 2"))


def test_while_partitions_run_apart_trends_end_before_the_first_spill_that_may_still_come(
    quick: Settings, data: Data
) -> None:
    ensure_topics(quick)
    with SpillProducer(quick) as producer:
        for number in range(12):
            producer.send(SimulatedRun(run=RUN, mean_triggers=2).spill(number).raw)
    until(data, lambda v: v.behind == 12)
    stored = run_book(12)
    early = {n: entry for n, entry in stored.ledger.items() if n not in {6, 9, 10}}
    checkpoint(quick, {RUN: replace(stored, ledger=early)}, next=1)
    view = until(data, lambda v: v.run)
    assert view.behind
    assert np.array_equal(view.in_line(view.spills).spill, [0, 1, 2, 3, 4, 5])
    assert len(view.book.ledger) == 9
    # What is summed up, as particle triggers for the hits that are expected, has all spills that the histograms have.
    assert np.array_equal(view.run_spills.spill, sorted(early))
    assert np.array_equal(view.spills.spill, sorted(early))
    # The partitions are the topic's, also those of which nothing was counted yet.
    third = replace(stored, ledger={n: stored.ledger[n] for n in (2, 6, 10)})
    checkpoint(quick, {RUN + 1: replace(third, totals=replace(stored.totals, first_ms=2_000_000_000_000))}, next=2)
    view = until(data, lambda v: v.run == RUN + 1)
    assert view.behind
    assert len(view.book.ledger) == 3
    assert len(view.in_line(view.spills)) == 0


@pytest.mark.parametrize(("host", "called"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_port_in_use_is_named(settings: Settings, host: str, called: str) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        port = taken.getsockname()[1]
        own = load_settings(redis=settings.redis, dashboard=DashboardSettings(host=host, port=port))
        with pytest.raises(ServerError, match=re.escape(f"cannot listen on {called}:{port} (") + ".*dashboard.port"):
            serve(own)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_not_blamed_on_the_port(settings: Settings, host: str) -> None:
    own = load_settings(redis=settings.redis, dashboard=DashboardSettings(host=host, port=free_port()))
    with pytest.raises(ServerError, match=r"choose another address in dashboard\.host"):
        serve(own)


def test_what_came_while_redis_did_not_answer_waits_from_when_it_came(
    quick: Settings, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(quick)
    until(data, lambda _: data._broker.spans == ((0, 0),) * 4)
    answers, look = threading.Event(), StoreWatcher.look
    monkeypatch.setattr(StoreWatcher, "look", lambda *told: answers.wait(60) and look(*told))
    with SpillProducer(quick) as producer:
        producer.send(SimulatedRun(run=RUN, mean_triggers=2).spill(0).raw)
    until(data, lambda _: sum(end for _, end in data._broker.spans) == 1)
    known_s = time.time()
    answers.set()
    until(data, lambda v: v.behind == 1)
    assert data._store.waiting.since_s <= known_s
