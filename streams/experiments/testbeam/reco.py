"""Hits of the boards to what particles did: a pure function for each detector."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.columns import F8, I8
from streams.experiments.testbeam import tables
from streams.experiments.testbeam.boards import BeamHits, Pulses, TdcHits
from streams.experiments.testbeam.conditions import NOT_CABLED, BeamConditions

NS_PER_COUNT = 0.025
STRIPS, STRIP_MM = 12, 5.0
"""Of a plane of the hodoscope."""
BLOCK_MM = 40.0
THRESHOLD_MEV = 10.0
"""A block with less is noise."""


def reconstruct_counters(hits: BeamHits, conditions: BeamConditions) -> tables.Counters:
    """Return the scintillators that have a time and a pulse, and the times of flight."""
    time = _channels(hits, hits.tdc, hits.tdc.time, conditions.cables["V1290", "counters"], 4)
    time = time * NS_PER_COUNT - conditions.t0_ns["counters"]
    charge = _channels(hits, hits.pulses, hits.pulses.charge, conditions.cables["V1730", "counters"], 4)
    energy = charge * conditions.gain["counters"]
    seen = np.isfinite(time) & np.isfinite(energy)
    trigger, counter = np.nonzero(seen)
    by_all = np.flatnonzero(seen.all(axis=1))
    flight = time[by_all, 2:].mean(axis=1) - time[by_all, :2].mean(axis=1)
    return tables.Counters(
        hits=tables.CounterHits(trigger=trigger, counter=counter, time_ns=time[seen], energy_mev=energy[seen]),
        flights=tables.Flights(trigger=by_all, time_ns=flight),
    )


def reconstruct_hodoscope(hits: BeamHits, conditions: BeamConditions) -> tables.Hodoscope:
    """Return where particles crossed: those that fired one strip in each plane."""
    time = _channels(hits, hits.tdc, hits.tdc.time, conditions.cables["V1290", "hodoscope"], 2 * STRIPS)
    fired = np.isfinite(time).reshape(-1, 2, STRIPS)
    crossed = np.flatnonzero((fired.sum(axis=2) == 1).all(axis=1))
    x, y = strip_mm(fired[crossed].argmax(axis=2).T)
    return tables.Hodoscope(points=tables.Points(trigger=crossed, x_mm=x, y_mm=y))


def strip_mm(strip: NDArray[Any]) -> F8:
    """Return where the middles of strips are."""
    return np.asarray((strip - (STRIPS - 1) / 2) * STRIP_MM, np.float64)


def strips_of(made: tables.Hodoscope) -> I8:
    """Return the strips that particles crossed: those that measure x, then those that measure y."""
    places = np.concatenate([made.points.x_mm, made.points.y_mm + STRIPS * STRIP_MM])
    return np.rint(places / STRIP_MM + (STRIPS - 1) / 2).astype(np.int64)


def reconstruct_calorimeter(hits: BeamHits, conditions: BeamConditions) -> tables.Calorimeter:
    """Return the energies of the blocks, their sum, and its centre."""
    charge = _channels(hits, hits.pulses, hits.pulses.charge, conditions.cables["V1730", "calorimeter"], 9)
    energy = charge * conditions.gain["calorimeter"]
    lit = energy > THRESHOLD_MEV
    trigger, block = np.nonzero(lit)
    shower = np.flatnonzero(lit.any(axis=1))
    blocks = np.where(lit, energy, 0)[shower]
    total = blocks.sum(axis=1)
    x, y = (BLOCK_MM * (blocks @ (at - 1)) / total for at in (np.arange(9) % 3, np.arange(9) // 3))
    return tables.Calorimeter(
        hits=tables.BlockHits(trigger=trigger, block=block, energy_mev=energy[lit]),
        showers=tables.Showers(trigger=shower, energy_mev=total, x_mm=x, y_mm=y),
    )


def _channels(hits: BeamHits, rows: TdcHits | Pulses, values: NDArray[Any], cables: I8, channels: int) -> F8:
    """Return (particles, channels of a detector) what its board has of each, the first of several; NaN of none."""
    number = cables[rows.channel]
    mine = np.flatnonzero(number != NOT_CABLED)[::-1]  # backwards: what is written last, stays
    found = np.full((hits.triggers, channels), np.nan)
    found[rows.trigger[mine], number[mine]] = values[mine]
    return found
