"""The boards of the electron-muon ranger (EMR): times over threshold of its bars, and pulses of its planes."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I8, U1, Table, column
from streams.experiments.mice.boards import DBB, V1731
from streams.experiments.mice.conditions.emr import (
    BAR_NUMBERS,
    BARS,
    COUNT_NS,
    NOT_CABLED,
    PLANES,
    TRIGGER_BAR,
    EmrCabling,
)
from streams.experiments.mice.reco.emr_tracks import TOT_P1, TOT_P2, TOT_P3
from streams.experiments.mice.simulator import boards
from streams.experiments.mice.simulator.date import equipment
from streams.experiments.mice.simulator.emr_particles import TRACK_AREA, TRACK_CHARGE, Light, in_bars, make_light
from streams.experiments.mice.simulator.emr_tables import EMR_LDC, FADC_BOARDS, FADC_CHANNELS
from streams.experiments.mice.simulator.readout import Beam, Readout

SAMPLES = 64
"""As few as have a pedestal: the spill is no larger than it must be."""
PEDESTAL = 144
GATE_NS = 900_000
"""When the boards' clocks begin, before the first trigger."""
BEFORE_TRIGGER = (-232, -217)
"""Counts: when a particle's hits come, relative to its trigger; each may be off by some more."""
JITTER = 3
CROSS_TALK = 0.05
"""Probability that light is seen in a bar far from it too, and how much of it is."""
CROSS_TALK_SHARE = 0.25
CROSS_TALK_BARS = (3, 8)
"""How far away."""
THRESHOLD = 10.0
"""ADC counts."""
NOISE_HITS = 4.0
"""Mean of them in a spill."""
NOISE_TOT = (3, 9)
_TRIGGER_TOT = 20
_NOISE = 0.08
"""Probability of a sample one count below the pedestal."""
_PEAK = 38
_SHAPE = np.array([0.05, 0.2, 0.3, 0.2, 0.12, 0.07, 0.04, 0.02])
"""Share of the area in each sample of a pulse."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _BarHits(Table):
    """Hits of bars, and of the channels that record the triggers."""

    plane: I8 = column("<i8")
    bar: I8 = column("<i8")
    time: I8 = column("<i8")
    tot: I8 = column("<i8")


def read_out_emr(rng: np.random.Generator, beam: Beam) -> Readout:
    """Return the equipments of its boards."""
    cabling = beam.conditions.emr_cabling
    assert cabling is not None  # noqa: S101 - the simulated conditions have it
    truth, light, decay_light = make_light(rng, beam.particles)
    trigger_time = np.rint((beam.particles.trigger_ns - GATE_NS) / COUNT_NS).astype(np.int64)
    stop_time = trigger_time[truth.trigger] + rng.integers(*BEFORE_TRIGGER, len(truth))
    decay_time = stop_time + np.rint(np.nan_to_num(truth.decay_ns) / COUNT_NS).astype(np.int64)
    triggers = len(trigger_time)
    hits = _BarHits.concat(
        [
            _BarHits(
                plane=np.repeat(np.arange(PLANES), triggers),
                bar=np.full(PLANES * triggers, TRIGGER_BAR),
                time=np.tile(trigger_time, PLANES),
                tot=np.full(PLANES * triggers, _TRIGGER_TOT),
            ),
            _bar_hits(rng, light, stop_time),
            _bar_hits(rng, decay_light, decay_time),
            _noise(rng, trigger_time),
        ]
    )
    found = _dbb_boards(cabling, hits, beam.number, triggers)
    area = np.zeros((triggers, PLANES))
    area[truth.trigger[light.row], light.plane] = TRACK_AREA * light.size
    samples = _samples(rng, area)
    for board, geo in enumerate(FADC_BOARDS):
        words = boards.v1731_words(geo, beam.ticks, samples[:, board * FADC_CHANNELS : (board + 1) * FADC_CHANNELS])
        found.append((EMR_LDC, equipment(V1731, geo, words)))
    return Readout(equipments=found, truth=truth)


def _bar_hits(rng: np.random.Generator, light: Light, time: I8) -> _BarHits:
    """Return the hits of bars with light above the threshold, cross-talk included; `time` by row of the truth."""
    row, bar, size = in_bars(light)
    away = np.flatnonzero(rng.random(len(row)) < CROSS_TALK)
    far = bar[away] + rng.choice([-1, 1], len(away)) * rng.integers(*CROSS_TALK_BARS, len(away))
    row, bar = np.concatenate([row, row[away]]), np.concatenate([bar, far])
    charge = TRACK_CHARGE * np.concatenate([size, CROSS_TALK_SHARE * size[away]])
    seen = (charge > THRESHOLD) & (bar > 0) & (bar < BARS)
    row, bar, charge = row[seen], bar[seen], charge[seen]
    return _BarHits(
        plane=light.plane[row],
        bar=bar,
        time=time[light.row[row]] + rng.integers(-JITTER, JITTER + 1, len(row)),
        tot=np.rint(TOT_P1 * np.log(TOT_P2 * charge + TOT_P3)).astype(np.int64),
    )


def _noise(rng: np.random.Generator, trigger_time: I8) -> _BarHits:
    """Return hits at any time before the last trigger; none where there is none."""
    n = rng.poisson(NOISE_HITS) if len(trigger_time) else 0
    return _BarHits(
        plane=rng.integers(0, PLANES, n),
        bar=rng.integers(1, BARS, n),
        time=rng.integers(0, trigger_time.max(initial=1), n),
        tot=rng.integers(*NOISE_TOT, n),
    )


def _dbb_boards(cabling: EmrCabling, hits: _BarHits, spill: int, triggers: int) -> list[tuple[int, bytes]]:
    """Return the equipments of the boards that the cabling has, their edges in the order of time."""
    ldc, geo, channel = np.nonzero(cabling.dbb != NOT_CABLED)
    geos = cabling.dbb.shape[1]
    place, board = np.unique(ldc * geos + geo, return_inverse=True)
    board_of, channel_of = np.full((2, PLANES * BAR_NUMBERS), NOT_CABLED)
    bar = cabling.dbb[ldc, geo, channel]
    board_of[bar], channel_of[bar] = board, channel
    time = np.concatenate([hits.time, hits.time + hits.tot])
    is_trailing = np.repeat([False, True], len(hits))
    bar = np.tile(hits.plane * BAR_NUMBERS + hits.bar, 2)
    order = np.lexsort((is_trailing, time, board_of[bar]))
    bar, time, is_trailing = bar[order], time[order], is_trailing[order]
    bounds = np.searchsorted(board_of[bar], np.arange(len(place) + 1))
    found = []
    for number, where in enumerate(place.tolist()):
        board_ldc, board_geo = divmod(where, geos)
        mine = slice(bounds[number], bounds[number + 1])
        words = boards.dbb_words(
            board_geo, spill, triggers, channel_of[bar[mine]].astype(np.int32), is_trailing[mine], time[mine]
        )
        found.append((board_ldc, equipment(DBB, board_geo, words)))
    return found


def _samples(rng: np.random.Generator, area: F8) -> U1:
    """Return (triggers, PLANES, SAMPLES) samples of planes with pulses of these areas; pulses are negative."""
    samples = np.full((*area.shape, SAMPLES), PEDESTAL, np.int16)
    samples -= rng.random(samples.shape, dtype=np.float32) < _NOISE
    start = _PEAK - int(_SHAPE.argmax())
    samples[..., start : start + len(_SHAPE)] -= np.rint(area[..., np.newaxis] * _SHAPE).astype(np.int16)
    return np.clip(samples, 0, 255).astype(np.uint8)
