"""The Cherenkov counters' table."""

from dataclasses import dataclass

from schemas.columns import F8, I4, Detector, Table, column

COUNTS_PER_PHOTO_ELECTRON = 23.0
"""Pulse area of one photo-electron, ADC counts times samples, the same for every photomultiplier."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CkovDigits(Table):
    """One row a particle trigger; columns of 8 are the photomultipliers (0-3 CkovA, 4-7 CkovB), of 2 the counters."""

    trigger: I4 = column("<i4")
    pulse: I4 = column("<i4", row=(8,))
    """Area of the pulse inside the gate, ADC counts times samples; else 0."""
    position_min: I4 = column("<i4", row=(8,))
    """Sample of the minimum inside the gate; else 300."""
    arrival_time: I4 = column("<i4", row=(8,))
    """First sample that leaves the pedestal; the last sample if none does."""
    total_charge: I4 = column("<i4", row=(2,))
    photo_electrons: F8 = column("<f8", row=(2,))
    coincidences: I4 = column("<i4", row=(2,))


@dataclass(frozen=True, kw_only=True, eq=False)
class Ckov(Detector):
    """What the Cherenkov counters make of a spill."""

    digits: CkovDigits
