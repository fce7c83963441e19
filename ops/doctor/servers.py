"""Of Kafka and Redis: whether they answer, keep what they are given, and agree on the time."""

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import astuple
from math import inf
from typing import Any

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from ops.doctor.finding import Check, Finding, Site, trouble, what_of
from ops.doctor.host import full_on, is_soon, rate, size
from ops.selftest import leftovers
from ops.topics import Change, Difference, differences
from streams.books import connect
from streams.books.connect import masters, no_redis, place, risks_of
from streams.books.layout import Place
from streams.books.sentinels import newest
from streams.errors import ServerError
from streams.freshness import CLOCK_AHEAD_S, Level, span
from streams.kafka import messages, no_kafka, partitions, reader, refused
from streams.kafka import span as offsets
from streams.kafka.clients import admin
from streams.settings import LOOPBACK
from streams.topics import Topics
from streams.words import several

ASK_S = 1.8
"""A broker that does not answer within it is taken to be away."""
OFFSETS = "__consumer_offsets"
"""Where a broker writes, with the time of its own clock, what a client has read."""
LAG_S = 5
"""A replica says every second how far it is."""
_SHOWN_S = 0.05
_RETENTION = ("retention.ms", "retention.bytes", "cleanup.policy")
_WEEK_MS = 7 * 86_400_000


def _kafka(site: Site) -> Iterator[Finding]:
    try:
        with closing(reader(site.settings)) as client:
            there = client.list_topics(timeout=ASK_S)
    except KafkaException as error:
        if why := refused(site.settings):
            yield trouble("kafka.refuses", f"Kafka at {site.settings.kafka.bootstrap_servers}: {why}")
        else:
            yield trouble("kafka.away", what_of(no_kafka(site.settings, error)))
        return
    yield KAFKA.good(f"{several(len(there.brokers), 'broker')} at {site.settings.kafka.bootstrap_servers}")


KAFKA = Check(name="Kafka", look=_kafka, needs=("settings",), late="kafka.away", bound_s=4.5)


def _sentinels(site: Site) -> Iterator[Finding]:
    """Say whether the sentinels of the settings know one master, and may have another take its place."""
    redis = site.settings.redis
    if not redis.sentinels:
        return
    with closing(connect.sentinels_of(redis)) as there:
        answers = dict(zip(redis.sentinels, there.answers(redis.named), strict=True))
        states = {where: each for where, each in answers.items() if not isinstance(each, Exception)}
        silent = {where: each for where, each in answers.items() if isinstance(each, connect.AWAY)}
        refused = [each for each in silent.values() if isinstance(each, AuthenticationError)]
        if refused:
            yield trouble("redis.refuses", f"a sentinel refuses who asks ({refused[0]})")
            return
        if silent:
            words = f"{len(silent)} of {several(len(answers), 'sentinel')} do not answer: {', '.join(silent)}"
            yield trouble("sentinels.away", words, Level.WARNING if len(silent) < len(answers) else Level.BAD)
        if len(silent) == len(answers):
            return
        try:
            host, port = newest(redis.named, list(answers.values()))
        except RedisError as error:
            yield trouble("sentinels.master", str(error))
            return
        named = {f"{each['ip']}:{each['port']}" for each in states.values()}
        if len(named) > 1:
            yield trouble("sentinels.differ", f"{redis.named} is {' and '.join(sorted(named))}", Level.WARNING)
        why = next(filter(None, there.without_quorum(redis.named)), "")
        if why:
            yield trouble("sentinels.quorum", why, Level.WARNING)
        if not silent and len(named) == 1 and not why:
            yield SENTINELS.good(f"all {len(answers)} have {redis.named} at {host}:{port}")


SENTINELS = Check(name="sentinels", look=_sentinels, needs=("settings",), late="sentinels.away", bound_s=4.5)


def _redis(site: Site) -> Iterator[Finding]:
    settings, its = site.settings, site.redis
    try:
        its.ping()
        risks = risks_of(its)
    except RedisError as error:
        if why := connect.refusal(settings, error):
            yield trouble("redis.refuses", f"Redis at {place(settings)}: {why}")
        else:
            yield trouble("redis.away", what_of(no_redis(settings, error)))
        return
    # By one that evicts workers do not start.
    for name, risk, level in (
        ("redis.evicts", risks.evicts, Level.BAD),
        ("redis.full", risks.fills, Level.BAD),
        ("redis.forgets", risks.forgets, Level.WARNING),
        ("redis.splits", risks.splits, Level.WARNING),
        ("redis.pauses", risks.pauses, Level.WARNING),
    ):
        if risk:
            yield trouble(name, risk.rpartition(": ")[0], level)
    behind = _behind(its) if settings.redis.sentinels else ""
    if behind:
        yield trouble("redis.replicas", behind, Level.WARNING)
    if not any(risks.all) and not behind:
        yield REDIS.good(f"at {place(settings)}, keeps what it is given")


def _behind(redis: Redis) -> str:
    """Return why no replica could take a master's place with all that it has; empty if one could."""
    info: Mapping[str, Any] = redis.info("replication")
    replicas = [info[f"slave{at}"] for at in range(int(info.get("connected_slaves", 0)))]
    if not replicas:
        return "no replica follows the master"
    lag_s = min(each["lag"] if each["state"] == "online" else inf for each in replicas)
    return f"no replica has followed the master for {LAG_S} s" if lag_s > LAG_S else ""


REDIS = Check(name="Redis", look=_redis, needs=("settings", "sentinels"), late="redis.away", bound_s=4.5)


def _topics(site: Site) -> Iterator[Finding]:
    try:
        found = differences(site.settings)
        raw = Topics.of(site.settings).raw
        with closing(reader(site.settings)) as client:
            there = client.list_topics(timeout=ASK_S).topics
    except (ServerError, KafkaException) as error:
        said = error if isinstance(error, ServerError) else no_kafka(site.settings, error)
        yield trouble("kafka.away", what_of(said))
        return
    site.partitions = len(there[raw].partitions) if raw in there else 0
    yield from _of_plan(found)
    ours = {each for each in astuple(Topics.of(site.settings)) if each in there}
    leaderless = {name for name in ours for its in there[name].partitions.values() if its.leader < 0}
    if leaderless:
        yield trouble("topics.leader", f"partitions without a leader: {', '.join(sorted(leaderless))}")
    behind = {name for name in ours for its in there[name].partitions.values() if len(its.isrs) < len(its.replicas)}
    if behind - leaderless:
        words = f"copies are behind: {', '.join(sorted(behind - leaderless))}"
        yield trouble("topics.replication", words, Level.WARNING)
    if not found and not behind:
        copies = site.settings.kafka.replication
        kept = site.settings.kafka.retention_days
        yield TOPICS.good(
            f"as planned: {several(site.partitions, 'partition')}, {'1 copy' if copies == 1 else f'{copies} copies'}, "
            f"spills kept {f'{kept} days' if kept else 'for ever'}"
        )


def _of_plan(found: Iterable[Difference]) -> Iterator[Finding]:
    kinds: dict[str, list[Difference]] = {}
    for each in found:
        kinds.setdefault(_kind(each), []).append(each)
    for name in ("topics.lacking", "topics.retention", "topics.replication", "topics.differ"):
        if its := kinds.get(name):
            if name == "topics.lacking":
                words = f"Kafka lacks {', '.join(each.topic for each in its)}"
                yield trouble(name, words)
                continue
            first = its[0]
            more = f", and {len(its) - 1} more like it" if len(its) > 1 else ""
            words = f"{first.topic} has {first.setting} {first.now}, the settings say {first.wanted}{more}"
            yield trouble(name, words, Level.WARNING)


def _kind(difference: Difference) -> str:
    if difference.change is Change.CREATE:
        return "topics.lacking"
    if difference.setting in _RETENTION:
        return "topics.retention"
    if difference.setting in ("replication", "min.insync.replicas"):
        return "topics.replication"
    return "topics.differ"


TOPICS = Check(name="topics", look=_topics, needs=("Kafka",))


def _clocks(site: Site) -> Iterator[Finding]:
    said = []
    for name, called, ask in (("clock.kafka", "Kafka", _kafka_off_s), ("clock.redis", "Redis", _redis_off_s)):
        off_s = ask(site)
        if off_s is None:
            said.append(f"{called}'s is unknown")
        elif abs(off_s) > CLOCK_AHEAD_S:
            how = "ahead of" if off_s < 0 else "behind"
            words = f"this machine's clock is {span(abs(off_s))} {how} {called}'s"
            yield trouble(name, words, Level.WARNING)
        else:
            said.append(f"within {CLOCK_AHEAD_S:.0f} s of {called}'s")
    if said:
        yield CLOCKS.good(", ".join(said), Level.GOOD if "unknown" not in "".join(said) else Level.IDLE)


def _redis_off_s(site: Site) -> float | None:
    """Return how far the clock of Redis is ahead of ours; None if it may not be asked."""
    try:
        before_s = time.time()
        seconds, microseconds = site.redis.time()
        return _off_s(float(seconds) + microseconds / 1e6, before_s, time.time())
    except RedisError:
        return None


def _off_s(shown_s: float, before_s: float, after_s: float) -> float:
    """Return how far a clock is ahead at least that showed this at some time between two of ours.

    A server that is busy may look at its own as soon as it is asked, or just before it answers.
    """
    return shown_s - min(max(shown_s, before_s), after_s)


def _kafka_off_s(site: Site) -> float | None:
    """Return how far the clock of Kafka is ahead of ours, by what it writes of a group that nobody is in.

    None where it does not let us, or no worker has ever asked it to keep such a thing.
    """
    group = f"{site.settings.kafka.topic_prefix}doctor-{secrets.token_hex(4)}"
    try:
        with closing(reader(site.settings, group_id=group)) as client:
            if OFFSETS not in client.list_topics(timeout=ASK_S).topics:
                return None
            its = _partition_of(group, partitions(client, OFFSETS, ASK_S))
            _, start = offsets(client, OFFSETS, its, ASK_S)
            before_s = time.time()
            client.commit(offsets=[TopicPartition(Topics.of(site.settings).raw, 0, 0)], asynchronous=False)
            after_s = time.time()
            written_s = _written_s(client, group, its, start)
    except (KafkaException, ServerError):
        return None
    finally:
        with suppress(KafkaException, TimeoutError):
            client_of_groups = admin(site.settings.kafka)  # named: one that is forgotten meanwhile never answers
            client_of_groups.delete_consumer_groups([group], request_timeout=ASK_S)[group].result(ASK_S)
    return None if written_s is None else _off_s(written_s, before_s, after_s)


def _written_s(client: Consumer, group: str, partition: int, start: int) -> float | None:
    """Return when a broker wrote what is known of a group, from an offset on; None if it does not show it."""
    end_s = time.monotonic() + ASK_S
    while time.monotonic() < end_s:
        _, end = offsets(client, OFFSETS, partition, ASK_S)  # a little later than it was written
        for message in messages(client, OFFSETS, partition, start, end, ASK_S):
            if group.encode() in (message.key() or b""):
                return float(message.timestamp()[1]) / 1000
        start = max(start, end)
        time.sleep(_SHOWN_S)
    return None


def _partition_of(group: str, count: int) -> int:
    """Return the partition that has what is known of a group: by the magnitude of Java's hash of its name."""
    found = 0
    for letter in group.encode("utf-16-be")[1::2]:
        found = (31 * found + letter) & 0xFFFFFFFF
    signed = found - (1 << 32) if found >> 31 else found
    return (abs(signed) & 0x7FFFFFFF) % count


CLOCKS = Check(name="clocks", look=_clocks, needs=("Kafka", "Redis", "topics"))


def _left(site: Site) -> Iterator[Finding]:
    try:
        found = leftovers(site.settings, site.redis)
    except (ServerError, RedisError) as error:
        yield trouble("doctor.late", f"whether a self-test left something cannot be told ({error})", Level.UNKNOWN)
        return
    if found:
        words = f"{', '.join(found)} left topics in Kafka, and perhaps keys in Redis"
        yield trouble("selftest.left", words, Level.WARNING)


LEFT = Check(name="self-tests", look=_left, needs=("Kafka", "Redis"))


def _memory(site: Site) -> Iterator[Finding]:
    """Say how full Redis is, and when it will be."""
    try:
        of_each = [(each, each.info("memory")) for each in masters(site.redis)]
    except RedisError:
        yield MEMORY.good("Redis does not say how much it holds", Level.IDLE)
        return
    limits = [_limit(each, info) for each, info in of_each]
    used, limit = sum(int(info["used_memory"]) for _, info in of_each), sum(limits) if all(limits) else 0
    its = _rate(site.places.values(), used)
    words = f"Redis holds {size(used)}" + (f" of {size(limit)}" if limit else ", nobody knows of how much")
    if limit and its is not None:
        day = full_on(limit - used, its)
        words += f"; full {day}" if day else "; not full in ten years"
    else:
        words += "; when full is unknown"
    if limit and is_soon(limit - used, [its]):
        yield trouble("space.redis", words, Level.WARNING)
    else:
        yield MEMORY.good(words)


def _limit(redis: Redis, info: Mapping[str, Any]) -> int:
    """Return how much it may hold: as its settings say, else what this machine has if it is on it; 0 if unknown."""
    if limit := int(info.get("maxmemory", 0)):
        return limit
    host = redis.connection_pool.connection_kwargs.get("host", "")
    return int(psutil.virtual_memory().available + info["used_memory"]) if host in LOOPBACK else 0


def _rate(places: Iterable[Place], used: float) -> float | None:
    """Return how many bytes a second it grew by in the last week: as many as its share of the spills."""
    now_ms = time.time() * 1000
    began = [(each.first_ms, each.filled) for each in places if each.first_ms and each.filled]
    if not began:
        return None
    lately = sum(spills for first_ms, spills in began if now_ms - first_ms < _WEEK_MS)
    share = lately / sum(spills for _, spills in began)
    return rate(used * share, (now_ms - min(first_ms for first_ms, _ in began)) / 1000)


MEMORY = Check(name="memory", look=_memory, needs=("Redis", "runs"))
