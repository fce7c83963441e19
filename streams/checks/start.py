"""What is silent or hot from the begin of a run on, against another run: what was never there cannot change.

Runs differ: a share that is half or twice that of the other run is none that tells anything. So what is silent is held
against half of what is expected, and what is hot against twice. Each column is asked until it has answered (Wald 1945).
"""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I8, Bools
from streams.checks.begin import Begin
from streams.checks.counts import CHANNEL, SETTLING, Change, Finding, oddity
from streams.checks.cusum import SUSPECT, Found

_SILENT, _HOT = CHANNEL[0], CHANNEL[-1]
_HIGH = Change(_HOT.factor, "high")
_AS_OTHERS: F8 = np.array([[0.5], [2.0]])
"""Factors up to which a share is that of the other run."""
_FACTORS: F8 = np.array([[_SILENT.factor], [_HOT.factor]])
_ANSWERED = -3.0
"""Evidence at which a column is as in the other run: not one in twenty that is not comes there."""
_ERRORS = 4.0
"""Of the other run's counts: by so many they may be off, of ten thousand channels one is."""
_ENOUGH = 0.5
"""Share of the entries that those must have which tell of the others."""
_LEAST = 1e-9
"""Expected counts below it are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What another run had of a group."""

    counts: I8
    """(channels,) how often each was hit."""
    triggers: int
    """Particle triggers in its spills."""


class StartTest(Found[Finding]):
    """Looks for columns that are silent or hot since the first spill.

    Parameters
    ----------
    known
        (columns,) counts of the other run.
    limit
        The threshold, see `cusum.threshold`.
    exposure
        (columns,) in what; None where they are shares of all.
    """

    def __init__(self, known: I8 | F8, limit: float, exposure: F8 | None = None) -> None:
        super().__init__()
        self._limit = limit
        self._changes = (_SILENT, _HOT if exposure is None else _HIGH)
        self._known: F8 = np.asarray(known, np.float64)
        whole = np.maximum(known.sum() if exposure is None else exposure, 1)
        off = _ERRORS * np.sqrt(self._known + 1)
        self._shares: F8 = (self._known + 1) / whole
        self._bounds: F8 = np.stack([np.maximum(self._known - off, 0), self._known + off]) / whole
        # What is not expected cannot be silent.
        is_known = np.full(len(known), known.sum() > 0) if exposure is None else exposure > 0
        self._is_asked: Bools = np.stack([is_known & (known > 0), is_known])
        self._sums: F8 = np.zeros((2, len(known)))
        self._counted: F8 = np.zeros(len(known))
        self._expected: F8 = np.zeros(len(known))
        self._first = -1
        self._seen = 0

    def share(self, column: int) -> tuple[float, float]:
        """Return the share of a column in the other run, and of how many counts that is known."""
        return float(self._shares[column]), float(self._known[column]) + 1

    @property
    def suspects(self) -> Bools:
        """(columns,) what is silent or hot, or may be."""
        found: Bools = self._sums.max(axis=0) >= SUSPECT * self._limit
        return found

    def add(self, spill: int, counts: I8 | F8, exposure: F8 | None = None) -> list[int]:
        """Take the counts of the next spill; return the columns that are suspected anew.

        Parameters
        ----------
        counts
            (columns,) how many.
        exposure
            (columns,) in what, 0 where it was not read; None where they are shares.
        """
        if not self._is_asked.any():
            return []
        self._first = spill if self._first < 0 else self._first
        self._seen += 1
        x = np.full(len(counts), self._by_the_others(counts)) if exposure is None else exposure
        counts, before = counts * (x > 0), self.suspects
        self._sums = np.where(self._is_asked, np.minimum(self._sums + self._steps(counts, x), self._limit), 0.0)
        self._counted += counts
        self._expected += self._shares * x
        ended = [column for column in self.findings if self._sums[:, column].max() <= 0]
        self.end(ended, spill)
        self._is_asked[:, ended] = False
        if self._seen > SETTLING:
            self._tell(spill)
        is_told = np.zeros(len(counts), np.bool_)
        is_told[list(self.findings)] = True
        self._is_asked &= (self._sums > _ANSWERED) | is_told
        return np.flatnonzero(self.suspects & ~before).tolist()

    def _tell(self, spill: int) -> None:
        for at, column in zip(*map(np.ndarray.tolist, np.nonzero(self._sums >= self._limit)), strict=True):
            if column not in self.findings:
                expected = max(float(self._expected[column]), _LEAST)
                self.findings[column] = Finding(
                    column=column,
                    change=self._changes[at],
                    factor=float(self._counted[column]) / expected,
                    counted=int(self._counted[column]),
                    expected=expected,
                    begin=Begin(self._first, self._first, self._first),
                    told=spill,
                    from_the_begin=True,
                )

    def _steps(self, counts: I8 | F8, exposure: F8) -> F8:
        """Return (2, columns) the evidence of a spill, which alone convinces nobody."""
        steps = counts * np.log(_FACTORS / _AS_OTHERS) - self._bounds * exposure * (_FACTORS - _AS_OTHERS)
        return np.clip(steps, -self._limit / 2, self._limit / 2)

    def _by_the_others(self, counts: I8 | F8) -> float:
        """Return what all entries would be if each had its share: as those tell that are not odd, in half at least."""
        good, shares = ~self.suspects, self._shares
        while True:
            found = float(counts[good].sum()) / max(float(shares[good].sum()), _LEAST)
            odd = oddity(counts, shares * found) * good
            worst = int(np.argmax(odd))
            if odd[worst] < SUSPECT * self._limit or shares[good].sum() - shares[worst] < _ENOUGH * shares.sum():
                return found
            good[worst] = False
