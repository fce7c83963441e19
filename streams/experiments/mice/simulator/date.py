"""DATE 3.14 events: super-events of one sub-event per LDC, of equipments."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.experiments.mice.simulator.boards import Words

MAGIC = 0xDA1E5AFE
HEAD_SIZE = 80
VERSION = 3 << 16 | 14
VOID_ID = 0xFFFFFFFF
GDC = 2
START_OF_RUN, END_OF_RUN, START_OF_BURST, END_OF_BURST, PHYSICS = 1, 2, 5, 6, 7
P_START, P_END, SUPER_EVENT = 1 << 0, 1 << 1, 1 << 4
_HEADER = struct.Struct("<20I")
_EQUIPMENT = struct.Struct("<7I")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What all headers of an event share."""

    type: int
    run: int
    number_in_run: int
    number_in_burst: int
    time_us: int
    attributes: int = 0


def equipment(kind: int, number: int, words: Words | Sequence[int] = ()) -> bytes:
    """Return an equipment: its header, then the words of its board."""
    payload = words.tobytes() if not isinstance(words, Sequence) else struct.pack(f"<{len(words)}I", *words)
    return _EQUIPMENT.pack(_EQUIPMENT.size + len(payload), kind, number, 0, 0, 0, 4) + payload


def _event(stamp: Stamp, attributes: int, ldc: int, payload: bytes) -> bytes:
    seconds, microseconds = divmod(stamp.time_us, 1_000_000)
    burst = (stamp.number_in_run & 0xFFF) << 20 | stamp.number_in_burst
    return (
        _HEADER.pack(
            *(HEAD_SIZE + len(payload), MAGIC, HEAD_SIZE, VERSION, stamp.type, stamp.run),
            *(stamp.number_in_run, burst, 0, 0, 0, 0, 0),
            *(0, 0, attributes, ldc, GDC, seconds, microseconds),
        )
        + payload
    )


def super_event(stamp: Stamp, equipments: Mapping[int, Sequence[bytes]]) -> bytes:
    """Return a super-event with a sub-event of these equipments for each LDC."""
    parts = [_event(stamp, stamp.attributes, ldc, b"".join(content)) for ldc, content in equipments.items()]
    return _event(stamp, stamp.attributes | SUPER_EVENT, VOID_ID, b"".join(parts))
