"""What is in the topics, read with a plain consumer."""

from contextlib import closing

from confluent_kafka import Message

from schemas.records import RejectedSpill
from schemas.wire import decode
from streams import kafka
from streams.settings import Settings
from streams.topics import Topics

ANSWER_S = 10.0


def ends(settings: Settings) -> list[int]:
    """Return the end of each partition of spills.raw."""
    with closing(kafka.reader(settings)) as consumer:
        return [end for _, end in kafka.spans(consumer, Topics.of(settings).raw, ANSWER_S)]


def messages(settings: Settings, topic: str) -> list[Message]:
    """Return all messages of a topic."""
    found: list[Message] = []
    with closing(kafka.reader(settings)) as consumer:
        for partition, (low, end) in enumerate(kafka.spans(consumer, topic, ANSWER_S)):
            found += kafka.messages(consumer, topic, partition, low, end, ANSWER_S)
    return found


def rejected(settings: Settings) -> list[RejectedSpill]:
    """Return what is in spills.rejected."""
    found = [decode(m.value() or b"") for m in messages(settings, Topics.of(settings).rejected)]
    assert all(isinstance(record, RejectedSpill) for record in found)
    return [record for record in found if isinstance(record, RejectedSpill)]
