"""Topic management, against a real broker."""

import json
import threading
import time
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from ops.topics import Change, apply, differences, ensure_topics, specs
from streams.errors import ServerError
from streams.settings import Settings
from streams.topics import Topics
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.workers import environment

pytestmark = pytest.mark.servers


def admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})


def until(shown: Callable[[], bool]) -> None:
    """Wait until the broker shows a change; it hears of it a little after it was made."""
    deadline = time.monotonic() + 10
    while not shown():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def names(settings: Settings) -> set[str]:
    return set(admin(settings).list_topics(timeout=10).topics)


def partitions(settings: Settings, topic: str) -> int:
    return len(admin(settings).list_topics(timeout=10).topics[topic].partitions)


def create(settings: Settings, topic: str, count: int) -> None:
    client = admin(settings)  # held: a client that is collected cancels what it was asked
    client.create_topics([NewTopic(topic, count, 1)])[topic].result(10)
    until(lambda: topic in names(settings))


def delete(settings: Settings, topic: str) -> None:
    client = admin(settings)
    client.delete_topics([topic])[topic].result(10)
    until(lambda: topic not in names(settings))


def set_config(settings: Settings, topic: str, key: str, value: str) -> None:
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    client = admin(settings)
    client.incremental_alter_configs([resource])[resource].result(10)
    until(lambda: any(d.topic == topic and d.now == value for d in differences(settings)))


def with_kafka(settings: Settings, **changes: int) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=changes)})


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
    set_config(settings, raw, "retention.ms", "60000")
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
    assert "replication" in assert_one_sentence(done, 3).lower()


def test_a_worker_makes_what_is_lacking_and_leaves_the_rest(settings: Settings) -> None:
    apply(settings)
    topics = Topics.of(settings)
    set_config(settings, topics.raw, "retention.ms", "60000")
    delete(settings, topics.runs)
    ensure_topics(settings)
    assert [(d.topic, d.setting) for d in differences(settings)] == [(topics.raw, "retention.ms")]


def test_a_worker_has_what_people_decided_kept_for_ever_whoever_made_its_topic(settings: Settings) -> None:
    quality = Topics.of(settings).quality
    create(settings, quality, 1)  # with the broker's own retention
    ensure_topics(settings)
    until(lambda: all(d.topic != quality or d.setting == "max.message.bytes" for d in differences(settings)))
    set_config(settings, quality, "cleanup.policy", "compact")
    ensure_topics(settings)
    until(lambda: all(d.setting != "cleanup.policy" for d in differences(settings)))


@pytest.mark.parametrize(("there", "cure"), [(2, "spilldeck topics apply"), (9, "set kafka.partitions to 9")])
def test_a_worker_refuses_a_topic_with_other_partitions(
    settings: Settings, spilldeck: Spilldeck, there: int, cure: str
) -> None:
    create(settings, Topics.of(settings).raw, there)
    line = assert_one_sentence(spilldeck("worker", env=environment(settings)), 3)
    assert f"has partitions {there} and the settings say 4" in line
    assert cure in line
    assert names(settings).isdisjoint(spec.name for spec in specs(settings)[1:]), "it made topics before it looked"


def test_a_topic_that_was_made_otherwise_meanwhile_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broker's first answer is older than the topic.
    first = differences(settings)
    create(settings, Topics.of(settings).raw, 9)
    answers = iter([first])
    monkeypatch.setattr("ops.topics.differences", lambda settings: next(answers, None) or differences(settings))
    with pytest.raises(ServerError, match=r"spills\.raw has partitions 9"):
        ensure_topics(settings)


def test_workers_that_start_together_do_not_hinder_each_other(settings: Settings) -> None:
    together, errors = threading.Barrier(4), []

    def start() -> None:
        together.wait(10)
        try:
            ensure_topics(settings)
        except ServerError as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert differences(settings) == []
