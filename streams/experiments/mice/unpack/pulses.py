"""Features of FADC pulses, by the experiment's definitions of 2013 and later, or by those until 2012."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from schemas.columns import F8, I4
from schemas.records import MISSING
from streams.experiments.mice.boards import PulseDefinitions

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
    """Height above the pedestal (positive pulses) or depth below it (negative ones), rounded."""
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
    rows, (n, length) = np.arange(len(samples)), samples.shape
    # In int32 numpy finds and adds several times as fast; with zeros at both ends each area's window is whole.
    padded = np.zeros((n, length + WINDOW), np.int32)
    wide = padded[:, BEFORE_PEAK : BEFORE_PEAK + length]
    wide[...] = samples
    position_min, position_max = wide.argmin(axis=1), wide.argmax(axis=1)
    minimum, maximum = wide[rows, position_min], wide[rows, position_max]
    peak = position_min if negative else position_max
    around: I4 = sliding_window_view(padded.ravel(), WINDOW)[rows * padded.shape[1] + peak]
    begin, end = np.maximum(peak - BEFORE_PEAK, 0), np.minimum(peak - BEFORE_PEAK + WINDOW, length)
    if definitions is PulseDefinitions.UNTIL_2012:
        pedestal = np.floor(_row_sums(wide[:, :EARLY_WINDOW]) / EARLY_WINDOW)
        inside = np.arange(WINDOW) < (end - begin)[:, None]
        differences = np.where(inside & (peak > BEFORE_PEAK)[:, None], around - pedestal[:, None], 0)
        area = np.abs(differences).sum(axis=1).astype(np.int32)
    else:
        first, last = _row_sums(wide[:, :WINDOW]), _row_sums(wide[:, -WINDOW:])
        pedestal = np.where(position_min > WINDOW, first, last) / WINDOW
        below = pedestal * (end - begin) - _row_sums(around)
        area = ((below if negative else -below) + 0.5).astype(np.int32)
    height = pedestal - minimum if negative else maximum - pedestal
    given = negative or definitions is PulseDefinitions.SINCE_2013
    missing = np.full(len(samples), MISSING, np.int32)
    return Pulses(
        pedestal=pedestal,
        charge_mm=maximum - minimum,
        charge_pm=(height + 0.5).astype(np.int32),
        pulse_area=area if given else missing,
        position_min=position_min.astype(np.int32) if given else missing,
        position_max=position_max.astype(np.int32),
        arrival_time=_arrival_time(samples, pedestal) if given else missing,
    )


def _row_sums(values: I4) -> I4:
    sums: I4 = np.einsum("ij->i", values)
    return sums


def _arrival_time(samples: Samples, pedestal: F8) -> I4:
    middle = np.floor(pedestal + 0.5)[:, None]
    most = np.iinfo(samples.dtype).max
    low, high = (np.clip(middle + d, 0, most).astype(samples.dtype) for d in (-ARRIVAL_THRESHOLD, ARRIVAL_THRESHOLD))
    away = (samples < low) | (samples > high)
    arrival: I4 = away.argmax(axis=1).astype(np.int32)
    arrival[~away[np.arange(len(samples)), arrival]] = samples.shape[1] - 1
    return arrival
