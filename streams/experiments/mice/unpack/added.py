"""Boards that are added to those of the experiment, see `streams.experiments.mice.mice`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from schemas.columns import Table
from streams.date.fragments import Equipment
from streams.experiments.mice.boards import BOARD_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One kind of board."""

    name: str
    unpack: Callable[[Sequence[Equipment]], Table]
    """Takes the boards of a spill's physics event, at least one, none of them empty; gives `RawHits.added` a table.

    What it refuses, it refuses with `Equipment.error`: the detectors that read it are in error in that spill, with the
    place.
    """
    read_by: tuple[str, ...]
    """Detectors that need it."""


Boards = Mapping[int, Board]
"""Equipment type → board."""


def names_with(added: Boards) -> Mapping[int, str]:
    """Return equipment type → what such a board is called, of the experiment's and those that are added."""
    return {**BOARD_NAMES, **{kind: board.name for kind, board in added.items()}} if added else BOARD_NAMES
