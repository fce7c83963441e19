"""Scalers: what the one board counted in the spill."""

import numpy as np

from schemas.records import MISSING
from schemas.scalers import ScalerCounts, Scalers
from streams.reco import DetectorError
from streams.unpack.hits import RawHits

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
