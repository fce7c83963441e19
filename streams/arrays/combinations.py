"""Every combination of rows of groups, in pieces that take little memory however large the groups are."""

from collections.abc import Iterator

import numpy as np

from schemas.columns import I8

_ROWS = 1 << 18
"""Combinations of a piece, and at most those of one group more."""


def combinations(first: I8, count: I8) -> Iterator[I8]:
    """Yield (n, k) rows: of each group, every combination of one row of each of its k lists.

    They come in the order of the groups, the last list running fastest. All of a group are in the same piece.

    Parameters
    ----------
    first, count
        (groups, k) where each list begins among the rows, and how many it has.
    """
    size = count.prod(axis=1)
    groups = np.flatnonzero(size)
    piece = np.cumsum(size[groups]) // _ROWS
    for some in np.split(groups, np.flatnonzero(np.diff(piece)) + 1):
        group = np.repeat(some, size[some])
        at = np.arange(len(group)) - np.repeat(np.cumsum(size[some]) - size[some], size[some])
        rows = np.empty((len(group), count.shape[1]), np.int64)
        for column in reversed(range(count.shape[1])):
            at, within = np.divmod(at, count[group, column])
            rows[:, column] = first[group, column] + within
        yield rows
