"""Cabling and calibration of the time-of-flight stations."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I4
from streams.conditions.rows import Row, once, rows
from streams.experiments.mice.boards import CHANNELS, GEOS, LDCS, V1290, V1724
from streams.experiments.mice.conditions.addresses import address
from streams.run_conditions import TableFiles

STATIONS, PLANES, SLABS, PMTS = 3, 2, 10, 2
"""TOF0 and TOF2 have 10 slabs a plane, TOF1 7."""
NOT_CABLED = -1
_PHOTOMULTIPLIERS = STATIONS * PLANES * SLABS * PMTS

CABLING = ("tof_channels",)
CALIBRATION = ("tof_t0", "tof_time_walk", "tof_trigger_delay")
KINDS = (*CABLING, *CALIBRATION)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TofCabling:
    """Which channel is which photomultiplier.

    A photomultiplier is known by its index ``((station * PLANES + plane) * SLABS + slab) * PMTS + pmt``.
    """

    tdc: I4
    """(LDCS, GEOS, CHANNELS) int32: photomultiplier index of a V1290 channel, or `NOT_CABLED`."""
    fadc: I4
    """(LDCS, GEOS, CHANNELS) int32: photomultiplier index of a V1724 channel, or `NOT_CABLED`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PmtCalibration:
    """Time walk and T0 of every TOF photomultiplier, by its index."""

    t0_ps: F8
    """(120,) picoseconds; 0: not calibrated."""
    reference_slab: I4
    """(120,)."""
    time_walk: F8
    """(120, 4): p0 to p3; TW = p1 + p2/x + p3/x², x = charge + p0, picoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TofCalibration:
    """Calibration of the time-of-flight stations (MICE Note 251)."""

    pmts: PmtCalibration
    trigger_station: int
    trigger_delay_ps: F8
    """(SLABS, SLABS) by slab of plane 0 and of plane 1 in the trigger station; NaN: pixel not calibrated."""


def read_cabling(tables: TableFiles) -> TofCabling | None:
    """Return the cabling, if there is its table.

    ``TOFChannelKey station plane slab pmt detector DAQChannelKey <FADC> DAQChannelKey <TDC>``
    """
    if "tof_channels" not in tables:
        return None
    shape = (LDCS, GEOS, CHANNELS)
    cabled: dict[int, I4] = {kind: np.full(shape, NOT_CABLED, np.int32) for kind in (V1724, V1290)}
    for row in rows(*tables["tof_channels"], 18, "TOFChannelKey"):
        pmt = _pmt(row)
        for at, kind in ((7, V1724), (13, V1290)):
            *place, equipment = address(row, at)
            if equipment != kind:
                raise row.fail(f"equipment type {equipment} where {kind} belongs")
            if cabled[kind][tuple(place)] != NOT_CABLED:
                raise row.fail(f"the channel {place} of equipment type {kind} is cabled already")
            cabled[kind][tuple(place)] = pmt
    return TofCabling(tdc=cabled[V1290], fadc=cabled[V1724])


def read_calibration(tables: TableFiles) -> TofCalibration | None:
    """Return T0, time walk and trigger delays, if there are all three tables.

    A photomultiplier that a table leaves out is not calibrated (zeros).
    """
    if not {*CALIBRATION} <= tables.keys():
        return None
    t0_ps, reference = np.zeros(_PHOTOMULTIPLIERS), np.zeros(_PHOTOMULTIPLIERS, np.int32)
    for row in once(rows(*tables["tof_t0"], 8, "TOFChannelKey"), 5):
        t0_ps[_pmt(row)] = row.real(6)
        # Where T0 is 0, which means not calibrated, the reference slab is a number that is none.
        reference[_pmt(row)] = row.whole(7, 0, SLABS - 1) if row.real(6) != 0 else 0
    time_walk = np.zeros((_PHOTOMULTIPLIERS, 4))
    for row in once(rows(*tables["tof_time_walk"], 10, "TOFChannelKey"), 5):
        time_walk[_pmt(row)] = [row.real(at) for at in range(6, 10)]
    delay_ps, stations = np.full((SLABS, SLABS), np.nan), set[int]()
    for row in once(rows(*tables["tof_trigger_delay"], 6, "TOFPixelKey"), 4):
        stations.add(row.whole(1, 0, STATIONS - 1))
        if len(stations) > 1:
            raise row.fail(f"pixels of the stations {sorted(stations)}: only one triggers")
        delay_ps[row.whole(2, 0, SLABS - 1), row.whole(3, 0, SLABS - 1)] = row.real(5)
    return TofCalibration(
        pmts=PmtCalibration(t0_ps=t0_ps, reference_slab=reference, time_walk=time_walk),
        trigger_station=stations.pop() if stations else 1,
        trigger_delay_ps=delay_ps,
    )


def _pmt(row: Row) -> int:
    """Return the photomultiplier that words 1 to 4 name: station, plane, slab, photomultiplier."""
    station, plane = row.whole(1, 0, STATIONS - 1), row.whole(2, 0, PLANES - 1)
    slab, pmt = row.whole(3, 0, SLABS - 1), row.whole(4, 0, PMTS - 1)
    return ((station * PLANES + plane) * SLABS + slab) * PMTS + pmt
