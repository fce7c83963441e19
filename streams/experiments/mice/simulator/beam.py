"""Particles of a spill: kinds, flight times, where they cross the stations, and when they trigger."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from schemas.columns import F8, I8, U1, Bools, Table, column
from streams.experiments.mice.conditions.tof import STATIONS


class Kind(IntEnum):
    """What a particle is."""

    ELECTRON = 0
    MUON = 1
    PION = 2


FRACTIONS = (0.15, 0.55, 0.30)
"""By kind."""
TOF01_NS = (25.6, 28.2, 30.1)
"""Mean time of flight from TOF0 to TOF1, by kind: 7.6 m at a momentum of 200 to 300 MeV/c."""
TOF01_SPREAD_NS = (0.02, 0.08, 0.08)
"""Sigma of it by kind: electrons are all at the speed of light."""
TOF12_PER_TOF01 = 27.3 / 25.6
"""Distance from TOF1 to TOF2 over that from TOF0 to TOF1."""
REACHES_TOF2 = (0.97, 0.92, 0.75)
"""By kind: muons and pions decay, or stop in the absorber."""
SPOT_MM = (45.0, 55.0, 70.0)
"""Sigma of the beam spot by station."""
MIN_GAP_NS = 3_200
"""Dead time of the read-out after a trigger."""
MEAN_GAP_NS = 40_000
MAX_TRIGGERS = 300


@dataclass(frozen=True, kw_only=True, eq=False)
class Particles(Table):
    """One row a particle trigger: the truth."""

    kind: U1 = column("u1")
    trigger_ns: I8 = column("<i8")
    """Time of the trigger since the begin of the spill."""
    tof01_ns: F8 = column("<f8")
    tof12_ns: F8 = column("<f8")
    x_mm: F8 = column("<f8", row=(STATIONS,))
    y_mm: F8 = column("<f8", row=(STATIONS,))
    in_station: Bools = column("?", row=(STATIONS,))


def make_particles(rng: np.random.Generator, mean_triggers: float) -> Particles:
    """Return the particles that trigger in one spill; at least one, at most `MAX_TRIGGERS`."""
    return particles_of(rng, int(np.clip(rng.poisson(mean_triggers), 1, MAX_TRIGGERS)))


def particles_of(rng: np.random.Generator, n: int) -> Particles:
    """Return the particles of `n` triggers in one spill."""
    kind = rng.choice(len(Kind), n, p=FRACTIONS)
    tof01_ns = rng.normal(np.take(TOF01_NS, kind), np.take(TOF01_SPREAD_NS, kind))
    spot = np.array(SPOT_MM)
    in_station = np.ones((n, STATIONS), np.bool_)
    in_station[:, 2] = rng.random(n) < np.take(REACHES_TOF2, kind)
    return Particles(
        kind=kind.astype(np.uint8),
        trigger_ns=1_000_000 + np.cumsum(MIN_GAP_NS + rng.exponential(MEAN_GAP_NS, n)).astype(np.int64),
        tof01_ns=tof01_ns,
        tof12_ns=tof01_ns * TOF12_PER_TOF01,
        x_mm=rng.normal(0, spot, (n, STATIONS)),
        y_mm=rng.normal(0, spot, (n, STATIONS)),
        in_station=in_station,
    )
