"""TOF calibration and space points (MICE Note 251): where and when particles crossed a station."""

import numpy as np

from schemas.columns import F8, I4, I8
from streams.arrays.stable_order import stable_order
from streams.experiments.mice.conditions.tof import PLANES, PMTS, SLABS, STATIONS, TofCalibration
from streams.experiments.mice.tables.tof import TofSlabHits, TofSpacePoints

PIXEL_WINDOW_NS = 0.5
"""A pixel has triggered if its time is so near to 0; two slab hits cross if their times are so near to each other."""
_PS = 1e-3
"""Nanoseconds."""


def make_space_points(triggers: int, hits: TofSlabHits, calibration: TofCalibration | None) -> TofSpacePoints:
    """Return the crossings of plane-0 and plane-1 slab hits whose calibrated times agree.

    An event without a pixel that may have triggered has none in any station. Rows are in the order of particle
    triggers, stations, and plane-0 before plane-1 slab hits.
    """
    if calibration is None or not len(hits):
        return TofSpacePoints.empty()
    base_ns = _base_times_ns(hits, calibration)
    delay_ns = _trigger_delays_ns(triggers, hits, base_ns, calibration)
    found = []
    for station in range(STATIONS):
        x, y = _pairs(triggers, hits, station)
        time_x, time_y = base_ns[x] + delay_ns[hits.trigger[x]], base_ns[y] + delay_ns[hits.trigger[y]]
        crossing = np.abs(time_x - time_y) < PIXEL_WINDOW_NS  # false where either is NaN
        x, y, time_x, time_y = x[crossing], y[crossing], time_x[crossing], time_y[crossing]
        found.append(
            TofSpacePoints(
                trigger=hits.trigger[x],
                station=hits.station[x],
                slabx=hits.slab[x],
                slaby=hits.slab[y],
                time_ns=(time_x + time_y) / 2,
                dt_ns=time_x - time_y,
                charge=hits.charge[x] + hits.charge[y],
                charge_product=hits.charge_product[x] + hits.charge_product[y],
            )
        )
    points = TofSpacePoints.concat(found)
    return points.rows(stable_order(points.trigger))


def _base_times_ns(hits: TofSlabHits, calibration: TofCalibration) -> F8:
    """Return (n,) calibrated times of slab hits without the delay of the pixel that triggered; NaN: not calibrated.

    A photomultiplier's time is ``raw - dT`` with ``dT = T0 - TW - delay(trigger pixel)``, and in the trigger station
    ``+ delay(reference pixel)``; a slab's is the mean of its two.
    """
    slab = (hits.station.astype(np.int64) * PLANES + hits.plane) * SLABS + hits.slab
    reference_ps = np.zeros(len(hits))
    pmts = calibration.pmts
    times = []
    for pmt, raw_ns, charge in ((0, hits.raw_time0_ns, hits.charge0), (1, hits.raw_time1_ns, hits.charge1)):
        index = slab * PMTS + pmt
        reference_ps = _reference_delays_ps(hits, pmts.reference_slab[index], calibration)
        t0_ps = np.where(pmts.t0_ps[index] == 0, np.nan, pmts.t0_ps[index])
        times.append(raw_ns - (t0_ps - _time_walk_ps(pmts.time_walk[index], charge) + reference_ps) * _PS)
    base: F8 = (times[0] + times[1]) / 2
    return base


def _time_walk_ps(parameters: F8, charge: I4) -> F8:
    """Return (n,) TW = p1 + p2/x + p3/x², x = charge + p0; NaN unless all four parameters are set."""
    p0, p1, p2, p3 = parameters.T
    x = charge + p0
    x = np.where((parameters != 0).all(axis=1) & (x != 0), x, np.nan)
    walk: F8 = p1 + p2 / x + p3 / x**2
    return walk


def _reference_delays_ps(hits: TofSlabHits, reference: I4, calibration: TofCalibration) -> F8:
    """Return (n,) delay of the pixel of a slab and its reference slab in the trigger station; 0 in the others."""
    x = np.where(hits.plane == 0, hits.slab, reference)
    y = np.where(hits.plane == 0, reference, hits.slab)
    here = hits.station == calibration.trigger_station
    return np.where(here, calibration.trigger_delay_ps[x, y], 0.0)


def _trigger_delays_ns(triggers: int, hits: TofSlabHits, base_ns: F8, calibration: TofCalibration) -> F8:
    """Return (triggers,) delay of the first pixel that may have triggered; NaN where there is none."""
    x, y = _pairs(triggers, hits, calibration.trigger_station)
    delay_ns = calibration.trigger_delay_ps[hits.slab[x], hits.slab[y]] * _PS
    accepted = np.abs((base_ns[x] + base_ns[y]) / 2 + delay_ns) < PIXEL_WINDOW_NS
    trigger, first = np.unique(hits.trigger[x][accepted], return_index=True)
    delays = np.full(triggers, np.nan)
    delays[trigger] = delay_ns[accepted][first]
    return delays


def _pairs(triggers: int, hits: TofSlabHits, station: int) -> tuple[I8, I8]:
    """Return rows of all plane-0 and plane-1 slab hits of the same trigger in a station, plane 0 varying slowest.

    The hits must be in the order of their triggers.
    """
    x = np.flatnonzero((hits.station == station) & (hits.plane == 0))
    y = np.flatnonzero((hits.station == station) & (hits.plane == 1))
    partners = np.bincount(hits.trigger[y], minlength=triggers)
    start = np.cumsum(partners) - partners
    repeat = partners[hits.trigger[x]]
    pair_x = np.repeat(x, repeat)
    # Within the partners of one hit, count from 0.
    within = np.arange(len(pair_x)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    return pair_x, y[np.repeat(start[hits.trigger[x]], repeat) + within]
