"""Means, as the place of a peak, that have moved against what the run has shown of them so far."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I8, Bools
from streams.checks.begin import LATER, Begin, Memory, begin_of, from_each
from streams.checks.counts import SETTLING
from streams.checks.cusum import Alarm, Cusum, Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A mean that has moved."""

    column: int
    by: float
    """How far, in its unit."""
    error: float
    """Of that, from the entries alone."""
    begin: Begin
    told: int
    """Number of the spill after which it was told."""


class MeanTest(Found[Moved]):
    """Looks for means that have moved, to either side.

    Parameters
    ----------
    shifts
        (columns,) how far each must move for it to matter, in its unit.
    limit
        The threshold, see `cusum.threshold`.
    """

    def __init__(self, shifts: F8, limit: float) -> None:
        super().__init__()
        self._shifts: F8 = np.stack([-shifts, shifts])
        self._cusum = Cusum(len(shifts), len(self._shifts), limit)
        self._memory = Memory(LATER)
        # Entries, their sum, and that of their squares: what was learned, and what came since each sum began.
        self._known: F8 = np.zeros((3, len(shifts)))
        self._new: F8 = np.zeros((3, 2, len(shifts)))

    def add(self, spill: int, entries: I8, total: F8, squares: F8) -> list[Moved]:
        """Take the entries of the next spill; return what they tell anew.

        Parameters
        ----------
        spill
            Its number; they come in the order of their numbers.
        entries, total, squares
            (columns,) how many, their sum, and the sum of their squares; in the unit, and its square.
        """
        came: F8 = np.stack([entries, total, squares]).astype(np.float64)
        self._memory.add(spill, *np.where(self._cusum.bad < 0, came, np.nan))
        told = self._judge(spill, came) if self._memory.seen > SETTLING else []
        for known in self._memory.due():
            self._known += known
        return told

    def _judge(self, spill: int, came: F8) -> list[Moved]:
        self._new += came[:, None, :]
        alarms, ended, began = self._cusum.add(spill, self._sums(came))
        self.end(ended, spill)
        self._new[:, began] = 0
        told = [self._finding(alarm) for alarm in alarms]
        for each in told:
            self._memory.forget(each.column, each.begin.first)
            self.findings[each.column] = each
        return told

    def _sums(self, came: F8) -> F8:
        """Return (changes, columns) the evidence since each sum began; of a bad column as it goes on."""
        entries, total, _ = self._new
        before = self._known[0]
        there = (entries > 0) & (before > 0)
        moved = (_ratio(total, entries, there) - self._means()) * there
        # Both means have errors.
        variance = self._variances() * (_ratio(1.0, entries, there) + _ratio(1.0, before, there))
        sums = _ratio(self._shifts * moved - self._shifts**2 / 2, variance, there & (variance > 0))
        bad = np.flatnonzero(self._cusum.bad >= 0)
        off = came[1, bad] - came[0, bad] * self._means()[bad]
        step = self._shifts[:, bad] * off - came[0, bad] * self._shifts[:, bad] ** 2 / 2
        sums[:, bad] = self._cusum.sums[:, bad] + _ratio(step, self._variances()[bad], self._variances()[bad] > 0)
        return sums

    def _means(self) -> F8:
        return _ratio(self._known[1], self._known[0], self._known[0] > 0)

    def _variances(self) -> F8:
        there = self._known[0] > 1
        return np.maximum(_ratio(self._known[2], self._known[0], there) - self._means() ** 2, 0.0)

    def _finding(self, alarm: Alarm) -> Moved:
        column = alarm.column
        mean, variance = self._means()[column], self._variances()[column]
        spills, (entries, total, _) = self._memory.of(column)
        off, many = from_each(total - entries * mean), from_each(entries)
        shifts = _ratio(off, many, (many > 0) & (off * self._shifts[alarm.change, column] > 0))
        begin = begin_of(spills, off * shifts / (2 * variance))
        since = spills >= begin.first
        counted = entries[since].sum()
        return Moved(
            column=column,
            by=float(total[since].sum() / counted - mean),
            error=float(np.sqrt(variance * (1 / counted + 1 / self._known[0, column]))),
            begin=begin,
            told=alarm.told,
        )


def _ratio(above: F8 | float, below: F8, where: Bools) -> F8:
    """Return a ratio where there is one, and 0 elsewhere."""
    shape = np.broadcast_shapes(np.shape(above), np.shape(below), np.shape(where))
    found: F8 = np.divide(above, below, out=np.zeros(shape), where=where)
    return found
