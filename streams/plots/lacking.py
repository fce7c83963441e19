"""Which plots a run's conditions leave without entries: the state "not calibrated"."""

from collections.abc import Mapping
from contextlib import suppress
from functools import cache

from schemas.detectors import DETECTORS, tables_of
from streams.plots.batch import Batch
from streams.plots.model import Plot

NOT_CALIBRATED = "not calibrated"
"""The state of a plot that needs tables which the run's conditions have not."""


def spills_without(plot: Plot, lacking: Mapping[str, int]) -> int:
    """Return in how many spills a plot had no entries as the conditions lacked tables that it needs.

    Parameters
    ----------
    lacking
        Detector, or ``detector.table``, for which the conditions lacked tables → in how many spills.
    """
    return max((lacking.get(each, 0) for each in needs(plot)), default=0)


@cache
def needs(plot: Plot) -> frozenset[str]:
    """Return what a plot is filled from, as detectors and ``detector.table``: what it asks for of no spill tells."""
    batch = Batch([])
    with suppress(Exception):  # a plot is anybody's ten lines: what it asked for before it failed, it needs
        plot.fill(batch)
    its = {d: [t for t, kind in tables_of(tables).items() if kind in batch.kinds] for d, tables in DETECTORS.items()}
    return frozenset(each for d, tables in its.items() for table in tables for each in (d, f"{d}.{table}"))
