"""What the conditions of a run are, as arrays that reconstruction can index."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.columns import F8, I4, Bools

STATIONS, PLANES, SLABS, PMTS = 3, 2, 10, 2
"""TOF0 and TOF2 have 10 slabs a plane, TOF1 7."""
LDCS, GEOS, CHANNELS = 8, 32, 32
"""Bounds of a channel's address: geo and channel have five bits; LDC numbers of the experiment are below 8."""
NOT_CABLED = -1


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditions:
    """All that reconstruction and plots need to know of a run."""

    digest: str
    """16 hex digits of BLAKE2b over the names and contents of the tables used."""
    detectors: Mapping[tuple[int, int, int, int], str]
    """(ldc, geo, channel, equipment type) → name of the detector, from the DAQ channel map."""
    trigger: Bools
    """(LDCS, GEOS, CHANNELS): the V1290 channels that record the particle trigger."""
    trigger_request: Bools
    """(LDCS, GEOS, CHANNELS): the V1290 channels that record the trigger request."""
    tof_cabling: TofCabling | None = None
    tof_calibration: TofCalibration | None = None
    ckov_channels: tuple[tuple[int, int, int], ...] = ()
    """(ldc, geo, channel) of the eight V1731 channels in the order of the counters' photomultipliers, 0 to 7."""
    plot_ranges: Mapping[str, tuple[int, float, float]] = field(default_factory=dict)
    """Plot → bins, low, high of its first axis, where this run's differ from the catalogue's."""
