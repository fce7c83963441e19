"""What the topics hold: how many spills of each run, and how far back."""

from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, Message

from streams.kafka import asking, messages, topic_spans
from streams.settings import Settings
from streams.topics import Topics

_LOOKED_AT = 1000
"""Offsets at the end of a partition in which its last message is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The oldest or the newest message of a topic."""

    time_ms: int
    """When it was produced, Unix milliseconds."""
    key: str
    """The number of its run, as whoever wrote it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far back a topic reaches."""

    topic: str
    partitions: int
    messages: int
    oldest: End | None
    newest: End | None


@dataclass(slots=True, kw_only=True)
class Count:
    """Messages of a run in a topic."""

    topic: str
    run: str
    messages: int = 0
    size: int = 0
    """Bytes of their values."""


def count_messages(settings: Settings) -> list[Count]:
    """Return how many messages each topic of spills has of each run, by their keys, which are read alone.

    Raises
    ------
    ServerError
        When Kafka does not answer.
    """
    found: dict[tuple[str, str], Count] = {}
    topics = Topics.of(settings)
    for topic in (topics.raw, topics.reco, topics.rejected):
        for message in _messages(settings, topic):
            run = _key(message)
            count = found.setdefault((topic, run), Count(topic=topic, run=run))
            count.messages += 1
            count.size += len(message.value() or b"")
    return sorted(found.values(), key=lambda count: (count.run.zfill(12), count.topic))


def _messages(settings: Settings, topic: str) -> Iterator[Message]:
    for partition, (low, stop) in enumerate(topic_spans(settings, topic)):
        with asking(settings) as ours:
            yield from messages(ours, topic, partition, low, stop)


def reaches(settings: Settings) -> list[Reach]:
    """Return how far back each topic of spills reaches.

    Raises
    ------
    ServerError
        When Kafka does not answer.
    """
    topics = Topics.of(settings)
    return [_reach(settings, topic) for topic in (topics.raw, topics.reco, topics.rejected)]


def _reach(settings: Settings, topic: str) -> Reach:
    spans = topic_spans(settings, topic)
    oldest, newest = [], []
    with asking(settings) as ours:
        for partition, (low, stop) in enumerate(spans):
            if low < stop:
                first = next(messages(ours, topic, partition, low, stop), None)
                last = _last(ours, topic, partition, low, stop)
                oldest += [_end(first)] if first is not None else []
                newest += [_end(last)] if last is not None else []
    return Reach(
        topic=topic,
        partitions=len(spans),
        messages=sum(stop - low for low, stop in spans),
        oldest=min(oldest, key=lambda end: end.time_ms, default=None),
        newest=max(newest, key=lambda end: end.time_ms, default=None),
    )


def _last(ours: Consumer, topic: str, partition: int, low: int, stop: int) -> Message | None:
    """Return the last message of a partition: the offset before the end, unless that has none."""
    for start in (stop - 1, max(low, stop - _LOOKED_AT)):
        last = None
        for message in messages(ours, topic, partition, start, stop):
            last = message
        if last is not None:
            return last
    return None


def _end(message: Message) -> End:
    return End(time_ms=message.timestamp()[1], key=_key(message))


def _key(message: Message) -> str:
    key = message.key()
    return key.decode(errors="replace") if isinstance(key, bytes) else key or ""
