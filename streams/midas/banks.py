"""The banks of a MIDAS event: each a name, a type, and numbers; in three forms, and in both byte orders."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.errors import BadDataError
from streams.midas.events import (
    BANK_AREA_BYTES,
    BANK_HEADERS,
    BANK_PADDING,
    BEGIN_OF_RUN,
    HEADER_BYTES,
    Bytes,
    Event,
)

TYPES = {
    1: "u1",
    2: "i1",
    3: "u1",  # char
    4: "u2",
    5: "i2",
    6: "u4",
    7: "i4",
    8: "u4",  # bool
    9: "f4",
    10: "f8",
    11: "u4",  # bit field
    **dict.fromkeys(range(12, 17), "u1"),  # string, array, struct, key, link: as bytes
    17: "i8",
    18: "u8",
}
"""Number of a bank's type → numpy's name of its values, without the byte order."""
U32 = 6
"""The type of words of 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bank:
    """One bank."""

    name: str
    """Four characters."""
    type: int
    """A key of `TYPES`."""
    at: int
    """Byte of the buffer at which the data begin."""
    data: NDArray[Any]
    """Its values, not copied; their byte order is that of the file."""


def banks_of(buffer: Bytes, event: Event) -> Iterator[Bank]:
    """Yield the banks of an event, which lies whole in the buffer; of a run's begin or end, or of a message, none.

    Raises
    ------
    BadDataError
        When a bank is not as it can be (step ``unpack``, byte of the buffer); those before it come first.
    """
    if event.id >= BEGIN_OF_RUN:
        return
    area = event.start + HEADER_BYTES
    (flags,) = struct.unpack_from(f"{event.order}I", buffer, area + 4)
    header = struct.Struct(event.order + BANK_HEADERS[flags])
    at = area + BANK_AREA_BYTES
    while at < event.stop:
        if event.stop - at < header.size:
            raise BadDataError("unpack", f"{event.stop - at} bytes are left, too few for a bank's header", at)
        name, kind, size = header.unpack_from(buffer, at)
        data = at + header.size
        padded = size + -size % BANK_PADDING
        if not (name.isascii() and name.decode().isprintable()):
            raise BadDataError("unpack", f"a bank of the name {name!r}, not four characters", at)
        if kind not in TYPES:
            raise BadDataError("unpack", f"bank {name.decode()} of type {kind}, which does not exist", at)
        if padded > event.stop - data:
            left = event.stop - data
            raise BadDataError(
                "unpack", f"bank {name.decode()} of {size} bytes, padded {padded}, of which {left} are there", at
            )
        values = np.dtype(event.order + TYPES[kind])
        if size % values.itemsize:
            raise BadDataError("unpack", f"bank {name.decode()} of {size} bytes, no values of {values.itemsize}", at)
        found = np.frombuffer(buffer, values, size // values.itemsize, data)
        yield Bank(name=name.decode(), type=kind, at=data, data=found)
        at = data + padded
