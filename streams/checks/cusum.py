"""Cumulative sums (CUSUM): when has evidence for a change become so strong that chance makes it once in a stated time.

Each column (a channel, a detector, a peak) has a sum for each size of change that is looked for: the logarithm of how
much likelier all since some spill is after the change than before. When it falls to zero it begins again; it tells the
change when it comes to the threshold, and forgets it when as much has spoken against it. No procedure finds a change of
known size sooner at the same rate of false alarms (Lorden 1971, Moustakides 1986).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from typing import Generic, Protocol, TypeVar

import numpy as np

from schemas.columns import F8, I4, I8, Bools

OF_EACH = 4
"""Channels, groups, peaks and shapes share what is borne: each have a false alarm in so many times the spills."""
SUSPECT = 0.25
"""Share of the threshold from which on a column is not believed: it is not learned from."""


def threshold(columns: int, changes: int, spills: float) -> float:
    """Return the threshold with which chance reaches it once in so many spills, in all columns together.

    The mean time until a sum of log likelihood ratios comes to h by chance is e^h spills at least (Lorden 1971).

    Parameters
    ----------
    columns
        All that are looked at at once; there may be none.
    changes
        Sizes of change that are looked for in each.
    spills
        Among so many one false alarm is borne.
    """
    return log(max(columns, 1) * changes * spills)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A column that has changed."""

    column: int
    change: int
    """Which of the changes that are looked for told it."""
    told: int
    """The spill at which it came to the threshold."""


class Told(Protocol):
    """What a test tells of a column."""

    @property
    def column(self) -> int:
        """Which it is."""
        raise NotImplementedError


_Told = TypeVar("_Told", bound=Told)


class Found(Generic[_Told]):
    """What is and was wrong with columns.

    Attributes
    ----------
    findings
        Column → what is wrong with it now.
    past
        What is over, and the spill after which that was told.
    """

    def __init__(self) -> None:
        self.findings: dict[int, _Told] = {}
        self.past: list[tuple[_Told, int]] = []

    def end(self, columns: Iterable[int], spill: int) -> None:
        """Note that columns are again as they were."""
        self.past += [(self.findings.pop(column), spill) for column in columns]

    @property
    def all(self) -> list[tuple[_Told, int | None]]:
        """What is and was wrong, and the spill after which it was over."""
        return [*((each, None) for each in self.findings.values()), *self.past]


class Cusum:
    """The sums of some columns.

    Parameters
    ----------
    columns, changes
        How many there are.
    limit
        The threshold, see `threshold`.

    Attributes
    ----------
    sums
        (changes, columns) evidence, from 0 to the threshold.
    bad
        (columns,) which of the changes each has made; -1 where none.
    suspects
        (columns,) whether each is not to be learned from.
    """

    def __init__(self, columns: int, changes: int, limit: float) -> None:
        self.limit = limit
        self.sums: F8 = np.zeros((changes, columns))
        self.bad: I4 = np.full(columns, -1, np.int32)
        self.suspects: Bools = np.zeros(columns, np.bool_)
        self._began: I8 = np.zeros(self.sums.shape, np.int64)

    def add(self, spill: int, sums: F8) -> tuple[list[Alarm], list[int], Bools]:
        """Take the sums as they are with a spill.

        Parameters
        ----------
        spill
            Its number; they come in the order of their numbers.
        sums
            (changes, columns) evidence since each began.

        Returns
        -------
        alarms
            What it tells anew.
        ended
            The columns that are again as they were.
        began
            (changes, columns) those that begin again behind this spill.
        """
        self.sums = sums = np.clip(sums, 0, self.limit)
        ended = [int(c) for c in np.flatnonzero(self.bad >= 0) if sums[self.bad[c], c] == 0]
        for column in ended:
            self.bad[column] = -1
            sums[:, column] = 0
        reached = (sums >= self.limit).any(axis=0) & (self.bad < 0)
        alarms = [self._alarm(int(column), spill) for column in np.flatnonzero(reached)]
        began = sums <= 0
        self._began[began] = spill + 1
        self.suspects = (sums.max(axis=0) >= SUSPECT * self.limit) | (self.bad >= 0)
        return alarms, ended, began

    def take_for(self, column: int, change: int) -> None:
        """Take what is wrong with a column for another change: it ends when the evidence for that is gone."""
        self.bad[column] = change
        self.sums[change, column] = self.limit

    def _alarm(self, column: int, spill: int) -> Alarm:
        # Of several that reach it at once, the one that mounted fastest explains it best.
        change = int(np.argmax(np.where(self.sums[:, column] >= self.limit, self._began[:, column], -1)))
        self.bad[column] = change
        return Alarm(column=column, change=change, told=spill)
