"""Cabling and gains of the calorimeter (KL)."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I4
from streams.conditions.rows import Row, rows
from streams.experiments.mice.boards import CHANNELS, GEOS, LDCS, V1724
from streams.experiments.mice.conditions.addresses import address
from streams.run_conditions import TableFiles

CELLS, PMTS = 21, 2
NOT_CABLED = -1

KINDS = ("kl_channels", "kl_gains")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KlPmts:
    """Which channel is which photomultiplier, and the gain of each.

    A photomultiplier is known by its index ``cell * PMTS + pmt``.
    """

    fadc: I4
    """(LDCS, GEOS, CHANNELS) int32: photomultiplier index of a V1724 channel, or `NOT_CABLED`."""
    gain: F8
    """(42,) above 0: what a charge is divided by."""


def read_pmts(tables: TableFiles) -> KlPmts | None:
    """Return cabling and gains, if there are both tables.

    ``KLChannelKey cell pmt kl DAQChannelKey <FADC>`` and ``KLChannelKey cell pmt kl gain``
    """
    if not {*KINDS} <= tables.keys():
        return None
    gain = np.full(CELLS * PMTS, np.nan)
    for row in rows(*tables["kl_gains"], 5, "KLChannelKey"):
        pmt = _pmt(row)
        if not np.isnan(gain[pmt]):
            raise row.fail("the photomultiplier has a gain already")
        if row.real(4) <= 0:
            raise row.fail(f"the gain {row.words[4]} is not above 0")
        gain[pmt] = row.real(4)
    fadc = np.full((LDCS, GEOS, CHANNELS), NOT_CABLED, np.int32)
    for row in rows(*tables["kl_channels"], 10, "KLChannelKey"):
        pmt = _pmt(row)
        *place, equipment = address(row, 5)
        if equipment != V1724:
            raise row.fail(f"equipment type {equipment} where {V1724} belongs")
        if fadc[tuple(place)] != NOT_CABLED:
            raise row.fail(f"the channel {place} of equipment type {V1724} is cabled already")
        if pmt in fadc:
            raise row.fail("the photomultiplier is cabled already")
        if np.isnan(gain[pmt]):
            raise row.fail(f"the photomultiplier has no gain in {tables['kl_gains'][0]}")
        fadc[tuple(place)] = pmt
    return KlPmts(fadc=fadc, gain=gain)


def _pmt(row: Row) -> int:
    """Return the photomultiplier that words 1 and 2 name: cell, photomultiplier."""
    return row.whole(1, 0, CELLS - 1) * PMTS + row.whole(2, 0, PMTS - 1)
