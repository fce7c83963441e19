"""What the trackers make of particles: straight tracks, light in their fibres, and the boards that read it."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I4, I8, U1, Bools, Table, column
from streams.experiments.mice.boards import BANK_CHANNELS, VLSB, VLSB_MASTER
from streams.experiments.mice.conditions.tracker import (
    APART_MM,
    CHANNELS,
    PLANES,
    STATION_Z_MM,
    STATIONS,
    TRACKERS,
    TrackerChannels,
)
from streams.experiments.mice.reco.tracker_geometry import channel_at
from streams.experiments.mice.simulator.beam import Particles
from streams.experiments.mice.simulator.boards import Words
from streams.experiments.mice.simulator.date import equipment
from streams.experiments.mice.simulator.readout import Beam, Readout
from streams.experiments.mice.simulator.tracker_tables import BANKS_OF_TRACKER, CHANNELS_OF, TRACKER_LDCS

SPOT_MM, SLOPE = 40.0, 0.02
"""Sigmas of where tracks cross the first station upstream, and of their slopes."""
SCATTERING = 0.01
"""Sigma of the slope that the absorber adds, half-way between the trackers."""
EFFICIENCY = ((0.995, 0.995, 0.97, 0.995, 0.995), (0.995, 0.98, 0.995, 0.995, 0.995))
"""By tracker and station: else it gives no light."""
ACTIVE_MM = 150.0
"""Radius within which a station gives light."""
LIGHT = 10.0
"""Mean photo-electrons of a particle in a plane."""
OVERLAP = 0.1
"""Channels on either side of the border of two within which both share the light."""
CROSS_TALK = 0.02
"""Of a channel's light that each of its neighbours sees."""
NOISE = 0.1
"""Mean channels of a plane with dark counts in a particle trigger."""
ADC_NOISE = 0.5
"""Sigma, counts."""
_TYPICAL_GAIN = 9.5
"""Of a channel without calibration."""
_THRESHOLD = 1.0
"""Photo-electrons above which a channel is read out."""
_DISCRIMINATOR = 1.5
_MAX_ADC = 255
_PLANES = TRACKERS * STATIONS * PLANES


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackerTruth(Table):
    """One row a station whose active area a track crosses and that gives light."""

    trigger: I4 = column("<i4")
    tracker: U1 = column("u1")
    station: U1 = column("u1")
    x_mm: F8 = column("<f8")
    y_mm: F8 = column("<f8")


def read_out_tracker(rng: np.random.Generator, beam: Beam) -> Readout:
    """Return the equipments of its boards: of each tracker a master and a bank after the other."""
    channels = beam.conditions.tracker
    assert channels is not None  # noqa: S101 - the simulated conditions have them
    n = len(beam.particles)
    x, y, crosses = _tracks(rng, beam.particles)
    crosses &= rng.random(crosses.shape) < np.array(EFFICIENCY)[:, :, np.newaxis]
    trigger, fibre, light = _light(rng, channel_at(x, y), crosses)
    words_of = _bank_words(rng, channels, trigger, fibre, light)
    found = []
    for tracker, ldc in enumerate(TRACKER_LDCS):
        found.append((ldc, equipment(VLSB_MASTER, 0, [0xA << 28 | n << 16] * 2)))
        banks = range(tracker * BANKS_OF_TRACKER, (tracker + 1) * BANKS_OF_TRACKER)
        found += [(ldc, equipment(VLSB, bank, words_of[bank])) for bank in banks if (channels.fibres[bank] >= 0).any()]
    at = np.nonzero(np.moveaxis(crosses, 2, 0))
    truth = TrackerTruth(
        trigger=at[0].astype(np.int32),
        tracker=at[1].astype(np.uint8),
        station=(at[2] + 1).astype(np.uint8),
        x_mm=x[at[1], at[2], at[0]],
        y_mm=y[at[1], at[2], at[0]],
    )
    return Readout(equipments=found, truth=truth)


def _tracks(rng: np.random.Generator, particles: Particles) -> tuple[F8, F8, Bools]:
    """Return x, y, and whether the active area is crossed, (TRACKERS, STATIONS, n).

    Without a field a particle goes straight on, but for what the absorber scatters. Those that TOF2 does not see have
    been lost before the second tracker.
    """
    n = len(particles)
    at, slope, kick = (rng.normal(0, sigma, (2, 1, 1, n)) for sigma in (SPOT_MM, SLOPE, SCATTERING))
    position = np.concatenate([at, at + APART_MM * (slope + kick / 2)], axis=1)
    slope = np.concatenate([slope, slope + kick], axis=1)
    x, y = position + slope * STATION_Z_MM[:, :, np.newaxis]
    crosses = np.hypot(x, y) < ACTIVE_MM
    crosses[1] &= particles.in_station[:, -1]
    return x, y, crosses


def _light(rng: np.random.Generator, at: F8, crosses: Bools) -> tuple[I8, I8, F8]:
    """Return trigger, index of the channel of a plane, and photo-electrons, of each channel that sees any light."""
    tracker, station, n = np.nonzero(crosses)
    place = np.repeat((tracker * STATIONS + station) * PLANES, PLANES) + np.tile(np.arange(PLANES), len(n))
    trigger, exact = np.repeat(n, PLANES), at[tracker, station, :, n].reshape(-1)
    channel = np.floor(exact + 0.5).astype(np.int64)
    off = exact - channel
    npe = rng.poisson(LIGHT, len(channel))
    shared = np.where(np.abs(off) > 0.5 - OVERLAP, rng.binomial(npe, 0.5), 0)
    talk = rng.poisson(CROSS_TALK * npe, (2, len(npe)))
    noise = rng.poisson(NOISE * len(crosses[0, 0]), _PLANES)
    noise_plane = np.repeat(np.arange(_PLANES), noise)
    noise_channel = (rng.random(len(noise_plane)) * np.array(CHANNELS_OF)[noise_plane % PLANES]).astype(np.int64)
    parts = [
        (trigger, place, channel, npe - shared),
        (trigger, place, channel + np.where(off > 0, 1, -1), shared),
        (trigger, place, channel - 1, talk[0]),
        (trigger, place, channel + 1, talk[1]),
        (
            rng.integers(0, crosses.shape[2], len(noise_plane)),
            noise_plane,
            noise_channel,
            1 + rng.exponential(1.0, len(noise_plane)),
        ),
    ]
    trigger, place, channel, light = (np.concatenate(values) for values in zip(*parts, strict=True))
    key = (trigger * _PLANES + place) * CHANNELS + channel
    key, which = np.unique(key, return_inverse=True)
    together: F8 = np.bincount(which, light, len(key)).astype(np.float64)
    return key // (_PLANES * CHANNELS), key % (_PLANES * CHANNELS), together


def _bank_words(rng: np.random.Generator, channels: TrackerChannels, trigger: I8, fibre: I8, light: F8) -> list[Words]:
    """Return the words of each bank, in the order of events and channels."""
    banks = len(channels.fibres)
    cabled = np.flatnonzero(channels.fibres >= 0)
    place_of = np.zeros(_PLANES * CHANNELS, np.int64)
    place_of[channels.fibres.reshape(-1)[cabled]] = cabled
    seen = light > _THRESHOLD
    trigger, light, place = trigger[seen], light[seen], place_of[fibre[seen]]
    order = np.lexsort([place % BANK_CHANNELS, trigger, place // BANK_CHANNELS])
    trigger, light, place = trigger[order], light[order], place[order]
    gain = channels.gain.reshape(-1)[place]
    signal = np.where(gain > 0, gain, _TYPICAL_GAIN) * light + rng.normal(0, ADC_NOISE, len(light))
    adc = np.clip(channels.pedestal.reshape(-1)[place] + signal, 0, _MAX_ADC).round().astype(np.int64)
    tdc = rng.normal(100, 5, len(light)).round().astype(np.int64)
    words = vlsb_words(trigger, place % BANK_CHANNELS, adc, tdc, (light > _DISCRIMINATOR).astype(np.int64))
    return np.split(words, np.searchsorted(place // BANK_CHANNELS, np.arange(1, banks)))


def vlsb_words(trigger: I8, channel: I8, adc: I8, tdc: I8, discriminator: I8) -> Words:
    """Return the words of a bank's hits, whose triggers must not fall; a board counts its events from 1."""
    words: Words = ((trigger + 1 & 0xFF) << 24 | discriminator << 23 | channel << 16 | tdc << 8 | adc).astype("<u4")
    return words
