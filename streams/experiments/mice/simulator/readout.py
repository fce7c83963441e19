"""What passes between the beam and a simulated detector: particles in; boards' words, and the truth, out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from schemas.columns import I8, Table
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.simulator.beam import Particles


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beam:
    """What comes in one spill."""

    number: int
    """Of the spill."""
    particles: Particles
    ticks: I8
    """(triggers,) time tags that all boards give, counts of 800 ns: the counter runs on from spill to spill."""
    conditions: Conditions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readout:
    """What a detector's boards make of it."""

    equipments: list[tuple[int, bytes]]
    """(LDC, equipment) in the order of the read-out."""
    truth: Table | None = None
    """What a perfect reconstruction would find, if it is more than the particles say."""


ReadOut = Callable[[np.random.Generator, Beam], Readout]
"""A detector. Its random generator is its own, so that its bytes depend on no other detector."""
