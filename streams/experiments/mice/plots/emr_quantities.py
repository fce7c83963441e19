"""What several plots need of the electron-muon ranger; ask for it with `Batch.once`."""

import numpy as np

from schemas.columns import F8, I8, Bools
from streams.experiments.mice.conditions.emr import bar_mm
from streams.experiments.mice.tables.emr import EmrHits, EmrSecondaryHits, EmrTracks
from streams.plots.batch import Batch

DENSITY_CUT = 0.9
CHI2_CUT = 2.0
"""A track whose density is above and whose chi2 is below is a muon's (EMRdensityCut, EMRchi2Cut)."""


def lit_bars(batch: Batch) -> tuple[I8, I8]:
    """Return (n,) plane and (n,) bar of every hit with a time over threshold, primaries and secondaries."""
    tables = (batch.join(EmrHits), batch.join(EmrSecondaryHits))
    plane, bar, tot = (np.concatenate([getattr(t, name) for t in tables]) for name in ("plane", "bar", "tot"))
    return plane[tot != 0].astype(np.int64), bar[tot != 0].astype(np.int64)


def beam_spot_mm(batch: Batch) -> tuple[F8, F8]:
    """Return (n,) x and (n,) y of the brightest bar in planes 0 and 1, of triggers with hits in both."""
    hits = batch.join(EmrHits)
    found = []
    for plane in (0, 1):
        rows = hits.rows(hits.plane == plane)
        # Of equally bright ones the first.
        rows = rows.rows(np.lexsort((-rows.tot, rows.trigger)))
        trigger, first = np.unique(rows.trigger, return_index=True)
        found.append((trigger, bar_mm(rows.bar[first].astype(np.int64))))
    (of_x, x), (of_y, y) = found
    _, in_x, in_y = np.intersect1d(of_x, of_y, assume_unique=True, return_indices=True)
    return x[in_x], y[in_y]


def is_muon(tracks: EmrTracks) -> Bools:
    """Return (n,) whether density and chi2 of each track are a muon's."""
    return (tracks.density_ma > DENSITY_CUT) & (tracks.chi2 < CHI2_CUT)
