"""Numbers of things in words."""

import pytest

from streams.words import several


@pytest.mark.parametrize(
    ("count", "what", "said"),
    [
        (1, "spill", "1 spill"),
        (2000, "spill", "2,000 spills"),
        (3, "entry", "3 entries"),
        (2, "day", "2 days"),
        (0, "key", "0 keys"),
    ],
)
def test_things_are_told_by_their_number(count: int, what: str, said: str) -> None:
    assert several(count, what) == said
