"""Samples of the pulses that photomultipliers give to V1724 channels."""

import numpy as np

from schemas.columns import F8, I4, U2

SAMPLES = 64
MIN_CHARGE, MAX_CHARGE = 110, 4900
"""ADC counts: a smaller pulse would be suppressed, a larger one is cut."""
NOISE = 2
"""ADC counts that a sample may be off."""
_PEAK = 34
_PULSE = np.exp(-0.5 * ((np.arange(SAMPLES) - _PEAK) / 2.5) ** 2)
_PEDESTAL = np.random.default_rng(1724).integers(8300, 9400, 256)
"""Of each channel."""
_MAX_ADC = 16_383


def v1724_waveforms(rng: np.random.Generator, channel: I4, charge: F8) -> U2:
    """Return (n, SAMPLES) samples of channels, (n,) any numbers of theirs, with pulses of these charges, ADC counts."""
    charge = np.clip(charge, MIN_CHARGE, MAX_CHARGE)
    pedestal = _PEDESTAL[channel % len(_PEDESTAL), np.newaxis]
    noise = rng.integers(-NOISE, NOISE + 1, (len(charge), SAMPLES), dtype=np.int64)
    samples = pedestal + noise + np.rint(charge[:, np.newaxis] * _PULSE).astype(np.int64)
    clipped: U2 = np.clip(samples, 0, _MAX_ADC).astype(np.uint16)
    return clipped
