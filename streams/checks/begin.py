"""At which spill a change began: the begin that explains best what came, and those that explain it almost as well."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from schemas.columns import F4, F8, I8

LATER, MUCH_LATER = 300, 1000
"""Spills after which one is learned from; the second where a change takes some hundreds to be told."""
WITHIN = 3.0
"""Begins are not excluded whose logarithm of the likelihood is lower than the best one's by less. In trials it was the
true one in 93 to 100 % of them, whatever the change (`make bench-judgement`)."""


class Begin(NamedTuple):
    """Numbers of spills."""

    first: int
    """The likeliest."""
    earliest: int
    latest: int
    """Between which it lies, at 95 % confidence."""


class Memory:
    """What the last spills brought to some columns. NaN is what is not to be looked at.

    What has changed is not to be taken for the rule before it is told. So a spill is learned from when so many others
    have come after it; of a run's first ones, when as many have come as before it.

    Parameters
    ----------
    later
        Spills after which one is learned from; twice as many are remembered.
    """

    def __init__(self, later: int) -> None:
        self._later = later
        self._spills: I8 = np.full(2 * later, -1, np.int64)
        self._values: list[F4] = []
        self._learned = 0
        self.seen = 0
        """Spills that came."""

    def add(self, spill: int, *values: F8) -> None:
        """Remember the numbers of a spill: (columns,) each, or (1,) where they are the same of all columns."""
        at = self.seen % len(self._spills)
        if not self._values:
            self._values = [np.zeros((len(self._spills), len(its)), np.float32) for its in values]
        self._spills[at] = spill
        for kept, its in zip(self._values, values, strict=True):
            kept[at] = its
        self.seen += 1

    def due(self) -> Iterator[list[F8]]:
        """Yield the numbers of the spills to be learned from now, (columns,) each; 0 of what is not looked at."""
        while self._learned < self.seen - min(self._later, self.seen // 2):
            at = self._learned % len(self._spills)
            is_known = ~np.isnan(self._values[0][at])
            yield [np.where(is_known, its[at], 0.0).astype(np.float64) for its in self._values]
            self._learned += 1

    def of(self, column: int) -> tuple[I8, list[F8]]:
        """Return the numbers of the spills, oldest first, and (spills,) what each of them brought to a column."""
        order = np.roll(np.arange(len(self._spills)), -(self.seen % len(self._spills)))
        its = [values[order, column % values.shape[1]].astype(np.float64) for values in self._values]
        there = (self._spills[order] >= 0) & ~np.isnan(its).any(axis=0)
        return self._spills[order][there], [each[there] for each in its]

    def scale(self, number: int, by: float, column: int | slice = slice(None)) -> None:
        """Have one of the numbers of each spill be so many times what it was, in one column or all."""
        for its in self._values[number : number + 1]:  # before the first spill there are none
            its[:, column] *= by

    def forget(self, column: int, since: int) -> None:
        """Have nobody look at a column from a spill on."""
        for its in self._values[:1]:
            its[self._spills >= since, column] = np.nan


def from_each(values: F8) -> F8:
    """Return (spills,) the sum from each spill on."""
    return np.cumsum(values[::-1])[::-1]


def begin_of(spills: I8, evidence: F8) -> Begin:
    """Return when a change began.

    Parameters
    ----------
    spills
        (spills,) their numbers.
    evidence
        (spills,) how much likelier all from each spill on is if the change began there, of the size that explains best
        what came then, than if there was none: logarithm of the ratio. So begin and size are found together.
    """
    first = int(np.argmax(evidence))
    near = np.flatnonzero(evidence >= evidence[first] - WITHIN)
    return Begin(int(spills[first]), int(spills[near[0]]), int(spills[near[-1]]))
