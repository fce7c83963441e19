"""What is wrong with a run: a function of its spills' counts alone, in the order of their numbers.

So it does not matter who counts when, and what died meanwhile; and a replay says the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from schemas.columns import I8
from streams.checks.channels import Channels
from streams.checks.counts import CHANNEL, YIELD, CountTest, Finding
from streams.checks.cusum import OF_EACH, threshold
from streams.checks.means import Moved
from streams.checks.start import Known, StartTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong with a channel, with all hits of a group of them, or with a peak."""

    group: str
    """Name of the channels' group, or of the peak."""
    channel: str
    """Name of the channel; empty where all hits of the group are fewer or more, and of a peak."""
    finding: Finding | Moved
    unit: str = ""
    """Of what has moved."""
    ended: int | None = None
    """Number of the spill after which it was again as before; None while it is not."""


class Judge:
    """Judges the spills of a run, one after the other.

    Parameters
    ----------
    groups
        Whose channels are looked at.
    false_alarm
        Spills in which one false alarm is borne.
    known
        Group → what another run had, against which what was never there is missed; empty if there is no such run.
    """

    def __init__(
        self,
        groups: Sequence[Channels],
        false_alarm: float,
        known: Mapping[str, Known] = MappingProxyType({}),
    ) -> None:
        self._groups = tuple(groups)
        channels = sum(len(group.names) for group in groups)
        self.limits = (
            threshold(channels, len(CHANNEL), OF_EACH * false_alarm),
            threshold(len(groups), len(YIELD), OF_EACH * false_alarm),
        )
        """Thresholds of channels and of groups, see `cusum.threshold`."""
        of_channels, of_groups = self.limits
        self._shares = [CountTest(len(group.names), of_channels, is_share=True) for group in groups]
        self._yields = CountTest(len(groups), of_groups, is_share=False)
        its = [known[group.name] if group.name in known else _nothing(group) for group in groups]
        self._start_shares = [StartTest(each.counts, of_channels) for each in its]
        self._start_yields = StartTest(
            np.array([each.counts.sum() for each in its], np.int64),
            of_groups,
            np.array([each.triggers for each in its], np.float64),
        )
        self.spill = -1
        """Number of the last spill that was judged."""

    def add(self, spill: int, triggers: int, counts: Mapping[str, I8]) -> None:
        """Take the counts of the next spill.

        Parameters
        ----------
        spill
            Its number; they come in the order of their numbers.
        triggers
            Particle triggers in it.
        counts
            Group → (channels,) how often each was hit; without those that were not read.

        Raises
        ------
        ValueError
            When it is not behind the last one.
        """
        if spill <= self.spill:
            raise ValueError(f"spill {spill} does not come after spill {self.spill}")
        self.spill = spill
        by_triggers = self._yields.known * triggers if self._yields.has_settled else [None] * len(self._groups)
        # A hot channel is not all of its group.
        whole, exposure = np.zeros((2, len(self._groups)))
        tests = zip(self._groups, self._shares, self._start_shares, strict=True)
        for number, (group, test, start) in enumerate(tests):
            if group.name in counts:
                its = counts[group.name]
                for column in start.add(spill, its):
                    self._yields.scale(number, test.begin_with(column, *start.share(column)))
                test.add(spill, its, whole=by_triggers[number], left_out=start.suspects)
                whole[number], exposure[number] = test.whole, triggers
        for number in self._start_yields.add(spill, whole, exposure):
            self._yields.begin_with(number, *self._start_yields.share(number))
        self._yields.add(spill, whole, exposure, left_out=self._start_yields.suspects)

    @property
    def verdicts(self) -> list[Verdict]:
        """What is and was wrong."""
        found = []
        tests = (*zip(self._shares, self._groups, strict=True), *zip(self._start_shares, self._groups, strict=True))
        for test, group in (*tests, (self._yields, None), (self._start_yields, None)):
            for finding, ended in test.all:
                of = self._groups[finding.column] if group is None else group
                channel = "" if group is None else group.names[finding.column]
                found.append(Verdict(group=of.name, channel=channel, finding=finding, ended=ended))
        return found

    @property
    def hits(self) -> dict[str, tuple[float, ...]]:
        """Group of which several channels are or were wrong → hits that each has in a spill if it is as before."""
        its = zip(self._groups, self._shares, self._start_shares, strict=True)
        return {
            group.name: tuple(test.hits.tolist()) for group, test, start in its if len(test.all) + len(start.all) > 1
        }


def _nothing(group: Channels) -> Known:
    return Known(counts=np.zeros(group.size, np.int64), triggers=0)
