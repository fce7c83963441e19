"""Messages in batches that fit into memory."""

from math import inf
from types import SimpleNamespace

import pytest

from streams.books.batches import BYTES_AT_ONCE, by_bytes

THIRD = BYTES_AT_ONCE // 3


@pytest.mark.parametrize(
    ("sizes", "most", "batches"),
    [
        ([THIRD] * 7, inf, [[THIRD] * 3, [THIRD] * 3, [THIRD]]),
        ([THIRD] * 3, 2, [[THIRD] * 2, [THIRD]]),
        ([1, BYTES_AT_ONCE + 1, 1], inf, [[1], [BYTES_AT_ONCE + 1], [1]]),
        ([], inf, []),
    ],
    ids=["bounded by bytes", "bounded by number", "a larger one comes alone", "nothing"],
)
def test_messages_come_in_their_order_as_many_at_once_as_fit(
    sizes: list[int], most: float, batches: list[list[int]]
) -> None:
    messages = [SimpleNamespace(value=bytes(size)) for size in sizes]
    found = list(by_bytes(messages, most))
    assert [message for batch in found for message in batch] == messages
    assert [[len(message.value) for message in batch] for batch in found] == batches
