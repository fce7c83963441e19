"""What the Cherenkov counters make of particles: samples of the eight photomultipliers."""

import numpy as np

from schemas.columns import U1
from streams.experiments.mice.boards import V1731
from streams.experiments.mice.simulator import boards
from streams.experiments.mice.simulator.beam import Particles
from streams.experiments.mice.simulator.date import equipment
from streams.experiments.mice.simulator.readout import Beam, Readout
from streams.experiments.mice.simulator.tables import CKOV_GEO, LDC_UPSTREAM

SAMPLES = 256
COUNTS_PER_PHOTO_ELECTRON = 23.0
MEAN_PHOTO_ELECTRONS = ((14.0, 2.0, 0.0), (20.0, 7.0, 1.5))
"""By counter and kind: electrons are far above the threshold of both, pions near that of B."""
PEDESTAL = np.array([144, 148, 144, 143, 146, 140, 143, 145])
_NOISE = 0.08
"""Probability of a sample one count below the pedestal."""
_PEAK, _PEAK_SPREAD = 42, 2.0
_SHAPE = np.array([0.05, 0.2, 0.3, 0.2, 0.12, 0.07, 0.04, 0.02])
"""Share of the area in each sample of a pulse."""


def read_out_ckov(rng: np.random.Generator, beam: Beam) -> Readout:
    """Return the equipment of the one FADC board."""
    words = boards.v1731_words(CKOV_GEO, beam.ticks, _make_samples(rng, beam.particles))
    return Readout(equipments=[(LDC_UPSTREAM, equipment(V1731, CKOV_GEO, words))])


def _make_samples(rng: np.random.Generator, particles: Particles) -> U1:
    """Return (triggers, 8, SAMPLES) samples; pulses are negative."""
    n = len(particles)
    mean = np.array(MEAN_PHOTO_ELECTRONS)[:, particles.kind].T / 4  # per photomultiplier
    photo_electrons = rng.poisson(np.repeat(mean, 4, axis=1))
    # A photo-electron's own charge varies by a third.
    area = COUNTS_PER_PHOTO_ELECTRON * rng.normal(photo_electrons, np.sqrt(photo_electrons) / 3)
    samples = np.broadcast_to(PEDESTAL[:, np.newaxis], (n, 8, SAMPLES)).astype(np.int16)
    samples -= rng.random((n, 8, SAMPLES), dtype=np.float32) < _NOISE
    start = np.rint(rng.normal(_PEAK, _PEAK_SPREAD, (n, 8))).astype(np.int64) - int(_SHAPE.argmax())
    at = np.clip(start, 20, 70)[..., np.newaxis] + np.arange(len(_SHAPE))
    pulse = np.rint(np.maximum(area, 0)[..., np.newaxis] * _SHAPE).astype(np.int16)
    np.put_along_axis(samples, at, np.take_along_axis(samples, at, axis=2) - pulse, axis=2)
    return np.clip(samples, 0, 255).astype(np.uint8)
