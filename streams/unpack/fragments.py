"""The inside of a DATE event: sub-events of the LDCs, their equipments, and the words of each."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.columns import I8, U1
from streams.boards import BOARD_NAMES, LDCS
from streams.errors import BadDataError
from streams.unpack.framing import EventHeader, read_header

U4 = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.integer]

_EQUIPMENT_HEADER = struct.Struct("<7I")
_MAX_EQUIPMENT_TYPE = 0xFFFF
"""Real types are below 256: what is far above is no equipment header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """What one LDC sent of an event; its equipments are ``payload[start:stop]``."""

    ldc: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Equipment:
    """One equipment's words and where they are."""

    type: int
    ldc: int
    at: int
    """Byte of the first word."""
    words: U4
    """(n_words,) uint32, not copied."""
    number: int = 0
    """Equipment id: of most boards the geo, which their words tell too."""

    @property
    def name(self) -> str:
        """What it is and where it stands."""
        return f"{BOARD_NAMES.get(self.type, f'equipment of type {self.type}')} of LDC {self.ldc}, geo {self.number}"

    def error(self, word: int | np.integer, reason: str) -> BadDataError:
        """Return the refusal of these words because of what is at index `word`."""
        return BadDataError("unpack", f"{self.name}: {reason}", self.at + 4 * int(word))


class Boards:
    """The boards of one type in an event, their words joined, so that one pass over arrays unpacks them all.

    Attributes
    ----------
    boards
        At least one, in the order of the read-out.
    type
        Their equipment type.
    words
        (n_words,) uint32, of all boards.
    firsts
        (n_boards + 1,): index of each board's first word, and of the end.
    """

    def __init__(self, boards: Sequence[Equipment]) -> None:
        self.boards = boards
        self.type = boards[0].type
        # Copied even of one board: what lies in the payload need not be aligned, as a memoryview wants it.
        self.words: U4 = np.concatenate([b.words for b in boards])
        self.firsts: I8 = np.cumsum([0, *(len(b.words) for b in boards)])

    def of(self, words: Integers) -> I8:
        """Return the index of the board that each word belongs to; `words` are indices."""
        return np.searchsorted(self.firsts, words, side="right") - 1

    def ldcs(self, boards: Integers) -> U1:
        """Return the LDC of each board; `boards` are indices."""
        ldcs: U1 = np.array([b.ldc for b in self.boards], np.uint8)
        return ldcs[boards]

    def error(self, word: int | np.integer, reason: str) -> BadDataError:
        """Return the refusal of these boards because of what is at index `word`."""
        board = int(np.searchsorted(self.firsts, word, side="right")) - 1
        board = min(board, len(self.boards) - 1)
        return self.boards[board].error(int(word - self.firsts[board]), reason)


def fragments(payload: memoryview, at: int, header: EventHeader) -> list[Fragment]:
    """Return the fragments of the event at byte `at`: one per LDC of a super-event, else the event itself.

    Raises
    ------
    BadDataError
        When the sub-events do not fill the event, belong to another event, or an LDC comes twice or sent nothing.
    """
    stop = at + header.size
    found: list[Fragment] = []
    if not header.is_super:
        found.append(_fragment(at, header))
    else:
        sub = at + header.head_size
        while sub < stop:
            inner = read_header(payload[:stop], sub)
            if sub + inner.size > stop:
                raise BadDataError("unpack", f"a sub-event of {inner.size} bytes where {stop - sub} are left", sub)
            if inner.is_super or inner.names != header.names:
                reason = f"a sub-event of (type, run, number) {inner.names} in an event of {header.names}"
                raise BadDataError("unpack", reason, sub)
            found.append(_fragment(sub, inner))
            if any(f.ldc == inner.ldc for f in found[:-1]):
                raise BadDataError("unpack", f"LDC {inner.ldc} comes twice in an event", sub)
            sub += inner.size
    return found


def _fragment(at: int, header: EventHeader) -> Fragment:
    if header.ldc >= LDCS:
        raise BadDataError("unpack", f"LDC {header.ldc}: LDCs are numbered from 0 to {LDCS - 1}", at)
    if header.size == header.head_size:
        raise BadDataError("unpack", f"empty fragment: LDC {header.ldc} sent a header alone", at)
    return Fragment(ldc=header.ldc, start=at + header.head_size, stop=at + header.size)


def equipments(payload: memoryview, fragment: Fragment) -> Iterator[Equipment]:
    """Yield the equipments of a fragment.

    Raises
    ------
    BadDataError
        When an equipment's size or type cannot be, or they do not fill the fragment.
    """
    at = fragment.start
    while at < fragment.stop:
        left = fragment.stop - at
        if left < _EQUIPMENT_HEADER.size:
            raise BadDataError("unpack", f"{left} bytes are left, too few for an equipment header", at)
        size, kind, number = _EQUIPMENT_HEADER.unpack_from(payload, at)[:3]
        if not _EQUIPMENT_HEADER.size <= size <= left or size % 4:
            raise BadDataError("unpack", f"an equipment of {size} bytes where {left} are left", at)
        if kind > _MAX_EQUIPMENT_TYPE:
            raise BadDataError("unpack", f"equipment type {kind:#x}, which does not exist", at)
        first = at + _EQUIPMENT_HEADER.size
        words = np.frombuffer(payload, "<u4", (size - _EQUIPMENT_HEADER.size) // 4, first)
        yield Equipment(type=kind, ldc=fragment.ldc, at=first, words=words, number=number)
        at += size
