"""Peaks whose place is watched: where the values of each spill lie, kept as counts in fine bins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from schemas.columns import F8, I8
from streams.checks.counts import YIELD, CountTest, Finding
from streams.checks.cusum import OF_EACH, threshold
from streams.checks.judge import Verdict
from streams.checks.means import MeanTest, Moved


@dataclass(frozen=True, kw_only=True, eq=False)
class Peak:
    """Values that lie together, unless something has moved them."""

    name: str
    """What they are, as a shifter says it: ``Electrons TOF0 → TOF1``."""
    unit: str
    low: float
    high: float
    """Between which they are looked for, in the unit."""
    bins: int
    """In which they are counted: some to the width of the peak."""
    matters: float
    """How far it must move for that to matter, in the unit."""
    of: Callable[[Any], F8]
    """Takes what the detector made of a spill; gives the values, (n,), in the unit."""
    moved_by: Mapping[str, int] = field(default_factory=dict)
    """Group of channels that it is measured with → 1 where the peak goes up with what that measures, -1 where down.

    One that fails empties the peak.
    """
    plot: str = ""
    """The name of the plot that shows it; empty if none does."""

    @cached_property
    def digest(self) -> bytes:
        """Four bytes that are others where it is another."""
        return blake2b(f"{self.name}\n{self.low} {self.high} {self.bins}".encode(), digest_size=4).digest()

    @property
    def size(self) -> int:
        """How many counts there are of a spill."""
        return self.bins

    def plot_of(self, _channel: int | None) -> str:
        """Return the plot that shows it; empty if there is none."""
        return self.plot

    @cached_property
    def _centres(self) -> F8:
        places: F8 = np.arange(0.5, self.bins) * ((self.high - self.low) / self.bins)
        return self.low + places

    def counts(self, made: Any) -> I8:
        """Return (bins,) how many values of a spill lie in each.

        Parameters
        ----------
        made
            What the detector made of it.
        """
        values = self.of(made)
        inside = values[(values >= self.low) & (values < self.high)]
        place = ((inside - self.low) * (self.bins / (self.high - self.low))).astype(np.int64)
        return np.bincount(np.minimum(place, self.bins - 1), minlength=self.bins)

    def sums(self, counts: I8) -> tuple[int, float, float]:
        """Return entries, sum, and sum of squares of the values that were counted."""
        return int(counts.sum()), float(counts @ self._centres), float(counts @ self._centres**2)


class PeakJudge:
    """Judges the peaks of the spills of a run, one after the other.

    Parameters
    ----------
    peaks
        That are watched: their places, and how many entries they have a particle trigger.
    false_alarm
        Spills in which one false alarm is borne, of channels, groups and peaks together.
    """

    def __init__(self, peaks: Sequence[Peak], false_alarm: float) -> None:
        self._peaks = tuple(peaks)
        self.limit = limit = threshold(len(peaks), 2 + len(YIELD), OF_EACH * false_alarm)
        """Of all sums, see `cusum.threshold`."""
        self._places = MeanTest(np.array([peak.matters for peak in peaks]), limit)
        self._entries = CountTest(len(peaks), limit, is_share=False)

    def add(self, spill: int, triggers: int, counts: Mapping[str, I8]) -> None:
        """Take the counts of the next spill, by the names of the peaks; without those that were not read."""
        if not self._peaks:
            return
        none = (0, 0.0, 0.0)
        its = np.array([p.sums(counts[p.name]) if p.name in counts else none for p in self._peaks]).T
        read = np.array([p.name in counts for p in self._peaks])
        self._places.add(spill, its[0].astype(np.int64), its[1], its[2])
        self._entries.add(spill, its[0], np.where(read, float(triggers), 0.0))

    @property
    def verdicts(self) -> list[Verdict]:
        """What is and was wrong."""
        return [self._verdict(*each) for test in (self._places, self._entries) for each in test.all]

    def _verdict(self, finding: Finding | Moved, ended: int | None) -> Verdict:
        peak = self._peaks[finding.column]
        return Verdict(group=peak.name, channel="", unit=peak.unit, finding=finding, ended=ended)
