"""What Kafka still has of what was counted."""

import asyncio
from typing import Any

import pytest

from streams.books.kafka_log import KafkaLog
from streams.books.layout import Counted
from streams.books.stored import PartitionState

BEGUN = 50
"""Where the books begin after Redis was emptied, in the middle of the partition."""
COUNTED = tuple(Counted(offset, 1000 + offset) for offset in range(BEGUN, BEGUN + 3))


def kafka(has: set[int], low: int = 10, end: int = 60) -> KafkaLog:
    """Return a log that has some of the messages that were counted, and others in place of the rest."""

    async def is_so(value: Any) -> Any:
        return value

    return KafkaLog(
        name="spills.raw",
        id=lambda: is_so("a topic"),
        epoch=lambda _partition: is_so(2),
        span=lambda _partition: is_so((low, end)),
        first_from=lambda _partition, _offset: is_so((None, low)),
        still_has=lambda _partition, offset, _at_ms: is_so(offset in has),
        seek=lambda _partition, _offset: is_so(None),
        known=lambda _partition: is_so(None),
        reject=lambda _spill: is_so(None),
        now_s=lambda: 1_700_000_000.0,
    )


@pytest.mark.parametrize(
    ("has", "kept"),
    [
        ({50, 51, 52}, 53),
        ({50, 51}, 52),
        ({50}, 51),
        (set(), 10),
    ],
)
def test_a_log_that_lost_all_that_is_remembered_may_have_lost_more(has: set[int], kept: int) -> None:
    state = PartitionState(next=53, log="a topic", epoch=1, sound=BEGUN, tail=COUNTED)
    found = asyncio.run(kafka(has).held_against(0, state))
    assert (found.next, found.tail) == (kept, COUNTED[: len(has)])


@pytest.mark.parametrize(("has", "kept"), [({50, 60}, 51), ({50}, 51), ({50, 52, 60}, 61)])
def test_what_comes_where_there_was_no_message_before_what_was_lost_is_counted(has: set[int], kept: int) -> None:
    tail = tuple(Counted(offset, 1000 + offset) for offset in (50, 52, 60))
    state = PartitionState(next=61, log="a topic", epoch=1, sound=51, tail=tail)
    found = asyncio.run(kafka(has, end=61).held_against(0, state))
    assert found.next == kept
