"""Tables of raw quantities, for the expert's pages: what the boards' channels gave before any cabling is known."""

from dataclasses import dataclass

from schemas.columns import F4, I4, U1, Detector, Table, column


@dataclass(frozen=True, kw_only=True, eq=False)
class RawTdcHits(Table):
    """One row a V1290 channel and leading edge."""

    trigger: I4 = column("<i4")
    geo: U1 = column("u1")
    channel: U1 = column("u1")
    leading_time: I4 = column("<i4")
    """TDC counts of 25 ps, wrapping at 2^21."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawFadcHits(Table):
    """One row a V1724 or V1731 channel with samples."""

    trigger: I4 = column("<i4")
    equipment: U1 = column("u1")
    geo: U1 = column("u1")
    channel: U1 = column("u1")
    pedestal: F4 = column("<f4")
    """ADC counts."""
    charge_mm: I4 = column("<i4")
    """ADC counts, maximum minus minimum."""
    position_min: I4 = column("<i4")
    """Sample of the minimum."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawVlsbHits(Table):
    """One row a channel of the trackers' boards."""

    trigger: I4 = column("<i4")
    bank: U1 = column("u1")
    adc: U1 = column("u1")
    """Counts, pedestal included."""
    tdc: U1 = column("u1")
    """Counts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawDbbHits(Table):
    """One row a channel of a digitiser buffer board (DBB) and leading edge, of the whole spill."""

    geo: U1 = column("u1")
    channel: U1 = column("u1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Raw(Detector):
    """What the boards gave in a spill."""

    tdc: RawTdcHits
    fadc: RawFadcHits
    vlsb: RawVlsbHits
    dbb: RawDbbHits
