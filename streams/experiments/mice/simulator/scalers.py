"""The scaler board: what counts while the spill lasts."""

import numpy as np

from streams.experiments.mice.boards import V830
from streams.experiments.mice.simulator import boards
from streams.experiments.mice.simulator.date import equipment
from streams.experiments.mice.simulator.readout import Beam, Readout
from streams.experiments.mice.simulator.tables import LDC_DOWNSTREAM

CHANNELS = 32
_MEAN = (2000, 90, 60, 50)
"""Of GVA, TOF0, TOF1, TOF2: channels 2 to 5."""
_CLOCK = 32_000
"""Counts of the 10 MHz clock, channel 12, in a spill of 3.2 ms."""


def read_out_scalers(rng: np.random.Generator, beam: Beam) -> Readout:
    """Return the equipment of the scaler."""
    triggers = len(beam.particles)
    counts = np.zeros(CHANNELS, np.int64)
    counts[:6] = [triggers, triggers + rng.poisson(1), *rng.poisson(_MEAN)]
    counts[12] = _CLOCK
    return Readout(equipments=[(LDC_DOWNSTREAM, equipment(V830, 0, boards.v830_words(0, counts.tolist())))])
