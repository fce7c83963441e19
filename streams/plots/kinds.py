"""Which kind of particle each trigger is, by its time of flight from TOF0 to TOF1; ask for it with `Batch.once`."""

import numpy as np

from schemas.columns import F8, I8
from streams.plots.axis import Axis
from streams.plots.batch import Batch
from streams.plots.tof_quantities import single_times_ns

KINDS = ("electron", "muon", "pion")
EDGES_NS = (24.6, 26.9, 29.15, 32.0)
"""Between which times each kind lies: electrons at 7.6 m / c, muons and pions of 200 to 300 MeV/c. A beam of another
momentum has muons and pions elsewhere."""
UNKNOWN = -1
KIND = Axis(label="Kind by time of flight", bins=len(KINDS), low=-0.5, high=len(KINDS) - 0.5, names=KINDS)


TIME = Axis(label="Time TOF0 → TOF1", unit="ns", bins=100, low=20, high=40)


def flight_ns(batch: Batch) -> F8:
    """Return (triggers,) time of flight from TOF0 to TOF1; NaN without one space point in each."""
    times = batch.once(single_times_ns)
    return times[:, 1] - times[:, 0]


def kinds(batch: Batch) -> I8:
    """Return (triggers,) place in `KINDS`, else `UNKNOWN`: it needs one space point in TOF0 and in TOF1."""
    kind = np.searchsorted(EDGES_NS, batch.once(flight_ns), side="right") - 1  # NaN lies behind all
    return np.where(kind < len(KINDS), kind, UNKNOWN)
