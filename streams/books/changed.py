"""What has changed in a run: plots and channels, ranked by how far a part of it lies from the rest, or another run.

What may be chance is not told, by the evidence that shapes of plots need (`streams.checks.shapes`): it has one try in
each ten minutes that somebody looks at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Self

import numpy as np

from schemas.columns import F8, I8, Bools
from streams.books.book import Book
from streams.books.cells import Cells, Histogram
from streams.books.limits import TypeLimits
from streams.books.shapes import RUN_SPILLS, Against, PlotVerdict, State, plot_verdict
from streams.checks.causes import LEAST, MOST
from streams.checks.channels import Channels
from streams.checks.counts import oddity
from streams.checks.cusum import OF_EACH, threshold
from streams.checks.shapes import ENOUGH, FACTORS, evidence_of
from streams.experiment import experiment
from streams.settings import load_settings

ALL = ""
"""In place of a channel: all of the group, by its hits a particle trigger."""
_AS_ODD = 0.5
"""So much of what is odd about the oddest channel is as odd: those of a plane that is dead are left out together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two that are compared."""

    called: str
    """In words: ``the rest of the run``."""
    histogram: Callable[[str], Histogram | None]
    """Gives that of a plot; None if there is none."""
    spills: int
    """That its run has: in the first ones nothing is judged."""
    triggers: int | None
    """Particle triggers in it; None if nobody knows."""
    hits: Mapping[str, I8] = field(default_factory=dict)
    """Group → (channels,) hits; without groups of which they are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A channel or a part with another share of its group's hits, or a group with other hits a particle trigger."""

    detector: str
    group: str
    channel: str
    """Or the part that most of its channels moved with; `ALL` if it is the group."""
    hits: float
    expected: float
    """Hits, if nothing had changed: as the group's other channels tell, or the particle triggers."""
    of: float
    """Hits that there are in the group; of a group those that were expected."""
    evidence: float
    told: int = 1
    """Channels that moved together, of a part."""
    among: int = 1
    """Channels of it of which that would be known."""

    @property
    def factor(self) -> float:
        """What its hits are of what they would be."""
        return self.hits / self.expected if self.expected else float("inf")

    @property
    def size(self) -> float:
        """How far it moved: by this share of the group's hits."""
        return min(abs(self.hits - self.expected) / max(self.of, 1.0), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What has changed, and what has not, or is not known."""

    plots: tuple[PlotVerdict, ...] = ()
    """That moved by more than chance, the largest first."""
    channels: tuple[Moved, ...] = ()
    """Likewise."""
    steady_plots: int = 0
    """That did not."""
    steady_channels: int = 0
    few: Mapping[str, str] = field(default_factory=dict)
    """Plot or group of channels → how many entries there are of how many that are needed."""
    not_compared: Mapping[str, str] = field(default_factory=dict)
    """Plot → why."""


def without(whole: Book, part: Book) -> Callable[[str], Histogram]:
    """Return what gives the histogram of a plot without a part of it, which is of the same checkpoint."""

    def histogram(name: str) -> Histogram:
        found = whole[name]
        counts = found.view(flow=True)
        counts -= part.counts(name)
        return found

    return histogram


def changed(ours: Side, theirs: Side, limits: TypeLimits = TypeLimits()) -> Changed:  # noqa: B008 - frozen
    """Return how far one side lies from the other."""
    against = Against(called=theirs.called, histogram=theirs.histogram, triggers=theirs.triggers)
    moved, few, not_compared, steady = list[PlotVerdict](), dict[str, str](), dict[str, str](), 0
    for name in experiment().plots:
        verdict = _verdict(name, ours, against, limits)
        if verdict.state is State.FEW:
            few[name] = verdict.why
        elif verdict.shape is None:
            not_compared[name] = verdict.why
        elif verdict.shape.elsewhere > 0:
            moved.append(verdict)
        else:
            steady += 1
    channels, groups, looked_at = list[Moved](), dict[str, str](), 0
    for detector, groups_of in experiment().channels.items():
        for group in groups_of:
            if group.name in ours.hits and group.name in theirs.hits:
                its = _Hits.of(detector, group, ours, theirs, limits.tolerance)
                channels += [*its.moved_as_a_whole(ours.triggers, theirs.triggers), *its.moved()]
                groups |= {group.name: its.few} if its.few else {}
                looked_at += 0 if its.few else group.size
    return Changed(
        plots=tuple(sorted(moved, key=lambda each: -each.shape.elsewhere if each.shape is not None else 0.0)),
        channels=tuple(sorted(channels, key=lambda each: -each.size)),
        steady_plots=steady,
        steady_channels=looked_at - sum(each.told for each in channels if each.channel != ALL),
        few=few | groups,
        not_compared=not_compared,
    )


def _verdict(name: str, ours: Side, against: Against, limits: TypeLimits) -> PlotVerdict:
    histogram = ours.histogram(name)
    assert histogram is not None  # noqa: S101 - a book has every plot
    return plot_verdict(
        name,
        Cells.of(histogram),
        spills=ours.spills,
        triggers=ours.triggers or 0,
        against=against,
        limits=limits,
    )


@cache
def _limit() -> float:
    """Return the logarithm of how much likelier than chance a change of a channel or a group must be to be told."""
    groups = experiment().groups
    runs = load_settings().checks.spills_a_false_alarm / RUN_SPILLS
    columns = sum(group.size + 1 for group in groups)
    return threshold(columns, len(FACTORS), OF_EACH * max(runs, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hits:
    """The hits of a group's channels on both sides, each held against those of the channels that are as they were."""

    detector: str
    group: Channels
    ours: F8
    theirs: F8
    tolerance: float
    good: Bools
    """(channels,) those that tell what is to be expected: a hot one makes the others no weaker."""

    @classmethod
    def of(cls, detector: str, group: Channels, ours: Side, theirs: Side, tolerance: float) -> Self:
        """Return them: what is odd is left out, the worst first, as long as most are not."""
        n, before = (side.hits[group.name].astype(np.float64) for side in (ours, theirs))
        all_of = np.ones(group.size, np.bool_)
        its = cls(detector=detector, group=group, ours=n, theirs=before, tolerance=tolerance, good=all_of)
        while True:
            moved = its.good & (its._evidence(n, before) >= _limit())
            odd = np.where(moved, oddity(n, (before + 0.5) * its._scale), 0.0)
            good = its.good & ~(moved & (odd >= _AS_ODD * odd.max()))
            without_odd = replace(its, good=good)
            is_rest = good.sum() > MOST * np.count_nonzero(n + before)
            if good.sum() == its.good.sum() or without_odd.few or not is_rest:
                return its
            its = without_odd

    @property
    def few(self) -> str:
        """How many hits there are of how many that are needed; empty if there are enough."""
        least = int(min(self.ours[self.good].sum(), self.theirs[self.good].sum()))
        return f"{least}/{ENOUGH}" if least < ENOUGH else ""

    @property
    def _scale(self) -> float:
        """Hits of ours to one of theirs, if nothing has changed."""
        return float(self.ours[self.good].sum() / max(self.theirs[self.good].sum(), 1.0))

    def moved(self) -> list[Moved]:
        """Return the channels that moved; the parts of which most did, in place of theirs."""
        if self.few:
            return []
        evidence = self._evidence(self.ours, self.theirs)
        left = {int(at) for at in np.flatnonzero(evidence >= _limit())}
        found = []
        for name, channels in self.group.parts.items():
            for its in self._sides(left & {*channels}):
                among = self._would_be_told(channels, its)
                if len(its) >= min(LEAST, len(channels)) and len(its) > MOST * among:
                    found.append(self._moved(name, sorted(its), among))
                    left -= its
        return found + [self._moved(self.group.names[at], [at], 1) for at in sorted(left)]

    def moved_as_a_whole(self, ours: int | None, theirs: int | None) -> list[Moved]:
        """Return the group, if its hits a particle trigger are others: those of one trigger count as one."""
        if not ours or not theirs:
            return []
        known = float(self.theirs.sum())
        hits, each = float(self.ours.sum()) if self.few else known * self._scale, max(known / theirs, 1.0)
        before = np.array([known / each])
        (evidence,) = evidence_of(np.array([hits / each]), ours, before, (before + 0.5) / theirs, self.tolerance)
        expected = known / theirs * ours
        moved = Moved(
            detector=self.detector,
            group=self.group.name,
            channel=ALL,
            hits=hits,
            expected=expected,
            of=expected,
            evidence=float(evidence),
        )
        return [moved] if evidence >= _limit() else []

    def _evidence(self, ours: F8, theirs: F8) -> F8:
        """Return how sure it is that each of some hits moved."""
        entries, known = float(self.ours[self.good].sum()), max(float(self.theirs[self.good].sum()), 1.0)
        return evidence_of(ours, entries, theirs, (theirs + 0.5) / known, self.tolerance)

    def _sides(self, places: set[int]) -> tuple[set[int], set[int]]:
        """Return those that have fewer hits, and those that have more."""
        fewer = {at for at in places if self.ours[at] < self.theirs[at] * self._scale}
        return fewer, places - fewer

    def _would_be_told(self, part: Sequence[int], told: set[int]) -> int:
        """Return how many channels of a part were to have as many hits as most of those that are told."""
        least = np.median(self.theirs[sorted(told)]) if told else 0.0
        return max(int((self.theirs[[*part]] >= least).sum()), len(told))

    def _moved(self, name: str, places: Sequence[int], among: int) -> Moved:
        hits, known = float(self.ours[places].sum()), float(self.theirs[places].sum())
        return Moved(
            detector=self.detector,
            group=self.group.name,
            channel=name,
            hits=hits,
            expected=known * self._scale,
            of=float(self.ours.sum()),
            evidence=float(self._evidence(np.array([hits]), np.array([known]))[0]),
            told=len(places),
            among=among,
        )
