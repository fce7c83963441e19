"""Scalers: what the one board counted in the spill."""

from collections.abc import Sequence

import numpy as np

from schemas.records import MISSING, ReconstructedSpill
from streams.errors import DetectorError
from streams.experiments.mice.tables.scalers import ScalerCounts, Scalers
from streams.experiments.mice.unpack.hits import RawHits
from streams.plots.spillfacts import SCALER_CHANNELS

_MOST = np.iinfo(np.int32).max


def reconstruct_scalers(hits: RawHits) -> Scalers:
    """Return the counts of the channels that were read out; none if the board was not.

    Raises
    ------
    DetectorError
        When there is more than one board: nothing tells which counts what; or when a count is beyond what is stored.
    """
    if len(hits.scalers) > 1:
        places = ", ".join(f"LDC {ldc} geo {geo}" for ldc, geo in sorted(hits.scalers))
        raise DetectorError(f"{len(hits.scalers)} scaler boards where one belongs: {places}")
    counts = next(iter(hits.scalers.values()), np.empty(0, np.int32))
    if (counts > _MOST).any():
        channel = int(counts.argmax())
        raise DetectorError(f"channel {channel} of the scaler counted {counts[channel]} in a spill, more than {_MOST}")
    read = np.flatnonzero(counts != MISSING)
    return Scalers(counts=ScalerCounts(channel=read.astype(np.uint8), count=counts[read].astype(np.int32)))


def scalers_of(spill: ReconstructedSpill) -> Sequence[int]:
    """Return the counts of all channels, `MISSING` where they were not read; none if the board was not."""
    scalers = spill.get(Scalers)
    if scalers is None or not len(scalers.counts):
        return ()
    counts = np.full(SCALER_CHANNELS, MISSING, np.int32)
    counts[scalers.counts.channel] = scalers.counts.count
    found: list[int] = counts.tolist()
    return found
