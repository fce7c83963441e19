"""Simulated spills through the site's own servers, beside live: counted by a worker, compared, and removed again.

All of it has names of its own: topics below the prefix of the site's, the consumer group that goes with them, and keys
of a session. The topics are made first and removed last, so that whatever is left of one that was killed is found.
"""

import re
import secrets
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from redis import Redis

from ops.demo import Running, wait_until_counted
from ops.origin import command_origin
from ops.topics import ASK_S, CHANGE_S, ensure_topics, with_partitions_there
from streams.books.compare import differences
from streams.books.reader import BookReader
from streams.books.sessions import Sessions
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.errors import ServerError
from streams.experiment import simulator
from streams.kafka import no_kafka
from streams.kafka.clients import admin
from streams.process import process
from streams.settings import Settings
from streams.topics import workers_group

SPILLS = 30
STALL_S = 40.0
"""Without a spill more in the books for so long, a worker is not able to count here."""
AGAIN_S = 0.5
"""Time between two tries to remove what somebody has not left yet."""
_NAME = "selftest-"
_GONE = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND)


@dataclass(slots=True, kw_only=True)
class Tested:
    """What came of it."""

    session: str
    run: int
    spills: int
    seconds: float
    differences: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """Sessions of earlier ones, which were killed."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        its = {"session": self.session, "run": self.run, "spills": self.spills, "seconds": round(self.seconds, 1)}
        return its | {
            "identical": not self.differences,
            "differences": self.differences,
            "removed": self.removed,
        }


def selftest(settings: Settings, redis: Redis, environment: dict[str, str], say: Callable[[str], object]) -> Tested:
    """Have a worker count simulated spills on these servers, and compare each bin with the pure calculation.

    Parameters
    ----------
    environment
        Of this process, which names the same settings.

    Raises
    ------
    ServerError
        When a server does not answer or refuses, or nothing is counted.
    """
    removed = []
    for session in leftovers(settings, redis):
        say(f"removing what {session} left, which was killed")
        _remove(settings, redis, session)
        removed.append(session)
    session = f"{_NAME}{secrets.token_hex(4)}"
    with Sessions(settings, redis, origin=command_origin()).at_work(session):
        try:
            tested = _count(settings, redis, session, environment)
        finally:
            _remove(settings, redis, session)
    tested.removed = removed
    return tested


def leftovers(settings: Settings, redis: Redis) -> list[str]:
    """Return the sessions of self-tests that were killed, of which something is left.

    Raises
    ------
    ServerError
        When Kafka does not answer; `redis.RedisError` when Redis does not.
    """
    named = re.compile(rf"{re.escape(settings.kafka.topic_prefix)}({_NAME}[0-9a-f]{{8}})\.")
    found = {its[1] for topic in _topics(settings) if (its := named.match(topic))}
    sessions = Sessions(settings, redis, origin=command_origin())
    return sorted(session for session in found if not sessions.is_at_work(session))


def _settings_of(settings: Settings, session: str) -> Settings:
    kafka = settings.kafka.model_copy(update={"topic_prefix": f"{settings.kafka.topic_prefix}{session}."})
    return settings.model_copy(update={"session": session, "kafka": kafka})


def _count(settings: Settings, redis: Redis, session: str, environment: dict[str, str]) -> Tested:
    run = simulator().runs[1]
    records = list(simulator().simulate(run, SPILLS, 1).records())
    expected = process(records, ConditionsStore.from_settings(settings).for_run)[run]
    its = _settings_of(with_partitions_there(settings), session)
    env = environment | {
        "SPILLDECK_SESSION": session,
        "SPILLDECK_KAFKA__TOPIC_PREFIX": its.kafka.topic_prefix,
        "SPILLDECK_KAFKA__PARTITIONS": str(its.kafka.partitions),
    }
    began_s = time.monotonic()
    ensure_topics(its)
    with tempfile.TemporaryDirectory(prefix="spilldeck-selftest-") as logs, Running(its, Path(logs), env) as running:
        running.start("worker", "worker")
        with SpillProducer(its) as producer:
            for record in records:
                producer.send(record)
        wait_until_counted(running, STALL_S)
        books = BookReader.of(redis, its)
        found = differences(expected.run_book(), books.run(run, expected.book.ranges))
        found += [f"run {other} is in the books and should not be" for other in books.places().keys() - {run}]
    seconds = time.monotonic() - began_s
    return Tested(session=session, run=run, spills=SPILLS, seconds=seconds, differences=found)


def _remove(settings: Settings, redis: Redis, session: str) -> None:
    """Remove keys, consumer group and topics of a self-test, and nothing else."""
    its = _settings_of(settings, session)
    Sessions(settings, redis, origin=command_origin()).made.clear(session)
    client, prefix = admin(settings.kafka), its.kafka.topic_prefix
    _wait_for(client.delete_consumer_groups, [workers_group(its, session)], prefix)
    if topics := [topic for topic in _topics(settings) if topic.startswith(prefix)]:
        _wait_for(client.delete_topics, topics, prefix)


def _wait_for(remove: Callable[..., dict[str, Future[None]]], names: list[str], prefix: str) -> None:
    """Have Kafka remove something; a group lasts until it takes a worker that was killed for gone."""
    deadline_s = time.monotonic() + CHANGE_S
    while True:
        try:
            for each in remove(names, request_timeout=CHANGE_S).values():
                each.result(CHANGE_S)
        except KafkaException as error:
            code = error.args[0].code()
            if code in _GONE:
                return
            if code != KafkaError.NON_EMPTY_GROUP or time.monotonic() > deadline_s:
                raise ServerError(
                    f"what a self-test left cannot be removed ({error.args[0].str()}): have whoever keeps Kafka remove "
                    f"what begins with {prefix}"
                ) from error
            time.sleep(AGAIN_S)
        else:
            return


def _topics(settings: Settings) -> list[str]:
    try:
        return sorted(admin(settings.kafka).list_topics(timeout=ASK_S).topics)
    except KafkaException as error:
        raise no_kafka(settings, error) from error
