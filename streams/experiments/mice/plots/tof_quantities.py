"""What several plots need of the time-of-flight stations; ask for it with `Batch.once`."""

from itertools import product

import numpy as np

from schemas.columns import F8, I4, I8, U1
from streams.arrays.stable_order import stable_order
from streams.experiments.mice.conditions.tof import PLANES, PMTS, STATIONS
from streams.experiments.mice.tables.tof import TofDigits, TofSpacePoints
from streams.plots.batch import Batch

LIGHT_NS = {(0, 1): 25.6, (1, 2): 27.3, (0, 2): 52.9}
"""What light takes between two stations since 2013, about: TOF2 was elsewhere before."""
KINDS_NS = {"electrons": (24.6, 26.6), "muons": (27.2, 29.15), "pions": (29.15, 31.8)}
"""Between which times of flight from TOF0 to TOF1 particles of 200 to 250 MeV/c are of a kind."""


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
    """Return (spills that have them, 3) space points of each spill in each station."""
    per_trigger = batch.once(space_points_per_trigger)
    total = np.concatenate([np.zeros((1, STATIONS), np.int64), np.cumsum(per_trigger, axis=0)])
    per_spill: I8 = total[batch.first[1:]] - total[batch.first[:-1]]
    return per_spill[batch.having("tof.space_points")].astype(np.int32)


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


def first_flight_ns(batch: Batch) -> F8:
    """Return (triggers,) time of flight from TOF0 to TOF1, NaN of triggers without one space point in each."""
    times = batch.once(single_times_ns)
    return times[:, 1] - times[:, 0]
