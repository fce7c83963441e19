"""Which kind of particle each trigger is, by its time of flight from TOF0 to TOF1; ask for it with `Batch.once`."""

import numpy as np

from schemas.columns import I8
from streams.experiments.mice.plots.tof_quantities import KINDS_NS, first_flight_ns
from streams.plots.axis import Axis
from streams.plots.batch import Batch
from streams.plots.measures import at, mean

KINDS = tuple(KINDS_NS)
UNKNOWN = -1
CHARGES = tuple(at(mean("Charge", "ADC counts"), f"Mean charge of {kind}", place) for place, kind in enumerate(KINDS))
"""Measures of a plot of kind and charge."""
KIND = Axis(label="Kind by time of flight", bins=len(KINDS), low=-0.5, high=len(KINDS) - 0.5, names=KINDS)


def kinds(batch: Batch) -> I8:
    """Return (triggers,) place in `KINDS`, else `UNKNOWN`: it needs one space point in TOF0 and in TOF1."""
    flight = batch.once(first_flight_ns)
    kind = np.full(batch.triggers, UNKNOWN)
    for place, (low, high) in enumerate(KINDS_NS.values()):
        kind[(flight >= low) & (flight < high)] = place
    return kind
