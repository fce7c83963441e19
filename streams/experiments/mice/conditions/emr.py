"""Cabling and geometry of the EMR: which channel is which bar or plane, and where it is."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I4, I8
from streams.conditions.rows import Row, rows
from streams.experiments.mice.boards import CHANNELS, DBB, DBB_CHAIN, DBB_CHANNELS, DBB_GEOS, GEOS, LDCS, V1731
from streams.run_conditions import TableFiles

PLANES, BARS = 48, 60
"""Bars 1 to 59 of a plane have light; bar 0 is a test channel."""
TRIGGER_BAR = 63
"""Stands in the table for the channel of a plane's board that records the particle triggers."""
BAR_NUMBERS = 64
NOT_CABLED = -1
BAR_PITCH_MM, CENTRAL_BAR = 17.0, 30
PLANE_PITCH_MM = 17.5
"""Bars of 17 mm height and what is between them: 48 planes are the 840 mm of the range's axis."""
COUNT_NS = 2.5
"""Of the boards' clocks."""
SA_THRESHOLD = 10
"""ADC counts times samples: a plane is hit if the charge of its single-anode photomultiplier is above."""

KINDS = ("emr_channels",)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmrCabling:
    """Which channel is which bar or plane. A bar is known by its index ``plane * BAR_NUMBERS + bar``."""

    dbb: I4
    """(LDCS, DBB_GEOS, DBB_CHANNELS) int32: index of the bar, or `NOT_CABLED`."""
    fadc: I4
    """(LDCS, GEOS, CHANNELS) int32: plane whose one photomultiplier a V1731 channel reads, or `NOT_CABLED`."""


def read_cabling(tables: TableFiles) -> EmrCabling | None:
    """``EMRChannelKey plane orientation bar emr DAQChannelKey <FADC or DBB>``; None without the table.

    A board's equipment type is that of a DBB or of a chain of them, whichever it is read out as: hits are known by LDC,
    geo and channel.
    """
    if "emr_channels" not in tables:
        return None
    dbb = np.full((LDCS, DBB_GEOS, DBB_CHANNELS), NOT_CABLED, np.int32)
    fadc = np.full((LDCS, GEOS, CHANNELS), NOT_CABLED, np.int32)
    bars: set[int] = set()
    planes: set[int] = set()
    for row in rows(*tables["emr_channels"], 11, "EMRChannelKey"):
        plane = row.whole(1, 0, PLANES - 1)
        row.whole(2, plane % 2, plane % 2)
        equipment = row.whole(9, 0, 255)
        if equipment == V1731:
            row.whole(3, 0, 0)
            _cable(row, fadc, planes, plane)
        elif equipment in (DBB, DBB_CHAIN):
            bar = row.whole(3, 0, TRIGGER_BAR)
            if BARS <= bar < TRIGGER_BAR:
                raise row.fail(f"bar {bar}: there are {BARS}, and {TRIGGER_BAR} for the trigger")
            _cable(row, dbb, bars, plane * BAR_NUMBERS + bar)
        else:
            raise row.fail(f"equipment type {equipment} where {V1731}, {DBB} or {DBB_CHAIN} belongs")
    return EmrCabling(dbb=dbb, fadc=fadc)


def _cable(row: Row, cabling: I4, seen: set[int], what: int) -> None:
    """Note what the channel is that words 6 to 8 name."""
    place = tuple(row.whole(6 + at, 0, bound - 1) for at, bound in enumerate(cabling.shape))
    if cabling[place] != NOT_CABLED:
        raise row.fail(f"the channel {place} is cabled already")
    if what in seen:
        raise row.fail("this bar or plane is cabled already")
    seen.add(what)
    cabling[place] = what


def z_mm(plane: I8) -> F8:
    """Return (n,) depth of the middle of each plane."""
    return (plane.astype(np.float64) + 0.5) * PLANE_PITCH_MM


def bar_mm(bar: I8) -> F8:
    """Return (n,) coordinate of each bar across its plane, 0 in the middle."""
    return (bar - CENTRAL_BAR).astype(np.float64) * BAR_PITCH_MM
