"""Where the spills of a session come from: what is asked of Kafka, and the conditions that its runs have."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as KafkaMessage

from schemas.records import RejectedSpill
from schemas.wire import encode
from streams import kafka
from streams.books.decisions import Decisions
from streams.books.kafka_log import KafkaLog, Known
from streams.books.known_runs import KnownRuns
from streams.books.plan import PREFIX, VERIFYING, Plan
from streams.conditions.store import ConditionsStore
from streams.errors import ServerError
from streams.kafka.probe import Probe
from streams.settings import LIVE, Settings
from streams.topics import Topics
from streams.transform import ConditionsOf, Message

_NO_PARTITION = kafka.NO_TOPIC | {KafkaError._NOENT}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Of one session."""

    kafka: KafkaLog
    read: Callable[[int, int, int], Awaitable[list[Message]]]
    """Return the messages of a partition with offsets in [start, stop)."""
    conditions_of: ConditionsOf
    plan: Plan | None = None
    """Of a replay."""


def source_of(settings: Settings, session: str, now: Decisions, former: Decisions) -> Source | None:
    """Return where the spills of a session come from; None of a replay that was dropped since, or made anew.

    Parameters
    ----------
    now, former
        The replays that there are, and those that there were when the earlier version was left.

    Raises
    ------
    UsageError
        When the index of a replay's tables cannot be read.
    """
    if session.startswith((PREFIX, VERIFYING)):
        plan, then = now.plans.get(session), former.plans.get(session)
        if plan is None or (then is not None and then.began_s != plan.began_s):
            return None
        return Source(kafka=_planned(plan), read=_nothing, conditions_of=plan.store(settings).for_run, plan=plan)
    topics = Topics.of(settings)
    conditions = ConditionsStore.from_settings(settings)
    log = _log(settings, topics, KnownRuns(settings, topics.runs) if session == LIVE else None)

    async def read(partition: int, start: int, stop: int) -> list[Message]:
        return _read(settings, topics.raw, partition, start, stop)

    return Source(kafka=log, read=read, conditions_of=conditions.for_run)


def _log(settings: Settings, topics: Topics, runs: KnownRuns | None) -> KafkaLog:
    probe = Probe(settings, topics.raw)

    async def topic_id() -> str:
        return probe.id()

    async def span(partition: int) -> tuple[int, int]:
        return _or_absent(lambda: probe.span(partition), (0, 0))

    async def first_from(partition: int, offset: int) -> tuple[int | None, int]:
        return probe.first_from(partition, offset)

    async def still_has(partition: int, offset: int, produced_ms: int) -> bool:
        _, end = await span(partition)
        return offset < end and probe.still_has(partition, offset, produced_ms)

    async def epoch(partition: int) -> int:
        return _or_absent(lambda: probe.epoch(partition), -1)

    async def known(partition: int) -> Known:
        return runs.of(probe.id(), partition) if runs is not None else Known()

    async def reject(spill: RejectedSpill) -> None:
        _send(settings, topics.rejected, spill)

    return KafkaLog(
        name=topics.raw,
        id=topic_id,
        epoch=epoch,
        span=span,
        first_from=first_from,
        still_has=still_has,
        seek=_stay,
        known=known,
        reject=reject,
        now_s=time.time,
    )


def _or_absent(ask: Callable[[], _T], absent: _T) -> _T:
    """Return what is asked of a partition, or what is to be taken if a topic was made anew with fewer of them."""
    try:
        return ask()
    except ServerError as error:
        if isinstance(error.__cause__, KafkaException) and error.__cause__.args[0].code() in _NO_PARTITION:
            return absent
        raise


def _read(settings: Settings, topic: str, partition: int, start: int, stop: int) -> list[Message]:
    with kafka.asking(settings) as consumer:
        return [
            Message(
                partition=partition,
                offset=one.offset() or 0,
                start=one.offset() or 0,
                produced_ms=one.timestamp()[1],
                value=one.value() or b"",
            )
            for one in kafka.messages(consumer, topic, partition, start, stop)
        ]


def _send(settings: Settings, topic: str, spill: RejectedSpill) -> None:
    """Send to ``spills.rejected``, and wait for the broker."""
    failures: list[str] = []

    def delivered(error: KafkaError | None, _message: KafkaMessage) -> None:
        if error is not None:
            failures.append(error.str())

    producer = kafka.writer(settings)
    producer.produce(topic, encode(spill), key=str(spill.run), on_delivery=delivered)
    producer.flush()
    if failures:
        raise ServerError(f"Kafka refuses a spill for {topic}: {failures[0]}")


def _planned(plan: Plan) -> KafkaLog:
    """Return what is asked of the log that a replay reads: its plan says what that has."""

    async def topic_id() -> str:
        return str(plan.origin)

    async def span(partition: int) -> tuple[int, int]:
        return plan.spans[partition] if partition < len(plan.spans) else (0, 0)

    async def first_from(_partition: int, offset: int) -> tuple[int | None, int]:
        return offset, 0

    async def still_has(_partition: int, _offset: int, _produced_ms: int) -> bool:
        return True

    async def known(_partition: int) -> Known:
        return Known()

    async def reject(_spill: RejectedSpill) -> None:
        """Send nothing: it is in spills.rejected since it was live."""

    return KafkaLog(
        name=str(plan.origin),
        id=topic_id,
        epoch=_first_epoch,
        span=span,
        first_from=first_from,
        still_has=still_has,
        seek=_stay,
        known=known,
        reject=reject,
        now_s=time.time,
    )


async def _first_epoch(_partition: int) -> int:
    return 0


async def _nothing(_partition: int, _start: int, _stop: int) -> list[Message]:
    return []


async def _stay(_partition: int, _offset: int) -> None:
    """Do nothing: no consumer has a position here."""
