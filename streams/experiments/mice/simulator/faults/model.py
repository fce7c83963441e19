"""What a fault is: a kind, asked for at a place and on a range of spills."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from schemas.records import ControlKind, RawSpill
from streams.experiments.mice.simulator.beam import Particles
from streams.experiments.mice.simulator.faults.crate import Crate
from streams.experiments.mice.simulator.faults.places import Part


class PlaceKind(Enum):
    """What a fault's place names; the value is its syntax."""

    NONE = ""
    PART = "DETECTOR[/NUMBER...]"
    TWO_PARTS = "DETECTOR/NUMBER...,DETECTOR/NUMBER..."
    BOARD = "BOARD/LDC/GEO"
    LDC = "LDC"


class SpillsKind(Enum):
    """Which spills a fault can be limited to; the value is the syntax."""

    ANY = "[@FIRST[-LAST]]"
    NEEDED = "@FIRST[-LAST]"
    SEVERAL = "@FIRST-LAST"
    ONE = "@FIRST"
    RUN = ""
    """It is a fault of the whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What comes next in a simulated file: a run's start or end, or a spill."""

    run: int
    index: int
    """Of the spill, from 0 through all runs of the file; of a run's start and end, that of the spill that follows."""
    first: int
    """Index of the run's first spill."""
    control: ControlKind | None = None
    """Start or end of the run; None: a spill."""
    again: bool = False
    """It was there before."""
    lost: bool = False
    """It was there, and is not written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault, as it was asked for."""

    kind: "FaultKind"
    text: str
    """How it was asked for."""
    first: int = 0
    last: int
    """Spills from `first` to `last` have it, counted through all runs of the file."""
    parts: tuple[Part, ...] = ()
    """For places of detectors: the channels of each photomultiplier, or of whatever the detector's smallest part is."""
    counts: Mapping[int, float] = field(default_factory=dict)
    """Equipment type → counts of its clock in the detector's unit of time."""
    board: tuple[int, int, int] = (0, 0, 0)
    """Equipment type, LDC, geo."""
    ldc: int = 0
    value: float = 0.0

    def covers(self, index: int) -> bool:
        """Say whether a spill has it."""
        return self.first <= index <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """A fault by its name, and the pure function that does it: exactly one of those named ``on_...``."""

    name: str
    does: str
    look: str
    """Where a shifter sees it."""
    place: PlaceKind = PlaceKind.NONE
    value: str = ""
    """What its value is, with the unit; without, it takes none."""
    spills: SpillsKind = SpillsKind.ANY
    on_beam: Callable[[np.random.Generator, Particles], Particles] | None = None
    on_crate: Callable[[np.random.Generator, Crate, Fault], None] | None = None
    on_spill: Callable[[np.random.Generator, RawSpill, Fault], RawSpill] | None = None
    on_order: Callable[[Iterator[Step], Fault], Iterator[Step]] | None = None

    @property
    def syntax(self) -> str:
        """How it is asked for."""
        place = f":{self.place.value}" if self.place.value else ""
        return f"{self.name}{place}{'=VALUE' if self.value else ''}{self.spills.value}"
