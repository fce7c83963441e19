"""What is made of a spill: the tables of each detector. ``trigger`` counts the particles of the spill, from 0."""

from dataclasses import dataclass

from schemas.columns import F8, I8, Detector, Table, column


@dataclass(frozen=True, kw_only=True, eq=False)
class CounterHits(Table):
    """One row a scintillator that saw a particle: 0 and 1 begin the line, 2 and 3 end it."""

    trigger: I8 = column("<i8")
    counter: I8 = column("<i8")
    time_ns: F8 = column("<f8")
    energy_mev: F8 = column("<f8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Flights(Table):
    """One row a particle that all scintillators saw: its time from the first two to the last two."""

    trigger: I8 = column("<i8")
    time_ns: F8 = column("<f8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Counters(Detector):
    """What the scintillators make of a spill."""

    hits: CounterHits
    flights: Flights


@dataclass(frozen=True, kw_only=True, eq=False)
class Points(Table):
    """One row a particle that fired one strip in each plane of the hodoscope."""

    trigger: I8 = column("<i8")
    x_mm: F8 = column("<f8")
    y_mm: F8 = column("<f8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Hodoscope(Detector):
    """What the beam hodoscope makes of a spill."""

    points: Points


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockHits(Table):
    """One row a block of lead glass above the threshold: three rows of three, from the lowest x and y on."""

    trigger: I8 = column("<i8")
    block: I8 = column("<i8")
    energy_mev: F8 = column("<f8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Showers(Table):
    """One row a particle that left light: sum of its blocks, and their mean place by energy."""

    trigger: I8 = column("<i8")
    energy_mev: F8 = column("<f8")
    x_mm: F8 = column("<f8")
    y_mm: F8 = column("<f8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Calorimeter(Detector):
    """What the lead glass makes of a spill."""

    hits: BlockHits
    showers: Showers
