"""Runs of equal numbers in a sorted column, found without sorting it anew."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.columns import I8


class EqualRuns(NamedTuple):
    """Where a sorted column's number changes."""

    first: I8
    """(runs,) index of each run's first row."""
    of_row: I8
    """(rows,) which run each row is in."""


def equal_runs(column: npt.NDArray[np.integer]) -> EqualRuns:
    """Return the runs of equal numbers in a column whose equal numbers stand together."""
    changes = np.empty(len(column), np.bool_)
    changes[:1] = True
    np.not_equal(column[1:], column[:-1], out=changes[1:])
    return EqualRuns(np.flatnonzero(changes), np.cumsum(changes) - 1)
