"""The equipments of a simulated physics event, which faults take boards out of and put them back into.

A kind of board whose channels take part in faults is a subclass of `Board` and one entry of `BOARDS`.
"""

import struct
from collections.abc import Callable

import numpy as np

from streams.experiments.mice.boards import DBB, V1290, V1724, V1731, VLSB
from streams.experiments.mice.simulator.boards import Words
from streams.experiments.mice.simulator.date import equipment
from streams.experiments.mice.simulator.faults.board import Board
from streams.experiments.mice.simulator.faults.dbb import Dbb
from streams.experiments.mice.simulator.faults.fadc import Fadc, SuppressedFadc
from streams.experiments.mice.simulator.faults.tdc import Tdc
from streams.experiments.mice.simulator.faults.vlsb import Bank

BOARDS: dict[int, type[Board]] = {V1290: Tdc, V1724: SuppressedFadc, V1731: Fadc, VLSB: Bank, DBB: Dbb}
"""Equipment type → what takes its words apart."""
BoardAddress = tuple[int, int, int]
"""Equipment type, LDC, geo."""
_HEADER = struct.Struct("<7I")


class Crate:
    """The boards of a spill. Faults change it in place.

    Parameters
    ----------
    equipments
        (LDC, equipment) in the order of the read-out.
    triggers
        Particle triggers of the spill.
    """

    def __init__(self, equipments: list[tuple[int, bytes]], triggers: int) -> None:
        self.equipments = equipments
        self.triggers = triggers
        self._place: dict[BoardAddress, int] = {}
        for place, (ldc, one) in enumerate(equipments):
            _, kind, geo = _HEADER.unpack_from(one)[:3]
            self._place[kind, ldc, geo] = place

    @property
    def boards(self) -> list[BoardAddress]:
        """What is in it."""
        return list(self._place)

    def words(self, address: BoardAddress) -> Words:
        """Return a copy of a board's words."""
        return np.frombuffer(self.equipments[self._place[address]][1], "<u4", offset=_HEADER.size).copy()

    def put_words(self, address: BoardAddress, words: Words) -> None:
        """Put other words into a board."""
        kind, ldc, geo = address
        self.equipments[self._place[address]] = (ldc, equipment(kind, geo, words))

    def board(self, address: BoardAddress) -> Board:
        """Return a board, taken apart."""
        return BOARDS[address[0]].decode(self.words(address), address[2])

    def change(self, address: BoardAddress, change: Callable[[Board], Board]) -> None:
        """Put in the place of a board what the function makes of it."""
        self.put_words(address, change(self.board(address)).words())
