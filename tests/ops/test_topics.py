"""Topic management, against a real broker."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from ops.running import running_workers
from ops.topics import Change, apply, differences, ensure_topics, specs, with_partitions_there
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.errors import ServerError
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import Settings
from streams.topics import Topics
from tests.conftest import WAIT_S, wait_until_counted
from tests.kafka import admin, config, create, delete, names, set_topic, until
from tests.lanes import first
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.servers import environment
from tests.workers import Workers

pytestmark = pytest.mark.servers


def partitions(settings: Settings, topic: str) -> int:
    return len(admin(settings).list_topics(timeout=WAIT_S).topics[topic].partitions)


def with_kafka(settings: Settings, **changes: int) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=changes)})


@pytest.fixture
def workers_on(tmp_path: Path) -> Iterator[Callable[[Settings], Workers]]:
    """Return what makes workers with settings; those that run in the end are stopped."""
    made: list[Workers] = []

    def make(settings: Settings) -> Workers:
        made.append(Workers(settings, tmp_path))
        return made[-1]

    yield make
    for workers in made:
        workers.stop()


@pytest.fixture
def reader_of(settings: Settings) -> Iterator[Callable[[int], BookReader]]:
    """Return what reads the books of so many partitions."""
    with connect(settings) as redis:
        yield lambda partitions: BookReader(redis, settings.redis.key_prefix, settings.session, partitions)


def test_every_topic_has_the_prefix_and_is_what_it_must_be_once_applied(settings: Settings) -> None:
    apply(settings)
    for spec in specs(settings):
        assert spec.name.startswith(settings.kafka.topic_prefix)
        assert partitions(settings, spec.name) == spec.partitions
    assert differences(settings) == []


def test_diff_plan_and_apply_as_commands(settings: Settings, spilldeck: Spilldeck) -> None:
    env = environment(settings)
    for command in (["topics", "plan", "--json"], ["topics", "plan", "--json"]):  # a plan changes nothing
        done = spilldeck(*command, env=env)
        assert done.returncode == 0
        assert {d["topic"] for d in json.loads(done.stdout)} == {s.name for s in specs(settings)}
    assert spilldeck("topics", "diff", env=env).returncode == 1
    assert spilldeck("topics", "apply", env=env).returncode == 0
    done = spilldeck("topics", "diff", "--json", env=env)
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, [], "")


def test_a_table_of_topics_fits_on_a_terminal(settings: Settings, spilldeck: Spilldeck) -> None:
    done = spilldeck("topics", "plan", env=environment(settings) | {"COLUMNS": "80"})
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_setting_that_somebody_changed_is_found_and_mended(settings: Settings) -> None:
    apply(settings)
    raw = Topics.of(settings).raw
    set_topic(settings, raw, "retention.ms", "60000")
    (found,) = differences(settings)
    assert (found.topic, found.change, found.setting, found.now) == (raw, Change.SET, "retention.ms", "60000")
    assert apply(settings) == [found]
    assert differences(settings) == []


def test_partitions_are_added_but_never_taken_away(settings: Settings) -> None:
    apply(with_kafka(settings, partitions=2))
    apply(settings)
    assert partitions(settings, Topics.of(settings).raw) == settings.kafka.partitions
    with pytest.raises(
        ServerError, match=r"spills\.raw has partitions 4 and the settings say 3: set kafka\.partitions"
    ):
        apply(with_kafka(settings, partitions=3))
    assert partitions(settings, Topics.of(settings).raw) == settings.kafka.partitions


def test_one_impossible_difference_leaves_all_topics_untouched(settings: Settings) -> None:
    create(settings, Topics.of(settings).reco, settings.kafka.partitions + 1)
    with pytest.raises(ServerError, match=r"spills\.reco"):
        apply(settings)
    assert Topics.of(settings).raw not in names(settings)


def test_more_copies_than_brokers_are_refused_in_one_sentence(settings: Settings, spilldeck: Spilldeck) -> None:
    done = spilldeck("topics", "apply", env=environment(with_kafka(settings, replication=3)))
    line = assert_one_sentence(done, 3)
    assert "refuses to make or change " in line
    assert "replication" in line.lower()


def test_a_worker_makes_what_is_lacking_and_leaves_the_rest(settings: Settings) -> None:
    apply(settings)
    topics = Topics.of(settings)
    set_topic(settings, topics.raw, "retention.ms", "60000")
    delete(settings, topics.runs)
    ensure_topics(settings)
    assert [(d.topic, d.setting) for d in differences(settings)] == [(topics.raw, "retention.ms")]


def test_a_worker_has_what_people_decided_kept_for_ever_whoever_made_its_topic(settings: Settings) -> None:
    quality = Topics.of(settings).quality
    create(settings, quality, 1)  # with the broker's own retention
    ensure_topics(settings)
    until(lambda: all(d.topic != quality or d.setting == "max.message.bytes" for d in differences(settings)))
    set_topic(settings, quality, "cleanup.policy", "compact")
    ensure_topics(settings)
    until(lambda: all(d.setting != "cleanup.policy" for d in differences(settings)))


@pytest.mark.parametrize("there", first([9, 2], 1))
def test_a_worker_takes_the_partitions_that_spills_raw_has(
    settings: Settings, workers_on: Callable[[Settings], Workers], reader_of: Callable[[int], BookReader], there: int
) -> None:
    create(settings, Topics.of(settings).raw, there)
    workers_on(settings).start()
    with SpillProducer(settings) as producer:
        for number in range(2 * there):
            producer.send(SimulatedRun(mean_triggers=2, detectors=("tof",)).spill(number).raw)
    wait_until_counted(settings, reader_of(there))
    assert partitions(settings, Topics.of(settings).reco) == there


@pytest.mark.parametrize("there", [2, 9])
def test_a_worker_refuses_topics_of_spills_with_other_partitions_than_spills_raw(
    settings: Settings, spilldeck: Spilldeck, there: int
) -> None:
    topics = Topics.of(settings)
    create(settings, topics.raw, 4)
    create(settings, topics.rejected, there)
    line = assert_one_sentence(spilldeck("worker", env=environment(settings)), 3)
    assert f"{topics.rejected} has partitions {there} and {topics.raw} has 4: set kafka.partitions to" in line
    assert topics.reco not in names(settings), "it made topics before it looked"
    # What it says helps.
    apply(with_kafka(settings, partitions=max(there, 4)))
    ensure_topics(settings)


def test_a_topic_that_takes_no_message_as_large_as_a_spill_is_refused_at_the_start(
    settings: Settings, spilldeck: Spilldeck
) -> None:
    apply(settings)
    topics = Topics.of(settings)
    for topic in (topics.raw, topics.reco, topics.rejected):
        set_topic(settings, topic, "max.message.bytes", "1048588")
        says = f"{topic} has max.message.bytes 1048588, and a spill may take {64 << 20}: run spilldeck topics apply"
        with pytest.raises(ServerError, match=re.escape(says)):
            ensure_topics(settings)
        if topic == topics.reco:
            assert says in assert_one_sentence(spilldeck("worker", env=environment(settings)), 3)
        assert [(d.topic, d.setting) for d in differences(settings)] == [(topic, "max.message.bytes")]
        apply(settings)
    set_topic(settings, topics.raw, "max.message.bytes", str(128 << 20))
    ensure_topics(settings)


def test_times_of_the_broker_in_place_of_the_spills_are_a_difference(settings: Settings) -> None:
    apply(settings)
    set_topic(settings, Topics.of(settings).raw, "message.timestamp.type", "LogAppendTime")
    (found,) = differences(settings)
    assert (found.setting, found.now, found.wanted) == ("message.timestamp.type", "LogAppendTime", "CreateTime")


@pytest.mark.parametrize(
    ("which", "setting", "now", "says"),
    [
        ("raw", "retention.ms", str(20 * 86_400_000), "set kafka.retention_days to 20, or give --delete-data"),
        ("raw", "retention.ms", "-1", "set kafka.retention_days to 0, or give --delete-data"),
        ("rejected", "retention.ms", str(91 * 86_400_000 - 5), "set kafka.retention_days to 91, or"),
        ("reco", "cleanup.policy", "compact", "give --delete-data"),
        ("runs", "cleanup.policy", "delete", "give --delete-data"),
    ],
)
def test_what_kafka_keeps_is_not_deleted_unless_that_is_asked_for(
    settings: Settings, spilldeck_here: Spilldeck, which: str, setting: str, now: str, says: str
) -> None:
    apply(settings)
    topic = getattr(Topics.of(settings), which)
    set_topic(settings, topic, setting, now)
    (planned,) = json.loads(spilldeck_here("topics", "plan", "--json", env=environment(settings)).stdout)
    assert (planned["topic"], planned["change"], planned["now"]) == (topic, "set, deletes data", now)
    line = assert_one_sentence(spilldeck_here("topics", "apply", env=environment(settings)), 3)
    assert f"the topic {topic} has {setting} {now}" in line
    assert says in line
    assert [d.now for d in differences(settings)] == [now]
    assert spilldeck_here("topics", "apply", "--delete-data", env=environment(settings)).returncode == 0
    assert differences(settings) == []


def test_a_longer_retention_that_the_settings_say_is_kept(settings: Settings) -> None:
    apply(settings)
    topics = Topics.of(settings)
    for days, raw, rejected in ((30, 30, 90), (365, 365, 365), (0, None, None)):
        apply(with_kafka(settings, retention_days=days))
        for topic, kept in ((topics.raw, raw), (topics.rejected, rejected)):
            assert config(settings, topic)["retention.ms"] == str(-1 if kept is None else kept * 86_400_000)


def test_partitions_are_not_added_while_workers_run_unless_somebody_insists(
    settings: Settings, spilldeck_here: Spilldeck, workers_on: Callable[[Settings], Workers]
) -> None:
    apply(settings)
    more = environment(with_kafka(settings, partitions=6))
    workers = workers_on(settings)
    workers.start()
    client = admin(settings)
    until(lambda: bool(running_workers(settings, client)))  # processes that start
    line = assert_one_sentence(spilldeck_here("topics", "apply", env=more), 3)
    assert f"1 of the group {settings.kafka.topic_prefix}spilldeck-live on 127.0.0.1: stop them" in line
    assert partitions(settings, Topics.of(settings).raw) == 4
    # Another change is made all the same.
    set_topic(settings, Topics.of(settings).raw, "retention.ms", "60000")
    assert spilldeck_here("topics", "apply", env=environment(settings)).returncode == 0
    workers.stop()
    until(lambda: not running_workers(settings, client))
    assert spilldeck_here("topics", "apply", env=more).returncode == 0
    assert partitions(settings, Topics.of(settings).raw) == 6
    workers = workers_on(with_kafka(settings, partitions=6))
    workers.start()
    until(lambda: bool(running_workers(settings, client)))  # processes that start
    env = environment(with_kafka(settings, partitions=7))
    assert spilldeck_here("topics", "apply", "--force", env=env).returncode == 0
    assert partitions(settings, Topics.of(settings).raw) == 7


@pytest.mark.parametrize(("copies", "in_step"), [(1, "1"), (2, "2"), (3, "2"), (5, "2")])
def test_what_is_acknowledged_is_on_two_disks_where_there_are_two(
    settings: Settings, copies: int, in_step: str
) -> None:
    wanted = specs(with_kafka(settings, replication=copies))
    assert {spec.config["min.insync.replicas"] for spec in wanted} == {in_step}


def test_a_topic_that_was_made_otherwise_meanwhile_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broker's first answers are older than the topic.
    first = differences(settings)
    create(settings, Topics.of(settings).raw, 9)
    answers, older = iter([first]), iter([settings])
    monkeypatch.setattr("ops.topics.differences", lambda settings: next(answers, None) or differences(settings))
    monkeypatch.setattr(
        "ops.topics.with_partitions_there", lambda settings: next(older, None) or with_partitions_there(settings)
    )
    with pytest.raises(ServerError, match=r"spills\.reco has partitions 4 and .*spills\.raw has 9"):
        ensure_topics(settings)


def test_workers_that_start_together_do_not_hinder_each_other(settings: Settings) -> None:
    together, errors = threading.Barrier(4), []

    def start() -> None:
        together.wait(WAIT_S)
        try:
            ensure_topics(settings)
        except ServerError as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert errors == []
    assert differences(settings) == []


def test_a_topic_of_which_another_broker_has_not_heard_yet_is_not_there_yet(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One broker lists all topics, and the one that is asked for their settings is behind it.
    topics = Topics.of(settings)
    apply(settings)
    listed = admin(settings).list_topics(timeout=WAIT_S)
    delete(settings, topics.runs)
    monkeypatch.setattr(AdminClient, "list_topics", lambda *_, **__: listed)
    assert [(d.topic, d.change) for d in differences(settings)] == [(topics.runs, Change.CREATE)]
