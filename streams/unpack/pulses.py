"""Features of FADC pulses, by the experiment's definitions of 2013 and later."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.columns import F8, I4, I8

Samples = npt.NDArray[np.uint8 | np.uint16]

WINDOW = 30
"""Samples: length of the pedestal's window, and of the window around the peak that the area covers."""
BEFORE_PEAK = 10
"""Samples of the area's window before the peak."""
ARRIVAL_THRESHOLD = 2
"""ADC counts: a sample farther than this from the pedestal has left it."""
MIN_SAMPLES = 2 * WINDOW
"""Shorter pulses have no pedestal by these definitions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pulses:
    """Features of n pulses; each column is (n,)."""

    pedestal: F8
    """ADC counts: mean of the first 30 samples if the minimum comes after sample 30, else of the last 30."""
    charge_mm: I4
    """Maximum minus minimum."""
    charge_pm: I4
    """Height above the pedestal (positive pulses) or depth below it (negative ones), truncated."""
    pulse_area: I4
    """Sum of what differs from the pedestal over [peak - 10, peak + 20), rounded; ADC counts times samples."""
    position_min: I4
    position_max: I4
    arrival_time: I4
    """First sample more than 2 counts from the rounded pedestal; the last sample if there is none."""


def pulse_features(samples: Samples, *, negative: bool) -> Pulses:
    """Return the features of the rows of `samples`, (n, n_samples), at least `MIN_SAMPLES` long, 14 bits at most.

    `negative` says which way the pulses go: the peak is the minimum (V1731) or the maximum (V1724).
    """
    n_samples = samples.shape[1]
    rows = np.arange(len(samples))
    position_min, position_max = samples.argmin(axis=1), samples.argmax(axis=1)
    minimum = samples[rows, position_min].astype(np.int32)
    maximum = samples[rows, position_max].astype(np.int32)
    first, last = (part.sum(axis=1, dtype=np.int32) for part in (samples[:, :WINDOW], samples[:, -WINDOW:]))
    pedestal = np.where(position_min > WINDOW, first, last) / WINDOW

    peak = position_min if negative else position_max
    summed, n_summed = _sum_around(samples, peak)
    area = pedestal * n_summed - summed
    height = pedestal - minimum if negative else maximum - pedestal

    middle = np.floor(pedestal + 0.5).astype(np.int16)[:, None]
    away = np.abs(samples.astype(np.int16) - middle) > ARRIVAL_THRESHOLD
    arrival = away.argmax(axis=1)
    arrival[~away[rows, arrival]] = n_samples - 1
    return Pulses(
        pedestal=pedestal,
        charge_mm=maximum - minimum,
        charge_pm=height.astype(np.int32),
        pulse_area=((area if negative else -area) + 0.5).astype(np.int32),
        position_min=position_min.astype(np.int32),
        position_max=position_max.astype(np.int32),
        arrival_time=arrival.astype(np.int32),
    )


def _sum_around(samples: Samples, peak: I8) -> tuple[I8, I8]:
    """Return the sum over the area's window, cut at the ends of the pulse, and how many samples it has."""
    begin = np.maximum(peak - BEFORE_PEAK, 0)
    end = np.minimum(peak - BEFORE_PEAK + WINDOW, samples.shape[1])
    index = begin[:, None] + np.arange(WINDOW)
    inside = index < end[:, None]
    values = np.take_along_axis(samples, np.minimum(index, samples.shape[1] - 1), axis=1)
    return np.where(inside, values, 0).sum(axis=1, dtype=np.int64), end - begin
