"""Time of flight: digits, slab hits and space points over the columns of a whole spill."""

from schemas.tof import Tof
from streams.conditions.model import Conditions
from streams.reco import DetectorError
from streams.reco.tof_hits import make_digits, make_slab_hits
from streams.reco.tof_space_points import make_space_points
from streams.unpack.hits import RawHits


def reconstruct_tof(hits: RawHits, conditions: Conditions) -> Tof:
    """Return what the three stations make of a spill.

    Without calibration there are digits and slab hits, and no space points.

    Raises
    ------
    DetectorError
        When the conditions have no cabling of the stations.
    """
    if conditions.tof_cabling is None:
        raise DetectorError("no cabling: the run's conditions have no table of the kind tof_channels")
    digits = make_digits(hits, conditions, conditions.tof_cabling)
    slab_hits = make_slab_hits(digits)
    return Tof(
        digits=digits,
        hits=slab_hits,
        space_points=make_space_points(hits.triggers, slab_hits, conditions.tof_calibration),
    )
