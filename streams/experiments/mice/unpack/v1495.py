"""V1495, the trigger engine: which slabs fired for each trigger of the spill."""

import numpy as np

from schemas.columns import I4
from streams.date.fragments import Equipment, Integers
from streams.experiments.mice.unpack.hits import EngineTriggers

# Kinds of words, bits 31-28.
HEADER = 0x5
TRIGGER = 0xA
TRAILER = 0xF

MAX_TRIGGERS = 300
"""The board has room for no more."""
_WORDS = 3
"""Of a trigger."""


def unpack_v1495(board: Equipment) -> EngineTriggers:
    """Return what the board recorded: a header, three words a trigger, and a trailer that counts the triggers.

    The second and third words of a trigger are all bits of patterns, count and time, so that nothing in them can be
    checked.

    Raises
    ------
    BadDataError
        When a word is of another kind than belongs there, or their number disagrees with the trailer's.
    """
    words = board.words
    _expect(board, 0, HEADER, "header")
    if len(words) % _WORDS != 2:
        raise board.error(0, f"{len(words)} words, which are no header, triggers of {_WORDS} words and trailer")
    _expect(board, len(words) - 1, TRAILER, "trailer")
    triggers = words[1:-1].reshape(-1, _WORDS)
    if len(triggers) > MAX_TRIGGERS:
        raise board.error(0, f"{len(triggers)} triggers, more than {MAX_TRIGGERS}")
    if (told := int(words[-1]) >> 17 & 0x3FF) != len(triggers):
        raise board.error(len(words) - 1, f"{len(triggers)} triggers, its trailer says {told}")
    first, second, third = triggers.T
    if (bad := first >> 28 != TRIGGER).any():
        _expect(board, 1 + _WORDS * bad.argmax(), TRIGGER, f"trigger {bad.argmax()}")
    return EngineTriggers(
        ldc=np.full(len(triggers), board.ldc, np.uint8),
        count=_column(third >> 22),
        time=_column(third & 0x3FFFFF),
        tof0=_column(second & 0xFFFFF),
        tof1=_column((first & 0xFF) << 12 | second >> 20),
        tof2=_column(first >> 8 & 0xFFFFF),
    )


def _expect(board: Equipment, at: int | np.integer, kind: int, what: str) -> None:
    word = int(board.words[at])
    if word >> 28 != kind:
        raise board.error(at, f"unexpected word {word:#010x} where its {what} should be")


def _column(bits: Integers) -> I4:
    return bits.astype(np.int32)
