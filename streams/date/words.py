"""The words of a spill's DATE events, each with what it is: for an expert who looks at its bytes.

Damage hides nothing: what is no header, equipment or board is unknown, with the reason, and the next event that is one
is shown again.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, repeat

from streams.date.fragments import Fragment, equipments
from streams.date.framing import EQUIPPED, EventHeader, headers, read_header
from streams.errors import BadDataError
from streams.unpacked import Word

WORD = 4
"""Bytes."""
_EQUIPMENT_WORDS = 7
"""Of an equipment's header."""
_VOID = 0xFFFFFFFF
_UNKNOWN = "unknown"


Found = Generator[Word, None, int]
"""Words, and the byte after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardWords:
    """What is known of the boards of an experiment."""

    names: Mapping[int, str]
    """Equipment type → what such a board is called."""
    readers: Mapping[int, Callable[[list[int]], Iterator[str]]]
    """Equipment type → what says of each of its words what it is; there is at least one."""


def words(payload: bytes, boards: BoardWords) -> Iterator[Word]:
    """Yield all bytes of a spill as words, in their order, each byte once."""
    yield from _events(payload, 0, len(payload), 0, boards)


def _events(payload: bytes, at: int, stop: int, depth: int, boards: BoardWords) -> Found:
    """Yield events up to `stop`; within one, of its sub-events."""
    while at < stop:
        try:
            header = read_header(memoryview(payload)[:stop], at)
        except BadDataError as error:
            at = yield from _unknown(payload, at, _next_header(payload, at + 1, stop), depth, error.reason)
            continue
        inside, end = at + header.head_size, min(at + header.size, stop)
        yield from _texts(payload, at, inside, depth, _header_fields(payload, at, header, stop - at))
        if header.is_super and depth == 0:
            at = yield from _events(payload, inside, end, depth + 1, boards)
        elif header.type in EQUIPPED and not header.is_super:
            part = Fragment(ldc=header.ldc, start=inside, stop=end)
            at = yield from _equipments(payload, part, depth + 1, boards)
        else:
            at = yield from _unknown(payload, inside, end, depth + 1)
    return at


def _header_fields(payload: bytes, at: int, header: EventHeader, left: int) -> Iterator[str]:
    """Yield what each word of an event's header is."""
    kind = header.type.name.lower().replace("_", " ")
    there = "" if header.size <= left else f", of which {left} are there"
    yield f"{'super-event' if header.is_super else 'event'} of {header.size} bytes{there}"
    yield "magic"
    yield f"header of {header.head_size} bytes"
    # Behind the GDC stands the time: seconds, and microseconds unless the header is one of 68 bytes.
    gdc_at = header.head_size - (2 if header.head_size == 68 else 3) * WORD
    places = (12, 28, gdc_at, gdc_at + WORD, gdc_at + 2 * WORD)
    version, burst, gdc, seconds, microseconds = (
        int.from_bytes(payload[at + n : at + n + WORD], "little") for n in places
    )
    yield f"DATE version {version >> 16}.{version & 0xFFFF}"
    yield f"type {header.type.value}: {kind}"
    yield f"run {header.run}"
    yield f"number in run {header.number_in_run}"
    yield f"burst {burst >> 20}, number in burst {burst & 0xFFFFF}"
    # Only DATE 3.14 has 80 bytes, and a trigger pattern of four words.
    yield from repeat("trigger pattern", 4 if header.head_size == 80 else 2)
    yield "detector pattern"
    yield from repeat("user attributes", 2)
    yield "system attributes: a super-event" if header.is_super else "system attributes"
    yield f"LDC {_id(header.ldc)}"
    yield f"GDC {_id(gdc)}"
    yield f"time: {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield f"and {microseconds} µs"


def _id(number: int) -> str:
    return "none" if number == _VOID else str(number)


def _equipments(payload: bytes, fragment: Fragment, depth: int, boards: BoardWords) -> Found:
    """Yield the equipments of a fragment; where they end before it does, what is unknown up to the next event."""
    at = fragment.start
    try:
        for equipment in equipments(memoryview(payload), fragment, boards.names):
            fields = (
                f"equipment of {WORD * (_EQUIPMENT_WORDS + len(equipment.words))} bytes",
                f"type {equipment.type}: {equipment.board or _UNKNOWN}, LDC {equipment.ldc}",
                f"id {equipment.number}",
                *repeat("attributes", 3),
                "bytes of an element",
            )
            yield from _texts(payload, at, equipment.at, depth, iter(fields))
            reader = boards.readers.get(equipment.type)
            texts = reader(equipment.words.tolist()) if reader and len(equipment.words) else iter(())
            at = equipment.at + WORD * len(equipment.words)
            yield from _texts(payload, equipment.at, at, depth + 1, texts)
    except BadDataError as error:
        at = yield from _unknown(payload, at, _next_header(payload, at + 1, fragment.stop), depth, error.reason)
    return at


def _next_header(payload: bytes, at: int, stop: int) -> int:
    """Return where the next header of an event begins, or `stop`."""
    return next((there for there, _ in headers(payload, at, stop)), stop)


def _unknown(payload: bytes, at: int, stop: int, depth: int, reason: str = "") -> Found:
    """Yield bytes of which nothing is known, with why at the first."""
    first = f"{_UNKNOWN}: {reason}" if reason else _UNKNOWN
    yield from _texts(payload, at, stop, depth, iter((first,)))
    return stop


def _texts(payload: bytes, at: int, stop: int, depth: int, texts: Iterator[str]) -> Iterator[Word]:
    """Yield the words from `at` to `stop` with their texts, as far as there are some."""
    for byte, what in zip(range(at, stop, WORD), chain(texts, repeat(_UNKNOWN)), strict=False):
        yield Word(byte=byte, content=payload[byte : min(byte + WORD, stop)], depth=depth, what=what)
