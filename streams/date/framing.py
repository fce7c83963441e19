"""DATE event headers, and the walk over a file's events that finds its way again after damage.

A header is checked field by field, and damage never hides what is whole: behind damaged bytes the walk goes on at the
next header of a top-level event, and an event in which such a header stands has a wrong size. Headers are looked for
at every byte, since bytes lost or added before them may have moved them by any number. An event whose first sub-event
names another type, run or number is damaged too, so that no broken bit makes a spill of another run. A time that no
clock shows costs nothing but itself: the event is whole without it. Time and memory grow linearly with the bytes,
whatever they are.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from mmap import mmap

from schemas.wire import MAX_NUMBER, MAX_TIME_US
from streams.errors import BadDataError
from streams.framed import Unreadable, walk_over

Bytes = bytes | memoryview | mmap

MAGIC = 0xDA1E5AFE
SWAPPED_MAGIC = 0xFE5A1EDA
MAJOR_VERSION = 3
LDCS = 8
"""Numbers of local data concentrators (LDC) are below it."""
_MAGIC_BYTES = re.compile(re.escape(MAGIC.to_bytes(4, "little")))

_SUPER_EVENT = 1 << 4
_PREFIX = struct.Struct("<3I")
_LAYOUTS = {
    # Bytes of the head: its words, and the word that holds the system attributes. LDC, GDC and seconds follow it.
    68: (struct.Struct("<17I"), 13),
    72: (struct.Struct("<18I"), 13),
    80: (struct.Struct("<20I"), 15),
}
_HEADS_LOOKED_AT = 64
"""Headers looked at to tell whether a file has super-events: more than any damage at its beginning destroys."""


class EventType(IntEnum):
    """What a DATE event is. A "burst" of DATE is a spill."""

    START_OF_RUN = 1
    END_OF_RUN = 2
    START_OF_RUN_FILES = 3
    END_OF_RUN_FILES = 4
    START_OF_BURST = 5
    END_OF_BURST = 6
    PHYSICS = 7
    CALIBRATION = 8
    FORMAT_ERROR = 9
    START_OF_DATA = 10
    END_OF_DATA = 11
    SYSTEM_SOFTWARE_TRIGGER = 12
    DETECTOR_SOFTWARE_TRIGGER = 13


EQUIPPED = frozenset({EventType.START_OF_BURST, EventType.END_OF_BURST, EventType.PHYSICS, EventType.CALIBRATION})
"""The events whose fragments hold equipments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHeader:
    """A DATE event header, checked."""

    size: int
    """Bytes of the event, header included."""
    head_size: int
    type: EventType
    run: int
    number_in_run: int
    """The DAQ's count of spills."""
    is_super: bool
    """The event's payload is a list of sub-events, one per LDC."""
    ldc: int
    time_us: int
    """Microseconds since 1970 UTC; whole seconds from DATE before 3.12; 0 if no clock shows what is written."""

    @property
    def names(self) -> tuple[int, int, int]:
        """Type, run and (of events that have equipments) number, which sub-events share with their super-event."""
        return int(self.type), self.run, self.number_in_run if self.type in EQUIPPED else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A top-level event and where it is: its bytes are ``buffer[start:stop]``."""

    header: EventHeader
    start: int
    stop: int


def read_header(buffer: Bytes, at: int) -> EventHeader:
    """Return the event header that begins at byte `at`.

    Raises
    ------
    BadDataError
        When no valid header is there; names the field.
    """
    left = len(buffer) - at
    if left < _PREFIX.size:
        raise BadDataError("unpack", f"{left} bytes are left, too few for an event header", at)
    size, magic, head_size = _PREFIX.unpack_from(buffer, at)
    if fault := _size_fault(size, magic, head_size, left):
        raise BadDataError("unpack", fault, at)
    layout, attributes = _LAYOUTS[head_size]
    words = layout.unpack_from(buffer, at)
    version, kind, run, number = words[3:7]
    system, ldc, _, seconds, *rest = words[attributes:]
    microseconds = rest[0] if rest else 0
    time_us = seconds * 1_000_000 + microseconds
    is_time = microseconds < 1_000_000 and time_us <= MAX_TIME_US
    fault = ""
    if version >> 16 != MAJOR_VERSION:
        fault = f"DATE version {version >> 16}.{version & 0xFFFF}, not {MAJOR_VERSION}"
    elif not EventType.START_OF_RUN <= kind <= EventType.DETECTOR_SOFTWARE_TRIGGER:
        fault = f"event type {kind}, which does not exist"
    elif run > MAX_NUMBER or (kind in EQUIPPED and number > MAX_NUMBER):
        fault = f"run {run}, number in run {number}: no number is above {MAX_NUMBER}"
    elif system & _SUPER_EVENT and size == head_size:
        fault = "a super-event without sub-events"
    if fault:
        raise BadDataError("unpack", fault, at)
    return EventHeader(
        size=size,
        head_size=head_size,
        type=EventType(kind),
        run=run,
        number_in_run=number,
        is_super=bool(system & _SUPER_EVENT),
        ldc=ldc,
        time_us=time_us if is_time else 0,
    )


def _size_fault(size: int, magic: int, head_size: int, left: int) -> str:
    """Return what is wrong with the first three words of a header, in which `left` bytes of the buffer begin."""
    if magic == SWAPPED_MAGIC:
        return f"a byte-swapped event (magic {magic:#010x}), written by a big-endian DAQ: these are not read"
    if magic != MAGIC:
        return f"no event header: {magic:#010x} where the magic {MAGIC:#010x} should be"
    if head_size not in _LAYOUTS:
        return f"an event header of {head_size} bytes, not 68, 72 or 80"
    if size < head_size or size % 4:
        return f"an event of {size} bytes with a header of {head_size}"
    if left < head_size:
        return f"{left} bytes are left of an event header of {head_size}"
    return ""


def headers(buffer: Bytes, start: int, stop: int) -> Iterator[tuple[int, EventHeader]]:
    """Yield place and content of each valid header, of top-level or sub-events, that begins in ``[start, stop)``."""
    magic = _MAGIC_BYTES.search(buffer, start + 4)
    while magic is not None and magic.start() - 4 < stop:
        at = magic.start() - 4
        try:
            header = read_header(buffer, at)
        except BadDataError:
            pass
        else:
            yield at, header
        magic = _MAGIC_BYTES.search(buffer, at + 5)


def is_plain(buffer: Bytes) -> bool | None:
    """Say whether a buffer is one of plain events: none of its first headers is that of a super-event.

    None: there are too few headers to tell, if more are to come.
    """
    heads = [header.is_super for _, header in islice(headers(buffer, 0, len(buffer)), _HEADS_LOOKED_AT)]
    if any(heads):
        return False
    return True if len(heads) == _HEADS_LOOKED_AT else None


def walk(buffer: Bytes, start: int = 0, *, plain: bool | None = None) -> Iterator[Event | Unreadable]:
    """Yield the top-level events of a buffer from `start` on in their order, and between them the bytes that are none.

    In a buffer of super-events a sub-event is never taken for a top-level one. Stretches that are unreadable never
    touch each other.

    Parameters
    ----------
    plain
        Whether the events are plain ones; by default the buffer tells, see `is_plain`.
    """
    plain = is_plain(buffer) is not False if plain is None else plain
    yield from walk_over(start, len(buffer), lambda at: _frame(buffer, at, plain=plain))


def _frame(buffer: Bytes, at: int, *, plain: bool) -> tuple[Event | int, str]:
    """Return the event at byte `at`; or where to go on, and what is wrong with it."""
    try:
        header = read_header(buffer, at)
    except BadDataError as error:
        return _next_event(buffer, at + 1, len(buffer), plain=plain), error.reason
    if not (header.is_super or plain or header.type not in EQUIPPED):
        return _next_event(buffer, at + 1, len(buffer), plain=plain), "a sub-event without its super-event"
    stop = at + header.size
    limit = min(stop, len(buffer))
    inside = _next_event(buffer, at + 1, limit, plain=plain)
    if inside < limit:
        reason = f"an event of {header.size} bytes in which, {inside - at} bytes on, another one begins"
        return inside, reason
    if stop > len(buffer):
        return limit, f"an event of {header.size} bytes of which {len(buffer) - at} are there"
    if header.is_super and (other := _denied(buffer, at, header)):
        return stop, f"an event of (type, run, number) {header.names} whose sub-event is of {other.names}"
    return Event(header=header, start=at, stop=stop), ""


def times_of(buffer: Bytes, event: Event) -> list[int]:
    """Return the times that an event shows, in microseconds: its own, and those of its sub-events that can be read."""
    found, at = [event.header.time_us], event.start + event.header.head_size
    try:
        while event.header.is_super and at < event.stop and len(found) <= LDCS:
            sub_event = read_header(buffer, at)
            found.append(sub_event.time_us)
            at += sub_event.size
    except BadDataError:
        pass
    return found


def _denied(buffer: Bytes, at: int, header: EventHeader) -> EventHeader | None:
    """Return the header of the first sub-event if it is one of another event: then nothing tells which is right."""
    try:
        first = read_header(buffer, at + header.head_size)
    except BadDataError:
        return None
    return first if header.size > header.head_size and first.names != header.names else None


def _next_event(buffer: Bytes, start: int, stop: int, *, plain: bool) -> int:
    """Return where the next top-level event begins, or `stop`."""
    return next((at for at, header in headers(buffer, start, stop) if header.is_super or plain), stop)
