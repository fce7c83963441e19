"""The events of a spill, bank by bank, each value with where it stands: for an expert who looks at its bytes."""

from collections.abc import Iterator
from datetime import UTC, datetime

from streams.errors import BadDataError
from streams.midas.banks import banks_of
from streams.midas.events import BEGIN_OF_RUN, Bytes, Unreadable, byte_order, walk

_IN_A_LINE = 8
"""Values."""


def lines(payload: Bytes) -> Iterator[tuple[int, str]]:
    """Yield byte and text of each line; damage hides nothing that is whole behind it."""
    for found in walk(payload, 0, byte_order(payload) or "<"):
        if isinstance(found, Unreadable):
            yield found.start, f"unknown, {found.stop - found.start} bytes: {found.reason}"
            continue
        when = f"{datetime.fromtimestamp(found.time_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
        size = found.stop - found.start
        yield found.start, f"event {found.id:#x} of {size} bytes, serial number {found.serial}, {when}"
        if found.id >= BEGIN_OF_RUN:
            yield found.data.start, f"  {bytes(payload[found.data]).decode(errors='backslashreplace').rstrip(chr(0))}"
        try:
            for bank in banks_of(payload, found):
                yield bank.at, f"  bank {bank.name}: {len(bank.data)} of {bank.data.dtype.name}"
                for at in range(0, len(bank.data), _IN_A_LINE):
                    values = " ".join(map(str, bank.data[at : at + _IN_A_LINE].tolist()))
                    yield bank.at + at * bank.data.itemsize, f"    {values}"
        except BadDataError as error:
            yield error.byte, f"  unknown: {error.reason}"
