"""What is said of the spills that filled what is off in a plot: of how many, and where not all could be looked at."""

from typing import Any

import pytest

from streams.books.block_spills import BlockSpill
from streams.books.spill_search import Filling, entries_words, triggers_words, words

FOUND = BlockSpill(spill=412, inside=41, entries=164, triggers=(3, 9, 12), has_more=True)
EMPTY = BlockSpill(spill=413, inside=0, entries=200)


def filling(**changes: Any) -> Filling:
    usual = {"is_lacking": False, "expected": 0.05, "spills": (FOUND,), "matching": 1, "looked": 60, "of": 60}
    return Filling(**usual | {"is_all": True, "is_as_counted": True} | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Spills that filled it"),
        ({"spills": (), "matching": 0}, "No spill filled it"),
        (
            {"is_lacking": True, "spills": (EMPTY,)},
            "No spill filled it, as it lacks entries. Spills with none there",
        ),
        (
            {"is_lacking": True, "spills": (EMPTY,), "matching": 41},
            "No spill filled it, as it lacks entries. Spills with none there (1 of 41)",
        ),
        (
            {"matching": 1041, "of": 1200, "is_all": False},
            "Spills that filled it (1 of 1,041; of 60 spills: the newest of 1,200)",
        ),
        (
            {"is_lacking": True, "spills": (), "matching": 0},
            "No spill filled it, as it lacks entries. Each spill has some there",
        ),
        ({"of": 1200, "is_all": False}, "Spills that filled it (of 60 spills: the newest of 1,200)"),
        ({"of": 1200}, "Spills that filled it (of 60 spills: the others are not in Kafka)"),
        (
            {"of": 1200, "looked": 0, "spills": ()},
            "Which spills it is of nobody knows: its spills are not in Kafka",
        ),
        (
            {"is_as_counted": False},
            "Spills that filled it (of 60 spills: made with other conditions than it was counted with)",
        ),
    ],
)
def test_spills_are_said_with_how_many_were_looked_at(changes: dict[str, Any], said: str) -> None:
    assert words(filling(**changes)) == said


def test_a_spill_is_said_with_its_entries_and_triggers() -> None:
    assert entries_words(FOUND, filling()) == "41 of its 164 entries, where 8.2 were expected"
    assert triggers_words(FOUND) == "triggers 3, 9, 12 …"
    assert triggers_words(BlockSpill(spill=1, inside=1, entries=1, triggers=(7,))) == "trigger 7"
    assert triggers_words(EMPTY) == ""
