"""MIDAS event headers, and the walk over a file's events that finds its way again after damage.

MIDAS has no mark at which an event is known. But an event that begins or ends a run, or is a message, has a trigger
mask of its own; all others hold banks, whose size stands beside that of the event: it must be the same, and the flags
behind it must exist. So a size that was damaged is never followed; and an event behind which none follows, or whose
banks do not fill it, is looked into: one in which another begins lacks bytes. Where a header has lost bytes, the event
before it may seem to be the one that lacks them, and goes with it. An event that holds no banks, as MIDAS's old formats
have, is taken for damage. Time and memory grow linearly with the bytes, whatever they are.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schemas.records import MAX_PAYLOAD_BYTES
from schemas.wire import MAX_NUMBER
from streams.errors import BadDataError
from streams.framed import Unreadable, walk_over

Bytes = bytes | memoryview
Order = Literal["<", ">"]
"""Little- or big-endian, as numpy and struct name it."""

BEGIN_OF_RUN, END_OF_RUN, MESSAGE = 0x8000, 0x8001, 0x8002
HEADER_BYTES = 16
BANK_AREA_BYTES = 8
"""Of what stands before the banks: their size together, and the flags."""
BANKS_16, BANKS_32, BANKS_32_ALIGNED = 0x01, 0x11, 0x31
"""Flags of the three forms of banks."""
BANK_HEADERS = {BANKS_16: "4s2H", BANKS_32: "4s2I", BANKS_32_ALIGNED: "4s2I4x"}
"""Form → what stands before a bank's data: name, type, size."""
BANK_PADDING = 8
"""A bank's data are filled up to a multiple of so many bytes."""

_SYSTEM = range(BEGIN_OF_RUN, MESSAGE + 1)
SYSTEM_MASK = 0x494D
_FORMS = (BANKS_16, BANKS_32, BANKS_32_ALIGNED)
_HEADERS: dict[Order, struct.Struct] = {"<": struct.Struct("<2H3I"), ">": struct.Struct(">2H3I")}
_BANK_AREAS: dict[Order, struct.Struct] = {"<": struct.Struct("<2I"), ">": struct.Struct(">2I")}
_BEGINS: dict[bytes, Order] = {b"\x00\x80MI": "<", b"\x80\x00IM": ">"}
"""First bytes of a file → its byte order."""
_KNOWN_BY = HEADER_BYTES + BANK_AREA_BYTES
"""Bytes that tell an event."""
_LOOKED_AT_FIRST, _LOOKED_AT = 256, 1 << 20
"""Bytes in which an event is looked for at once: few at first, as the next one may be near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A MIDAS event, its header checked: its bytes are ``buffer[start:stop]``, its data follow the header."""

    id: int
    """One of those of the module, or the experiment's own."""
    trigger_mask: int
    serial: int
    """Counts the events of this id in the run; of a run's begin or end it is the run's number."""
    time_s: int
    """Unix seconds."""
    start: int
    stop: int
    order: Order

    @property
    def data(self) -> slice:
        """Where the data are: the dump of the online database, a message's text, or a bank area."""
        return slice(self.start + HEADER_BYTES, self.stop)


def begins_with_run(buffer: Bytes) -> bool:
    """Say whether the first bytes are those of a run's begin, as of each MIDAS file that is whole."""
    return bytes(buffer[:4]) in _BEGINS


def byte_order(buffer: Bytes) -> Order | None:
    """Return the byte order of the first event that is found; None if there is none."""
    if begins_with_run(buffer):
        return _BEGINS[bytes(buffer[:4])]
    for order in _HEADERS:
        if _is_event(buffer, 0, order):
            return order
    little = _next_event(buffer, 0, len(buffer), "<")
    if _next_event(buffer, 0, little, ">") < little:
        return ">"
    return "<" if little < len(buffer) else None


def read_event(buffer: Bytes, at: int, order: Order) -> Event:
    """Return the event whose header begins at byte `at`; it may go on behind the buffer's end.

    Raises
    ------
    BadDataError
        When no valid header is there; says what is wrong.
    """
    left = len(buffer) - at
    if left < HEADER_BYTES:
        raise BadDataError("unpack", f"{left} bytes are left, too few for an event header", at)
    kind, mask, serial, time_s, size = _HEADERS[order].unpack_from(buffer, at)
    fault = ""
    if kind > MESSAGE:
        fault = f"event id {kind:#06x}, which does not exist"
    elif size > MAX_PAYLOAD_BYTES - HEADER_BYTES:
        fault = f"an event of {size} bytes, more than {MAX_PAYLOAD_BYTES}"
    elif kind not in _SYSTEM:
        fault = _no_banks(buffer, at, order, kind, size)
    elif mask != SYSTEM_MASK:
        fault = f"event id {kind:#06x} with the trigger mask {mask:#06x}, not {SYSTEM_MASK:#06x}"
    elif kind != MESSAGE and serial > MAX_NUMBER:
        fault = f"run {serial}: no number is above {MAX_NUMBER}"
    if fault:
        raise BadDataError("unpack", fault, at)
    stop = at + HEADER_BYTES + size
    return Event(id=kind, trigger_mask=mask, serial=serial, time_s=time_s, start=at, stop=stop, order=order)


def _no_banks(buffer: Bytes, at: int, order: Order, kind: int, size: int) -> str:
    """Return why the data of an event of the experiment are no bank area."""
    if size < BANK_AREA_BYTES:
        return f"event id {kind} with {size} bytes, too few for banks"
    if len(buffer) - at < _KNOWN_BY:
        return f"{len(buffer) - at} bytes are left of an event"
    banks, flags = _BANK_AREAS[order].unpack_from(buffer, at + HEADER_BYTES)
    if banks != size - BANK_AREA_BYTES:
        return f"event id {kind} of {size} bytes, whose banks have {banks} bytes, not {size - BANK_AREA_BYTES}"
    return "" if flags in _FORMS else f"event id {kind} with banks of the form {flags:#x}, which does not exist"


def walk(buffer: Bytes, start: int, order: Order) -> Iterator[Event | Unreadable]:
    """Yield the events of a buffer from `start` on in their order, and between them the bytes that are none.

    Stretches that are unreadable never touch each other.
    """
    yield from walk_over(start, len(buffer), lambda at: _frame(buffer, at, order))


def _frame(buffer: Bytes, at: int, order: Order) -> tuple[Event | int, str]:
    """Return the event at byte `at`; or where to go on, and what is wrong with it."""
    try:
        event = read_event(buffer, at, order)
    except BadDataError as error:
        return _next_event(buffer, at + 1, len(buffer), order), error.reason
    is_followed = len(buffer) - event.stop < _KNOWN_BY or _is_event(buffer, event.stop, order)
    if event.stop <= len(buffer) and is_followed and _banks_fill(buffer, event):
        return event, ""
    limit = min(event.stop, len(buffer))
    inside = _next_event(buffer, at + 1, limit, order)
    size = event.stop - at
    if inside < limit:
        return inside, f"an event of {size} bytes in which, {inside - at} bytes on, another one begins"
    if event.stop > len(buffer):
        return limit, f"an event of {size} bytes of which {len(buffer) - at} are there"
    return event, ""


def _banks_fill(buffer: Bytes, event: Event) -> bool:
    """Say whether an event ends where its last bank does; of one without banks nothing tells where it ends."""
    if event.id in _SYSTEM:
        return False
    (flags,) = struct.unpack_from(f"{event.order}I", buffer, event.start + HEADER_BYTES + 4)
    header = struct.Struct(event.order + BANK_HEADERS[flags])
    at = event.start + HEADER_BYTES + BANK_AREA_BYTES
    while at + header.size <= event.stop:
        _, _, size = header.unpack_from(buffer, at)
        at += header.size + size + -size % BANK_PADDING
    return at == event.stop


def _is_event(buffer: Bytes, at: int, order: Order) -> bool:
    try:
        read_event(buffer, at, order)
    except BadDataError:
        return False
    return True


def _next_event(buffer: Bytes, start: int, stop: int, order: Order) -> int:
    """Return where the next event begins in ``[start, stop)``, or `stop`."""
    begin, places = start, _LOOKED_AT_FIRST
    while (places := min(places, stop - begin, len(buffer) - _KNOWN_BY + 1 - begin)) > 0:
        banks = _fields(buffer, begin + HEADER_BYTES, places, f"{order}u4")
        flags = _fields(buffer, begin + HEADER_BYTES + 4, places, f"{order}u4")
        size = _fields(buffer, begin + HEADER_BYTES - 4, places, f"{order}u4")
        has_banks = (size - banks == BANK_AREA_BYTES) & (
            (flags == BANKS_16) | (flags == BANKS_32) | (flags == BANKS_32_ALIGNED)
        )
        is_system = _fields(buffer, begin + 2, places, f"{order}u2") == SYSTEM_MASK
        for place in np.flatnonzero(has_banks | is_system).tolist():
            if _is_event(buffer, begin + place, order):
                return begin + int(place)
        begin, places = begin + places, min(4 * places, _LOOKED_AT)
    return stop


def _fields(buffer: Bytes, begin: int, places: int, kind: str) -> NDArray[np.unsignedinteger[Any]]:
    """Return the number of this kind that begins at each of so many bytes."""
    return np.ndarray(places, kind, buffer, begin, (1,))


def events_of(payload: Bytes) -> Iterator[Event]:
    """Yield the events of a spill, given its bytes.

    Raises
    ------
    BadDataError
        When they are not events from the first byte to the last (step ``unpack``, byte within `payload`).
    """
    order = byte_order(payload)
    if order is None:
        raise BadDataError("unpack", f"no MIDAS event in {len(payload)} bytes", 0)
    for found in walk(payload, 0, order):
        if isinstance(found, Unreadable):
            raise BadDataError("unpack", found.reason, found.start)
        yield found
