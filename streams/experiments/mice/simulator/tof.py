"""What the time-of-flight stations make of particles: times and FADC samples of the photomultipliers that fire.

A slab's response is that of the experiment's own simulation: light at 170 mm/ns, attenuation over 1 400 mm.
"""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I4, U2, Table, column
from streams.experiments.mice.conditions.tof import PLANES, PMTS, SLABS, STATIONS, TofCalibration
from streams.experiments.mice.simulator.beam import Particles
from streams.experiments.mice.simulator.tables import SLABS_OF
from streams.experiments.mice.simulator.waveforms import SAMPLES, v1724_waveforms

LIGHT_MM_PER_NS = 170.0
ATTENUATION_MM = 1400.0
PMT_RESOLUTION_NS = 0.1
SLAB_RESOLUTION_NS = 0.06
"""Where in the slab's thickness the light is made: common to its two photomultipliers."""
TRIGGER_JITTER_NS = 0.05
"""Common to all times of a trigger: it cancels in every time of flight."""
SLAB_WIDTH_MM = (40.0, 60.0, 60.0)
MEDIAN_CHARGE = (1750.0, 1480.0, 1880.0)
"""ADC counts of a photomultiplier, by station."""
CHARGE_SPREAD = 0.3
"""Sigma of its logarithm."""
EFFICIENCY = (0.99, 0.998, 0.99)
"""Of one photomultiplier, by station."""
SECOND_PARTICLE = 0.03
"""Probability of a second particle in TOF0 or TOF2 within the same trigger."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PmtHits(Table):
    """One row a photomultiplier that fires."""

    trigger: I4 = column("<i4")
    pmt: I4 = column("<i4")
    """Index, as the conditions have it."""
    raw_ns: F8 = column("<f8")
    """Time since the trigger request, as the cables bring it."""
    samples: U2 = column("<u2", row=(SAMPLES,))


def make_pmt_hits(rng: np.random.Generator, particles: Particles, calibration: TofCalibration) -> PmtHits:
    """Return what fires in all stations; times are such that the calibration gives back the true ones."""
    n = len(particles)
    jitter_ns = rng.normal(0, TRIGGER_JITTER_NS, n)
    delay_ps = _trigger_delay_ps(particles, calibration)
    found = []
    for station, time_ns in enumerate((-particles.tof01_ns, np.zeros(n), particles.tof12_ns)):
        x_mm, y_mm = particles.x_mm[:, station], particles.y_mm[:, station]
        here = np.flatnonzero(particles.in_station[:, station])
        found.append(_crossings(rng, station, here, (time_ns + jitter_ns)[here], x_mm[here], y_mm[here]))
        if station != calibration.trigger_station:
            second = np.flatnonzero(rng.random(n) < SECOND_PARTICLE)
            half = SLABS_OF[station] * SLAB_WIDTH_MM[station] / 2
            at = rng.uniform(-half, half, (2, len(second)))
            later_ns = (time_ns + jitter_ns)[second] + rng.uniform(1, 10, len(second))
            found.append(_crossings(rng, station, second, later_ns, *at))
    trigger, pmt, time_ns, charge = (np.concatenate(parts) for parts in zip(*found, strict=True))
    # A photomultiplier gives one pulse per trigger: that of the first light.
    order = np.lexsort((time_ns, pmt, trigger))
    first = order[np.unique(trigger[order] * 1000 + pmt[order], return_index=True)[1]]
    trigger, pmt, time_ns, charge = trigger[first], pmt[first], time_ns[first], charge[first]
    samples = v1724_waveforms(rng, pmt, charge)
    measured = samples.max(axis=1).astype(np.int64) - samples.min(axis=1)
    correction_ps = _correction_ps(pmt, measured, calibration) - delay_ps[trigger]
    return PmtHits(trigger=trigger, pmt=pmt, raw_ns=time_ns + correction_ps * 1e-3, samples=samples)


def slab_of(position_mm: F8, station: int) -> I4:
    """Return (n,) the slab at a position across it; beyond the edge, the last one."""
    slabs, width = SLABS_OF[station], SLAB_WIDTH_MM[station]
    return np.clip(np.floor(position_mm / width + slabs / 2), 0, slabs - 1).astype(np.int32)


def _crossings(
    rng: np.random.Generator, station: int, trigger: np.ndarray, time_ns: F8, x_mm: F8, y_mm: F8
) -> tuple[np.ndarray, ...]:
    """Return trigger, photomultiplier, time and charge of what fires when particles cross both planes."""
    parts = []
    half_mm = SLABS_OF[station] * SLAB_WIDTH_MM[station] / 2
    for plane, across_mm, along_mm in ((0, y_mm, x_mm), (1, x_mm, y_mm)):
        slab_ns = time_ns + rng.normal(0, SLAB_RESOLUTION_NS, len(trigger))
        off_mm = np.clip(along_mm, -half_mm, half_mm)
        for pmt, side in ((0, -1), (1, 1)):
            # T0 has the time from the slab's middle, so only the way from there counts.
            arrival_ns = slab_ns - side * off_mm / LIGHT_MM_PER_NS + rng.normal(0, PMT_RESOLUTION_NS, len(trigger))
            charge = MEDIAN_CHARGE[station] * np.exp(
                side * off_mm / ATTENUATION_MM + rng.normal(0, CHARGE_SPREAD, len(trigger))
            )
            fires = rng.random(len(trigger)) < EFFICIENCY[station]
            index = ((station * PLANES + plane) * SLABS + slab_of(across_mm, station)) * PMTS + pmt
            parts.append((trigger[fires], index[fires], arrival_ns[fires], charge[fires]))
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _correction_ps(pmt: np.ndarray, charge: np.ndarray, calibration: TofCalibration) -> F8:
    """Return (n,) what the calibration takes away from the time of a photomultiplier, but for the trigger's delay.

    T0 - TW, and in the trigger station the delay of the pixel with the reference slab (MICE Note 251).
    """
    pmts = calibration.pmts
    p0, p1, p2, p3 = pmts.time_walk[pmt].T
    x = charge + p0
    plane, slab = pmt // (SLABS * PMTS) % PLANES, pmt // PMTS % SLABS
    reference = pmts.reference_slab[pmt]
    row, col = np.where(plane == 0, slab, reference), np.where(plane == 0, reference, slab)
    in_trigger_station = pmt // (PLANES * SLABS * PMTS) == calibration.trigger_station
    pixel_ps = np.where(in_trigger_station, calibration.trigger_delay_ps[row, col], 0.0)
    correction: F8 = pmts.t0_ps[pmt] - (p1 + p2 / x + p3 / x**2) + pixel_ps
    return correction


def _trigger_delay_ps(particles: Particles, calibration: TofCalibration) -> F8:
    """Return (triggers,) delay of the pixel that triggers."""
    station = calibration.trigger_station
    plane0, plane1 = slab_of(particles.y_mm[:, station], station), slab_of(particles.x_mm[:, station], station)
    delay: F8 = calibration.trigger_delay_ps[plane0, plane1]
    return delay


assert STATIONS == len(SLABS_OF) == len(SLAB_WIDTH_MM)  # noqa: S101 - one number a station
