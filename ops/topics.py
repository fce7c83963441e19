"""Topic management: what the topics must be, what they are, and how to get from one to the other."""

import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from schemas.wire import MAX_MESSAGE_BYTES
from streams.errors import ServerError
from streams.kafka import no_kafka
from streams.settings import Settings
from streams.topics import Topics

ASK_S = 5.0
"""A broker that does not answer within it is taken to be down."""
CHANGE_S = 20.0
"""A broker makes or changes a topic within it."""
SHOWN_S = 10.0
"""A broker shows a change within it: it hears of it a little after the controller has made it."""
_DAY_MS = 86_400_000
_KEPT_BY = ("cleanup.policy", "retention.ms", "retention.bytes")
"""Settings by which a topic forgets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """What a topic must be."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


class Change(StrEnum):
    """What must be done to a topic."""

    CREATE = "create"
    SET = "set"
    ADD_PARTITIONS = "add partitions"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in which a topic is not what it must be."""

    topic: str
    change: Change
    setting: str
    now: str
    wanted: str


def specs(settings: Settings) -> tuple[TopicSpec, ...]:
    """Return what each topic must be: one place for partitions, retention and clean-up."""
    topics, kafka = Topics.of(settings), settings.kafka

    def spec(name: str, partitions: int, **config: str) -> TopicSpec:
        config["max_message_bytes"] = str(MAX_MESSAGE_BYTES)
        config["message_timestamp_type"] = "CreateTime"  # what a spill becomes has the spill's time
        if kafka.replication > 2:
            config["min_insync_replicas"] = "2"  # what is acknowledged outlives the loss of a broker
        return TopicSpec(
            name=name,
            partitions=partitions,
            replication=kafka.replication,
            config={key.replace("_", "."): value for key, value in config.items()},
        )

    def days(number: int) -> str:
        return str(number * _DAY_MS)

    return (
        spec(topics.raw, kafka.partitions, cleanup_policy="delete", retention_ms=days(14)),
        spec(topics.reco, kafka.partitions, cleanup_policy="delete", retention_ms=days(14)),
        spec(topics.rejected, kafka.partitions, cleanup_policy="delete", retention_ms=days(90)),
        spec(topics.runs, 1, cleanup_policy="compact"),
        spec(topics.quality, 1, cleanup_policy="delete", retention_ms="-1", retention_bytes="-1"),
    )


def differences(settings: Settings) -> list[Difference]:
    """Return in what the topics are not what they must be.

    Raises
    ------
    ServerError
        When no broker answers.
    """
    admin = _admin(settings)
    try:
        there = admin.list_topics(timeout=ASK_S).topics
        wanted = specs(settings)
        existing = [spec for spec in wanted if spec.name in there]
        configs = _configs(admin, [spec.name for spec in existing])
    except KafkaException as error:
        raise no_kafka(settings, error) from error
    found = [
        Difference(topic=spec.name, change=Change.CREATE, setting="partitions", now="", wanted=str(spec.partitions))
        for spec in wanted
        if spec.name not in there
    ]
    for spec in existing:
        partitions = there[spec.name].partitions
        replication = min((len(p.replicas) for p in partitions.values()), default=0)
        if len(partitions) != spec.partitions:
            # More partitions are made in place; fewer would throw spills away.
            change = Change.ADD_PARTITIONS if len(partitions) < spec.partitions else Change.IMPOSSIBLE
            now, then = str(len(partitions)), str(spec.partitions)
            found.append(Difference(topic=spec.name, change=change, setting="partitions", now=now, wanted=then))
        if replication != spec.replication:
            now, then = str(replication), str(spec.replication)
            found.append(
                Difference(topic=spec.name, change=Change.IMPOSSIBLE, setting="replication", now=now, wanted=then)
            )
        found += [
            Difference(topic=spec.name, change=Change.SET, setting=key, now=configs[spec.name][key], wanted=value)
            for key, value in spec.config.items()
            if configs[spec.name][key] != value
        ]
    return found


def apply(settings: Settings) -> list[Difference]:
    """Make the topics what they must be; return what was done.

    Raises
    ------
    ServerError
        When no broker answers, or a difference cannot be mended in place.
    """
    found = differences(settings)
    for difference in found:
        if difference.change is Change.IMPOSSIBLE:
            raise _other_settings(difference)
    admin = _admin(settings)
    _create(settings, admin, found)
    larger = [NewPartitions(d.topic, int(d.wanted)) for d in found if d.change is Change.ADD_PARTITIONS]
    if larger:
        _wait(settings, admin.create_partitions(larger, request_timeout=CHANGE_S))
    _set(settings, admin, found)
    for difference in _left(settings, found):
        if difference.change is Change.IMPOSSIBLE:  # somebody made the topic meanwhile, otherwise
            raise _other_settings(difference)
    return found


def ensure_topics(settings: Settings) -> None:
    """Create the topics that are not there; refuse to go on with one that would not work.

    What people decided is kept for ever from then on, whoever made its topic: that deletes nothing.

    Raises
    ------
    ServerError
        When no broker answers, or a topic has another number of partitions than the settings.
    """
    found = differences(settings)
    _refuse_other_partitions(found)
    new = [difference for difference in found if difference.change is Change.CREATE]
    if new:
        _create(settings, _admin(settings), new)
        _refuse_other_partitions(_left(settings, new))
    forgetting = [d for d in found if d.topic == Topics.of(settings).quality and d.setting in _KEPT_BY]
    _set(settings, _admin(settings), forgetting)


def _refuse_other_partitions(found: Iterable[Difference]) -> None:
    for difference in found:
        if difference.setting == "partitions" and difference.change is not Change.CREATE:
            raise _other_settings(difference)


def _create(settings: Settings, admin: AdminClient, found: Iterable[Difference]) -> None:
    lacking = {difference.topic for difference in found if difference.change is Change.CREATE}
    new = [
        NewTopic(spec.name, spec.partitions, spec.replication, config=dict(spec.config))
        for spec in specs(settings)
        if spec.name in lacking
    ]
    if new:
        # Workers that start together all find the topics lacking: one of them makes them, for all. Whether they are
        # as they must be, `_left` tells.
        _wait(settings, admin.create_topics(new, request_timeout=CHANGE_S), but=KafkaError.TOPIC_ALREADY_EXISTS)


def _set(settings: Settings, admin: AdminClient, found: Iterable[Difference]) -> None:
    to_set: dict[str, list[ConfigEntry]] = {}
    for d in found:
        if d.change is Change.SET:
            entry = ConfigEntry(d.setting, d.wanted, incremental_operation=AlterConfigOpType.SET)
            to_set.setdefault(d.topic, []).append(entry)
    if to_set:
        resources = [
            ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries) for topic, entries in to_set.items()
        ]
        _wait(settings, admin.incremental_alter_configs(resources, request_timeout=CHANGE_S))


def _left(settings: Settings, mended: Collection[Difference]) -> list[Difference]:
    """Return the differences that are left once the broker shows what was mended.

    Raises
    ------
    ServerError
        When it does not show it.
    """
    deadline = time.monotonic() + SHOWN_S
    while unseen := set(mended) & set(left := differences(settings)):
        if time.monotonic() > deadline:
            names = ", ".join(sorted({difference.topic for difference in unseen}))
            raise ServerError(
                f"Kafka at {settings.kafka.bootstrap_servers} took changes of {names} and does not show them after "
                f"{SHOWN_S:.0f} s: look at its log, then run spilldeck topics diff"
            )
        time.sleep(0.05)
    return left


def _other_settings(difference: Difference) -> ServerError:
    cure = (
        "run spilldeck topics apply"
        if difference.change is Change.ADD_PARTITIONS
        else f"set kafka.{difference.setting} to {difference.now}, or use another kafka.topic_prefix"
    )
    return ServerError(
        f"the topic {difference.topic} has {difference.setting} {difference.now} and the settings say "
        f"{difference.wanted}: {cure}"
    )


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers, "log_level": 0})


def _configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return every setting of topics, by topic and setting."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    futures = admin.describe_configs(resources, request_timeout=ASK_S) if resources else {}
    return {
        resource.name: {key: entry.value for key, entry in future.result().items()}
        for resource, future in futures.items()
    }


def _wait(settings: Settings, futures: Mapping[object, Future[None]], but: int | None = None) -> None:
    """Wait until changes are made; the client's own time-out ends each wait. An error of code `but` is none."""
    for what, future in futures.items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() == but:
                continue
            place = settings.kafka.bootstrap_servers
            raise ServerError(f"Kafka at {place} refuses a change of {what}: {error.args[0].str()}") from error
