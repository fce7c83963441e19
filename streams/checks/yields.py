"""How many hits of a detector a particle trigger has while a run goes on: a few points, however long the run is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.columns import I8
from streams.checks.channels import Channels

MOST_POINTS = 60
"""When there are more, each two become one of twice as many spills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yield:
    """Hits a particle trigger over a run."""

    spills: tuple[int, ...]
    """Number of the first spill of each point."""
    hits: tuple[float | None, ...]
    """Of each point; None where nobody knows."""


class Yields:
    """Takes the counts of a run, spill by spill in their order.

    Parameters
    ----------
    groups
        Whose hits are counted.
    """

    def __init__(self, groups: Sequence[Channels]) -> None:
        self._names = [group.name for group in groups]
        self._spills: list[int] = []
        self._sums = np.zeros((0, 2, len(groups)), np.int64)
        """(points, hits or triggers, groups)."""
        self._of_each, self._of_last = 1, 1
        """Spills of a point, and of the newest one."""

    def add(self, spill: int, triggers: int, counts: Mapping[str, I8]) -> None:
        """Take the counts of the next spill; see `Judge.add`."""
        if self._of_last < self._of_each:
            self._of_last += 1
        else:
            if len(self._spills) == MOST_POINTS:
                self._spills = self._spills[::2]
                self._sums = self._sums[::2] + self._sums[1::2]
                self._of_each *= 2
            self._spills.append(spill)
            self._sums = np.concatenate([self._sums, np.zeros((1, 2, len(self._names)), np.int64)])
            self._of_last = 1
        for place, name in enumerate(self._names):
            if name in counts:
                self._sums[-1, :, place] += counts[name].sum(), triggers

    def of(self, names: Collection[str]) -> Yield:
        """Return the hits of some groups together, of those that were ever read out.

        The newest point comes when all of its spills are there: of few it would scatter more than all others, and who
        shows it would have to draw it again at each spill.
        """
        wanted = np.isin(self._names, list(names)) & (self._sums[:, 1].sum(axis=0) > 0)
        hits, triggers = self._sums[:, 0, wanted], self._sums[:, 1, wanted]
        is_known = (triggers > 0).all(axis=1) & wanted.any()
        found = (hits / np.maximum(triggers, 1)).sum(axis=1)
        points = len(self._spills) - (self._of_last < self._of_each)
        return Yield(
            spills=tuple(self._spills[:points]),
            hits=tuple(
                float(each) if known else None for each, known in zip(found[:points], is_known[:points], strict=True)
            ),
        )
