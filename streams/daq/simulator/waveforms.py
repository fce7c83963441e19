"""Samples of the pulses that photomultipliers give to V1724 channels."""

import numpy as np

from schemas.columns import F8, U2

SAMPLES = 64
MIN_CHARGE, MAX_CHARGE = 110, 4900
"""ADC counts: a smaller pulse would be suppressed, a larger one is cut."""
NOISE = 2
"""ADC counts that a sample may be off."""
_PEAK = 34
_PULSE = np.exp(-0.5 * ((np.arange(SAMPLES) - _PEAK) / 2.5) ** 2)
_PEDESTAL = (8300, 9400)
_MAX_ADC = 16_383


def v1724_waveforms(rng: np.random.Generator, charge: F8) -> U2:
    """Return (n, SAMPLES) samples of channels with pulses of these charges, (n,) ADC counts."""
    charge = np.clip(charge, MIN_CHARGE, MAX_CHARGE)
    pedestal = rng.integers(*_PEDESTAL, (len(charge), 1))
    noise = rng.integers(-NOISE, NOISE + 1, (len(charge), SAMPLES), dtype=np.int64)
    samples = pedestal + noise + np.rint(charge[:, np.newaxis] * _PULSE).astype(np.int64)
    clipped: U2 = np.clip(samples, 0, _MAX_ADC).astype(np.uint16)
    return clipped
