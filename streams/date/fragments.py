"""The inside of a DATE event: sub-events of the LDCs, their equipments, and the words of each."""

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from schemas.columns import I8, U1
from streams.date.framing import LDCS, EventHeader, headers, read_header
from streams.errors import BadDataError

ANY = -1
"""Whichever LDC: it is not known."""

U4 = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.integer]

_EQUIPMENT_HEADER = struct.Struct("<7I")
_MAX_EQUIPMENT_TYPE = 0xFFFF
"""Real types are below 256: what is far above is no equipment header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """What one LDC sent of an event; its equipments are ``payload[start:stop]``."""

    ldc: int
    """`ANY` if nothing tells which one it is."""
    start: int
    stop: int
    fault: BadDataError | None = None
    """Why nothing of it can be read."""


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
    board: str = ""
    """What a board of its type is called; empty if nobody says."""

    @property
    def name(self) -> str:
        """What it is and where it stands."""
        return f"{self.board or f'equipment of type {self.type}'} of LDC {self.ldc}, geo {self.number}"

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

    One that belongs to another event, of which the LDC cannot be known, that is empty or does not fit has a fault; the
    others none. Behind a header that cannot be read they go on at the next one of the event.
    """
    stop = at + header.size
    if not header.is_super:
        return [_fragment(at, header)]
    event = payload[:stop]
    found: list[Fragment] = []
    sub = at + header.head_size
    while sub < stop:
        try:
            one = _sub_event(event, sub, header)
        except BadDataError as error:
            others = (place for place, other in headers(event, sub + 1, stop) if other.names == header.names)
            end = next(others, stop)
            one = Fragment(ldc=ANY, start=min(sub + header.head_size, end), stop=end, fault=error)
        found.append(one)
        sub = one.stop
    return _each_once(found)


def _sub_event(event: memoryview, at: int, header: EventHeader) -> Fragment:
    inner, left = read_header(event, at), len(event) - at
    if inner.size > left:
        raise BadDataError("unpack", f"a sub-event of {inner.size} bytes where {left} are left", at)
    one = _fragment(at, inner)
    if inner.is_super or inner.names != header.names:
        reason = f"a sub-event of (type, run, number) {inner.names} in an event of {header.names}"
        one = replace(one, fault=BadDataError("unpack", reason, at))
    return one


def _fragment(at: int, header: EventHeader) -> Fragment:
    ldc, fault = header.ldc, ""
    if header.size == header.head_size:
        fault = f"empty fragment: LDC {header.ldc} sent a header alone"
    if header.ldc >= LDCS:
        ldc, fault = ANY, f"LDC {header.ldc}: LDCs are numbered from 0 to {LDCS - 1}"
    start, stop = at + header.head_size, at + header.size
    return Fragment(ldc=ldc, start=start, stop=stop, fault=BadDataError("unpack", fault, at) if fault else None)


def _each_once(found: Sequence[Fragment]) -> list[Fragment]:
    """Return the fragments; of several of one LDC nothing tells which one is its own."""
    times = Counter(one.ldc for one in found if one.ldc != ANY)
    faults = {one.ldc: BadDataError("unpack", f"LDC {one.ldc} comes twice in an event", one.start) for one in found}
    return [replace(one, ldc=ANY, fault=faults[one.ldc]) if times[one.ldc] > 1 else one for one in found]


def equipments(payload: memoryview, fragment: Fragment, boards: Mapping[int, str]) -> Iterator[Equipment]:
    """Yield the equipments of a fragment.

    Parameters
    ----------
    boards
        Equipment type → what such a board is called.

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
        board = boards.get(kind, "")
        yield Equipment(type=kind, ldc=fragment.ldc, at=first, words=words, number=number, board=board)
        at += size
