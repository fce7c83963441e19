"""Begins that agree: what began together, and when, as all of it together says."""

from collections.abc import Sequence

import numpy as np

from streams.checks.begin import Begin

_BESIDE = 2
"""Spills, and widths of its interval, by which a begin may lie beside that: of hundreds of intervals some miss it."""


def together(begins: Sequence[Begin]) -> list[list[int]]:
    """Return places of begins that may be one, the largest group first; each place is there once."""
    slack = [_BESIDE + (begin.latest - begin.earliest) for begin in begins]
    low = np.array([begin.earliest - its for begin, its in zip(begins, slack, strict=True)], np.int64)
    high = np.array([begin.latest + its for begin, its in zip(begins, slack, strict=True)], np.int64)
    left, found = np.arange(len(begins)), []
    while len(left):
        # Most intervals have a spill in common where one of them begins.
        begun = np.searchsorted(np.sort(low[left]), low[left], side="right")
        over = np.searchsorted(np.sort(high[left]), low[left], side="left")
        at = low[left][np.argmax(begun - over)]
        has_it = (low[left] <= at) & (at <= high[left])
        found.append(left[has_it].tolist())
        left = left[~has_it]
    return found


def common(begins: Sequence[Begin]) -> Begin:
    """Return the begin that most of some begins leave possible; the one that is known best says which is likeliest."""
    low, high = np.array([(begin.earliest, begin.latest) for begin in begins]).T
    leaves = (low[:, None] <= low) & (low <= high[:, None])
    earliest = int(low[np.argmax(leaves.sum(axis=0))])
    latest = int(high[(low <= earliest) & (earliest <= high)].min())
    best = min(begins, key=lambda begin: (begin.latest - begin.earliest, -begin.first))
    return Begin(min(max(best.first, earliest), latest), earliest, latest)
