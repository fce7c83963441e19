"""What has changed in a run: plots and channels, ranked by how far a part of it lies from the rest, or another run.

What may be chance is not told, by the evidence that shapes of plots need (`streams.checks.shapes`): it has one try in
each ten minutes that somebody looks at.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from schemas.columns import F8, I8
from streams.books.book import Book
from streams.books.cells import Histogram
from streams.books.limits import TypeLimits
from streams.books.shapes import RUN_SPILLS, Against, PlotVerdict, State, plot_verdict
from streams.checks.channels import Channels
from streams.checks.cusum import OF_EACH, threshold
from streams.checks.shapes import ENOUGH, FACTORS, evidence_of
from streams.experiment import experiment
from streams.settings import load_settings

ALL = ""
"""In place of a channel: all of the group, by its hits a particle trigger."""


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
    """A channel whose share of its group's hits is another, or a group whose hits a particle trigger are."""

    detector: str
    group: str
    channel: str
    """`ALL` if it is the group."""
    now: float
    """Its share, or the hits a trigger."""
    before: float
    """The same of the other side."""
    hits: int
    expected: float
    """Hits, if nothing had changed."""
    evidence: float

    @property
    def factor(self) -> float:
        """What its hits are of what they would be."""
        return self.now / self.before if self.before else float("inf")

    @property
    def size(self) -> float:
        """How far it moved: by this share of the group's hits."""
        return min(abs(self.factor - 1), 1.0) if self.channel == ALL else abs(self.now - self.before)


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
    """Return what gives the histogram of a plot without a part of it."""

    def histogram(name: str) -> Histogram:
        found = whole[name]
        counts = found.view(flow=True)
        # The part may have been read later, with more spills.
        np.maximum(counts - part.counts(name), 0, out=counts)
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
    tolerance = limits.tolerance
    for detector, groups_of in experiment().channels.items():
        for group in groups_of:
            if group.name in ours.hits and group.name in theirs.hits:
                channels += _yield_of(detector, group, ours, theirs, tolerance)
                its = ours.hits[group.name], theirs.hits[group.name]
                found, why = _shares_of(detector, group, *its, tolerance)
                channels += found
                groups |= {group.name: why} if why else {}
                looked_at += 0 if why else group.size
    return Changed(
        plots=tuple(sorted(moved, key=lambda each: -each.shape.elsewhere if each.shape is not None else 0.0)),
        channels=tuple(sorted(channels, key=lambda each: -each.size)),
        steady_plots=steady,
        steady_channels=looked_at - sum(each.channel != ALL for each in channels),
        few=few | groups,
        not_compared=not_compared,
    )


def _verdict(name: str, ours: Side, against: Against, limits: TypeLimits) -> PlotVerdict:
    histogram = ours.histogram(name)
    assert histogram is not None  # noqa: S101 - a book has every plot
    return plot_verdict(
        name,
        histogram,
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


def _shares_of(detector: str, group: Channels, ours: I8, theirs: I8, tolerance: float) -> tuple[list[Moved], str]:
    """Return the channels of a group that moved, and why there are none if there are too few hits."""
    entries, known = int(ours.sum()), int(theirs.sum())
    if min(entries, known) < ENOUGH:
        return [], f"{min(entries, known)}/{ENOUGH}"
    n, before = ours.astype(np.float64), theirs.astype(np.float64)
    return [
        Moved(
            detector=detector,
            group=group.name,
            channel=group.names[at],
            now=n[at] / entries,
            before=before[at] / known,
            hits=int(ours[at]),
            expected=float(before[at] / known * entries),
            evidence=evidence,
        )
        for at, evidence in _sure(n, entries, before, known, tolerance)
    ], ""


def _yield_of(detector: str, group: Channels, ours: Side, theirs: Side, tolerance: float) -> list[Moved]:
    """Return the group itself, if its hits a particle trigger are others: those of one trigger count as one."""
    if not ours.triggers or not theirs.triggers:
        return []
    hits, known = (int(side.hits[group.name].sum()) for side in (ours, theirs))
    before = known / theirs.triggers
    each = max(before, 1.0)
    found = _sure(np.array([hits / each]), ours.triggers, np.array([known / each]), theirs.triggers, tolerance)
    return [
        Moved(
            detector=detector,
            group=group.name,
            channel=ALL,
            now=hits / ours.triggers,
            before=before,
            hits=hits,
            expected=before * ours.triggers,
            evidence=evidence,
        )
        for _, evidence in found
    ]


def _sure(n: F8, entries: float, before: F8, known: float, tolerance: float) -> list[tuple[int, float]]:
    """Return the places of what moved by more than chance, and how sure that is."""
    evidence = evidence_of(n, entries, before, (before + 0.5) / known, tolerance)
    return [(int(at), float(evidence[at])) for at in np.flatnonzero(evidence >= _limit())]
