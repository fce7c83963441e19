"""Cherenkov counters: pulses inside the gate, photo-electrons and coincidences."""

import numpy as np

from streams.errors import DetectorError
from streams.experiments.mice.boards import V1731
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.tables.ckov import COUNTS_PER_PHOTO_ELECTRON, Ckov, CkovDigits
from streams.experiments.mice.unpack.hits import RawHits

GATE = (19, 80)
"""A pulse counts if its minimum is after the first and not after the second sample."""
OUTSIDE = 300
"""Stands for the position of a pulse outside the gate."""
POSITION_TOLERANCE = 40
"""Samples between a pulse and its counter's largest one, beyond which it belongs to another particle."""
MIN_COINCIDENT = 2
"""Pulses of a counter from which on their positions are compared."""
COUNTERS, PMTS = 2, 4


def reconstruct_ckov(hits: RawHits, conditions: Conditions) -> Ckov:
    """Return one digit a particle trigger.

    Raises
    ------
    DetectorError
        When the conditions do not cable all eight photomultipliers, or a trigger lacks one of them.
    """
    channels = conditions.ckov_channels
    if len(channels) != COUNTERS * PMTS:
        raise DetectorError(f"{len(channels)} of 8 photomultipliers are cabled in the run's table daq_channels")
    fadc = hits.fadc
    shape = (hits.triggers, COUNTERS * PMTS)
    row = np.full(shape, -1, np.int64)
    for pmt, (ldc, geo, channel) in enumerate(channels):
        mine = np.flatnonzero(
            (fadc.equipment == V1731) & (fadc.ldc == ldc) & (fadc.geo == geo) & (fadc.channel == channel)
        )
        row[fadc.trigger[mine], pmt] = mine
    if (row < 0).any():
        trigger, pmt = np.argwhere(row < 0)[0]
        ldc, geo, channel = channels[pmt]
        raise DetectorError(f"particle trigger {trigger} has no V1731 hit of LDC {ldc}, geo {geo}, channel {channel}")
    position, area = fadc.position_min[row], fadc.pulse_area[row]
    inside = (position > GATE[0]) & (position <= GATE[1]) & (area >= 0)
    position = np.where(inside, position, OUTSIDE).reshape(-1, COUNTERS, PMTS)
    pulse = np.where(inside, area, 0).reshape(-1, COUNTERS, PMTS)
    pulses = np.count_nonzero(pulse, axis=2)
    largest = np.take_along_axis(position, pulse.argmax(axis=2)[..., np.newaxis], axis=2)
    elsewhere = np.abs(position - largest) > POSITION_TOLERANCE
    pulse = np.where(elsewhere & (pulses >= MIN_COINCIDENT)[..., np.newaxis], 0, pulse)
    digits = CkovDigits(
        trigger=np.arange(hits.triggers, dtype=np.int32),
        pulse=pulse.reshape(shape),
        position_min=position.reshape(shape),
        arrival_time=fadc.arrival_time[row],
        total_charge=pulse.sum(axis=2),
        # Coincidences are counted before the pulses elsewhere are taken out.
        photo_electrons=(pulse / COUNTS_PER_PHOTO_ELECTRON).sum(axis=2),
        coincidences=pulses,
    )
    return Ckov(digits=digits)
