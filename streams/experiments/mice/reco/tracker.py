"""Scintillating-fibre trackers: digits, clusters, space points and tracks over the columns of a whole spill."""

import numpy as np

from streams.arrays.stable_order import stable_order
from streams.errors import DetectorError
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.conditions.tracker import CHANNELS, PLANES, STATIONS, TRACKERS, TrackerChannels
from streams.experiments.mice.reco.tracker_clusters import make_clusters
from streams.experiments.mice.reco.tracker_space_points import make_space_points
from streams.experiments.mice.reco.tracker_tracks import make_tracks
from streams.experiments.mice.tables.tracker import Tracker, TrackerDigits
from streams.experiments.mice.unpack.hits import RawHits, VlsbHits

MIN_NPE = 2.0
"""A digit has more photo-electrons."""
NOT_CALIBRATED = -10.0
"""Stands for the photo-electrons of a channel without calibration."""
_FIBRES = TRACKERS * STATIONS * PLANES * CHANNELS
"""More than any index of a channel of a plane."""


def reconstruct_tracker(hits: RawHits, conditions: Conditions) -> Tracker:
    """Return what both trackers make of a spill.

    Raises
    ------
    DetectorError
        When the conditions lack their cabling or calibration.
    """
    if conditions.tracker is None:
        lacking = "the run's conditions lack a table scifi_mapping or scifi_calibration"
        raise DetectorError(f"no cabling or no calibration: {lacking}")
    digits = make_digits(hits.vlsb, conditions.tracker)
    clusters = make_clusters(digits)
    points = make_space_points(clusters)
    return Tracker(digits=digits, hits=clusters, space_points=points, tracks=make_tracks(points))


def make_digits(hits: VlsbHits, channels: TrackerChannels) -> TrackerDigits:
    """Return the cabled channels, bad ones left out, with more than `MIN_NPE` photo-electrons: (ADC - pedestal) / gain.

    Rows are in the order of particle triggers, trackers, stations, planes and channels.
    """
    place = hits.bank, hits.channel
    gain = channels.gain[place]
    npe = np.full(len(hits), NOT_CALIBRATED)
    np.divide(hits.adc - channels.pedestal[place], gain, out=npe, where=gain > 0)
    fibres = channels.fibres[place]
    kept = np.flatnonzero((fibres >= 0) & (npe > MIN_NPE) & channels.good[place])
    kept = kept[stable_order(hits.trigger[kept].astype(np.int64) * _FIBRES + fibres[kept])]
    plane, channel = np.divmod(fibres[kept], CHANNELS)
    return TrackerDigits(
        trigger=hits.trigger[kept],
        tracker=(plane // (STATIONS * PLANES)).astype(np.uint8),
        station=(plane // PLANES % STATIONS + 1).astype(np.uint8),
        plane=(plane % PLANES).astype(np.uint8),
        channel=channel.astype(np.uint8),
        npe=npe[kept],
        adc=hits.adc[kept],
        tdc=hits.tdc[kept],
    )
