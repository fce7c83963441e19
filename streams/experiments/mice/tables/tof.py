"""The time-of-flight stations' tables."""

from dataclasses import dataclass

from schemas.columns import F8, I4, U1, Detector, Table, column


@dataclass(frozen=True, kw_only=True, eq=False)
class TofDigits(Table):
    """One row a TDC hit of a TOF photomultiplier, with what belongs to it."""

    trigger: I4 = column("<i4")
    """Particle trigger within the spill, from 0."""
    station: U1 = column("u1")
    plane: U1 = column("u1")
    """0: horizontal slabs (measure y); 1: vertical slabs (measure x)."""
    slab: U1 = column("u1")
    pmt: U1 = column("u1")
    leading_time: I4 = column("<i4")
    """TDC counts of 25 ps, wrapping at 2^21."""
    trailing_time: I4 = column("<i4")
    trigger_time: I4 = column("<i4")
    """Leading time of the first trigger hit on the same board."""
    request_time: I4 = column("<i4")
    """Leading time of the first trigger-request hit on the same board."""
    charge_mm: I4 = column("<i4")
    """ADC counts, maximum minus minimum; 0 if the ADC was zero-suppressed."""
    charge_pm: I4 = column("<i4")
    """ADC counts, maximum minus pedestal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TofSlabHits(Table):
    """One row a slab whose two photomultipliers both fired; index 0 and 1 are the photomultipliers."""

    trigger: I4 = column("<i4")
    station: U1 = column("u1")
    plane: U1 = column("u1")
    slab: U1 = column("u1")
    raw_time_ns: F8 = column("<f8")
    """Mean of the two times, each relative to the trigger request, not calibrated."""
    raw_time0_ns: F8 = column("<f8")
    raw_time1_ns: F8 = column("<f8")
    charge: I4 = column("<i4")
    charge0: I4 = column("<i4")
    charge1: I4 = column("<i4")
    charge_product: I4 = column("<i4")
    """floor(q0 q1 / (q0 + q1)), or 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TofSpacePoints(Table):
    """One row a crossing of a plane-0 and a plane-1 slab hit whose calibrated times agree."""

    trigger: I4 = column("<i4")
    station: U1 = column("u1")
    slabx: U1 = column("u1")
    """The slab of plane 0 (the experiment's name for it)."""
    slaby: U1 = column("u1")
    """The slab of plane 1."""
    time_ns: F8 = column("<f8")
    dt_ns: F8 = column("<f8")
    """Time of the plane-0 hit minus time of the plane-1 hit."""
    charge: I4 = column("<i4")
    charge_product: I4 = column("<i4")


@dataclass(frozen=True, kw_only=True, eq=False)
class Tof(Detector):
    """What the time-of-flight stations make of a spill."""

    digits: TofDigits
    hits: TofSlabHits
    space_points: TofSpacePoints
