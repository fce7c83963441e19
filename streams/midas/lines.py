"""The events of a spill, bank by bank, each value with where it stands: for an expert who looks at its bytes."""

from collections.abc import Iterator
from datetime import UTC, datetime

from streams.errors import BadDataError
from streams.framed import Unreadable
from streams.midas.banks import banks_of
from streams.midas.events import BEGIN_OF_RUN, Bytes, byte_order, walk
from streams.unpacked import Word

_IN_A_LINE = 8
"""Values."""


def lines(payload: Bytes) -> Iterator[Word]:
    """Yield each event, bank, and line of values; damage hides nothing that is whole behind it."""
    for found in walk(payload, 0, byte_order(payload) or "<"):
        if isinstance(found, Unreadable):
            yield _line(found.start, 0, f"unknown, {found.stop - found.start} bytes: {found.reason}")
            continue
        when = f"{datetime.fromtimestamp(found.time_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
        size = found.stop - found.start
        yield _line(found.start, 0, f"event {found.id:#x} of {size} bytes, serial number {found.serial}, {when}")
        if found.id >= BEGIN_OF_RUN:
            text = bytes(payload[found.data]).decode(errors="backslashreplace").rstrip("\0")
            yield _line(found.data.start, 1, text)
        try:
            for bank in banks_of(payload, found):
                yield _line(bank.at, 1, f"bank {bank.name}: {len(bank.data)} of {bank.data.dtype.name}")
                for at in range(0, len(bank.data), _IN_A_LINE):
                    values = " ".join(map(str, bank.data[at : at + _IN_A_LINE].tolist()))
                    yield _line(bank.at + at * bank.data.itemsize, 2, values)
        except BadDataError as error:
            yield _line(error.byte, 1, f"unknown: {error.reason}")


def _line(byte: int, depth: int, what: str) -> Word:
    return Word(byte=byte, content=b"", depth=depth, what=what)
