"""What the calorimeter (KL) makes of particles: light in its cells, and the FADC boards that read it."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I4, U1, Table, column
from streams.experiments.mice.boards import V1724
from streams.experiments.mice.conditions.kl import CELLS, PMTS, KlPmts
from streams.experiments.mice.simulator import boards
from streams.experiments.mice.simulator.beam import Kind, Particles
from streams.experiments.mice.simulator.date import equipment
from streams.experiments.mice.simulator.kl_tables import KL_BOARDS
from streams.experiments.mice.simulator.readout import Beam, Readout
from streams.experiments.mice.simulator.tables import LDC_DOWNSTREAM
from streams.experiments.mice.simulator.waveforms import MAX_CHARGE, MIN_CHARGE, v1724_waveforms

CELL_MM = 44.0
"""Height of a cell; they lie one above the other."""
TRACK_CHARGE = 1450.0
"""ADC counts, the median of a photomultiplier of the cell that a muon or pion crosses: 1 140 over all cells."""
CHARGE_SPREAD = 0.3
"""Sigma of its logarithm."""
SHARED = 0.15
"""Probability that a muon or pion leaves light in the cell above, and the same below."""
SHARE = 0.35
"""What it leaves there, over what it leaves in the cell itself."""
SHOWER = (0.25, 0.7, 1.6, 0.7, 0.25)
"""Light of an electron's shower in the cells about its middle, over what a muon leaves in one."""
ATTENUATION_MM = 2000.0


@dataclass(frozen=True, kw_only=True, eq=False)
class KlTruth(Table):
    """One row a cell with light."""

    trigger: I4 = column("<i4")
    cell: U1 = column("u1")
    charge: F8 = column("<f8")
    """Mean of what its two photomultipliers would give at a gain of 1, ADC counts."""


def read_out_kl(rng: np.random.Generator, beam: Beam) -> Readout:
    """Return the equipments of its boards."""
    pmts = beam.conditions.kl_pmts
    assert pmts is not None  # noqa: S101 - the simulated conditions have them
    truth, charges = _make_light(rng, beam.particles)
    trigger, pmt, charge = _fired(truth, charges, pmts)
    samples = v1724_waveforms(rng, pmt, charge)
    found = []
    for geo in KL_BOARDS:
        channel_of_pmt = np.full(CELLS * PMTS, -1)
        cabled = pmts.fadc[LDC_DOWNSTREAM, geo]
        channels = np.flatnonzero(cabled >= 0)
        channel_of_pmt[cabled[channels]] = channels
        row = np.flatnonzero(channel_of_pmt[pmt] >= 0)
        words = boards.v1724_words(geo, beam.ticks, trigger[row], channel_of_pmt[pmt[row]], samples[row])
        found.append((LDC_DOWNSTREAM, equipment(V1724, geo, words)))
    return Readout(equipments=found, truth=truth)


def cell_of(y_mm: F8) -> I4:
    """Return (n,) the cell at a height; beyond the edge, one that does not exist."""
    return np.floor(y_mm / CELL_MM + CELLS / 2).astype(np.int32)


def _make_light(rng: np.random.Generator, particles: Particles) -> tuple[KlTruth, F8]:
    """Return the cells with light, and what each photomultiplier of them gives at a gain of 1, (cells, 2)."""
    n = len(particles)
    size = TRACK_CHARGE * np.exp(rng.normal(0, CHARGE_SPREAD, n))
    shared = np.where(rng.random((n, 2)) < SHARED, SHARE, 0.0)
    nothing, whole = np.zeros(n), np.ones(n)
    track = np.stack([nothing, shared[:, 0], whole, shared[:, 1], nothing], axis=1)
    shares = np.where((particles.kind == Kind.ELECTRON)[:, np.newaxis], np.array(SHOWER), track)
    shares[~particles.in_station[:, -1]] = 0  # it stands behind TOF2
    light = size[:, np.newaxis] * shares * np.exp(rng.normal(0, 0.05, shares.shape))
    cell = cell_of(particles.y_mm[:, -1])[:, np.newaxis] + np.arange(-2, 3)
    trigger, at = np.nonzero((light > 0) & (cell >= 0) & (cell < CELLS))
    along = np.clip(particles.x_mm[trigger, -1], -CELL_MM * CELLS / 2, CELL_MM * CELLS / 2) / ATTENUATION_MM
    charges = light[trigger, at, np.newaxis] * np.exp(along[:, np.newaxis] * np.array([-1, 1]))
    truth = KlTruth(
        trigger=trigger.astype(np.int32),
        cell=cell[trigger, at].astype(np.uint8),
        charge=charges.mean(axis=1),
    )
    return truth, charges


def _fired(truth: KlTruth, charges: F8, pmts: KlPmts) -> tuple[I4, I4, F8]:
    """Return trigger, index and charge of each photomultiplier that its board does not suppress."""
    pmt = (truth.cell.astype(np.int32)[:, np.newaxis] * PMTS + np.arange(PMTS)).reshape(-1)
    charge = np.minimum(charges.reshape(-1) * pmts.gain[pmt], MAX_CHARGE)
    fires = charge > MIN_CHARGE
    return np.repeat(truth.trigger, PMTS)[fires], pmt[fires], charge[fires]
