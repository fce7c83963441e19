"""Topic management: what the topics must be, what they are, and how to get from one to the other."""

import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

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

from ops.running import running_workers
from schemas.wire import MAX_MESSAGE_BYTES
from streams.errors import ServerError
from streams.kafka import NO_TOPIC, no_kafka, partitions, reader
from streams.kafka.clients import admin as admin_client
from streams.settings import Settings
from streams.topics import Topics

ASK_S = 5.0
"""A broker that does not answer within it is taken to be down."""
CHANGE_S = 20.0
"""A broker makes or changes a topic within it."""
SHOWN_S = 10.0
"""A broker shows a change within it: it hears of it a little after the controller has made it."""
REJECTED_DAYS = 90
"""What is rejected is kept for so long at least: whoever mends the reason may come to it late."""
_DAY_MS = 86_400_000
_FOR_EVER = "-1"
_RETENTION = ("retention.ms", "retention.bytes")
_POLICY = "cleanup.policy"
_LARGEST = "max.message.bytes"


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
    DELETE_DATA = "set, deletes data"
    """Kafka would delete what it keeps now."""
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
        # Else the times are the broker's, and nobody is told of a DAQ whose clock is off.
        config["message_timestamp_type"] = "CreateTime"
        # What is acknowledged is on two disks, if there are two, so that it outlives either. With two copies nothing is
        # taken while one of their brokers is away: the producer waits, and the DAQ's files have it. Were one copy
        # enough, what was acknowledged meanwhile would be gone with the one disk that has it.
        config["min_insync_replicas"] = str(min(kafka.replication, 2))
        return TopicSpec(
            name=name,
            partitions=partitions,
            replication=kafka.replication,
            config={key.replace("_", "."): value for key, value in config.items()},
        )

    def days(number: int) -> str:
        return str(number * _DAY_MS) if kafka.retention_days else _FOR_EVER

    spills, rejected = days(kafka.retention_days), days(max(kafka.retention_days, REJECTED_DAYS))
    return (
        spec(topics.raw, kafka.partitions, cleanup_policy="delete", retention_ms=spills),
        spec(topics.reco, kafka.partitions, cleanup_policy="delete", retention_ms=spills),
        spec(topics.rejected, kafka.partitions, cleanup_policy="delete", retention_ms=rejected),
        spec(topics.runs, 1, cleanup_policy="compact"),
        spec(topics.quality, 1, cleanup_policy="delete", retention_ms=_FOR_EVER, retention_bytes=_FOR_EVER),
        spec(topics.schemas, 1, cleanup_policy="compact"),
    )


def differences(settings: Settings) -> list[Difference]:
    """Return in what the topics are not what they must be.

    Raises
    ------
    ServerError
        When no broker answers.
    """
    admin = admin_client(settings.kafka)
    try:
        there = admin.list_topics(timeout=ASK_S).topics
        wanted = specs(settings)
        configs = _configs(admin, [spec.name for spec in wanted if spec.name in there])
    except KafkaException as error:
        raise no_kafka(settings, error) from error
    found = [
        Difference(topic=spec.name, change=Change.CREATE, setting="partitions", now="", wanted=str(spec.partitions))
        for spec in wanted
        if spec.name not in configs
    ]
    for spec in (spec for spec in wanted if spec.name in configs):
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
            Difference(topic=spec.name, change=_change(key, now, wanted), setting=key, now=now, wanted=wanted)
            for key, wanted in spec.config.items()
            if (now := configs[spec.name][key]) != wanted
        ]
    return found


def _change(setting: str, now: str, wanted: str) -> Change:
    """Return what it is to set a setting of a topic."""
    if setting in _RETENTION:
        deletes = wanted != _FOR_EVER and (now == _FOR_EVER or int(now) > int(wanted))
    else:
        deletes = setting == _POLICY and not set(wanted.split(",")) <= set(now.split(","))
    return Change.DELETE_DATA if deletes else Change.SET


def apply(settings: Settings, *, delete_data: bool = False, force: bool = False) -> list[Difference]:
    """Make the topics what they must be; return what was done.

    Parameters
    ----------
    settings
        What they must be.
    delete_data
        Whether Kafka may delete what it keeps now.
    force
        Whether partitions are added while workers run, which must be started again then.

    Raises
    ------
    ServerError
        When no broker answers, a difference cannot be mended in place, or may not be.
    """
    found = differences(settings)
    admin = admin_client(settings.kafka)
    changes = {difference.change: difference for difference in reversed(found)}
    if Change.IMPOSSIBLE in changes:
        raise _other_settings(changes[Change.IMPOSSIBLE])
    if Change.DELETE_DATA in changes and not delete_data:
        raise _deletes(changes[Change.DELETE_DATA])
    if Change.ADD_PARTITIONS in changes and not force:
        _refuse_while_workers_run(settings, admin)
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
    """Create the topics that are not there; refuse to go on with those that would not work.

    What people decided, and the schemas, are kept for ever from then on, whoever made the topics: that deletes nothing.

    Raises
    ------
    ServerError
        When no broker answers, the topics of spills differ in their partitions, or one takes no message as large as
        a spill may be.
    """
    as_there = with_partitions_there(settings)
    found = differences(as_there)
    _refuse_what_would_not_work(settings, found)
    new = [difference for difference in found if difference.change is Change.CREATE]
    if new:
        _create(as_there, admin_client(settings.kafka), new)
        _left(as_there, new)
        # Somebody may have made one of them meanwhile, otherwise.
        _refuse_what_would_not_work(settings, differences(with_partitions_there(settings)))
    kept = {Topics.of(settings).quality, Topics.of(settings).schemas}
    forgetting = [d for d in found if d.topic in kept and d.setting in (_POLICY, *_RETENTION)]
    _set(settings, admin_client(settings.kafka), forgetting)


def with_partitions_there(settings: Settings) -> Settings:
    """Return the settings with the number of partitions that spills.raw has; as they are if it is not there.

    Raises
    ------
    ServerError
        When no broker answers.
    """
    raw = Topics.of(settings).raw
    try:
        with closing(reader(settings)) as consumer:
            there = partitions(consumer, raw, ASK_S)
    except KafkaException as error:
        if error.args[0].code() in NO_TOPIC:
            return settings
        raise no_kafka(settings, error) from error
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"partitions": there})})


def _refuse_what_would_not_work(settings: Settings, found: Iterable[Difference]) -> None:
    topics = Topics.of(settings)
    for d in found:
        if d.change is Change.CREATE or d.topic not in (topics.raw, topics.reco, topics.rejected):
            continue
        if d.setting == "partitions":
            raise ServerError(
                f"the topic {d.topic} has partitions {d.now} and {topics.raw} has {d.wanted}: set kafka.partitions to "
                f"{max(int(d.now), int(d.wanted))} and run spilldeck topics apply"
            )
        if d.setting == _LARGEST and int(d.now) < int(d.wanted):
            raise ServerError(
                f"the topic {d.topic} has {d.setting} {d.now}, and a spill may take {d.wanted}: run spilldeck topics "
                f"apply"
            )


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
        if d.change in (Change.SET, Change.DELETE_DATA):
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


def _deletes(difference: Difference) -> ServerError:
    cure = "give --delete-data"
    if difference.setting == "retention.ms":
        days = 0 if difference.now == _FOR_EVER else ceil(int(difference.now) / _DAY_MS)
        cure = f"set kafka.retention_days to {days}, or {cure} to have it so"
    return ServerError(
        f"the topic {difference.topic} has {difference.setting} {difference.now}; with {difference.wanted} Kafka would "
        f"delete messages that it keeps now: {cure}"
    )


def _refuse_while_workers_run(settings: Settings, admin: AdminClient) -> None:
    """Refuse to add partitions under a worker, which would not know what to do with them."""
    for group, hosts in running_workers(settings, admin).items():
        raise ServerError(
            f"partitions cannot be added while workers run, {len(hosts)} of the group {group} on "
            f"{', '.join(sorted(set(hosts)))}: stop them, and start them again afterwards (--force adds partitions all "
            f"the same)"
        )


def _configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return every setting of topics, by topic and setting; without those that the broker has not heard of yet."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    futures = admin.describe_configs(resources, request_timeout=ASK_S) if resources else {}
    found = {}
    for resource, future in futures.items():
        try:
            found[resource.name] = {key: entry.value for key, entry in future.result().items()}
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return found


def _wait(settings: Settings, futures: Mapping[object, Future[None]], but: int | None = None) -> None:
    """Wait until changes are made; the client's own time-out ends each wait. An error of code `but` is none."""
    for what, future in futures.items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() == but:
                continue
            place, topic = settings.kafka.bootstrap_servers, getattr(what, "name", what)
            raise ServerError(
                f"Kafka at {place} refuses to make or change {topic}: {error.args[0].str()}; whoever may has to: "
                f"spilldeck topics plan shows what, topics apply does it"
            ) from error
