"""Time of flight: digits, slab hits and space points over the columns of a whole spill."""

from collections import Counter

import numpy as np

from streams.books.totals import Totals
from streams.errors import DetectorError
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.reco.tof_hits import make_digits, make_slab_hits
from streams.experiments.mice.reco.tof_space_points import make_space_points
from streams.experiments.mice.tables.tof import Tof
from streams.experiments.mice.unpack.hits import RawHits

MANY_SLAB_HITS = 200
"""Those of some fifty particles, of which one at least must have a space point."""
MIN_CROSSED = 10
"""Triggers with a slab hit in both planes of the trigger station, from which on one at least must have the pixel that
triggered: of the experiment's own runs nine in ten have it."""


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


def doubt_calibration(tof: Tof, conditions: Conditions) -> str:
    """Return why the calibration cannot be that of the spill, or an empty text.

    It is a rule of one spill, so that it says the same however spills come in batches.
    """
    calibration = conditions.tof_calibration
    if calibration is None or len(tof.space_points):
        return ""
    hits = tof.hits.rows(tof.hits.station == calibration.trigger_station)
    crossed = len(np.intersect1d(hits.trigger[hits.plane == 0], hits.trigger[hits.plane == 1]))
    if crossed < MIN_CROSSED:
        return ""
    return (
        f"{crossed} triggers have slab hits in both planes of TOF{calibration.trigger_station}, which triggers, and no "
        "pixel of them can have triggered: the calibration is of another time, or a cable or station of the trigger "
        "was changed"
    )


def doubt_run(totals: Totals) -> str:
    """Say it if a run has many slab hits and not one space point, though it is calibrated.

    So it is with the calibration of another time. Where a spill has enough of them, it says so among its errors.
    """
    its = totals.detectors.get("tof", Counter())
    is_told = any(name.startswith("tof") for name in (*totals.lacking, *totals.errors))
    if its["hits"] < MANY_SLAB_HITS or its["space_points"] or is_told:
        return ""
    return (
        "slab hits of TOF in plenty and not one space point: its calibration is of another time, or the trigger's "
        "cables were changed"
    )
