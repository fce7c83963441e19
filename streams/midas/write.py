"""MIDAS events as they are written, little-endian with banks of 32 bits: for simulators."""

import struct
from collections.abc import Mapping

from streams.midas.banks import U32
from streams.midas.events import BANK_PADDING, BANKS_32, BEGIN_OF_RUN, END_OF_RUN, SYSTEM_MASK


def run_event(run: int, time_s: int, *, begins: bool) -> bytes:
    """Return the begin or the end of a run."""
    return _event(BEGIN_OF_RUN if begins else END_OF_RUN, SYSTEM_MASK, run, time_s, b"<odb/>")


def event(kind: int, serial: int, time_s: int, banks: Mapping[str, bytes]) -> bytes:
    """Return an event of the experiment's own; each of its banks holds words of 32 bits."""
    body = b""
    for name, data in banks.items():
        body += name.encode() + struct.pack("<2I", U32, len(data)) + data + bytes(-len(data) % BANK_PADDING)
    return _event(kind, 0, serial, time_s, struct.pack("<2I", len(body), BANKS_32) + body)


def _event(kind: int, mask: int, serial: int, time_s: int, data: bytes) -> bytes:
    return struct.pack("<2H3I", kind, mask, serial, time_s, len(data)) + data
