"""Boards read once a spill: the V830 scaler and the V977 trigger receiver."""

import numpy as np

from schemas.columns import I4
from schemas.records import MISSING
from streams.date.fragments import Equipment
from streams.experiments.mice.boards import CHANNELS

_HEADER_BIT = 1 << 26


def unpack_v830(board: Equipment) -> tuple[int, I4]:
    """Return the geo of a scaler, and what its 32 channels counted in the spill, (32,) int32.

    A channel that was not read out holds `MISSING`.

    Raises
    ------
    BadDataError
        When it was not read out exactly once, or its words disagree with its header.
    """
    header, values = int(board.words[0]), board.words[1:]
    if not header & _HEADER_BIT:
        raise board.error(0, f"unexpected word {header:#010x} where its header should be")
    if header & 0xFFFF:
        raise board.error(0, f"trigger count {header & 0xFFFF}, not 0: it must be read out once a spill")
    if header >> 18 & 0x3F != len(values):
        raise board.error(0, f"{len(values)} channels, its header says {header >> 18 & 0x3F}")
    if (bad := values & _HEADER_BIT != 0).any():
        raise board.error(1 + bad.argmax(), f"unexpected word {int(values[bad.argmax()]):#010x} among its channels")
    channel = values >> 27
    if len(np.unique(channel)) != len(channel):
        raise board.error(0, "a channel comes twice")
    counts = np.full(CHANNELS, MISSING, np.int32)
    counts[channel] = values & 0x3FFFFFF
    return header >> 27, counts


def unpack_v977(board: Equipment) -> int:
    """Return the one word of the trigger receiver: input register << 16 | flip-flop register.

    Raises
    ------
    BadDataError
        When there is more than one word.
    """
    if len(board.words) != 1:
        raise board.error(0, f"{len(board.words)} words, not 1")
    return int(board.words[0])
