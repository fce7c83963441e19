"""Boards that an experiment adds to those of the package, see `streams.settings.Settings.plugins`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.columns import Table
from streams.unpack.fragments import Equipment


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One kind of board."""

    name: str
    unpack: Callable[[Sequence[Equipment]], Table]
    """Takes the boards of a spill's physics event, at least one, none of them empty; gives `RawHits.added` a table.

    What it refuses, it refuses with `Equipment.error`: the detectors that the experiment has added are in error in
    that spill, with the place.
    """


BOARDS: dict[int, Board] = {}
"""Equipment type → board."""
