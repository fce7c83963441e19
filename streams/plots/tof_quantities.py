"""What several plots need of the time-of-flight stations; ask for it with `Batch.once`."""

from itertools import product

import numpy as np

from schemas.columns import F8, I4, I8, U1
from schemas.tof import TofDigits, TofSpacePoints
from streams.conditions.tof import PLANES, PMTS, STATIONS
from streams.plots.batch import Batch
from streams.stable_order import stable_order


def space_points_per_trigger(batch: Batch) -> I4:
    """Return (triggers, 3) space points of each trigger in each station."""
    points = batch.join(TofSpacePoints)
    index = points.trigger.astype(np.int64) * STATIONS + points.station
    counts = np.bincount(index, minlength=batch.triggers * STATIONS)
    return counts.reshape(-1, STATIONS).astype(np.int32)


def digits_by_photomultiplier(batch: Batch) -> dict[tuple[int, int, int], U1]:
    """Return (station, plane, photomultiplier) → slabs of its digits."""
    digits = batch.join(TofDigits)
    group = (digits.station.astype(np.int64) * PLANES + digits.plane) * PMTS + digits.pmt
    order = stable_order(group)
    slabs = np.split(digits.slab[order], np.searchsorted(group[order], np.arange(1, STATIONS * PLANES * PMTS)))
    return dict(zip(product(range(STATIONS), range(PLANES), range(PMTS)), slabs, strict=True))


def space_points_per_spill(batch: Batch) -> I4:
    """Return (spills that have the stations, 3) space points of each spill in each station."""
    per_trigger = batch.once(space_points_per_trigger)
    total = np.concatenate([np.zeros((1, STATIONS), np.int64), np.cumsum(per_trigger, axis=0)])
    per_spill: I8 = total[batch.first[1:]] - total[batch.first[:-1]]
    return per_spill[batch.having("tof")].astype(np.int32)


def single_times_ns(batch: Batch) -> F8:
    """Return (triggers, 3) time of the space point in each station where there is exactly one, else NaN."""
    points = batch.join(TofSpacePoints)
    times = np.full((batch.triggers, STATIONS), np.nan)
    times[points.trigger, points.station] = points.time_ns
    times[batch.once(space_points_per_trigger) != 1] = np.nan
    return times


def flight_time_ns(batch: Batch, start: int, stop: int) -> F8:
    """Return (n,) times of flight between two stations, of triggers with exactly one space point in each."""
    times = batch.once(single_times_ns)
    flight = times[:, stop] - times[:, start]
    return flight[~np.isnan(flight)]
