"""Features of FADC pulses, by the experiment's definitions of 2013 and later, or by those until 2012."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.columns import F8, I4, I8
from schemas.records import MISSING
from streams.boards import PulseDefinitions

Samples = npt.NDArray[np.uint8 | np.uint16]

WINDOW = 30
"""Samples: length of the pedestal's window, and of the window around the peak that the area covers."""
BEFORE_PEAK = 10
"""Samples of the area's window before the peak."""
EARLY_WINDOW = 20
"""Samples of the pedestal's window until 2012, at the pulse's begin."""
ARRIVAL_THRESHOLD = 2
"""ADC counts: a sample farther than this from the pedestal has left it."""
MIN_SAMPLES = {PulseDefinitions.UNTIL_2012: EARLY_WINDOW, PulseDefinitions.SINCE_2013: 2 * WINDOW}
"""Shorter pulses have no pedestal."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pulses:
    """Features of n pulses; each column is (n,). Where those until 2012 differ, it is said after a dash."""

    pedestal: F8
    """ADC counts: mean of the first 30 samples if the minimum comes after sample 30, else of the last 30 - whole part
    of the mean of the first 20."""
    charge_mm: I4
    """Maximum minus minimum."""
    charge_pm: I4
    """Height above the pedestal (positive pulses) or depth below it (negative ones), truncated."""
    pulse_area: I4
    """Sum of what differs from the pedestal over [peak - 10, peak + 20), rounded; ADC counts times samples - sum of the
    differences' absolute values, 0 if the peak is not after sample 10; `MISSING` for positive pulses."""
    position_min: I4
    """- `MISSING` for positive pulses."""
    position_max: I4
    arrival_time: I4
    """First sample more than 2 counts from the rounded pedestal; the last sample if there is none - `MISSING` for
    positive pulses."""


def pulse_features(
    samples: Samples, *, negative: bool, definitions: PulseDefinitions = PulseDefinitions.SINCE_2013
) -> Pulses:
    """Return the features of the rows of `samples`, (n, n_samples), at least `MIN_SAMPLES` long, 14 bits at most.

    `negative` says which way the pulses go: the peak is the minimum (V1731) or the maximum (V1724).
    """
    rows = np.arange(len(samples))
    position_min, position_max = samples.argmin(axis=1), samples.argmax(axis=1)
    minimum = samples[rows, position_min].astype(np.int32)
    maximum = samples[rows, position_max].astype(np.int32)
    peak = position_min if negative else position_max
    if definitions is PulseDefinitions.UNTIL_2012:
        pedestal = np.floor(samples[:, :EARLY_WINDOW].sum(axis=1, dtype=np.int32) / EARLY_WINDOW)
        area = _absolute_area(samples, pedestal, peak)
    else:
        first, last = (part.sum(axis=1, dtype=np.int32) for part in (samples[:, :WINDOW], samples[:, -WINDOW:]))
        pedestal = np.where(position_min > WINDOW, first, last) / WINDOW
        area = _area(samples, pedestal, peak, negative=negative)
    height = pedestal - minimum if negative else maximum - pedestal
    given = negative or definitions is PulseDefinitions.SINCE_2013
    missing = np.full(len(samples), MISSING, np.int32)
    return Pulses(
        pedestal=pedestal,
        charge_mm=maximum - minimum,
        charge_pm=height.astype(np.int32),
        pulse_area=area if given else missing,
        position_min=position_min.astype(np.int32) if given else missing,
        position_max=position_max.astype(np.int32),
        arrival_time=_arrival_time(samples, pedestal) if given else missing,
    )


def _arrival_time(samples: Samples, pedestal: F8) -> I4:
    middle = np.floor(pedestal + 0.5).astype(np.int16)[:, None]
    away = np.abs(samples.astype(np.int16) - middle) > ARRIVAL_THRESHOLD
    arrival: I4 = away.argmax(axis=1).astype(np.int32)
    arrival[~away[np.arange(len(samples)), arrival]] = samples.shape[1] - 1
    return arrival


def _area(samples: Samples, pedestal: F8, peak: I8, *, negative: bool) -> I4:
    values, inside = _around(samples, peak)
    area = pedestal * inside.sum(axis=1) - np.where(inside, values, 0).sum(axis=1, dtype=np.int64)
    rounded: I4 = ((area if negative else -area) + 0.5).astype(np.int32)
    return rounded


def _absolute_area(samples: Samples, pedestal: F8, peak: I8) -> I4:
    values, inside = _around(samples, peak)
    differences = np.abs(values - pedestal[:, None])
    counted = inside & (peak > BEFORE_PEAK)[:, None]
    area: I4 = np.where(counted, differences, 0).sum(axis=1).astype(np.int32)
    return area


def _around(samples: Samples, peak: I8) -> tuple[Samples, npt.NDArray[np.bool_]]:
    """Return (n, 30) samples of the area's window, cut at the ends of the pulse, and which of them are in it."""
    begin = np.maximum(peak - BEFORE_PEAK, 0)
    end = np.minimum(peak - BEFORE_PEAK + WINDOW, samples.shape[1])
    index = begin[:, None] + np.arange(WINDOW)
    inside = index < end[:, None]
    n_samples = samples.shape[1]
    row = np.arange(len(samples))[:, None] * n_samples
    return samples.ravel()[np.minimum(index, n_samples - 1) + row], inside
