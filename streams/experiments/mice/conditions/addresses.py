"""Addresses of the DAQ's channels in the rows of tables."""

from streams.conditions.rows import Row
from streams.experiments.mice.boards import CHANNELS, GEOS, LDCS

Address = tuple[int, int, int, int]
"""LDC, geo, channel, equipment type."""


def address(row: Row, at: int) -> Address:
    """Return the channel that words `at` to `at` + 3 name."""
    return (
        row.whole(at, 0, LDCS - 1),
        row.whole(at + 1, 0, GEOS - 1),
        row.whole(at + 2, 0, CHANNELS - 1),
        row.whole(at + 3, 0, 255),
    )
