"""The boards of the time-of-flight stations: four TDCs, and the FADCs of every photomultiplier."""

import numpy as np

from streams.experiments.mice.boards import V1290, V1724
from streams.experiments.mice.conditions.tof import NOT_CABLED, TofCabling
from streams.experiments.mice.simulator import boards
from streams.experiments.mice.simulator.date import equipment
from streams.experiments.mice.simulator.readout import Beam, Readout
from streams.experiments.mice.simulator.tables import FADC_BOARDS, LDC_UPSTREAM, TDC_BOARDS
from streams.experiments.mice.simulator.tof import PmtHits, make_pmt_hits

_TDC_COUNT_NS = 0.025
_REQUEST_BEFORE_TRIGGER = 65
"""TDC counts."""
_SECOND_REQUEST = 0.02
"""Probability of a second trigger request in a trigger; the first is the true one."""


def read_out_tof(rng: np.random.Generator, beam: Beam) -> Readout:
    """Return the equipments of the three stations."""
    cabling, calibration = beam.conditions.tof_cabling, beam.conditions.tof_calibration
    assert cabling is not None and calibration is not None  # noqa: S101, PT018 - the simulated conditions have both
    hits = make_pmt_hits(rng, beam.particles, calibration)
    found = [(LDC_UPSTREAM, equipment(V1290, geo, _tdc_board(rng, geo, beam, hits, cabling))) for geo in TDC_BOARDS]
    for ldc, geos in FADC_BOARDS.items():
        for geo in geos:
            row, channel = _cabled_to(hits, cabling.fadc[ldc, geo])
            words = boards.v1724_words(geo, beam.ticks, hits.trigger[row], channel, hits.samples[row])
            found.append((ldc, equipment(V1724, geo, words)))
    return Readout(equipments=found)


def _cabled_to(hits: PmtHits, pmt_of_channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of the hits on one board, and their channels."""
    channel_of_pmt = np.full(int(max(hits.pmt.max(initial=0), pmt_of_channel.max())) + 1, NOT_CABLED)
    channels = np.flatnonzero(pmt_of_channel != NOT_CABLED)
    channel_of_pmt[pmt_of_channel[channels]] = channels
    channel = channel_of_pmt[hits.pmt]
    row = np.flatnonzero(channel != NOT_CABLED)
    return row, channel[row]


def _tdc_board(rng: np.random.Generator, geo: int, beam: Beam, hits: PmtHits, cabling: TofCabling) -> boards.Words:
    """Return the words of one TDC board: trigger and request on channels 0 and 1, photomultipliers on the others."""
    particles, n = beam.particles, len(beam.particles)
    # Each board counts from a start of its own; the counter wraps every 52.4 µs.
    trigger = np.rint(particles.trigger_ns / _TDC_COUNT_NS).astype(np.int64) + int(rng.integers(1 << 21))
    request = trigger - _REQUEST_BEFORE_TRIGGER - rng.integers(0, 8, n)
    again = np.flatnonzero(rng.random(n) < _SECOND_REQUEST)
    row, channel = _cabled_to(hits, cabling.tdc[LDC_UPSTREAM, geo])
    leading = request[hits.trigger[row]] + np.rint(hits.raw_ns[row] / _TDC_COUNT_NS).astype(np.int64)
    everyone = np.arange(n)
    return boards.v1290_words(
        geo,
        first_event=beam.number * 1000,
        bunch_id=particles.trigger_ns // 25,
        time_tag=beam.ticks,
        trigger=np.concatenate([everyone, everyone, again, hits.trigger[row]]).astype(np.int32),
        channel=np.concatenate([np.zeros(n), np.ones(n), np.ones(len(again)), channel]).astype(np.int32),
        leading=np.concatenate([trigger, request, request[again] + 20_000, leading]),
    )
