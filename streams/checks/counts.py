"""Channels and detectors whose counts a spill have changed against what the run has shown of them so far.

Of a channel its *share* of its detector's entries is looked at, so that the beam's intensity makes no difference; of a
detector its entries a particle trigger.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from schemas.columns import F8, I8, Bools
from streams.checks.begin import LATER, MUCH_LATER, Begin, Memory, begin_of, from_each
from streams.checks.cusum import Alarm, Cusum, Found

SETTLING = 20
"""Spills from the begin of a run in which nothing is told: they are learned from."""
_PRIOR = 1.0
"""Counts that each column is taken to have had before the run: one that has none yet is not surprised by its first."""
_SCATTER_PRIOR = 30.0
"""Counts for which the scatter is taken to be Poisson's."""
_SILENT = 0.01
"""What is silent keeps so much of its counts, for the odd one of noise."""
_LEAST = 1e-9
"""Below it the others have no share that tells anything, and counts were expected nowhere."""
_ENOUGH = 0.5
"""Share of a detector's hits that its channels must have to tell of the others, unless they are known to be bad."""
_OF_ANOTHER_RUN = 20.0
"""Counts that another run is good for: shares differ by a fifth or so."""
_ALONE = 0.75
"""Share of the threshold to which one spill may speak for a change: a burst of noise is over with its spill."""
_OFF = 1.1
"""By so much the triggers may be wrong about a detector's entries: they fluctuate, each by itself."""
_AT_ONCE = 0.5
"""Share of the threshold to which one spill must speak for a column to be left out in it."""


class Change(NamedTuple):
    """A size of change that is looked for."""

    factor: float
    """Of the counts."""
    name: str


CHANNEL = (
    Change(_SILENT, "silent"),
    Change(0.5, "weak"),
    Change(0.8, "weak"),
    Change(2.0, "hot"),
    Change(5.0, "hot"),
)
YIELD = (
    Change(_SILENT, "silent"),
    Change(0.8, "low"),
    Change(0.95, "low"),
    Change(1.05, "high"),
    Change(1.25, "high"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A column whose counts have changed."""

    column: int
    change: Change
    factor: float
    """What its counts are of what they were."""
    counted: int
    """Since the first spill."""
    expected: float
    """As before, in the same spills."""
    begin: Begin
    told: int
    """Number of the spill after which it was told."""
    from_the_begin: bool = False
    """Since the first spill of the run; what is expected is what another run had."""


def oddity(counts: I8 | F8, expected: F8) -> F8:
    """Return the logarithm of how much likelier counts are with a mean of their own than with the expected one.

    Of counts where none are expected, 0 and less: they tell nothing here.
    """
    odd, hit = expected - counts, np.flatnonzero(counts * expected)
    odd[hit] += counts[hit] * np.log(counts[hit] / expected[hit])
    return odd


class CountTest(Found[Finding]):
    """Looks for changed counts in one detector's channels, or in several detectors' yields.

    Parameters
    ----------
    columns
        How many.
    limit
        The threshold, see `cusum.threshold`.
    is_share
        Whether they are channels, whose counts are compared with those of the others, not with an exposure.
    """

    def __init__(self, columns: int, limit: float, *, is_share: bool) -> None:
        super().__init__()
        self._is_share = is_share
        self._changes = changes = CHANNEL if is_share else YIELD
        self._cusum = Cusum(columns, len(changes), limit)
        factors = np.array([change.factor for change in changes])
        self._factors: F8 = factors[:, None]
        self._logs: F8 = np.log(self._factors)
        # What was learned: so many counts in so much exposure.
        self._counts: F8 = np.full(columns, _PRIOR)
        self._exposure: F8 = np.full(columns, _PRIOR * columns if is_share else _PRIOR)
        # What came since each sum began.
        self._new_counts: F8 = np.zeros((len(changes), columns))
        self._new_exposure: F8 = np.zeros((len(changes), columns))
        self._squares: F8 = np.full(columns, _SCATTER_PRIOR)
        self._expected: F8 = np.full(columns, _SCATTER_PRIOR)
        self._memory = Memory(LATER if is_share else MUCH_LATER)
        self._left_out: Bools = np.zeros(columns, np.bool_)
        self.whole = 0.0
        """Counts of all columns in the last spill as they would be if all were as before: as the good ones tell."""
        self._wholes = 0.0

    def add(
        self,
        spill: int,
        counts: I8 | F8,
        exposure: F8 | None = None,
        *,
        whole: float | None = None,
        left_out: Bools | None = None,
    ) -> list[Finding]:
        """Take the counts of the next spill; return what they tell anew.

        Parameters
        ----------
        spill
            Its number; they come in the order of their numbers.
        counts
            (columns,) how many.
        exposure
            (columns,) in what, as particle triggers; 0 where it was not read. None where counts are compared with those
            of the other columns.
        whole
            What the detector's entries would be if all were as before, as the triggers tell; None if they do not. Noise
            in most columns makes the others' shares small: what is weak has fewer counts, too, and what is hot more.
        left_out
            (columns,) those that are neither looked at nor learned from, see `begin_with`; None for none.
        """
        if left_out is not None:
            self._left_out = left_out
        share = self._counts / self._exposure
        # What the others tell has an error of its own, which matters where they are few.
        least = 1 / np.maximum(1 - share / share.sum(), _LEAST) if exposure is None else 1.0
        scatter = np.maximum(self._squares / self._expected, least)
        x = self._by_the_others(counts, share, scatter) if exposure is None else exposure
        x = np.where(self._left_out, 0.0, x)
        counts = counts * (x > 0)  # without exposure nobody knows what its counts mean
        self._memory.add(
            spill,
            np.where((self._cusum.bad < 0) & ~self._left_out, counts, np.nan),
            x if exposure is not None else np.array([self.whole]),
        )
        self._wholes += self.whole
        told: list[Finding] = []
        if self._memory.seen > SETTLING:
            self._new_counts += self._bounded(counts, share * x, scatter)
            told = self._judge(spill, counts, self._doubted(x, whole), share, scatter)
        for known, of in self._memory.due():
            self._learn(known, of)
        return told

    def begin_with(self, column: int, share: float, counts: float) -> float:
        """Take what another run had of a column for what is known of it; return by how much `whole` grows.

        Parameters
        ----------
        share
            Of the entries, or of the exposure.
        counts
            By how many it is known; runs differ, so that many are no better than some.
        """
        self._counts[column] = known = min(counts, _OF_ANOTHER_RUN)
        self._exposure[column] = known / share
        self._memory.forget(column, 0)
        if not self._is_share:
            return 1.0
        # What it had too much or too little, the others' shares had too little or too much.
        others = np.arange(len(self._counts)) != column
        by = float(self.known[others].sum() / max(1 - share, _LEAST))
        self._exposure[others] *= by
        self._new_exposure *= by
        self._memory.scale(1, by)
        return by

    def scale(self, column: int, by: float) -> None:
        """Have the counts of a column be so many times what they were."""
        self._counts[column] *= by
        self._new_counts[:, column] *= by
        self._memory.scale(0, by, column)

    def _learn(self, counts: F8, exposure: F8) -> None:
        """Take a spill that has nothing wrong as an example."""
        expected = exposure * self._counts / self._exposure
        bounded = self._bounded(counts, expected, self._squares / self._expected)
        self._squares += (bounded - expected) ** 2
        self._expected += expected
        self._counts += bounded if self._memory.seen > SETTLING else counts  # before, nobody knows what to expect
        self._exposure += exposure

    def _bounded(self, counts: I8 | F8, expected: F8, scatter: F8) -> F8:
        """Return counts that are no further from what was expected than one spill is believed."""
        # The square root of a count has a variance of 1/4, and its evidence is twice its distance squared.
        root, most = np.sqrt(expected), np.sqrt(_ALONE * self._cusum.limit * scatter / 2)
        bounded: F8 = np.clip(counts, np.maximum(root - most, 0) ** 2, (root + most) ** 2)
        return bounded

    def _doubted(self, x: F8, whole: float | None) -> F8:
        """Return (changes, columns) the exposure that speaks least for each change."""
        if whole is None:
            return np.broadcast_to(x, self._cusum.sums.shape)
        most, least = whole * _OFF, whole / _OFF * (x > 0)
        return np.where(self._factors < 1, np.minimum(x, most), np.maximum(x, least))

    @property
    def has_settled(self) -> bool:
        """Whether enough was learned to tell anything."""
        return self._memory.seen >= SETTLING

    @property
    def known(self) -> F8:
        """(columns,) counts in an exposure of 1, as was learned."""
        return self._counts / self._exposure

    @property
    def hits(self) -> F8:
        """(columns,) counts in a spill if all are as before."""
        return self.known * (self._wholes / max(self._memory.seen, 1))

    def _judge(self, spill: int, counts: I8 | F8, x: F8, share: F8, scatter: F8) -> list[Finding]:
        self._new_exposure += x
        alarms, ended, began = self._cusum.add(spill, self._sums(counts, x, share, scatter))
        self.end(ended, spill)
        self._new_counts[began] = 0
        self._new_exposure[began] = 0
        told = [self._finding(alarm) for alarm in alarms]
        for each in told:
            self._cusum.take_for(each.column, self._changes.index(each.change))
            self._memory.forget(each.column, each.begin.first)
            self.findings[each.column] = each
        return told

    def _sums(self, counts: I8 | F8, came: F8, share: F8, scatter: F8) -> F8:
        """Return (changes, columns) the evidence since each sum began; of a bad column as it goes on."""
        n, x = self._new_counts, self._new_exposure
        # What was counted before is a gamma distribution of the share, so what comes next is a negative binomial one.
        before, exposure = self._counts + n, self._exposure + x
        sums: F8 = (n * self._logs - before * np.log1p((self._factors - 1) * x / exposure)) / scatter
        bad = np.flatnonzero(self._cusum.bad >= 0)
        step = (counts[bad] * self._logs - came[:, bad] * share[bad] * (self._factors - 1)) / scatter[bad]
        most = _ALONE * self._cusum.limit
        sums[:, bad] = self._cusum.sums[:, bad] + np.clip(step, -most, most)
        return np.where(came > 0, sums, self._cusum.sums)  # what was not seen tells nothing, whatever is learned

    def _by_the_others(self, counts: I8 | F8, share: F8, scatter: F8) -> F8:
        """Return for each column what the detector's entries would be if all were as before: as the other ones tell.

        Columns that are not believed are left out; so are those that this spill alone shows to be others, one after the
        other, the worst first: a channel with a thousand counts makes all others look weak.
        """
        asked = ~self._cusum.suspects & ~self._left_out
        if share[asked].sum() < _ENOUGH * share.sum():  # of few channels one that changes makes the others suspects
            asked = (self._cusum.bad < 0) & ~self._left_out
        while True:
            rest, good = share[asked].sum() / share.sum(), counts[asked].sum()
            others = rest - share * asked / share.sum()
            x: F8 = np.divide(good - counts * asked, others, out=np.zeros(len(counts)), where=others > _LEAST)
            odd = oddity(counts, share * x) * (asked / scatter)
            worst = int(np.argmax(odd))
            # Of the first spill nothing is odd: nobody knows yet what they have.
            if odd[worst] < _AT_ONCE * self._cusum.limit or not self._memory.seen:
                self.whole = float(good / rest) if rest > _LEAST else 0.0
                return x
            asked[worst] = False

    def _finding(self, alarm: Alarm) -> Finding:
        """Return what an alarm says, with the spill at which it began: the maximum of the likelihood."""
        spills, (counts, exposure) = self._memory.of(alarm.column)
        expected = exposure * self._counts[alarm.column] / self._exposure[alarm.column]
        n, there = from_each(counts), from_each(expected)
        factors = np.maximum(n / np.maximum(there, _LEAST), _SILENT)
        is_such = (factors < 1) == (self._changes[alarm.change].factor < 1)
        scatter = max(self._squares[alarm.column] / self._expected[alarm.column], 1.0)
        begin = begin_of(spills, np.where(is_such, n * np.log(factors) - there * (factors - 1), 0.0) / scatter)
        since = spills >= begin.first
        counted, before = counts[since].sum(), expected[since].sum()
        return Finding(
            column=alarm.column,
            change=self._change_of(counted / max(before, _LEAST), self._changes[alarm.change]),
            factor=float(counted / max(before, _LEAST)),
            counted=int(counted),
            expected=float(before),
            begin=begin,
            told=alarm.told,
        )

    def _change_of(self, factor: float, told_by: Change) -> Change:
        """Return the largest change that is no larger than the one that was measured, to the side of what told it."""
        side = [change for change in self._changes if (change.factor < 1) == (told_by.factor < 1)]
        size = abs(np.log(max(factor, _SILENT)))
        no_larger = [change for change in side if abs(np.log(change.factor)) <= size]
        if not no_larger:
            return min(side, key=lambda change: abs(np.log(change.factor)))
        return max(no_larger, key=lambda change: abs(np.log(change.factor)))
