"""Table files to the arrays of the conditions, every row checked."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from schemas.columns import I4
from streams.conditions.model import (
    CHANNELS,
    GEOS,
    LDCS,
    NOT_CABLED,
    PLANES,
    PMTS,
    SLABS,
    STATIONS,
    Conditions,
    PmtCalibration,
    TofCabling,
    TofCalibration,
)
from streams.conditions.rows import Row, rows

Tables = dict[str, tuple[Path, str]]
"""Kind → file and what it holds."""
Address = tuple[int, int, int, int]
"""LDC, geo, channel, equipment type."""

V1290, V1724, V1731 = 102, 120, 121
CKOV_PMTS = 8
_PHOTOMULTIPLIERS = STATIONS * PLANES * SLABS * PMTS


def make_conditions(tables: Tables, digest: str) -> Conditions:
    """Return the conditions that these tables give.

    Raises
    ------
    UsageError
        Says which line of which file is wrong.
    """
    detectors = _daq_channels(*tables["daq_channels"]) if "daq_channels" in tables else {}
    calibrated = {"tof_t0", "tof_time_walk", "tof_trigger_delay"} <= tables.keys()
    return Conditions(
        digest=digest,
        detectors=detectors,
        trigger=_mask(detectors, "trigger"),
        trigger_request=_mask(detectors, "trigger_request"),
        tof_cabling=_tof_channels(*tables["tof_channels"]) if "tof_channels" in tables else None,
        tof_calibration=_tof_calibration(tables) if calibrated else None,
        ckov_channels=tuple(
            (ldc, geo, channel)
            for (ldc, geo, channel, equipment), detector in sorted(detectors.items())
            if detector == "ckov" and equipment == V1731
        ),
        plot_ranges=_plot_ranges(*tables["plot_ranges"]) if "plot_ranges" in tables else {},
    )


def _address(row: Row, at: int) -> Address:
    """Return the channel that words `at` to `at` + 3 name."""
    return (
        row.whole(at, 0, LDCS - 1),
        row.whole(at + 1, 0, GEOS - 1),
        row.whole(at + 2, 0, CHANNELS - 1),
        row.whole(at + 3, 0, 255),
    )


def _daq_channels(file: Path, text: str) -> Mapping[Address, str]:
    """``DAQChannelKey ldc geo channel equipment detector``."""
    found: dict[Address, str] = {}
    for row in rows(file, text, 6, "DAQChannelKey"):
        address = _address(row, 1)
        if address in found:
            raise row.fail(f"the channel {address} is cabled to {found[address]} already")
        found[address] = row.words[5]
    return found


def _mask(detectors: Mapping[Address, str], name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    mask = np.zeros((LDCS, GEOS, CHANNELS), np.bool_)
    for (ldc, geo, channel, equipment), detector in detectors.items():
        if detector == name and equipment == V1290:
            mask[ldc, geo, channel] = True
    return mask


def _pmt(row: Row) -> int:
    """Return the photomultiplier that words 1 to 4 name: station, plane, slab, photomultiplier."""
    station, plane = row.whole(1, 0, STATIONS - 1), row.whole(2, 0, PLANES - 1)
    slab, pmt = row.whole(3, 0, SLABS - 1), row.whole(4, 0, PMTS - 1)
    return ((station * PLANES + plane) * SLABS + slab) * PMTS + pmt


def _tof_channels(file: Path, text: str) -> TofCabling:
    """``TOFChannelKey station plane slab pmt detector DAQChannelKey <FADC> DAQChannelKey <TDC>``."""
    shape = (LDCS, GEOS, CHANNELS)
    cabled: dict[int, I4] = {kind: np.full(shape, NOT_CABLED, np.int32) for kind in (V1724, V1290)}
    for row in rows(file, text, 18, "TOFChannelKey"):
        pmt = _pmt(row)
        for at, kind in ((7, V1724), (13, V1290)):
            *address, equipment = _address(row, at)
            if equipment != kind:
                raise row.fail(f"equipment type {equipment} where {kind} belongs")
            if cabled[kind][tuple(address)] != NOT_CABLED:
                raise row.fail(f"the channel {address} of equipment type {kind} is cabled already")
            cabled[kind][tuple(address)] = pmt
    return TofCabling(tdc=cabled[V1290], fadc=cabled[V1724])


def _tof_calibration(tables: Tables) -> TofCalibration:
    """T0, time walk and trigger delays; a photomultiplier that a table leaves out is not calibrated (zeros)."""
    t0_ps, reference = np.zeros(_PHOTOMULTIPLIERS), np.zeros(_PHOTOMULTIPLIERS, np.int32)
    for row in rows(*tables["tof_t0"], 8, "TOFChannelKey"):
        t0_ps[_pmt(row)] = row.real(6)
        # Where T0 is 0, which means not calibrated, the reference slab is a number that is none.
        reference[_pmt(row)] = row.whole(7, 0, SLABS - 1) if row.real(6) != 0 else 0
    time_walk = np.zeros((_PHOTOMULTIPLIERS, 4))
    for row in rows(*tables["tof_time_walk"], 10, "TOFChannelKey"):
        time_walk[_pmt(row)] = [row.real(at) for at in range(6, 10)]
    delay_ps, stations = np.full((SLABS, SLABS), np.nan), set[int]()
    for row in rows(*tables["tof_trigger_delay"], 6, "TOFPixelKey"):
        stations.add(row.whole(1, 0, STATIONS - 1))
        if len(stations) > 1:
            raise row.fail(f"pixels of the stations {sorted(stations)}: only one triggers")
        delay_ps[row.whole(2, 0, SLABS - 1), row.whole(3, 0, SLABS - 1)] = row.real(5)
    return TofCalibration(
        pmts=PmtCalibration(t0_ps=t0_ps, reference_slab=reference, time_walk=time_walk),
        trigger_station=stations.pop() if stations else 1,
        trigger_delay_ps=delay_ps,
    )


def _plot_ranges(file: Path, text: str) -> Mapping[str, tuple[int, float, float]]:
    """``plot bins low high``."""
    found = {}
    for row in rows(file, text, 4):
        low, high = row.real(2), row.real(3)
        if low >= high:
            raise row.fail(f"{low} to {high} is no range")
        found[row.words[0]] = (row.whole(1, 1, 100_000), low, high)
    return found
