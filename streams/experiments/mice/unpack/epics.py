"""EI, the EPICS interface: process variables of the beam line, read out with the spill."""

import numpy as np

from streams.date.fragments import Equipment
from streams.experiments.mice.unpack.hits import ProcessVariables

HEADER = 0xA
"""Bits 31-28 of the header; the others count the variables."""
DOUBLE = 1
"""Type of a variable: a double of 64 bits, its low half first."""
_WORDS = 3
"""Of a variable: type and id, and the two halves of its value."""


def unpack_epics(board: Equipment) -> ProcessVariables:
    """Return the variables in the order of the read-out; values are as the interface gave them, NaN among them.

    Raises
    ------
    BadDataError
        When the words are no header and so many variables, a type is not known, or a variable comes twice.
    """
    header, words = int(board.words[0]), board.words[1:]
    if header >> 28 != HEADER:
        raise board.error(0, f"unexpected word {header:#010x} where its header should be")
    if (told := header & 0x0FFFFFFF) * _WORDS != len(words):
        raise board.error(0, f"{len(words)} words after the header, which says {told} variables of {_WORDS}")
    rows = words.reshape(-1, _WORDS)
    kind, variable = rows[:, 0] >> 24 & 0xF, rows[:, 0] & 0xFF
    if (bad := kind != DOUBLE).any():
        at = bad.argmax()
        raise board.error(1 + _WORDS * at, f"variable {variable[at]} of type {kind[at]}, not known")
    if len(np.unique(variable)) != len(variable):
        twice = np.bincount(variable).argmax()
        raise board.error(0, f"variable {twice} comes twice")
    return ProcessVariables(
        ldc=np.full(len(rows), board.ldc, np.uint8),
        variable=variable.astype(np.uint8),
        value=np.ascontiguousarray(rows[:, 1:]).view("<f8")[:, 0],
    )
