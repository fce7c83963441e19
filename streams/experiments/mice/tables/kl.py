"""The calorimeter's (KL) tables."""

from dataclasses import dataclass

from schemas.columns import I4, U1, Detector, Table, column


@dataclass(frozen=True, kw_only=True, eq=False)
class KlDigits(Table):
    """One row an FADC hit of a KL photomultiplier."""

    trigger: I4 = column("<i4")
    """Particle trigger within the spill, from 0."""
    cell: U1 = column("u1")
    """0 to 20."""
    pmt: U1 = column("u1")
    """0 or 1: one at each end of a cell."""
    charge_mm: I4 = column("<i4")
    """ADC counts, maximum minus minimum, divided by the photomultiplier's gain and truncated."""
    charge_pm: I4 = column("<i4")
    """ADC counts, maximum minus pedestal, in the same way; `MISSING` where the source does not say."""
    position_max: I4 = column("<i4")
    """Sample of the maximum; `MISSING` where the source does not say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KlCellHits(Table):
    """One row a cell whose two photomultipliers both have a digit, of the charges a and b."""

    trigger: I4 = column("<i4")
    cell: U1 = column("u1")
    charge: I4 = column("<i4")
    """(a + b) / 2, whole ADC counts."""
    charge_product: I4 = column("<i4")
    """2 a b / (a + b), whole ADC counts, or 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Kl(Detector):
    """What the calorimeter makes of a spill."""

    digits: KlDigits
    hits: KlCellHits
