"""How many particle triggers a spill has: what most of its boards say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.wire import MAX_TRIGGERS
from streams.date.fragments import Equipment
from streams.errors import BadDataError

_SHOWN = 3
"""Boards that are named of those that agree on a number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counted:
    """How many particle events a board has; one without words has seen none."""

    board: Equipment
    events: int
    geo: int
    """As its words tell it, or without any its equipment's header."""

    def __str__(self) -> str:
        other = f" (geo {self.geo} by its words)" if self.geo != self.board.number else ""
        return f"{self.board.name}{other}"


def agreed(counted: Sequence[Counted]) -> int:
    """Return the number of particle events that more than half of the boards have; there is at least one board.

    Raises
    ------
    BadDataError
        When there is none, or more than a spill can have; names all numbers.
    """
    votes = Counter(one.events for one in counted)
    most, boards = votes.most_common(1)[0]
    if 2 * boards <= len(counted):
        raise counted[0].board.error(0, f"trigger mismatch without a majority: {_in_words(counted, votes)}")
    if most > MAX_TRIGGERS:
        raise counted[0].board.error(0, f"{most} particle events, more than {MAX_TRIGGERS}")
    return most


def outvoted(one: Counted, triggers: int, counted: Sequence[Counted]) -> BadDataError:
    """Return the refusal of a board that has another number of particle events than most."""
    others = sum(other.events == triggers for other in counted)
    said = f"{one.events} particle events, {others} of {len(counted)} boards have {triggers}"
    return one.board.error(0, f"trigger mismatch: {said}")


def _in_words(counted: Sequence[Counted], votes: Counter[int]) -> str:
    texts = []
    for events, boards in sorted(votes.items()):
        names = [str(one) for one in counted if one.events == events]
        more = f" and {boards - _SHOWN} more" if boards > _SHOWN else ""
        texts.append(f"{events} particle events in {'; '.join(names[:_SHOWN])}{more}")
    return ", ".join(texts)
