"""Shapes of plots against a reference: which share of the entries lies elsewhere, in which bins, how sure that is.

For each bin, and each block of 2, 4, 8 … neighbours, the logarithm of how much likelier its counts are if its share of
the entries is some times that of the reference than if it is the same. What the reference has is a gamma distribution
of the share, of a weight that is bounded, since runs differ: by what one knows of all, or by more, where several runs
that are good do. Such a ratio comes to e^h by chance in one of e^h runs at most, however often somebody looks (Ville
1939): so the plot of a whole run may be judged at each of its spills.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from schemas.columns import F8, I8

FACTORS = (0.2, 0.5, 0.8, 1.25, 2.0, 5.0)
"""Of a bin's share: the changes that are looked for."""
ENOUGH = 200
"""Independent entries below which a plot is not judged, on either side."""
_PRIOR = 0.5
"""Entries that each bin of the reference is taken to have besides those that it has."""
FADE = 0.7
"""So much as the run after it does a run of the reference count: what is right drifts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on a difference is one."""

    evidence: float
    """Logarithm of how much likelier something else than chance must be, see `streams.checks.cusum.threshold`."""
    matters: float = 0.05
    """Share of the entries that must lie elsewhere."""
    tolerance: float = 0.05
    """By so much, relative to it, the share of a bin differs from run to run without anything being wrong, at least."""


class Counts(NamedTuple):
    """Of a plot in a run, or in a part of one."""

    bins: I8
    """By bin along each axis, flow included."""
    a_trigger: float = 1.0
    """Entries that a trigger has on average: those of one trigger go together, and count as one if they are more."""

    @property
    def independent(self) -> F8:
        """They as many as are independent."""
        return self.bins / max(self.a_trigger, 1.0)

    @property
    def of_triggers(self) -> bool:
        """Whether they count as triggers."""
        return self.a_trigger > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Neighbouring bins whose share has changed."""

    first: tuple[int, ...]
    """Along each axis the first bin: -1 is what lies below."""
    last: tuple[int, ...]
    """The last one, which is in it."""
    share: float
    """Of the entries that are in it."""
    expected: float
    """By the reference."""
    evidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a plot differs from its reference."""

    entries: int
    """Independent ones: as many as triggers, where a trigger has several."""
    reference: int
    """Likewise."""
    of_triggers: bool = False
    """They are triggers, each with several entries, on both sides."""
    elsewhere: float = 0.0
    """Share of the entries that lie elsewhere, as far as that is no chance."""
    evidence: float = 0.0
    """The largest."""
    worst: Block | None = None
    """Where it is."""

    @property
    def is_enough(self) -> bool:
        """Whether there are entries enough to tell anything."""
        return min(self.entries, self.reference) >= ENOUGH

    def is_bad(self, limits: Limits) -> bool:
        """Say whether it differs by what matters, and not by chance."""
        return self.evidence >= limits.evidence and self.elsewhere >= limits.matters


def blocks(shape: tuple[int, ...]) -> int:
    """Return how many bins and blocks of bins a plot has: as many columns are looked at at once."""
    return sum(block.size for block in _coarser(np.zeros(shape)))


class _Level(NamedTuple):
    """What is right of the bins, or of blocks of as many of them: arrays of one shape."""

    before: F8
    """Entries, those of older runs less."""
    expected: F8
    """Share of all of them."""
    scatter: F8
    """See `scatter_of`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """What is right, by the runs that are the reference: reckoned once, as they have ended."""

    entries: float
    of_triggers: bool
    """Its entries count as triggers."""
    levels: tuple[_Level, ...]
    """Of bins, of blocks of two along each axis, and so on."""

    @classmethod
    def of(cls, references: Sequence[Counts]) -> Self:
        """Return what runs tell, the newest first; all of the same bins."""
        its = np.array([each.independent for each in references if each.bins.any()])
        if not len(its):
            return cls(entries=0.0, of_triggers=False, levels=())
        totals = its.reshape(len(its), -1).sum(axis=1)
        fading = FADE ** np.arange(len(its))
        entries = float(totals @ fading)
        levels = []
        for counts in zip(*map(_coarser, its), strict=True):
            before = np.tensordot(fading, counts, axes=1)
            levels.append(_Level(before, (before + _PRIOR) / entries, scatter_of(np.array(counts), totals)))
        return cls(entries=entries, of_triggers=all(each.of_triggers for each in references), levels=tuple(levels))


def shape_of(counts: Counts, standard: Standard, limits: Limits) -> Shape:
    """Return how counts differ from what is right; of the same bins."""
    ours = counts.independent
    entries, known = float(ours.sum()), standard.entries
    of_triggers = counts.of_triggers and standard.of_triggers
    found = Shape(entries=round(entries), reference=round(known), of_triggers=of_triggers)
    if not found.is_enough:
        return found
    elsewhere, best, worst = 0.0, 0.0, None
    for level, (n, its) in enumerate(zip(_coarser(ours), standard.levels, strict=True)):
        tolerance = np.maximum(limits.tolerance, its.scatter)
        evidence = evidence_of(n, entries, its.before, its.expected, tolerance)
        off = np.where(evidence >= limits.evidence, n / entries - its.expected, 0.0)
        elsewhere = max(elsewhere, float(off[off > 0].sum()), -float(off[off < 0].sum()))
        at = int(np.argmax(evidence))
        if evidence.flat[at] > best:
            best = float(evidence.flat[at])
            place = np.unravel_index(at, n.shape)
            worst = _block(place, level, counts.bins.shape, n.flat[at] / entries, its.expected, best)
    return replace(found, elsewhere=elsewhere, evidence=best, worst=worst)


def scatter_of(counts: F8, totals: F8) -> F8:
    """Return by how much, relative to it, the share of each bin differs between runs, beyond chance.

    By the method of moments (DerSimonian and Laird 1986): of the sum of squares about the common share, what chance
    alone would give is taken away.

    Parameters
    ----------
    counts
        (runs, bins along each axis) independent entries.
    totals
        (runs,) all of each.
    """
    if len(totals) < 2:
        return np.zeros(counts.shape[1:])
    entries = float(totals.sum())
    share = (counts.sum(axis=0) + _PRIOR) / entries
    chance = np.multiply.outer(totals, share)
    beyond = ((counts - chance) ** 2 / chance).sum(axis=0) - (len(totals) - 1)
    found: F8 = np.sqrt(np.maximum(beyond, 0.0) / (share * (entries - float(totals @ totals) / entries)))
    return found


def evidence_of(n: F8, entries: float, before: F8, expected: F8, tolerance: F8 | float) -> F8:
    """Return the logarithm of the likelihood's ratio for the change of each bin that explains it best."""
    weight = np.minimum(before + _PRIOR, tolerance**-2)
    exposure = weight / expected
    best = np.zeros(n.shape)
    for factor in FACTORS:
        now = n * np.log(factor) - (weight + n) * np.log1p((factor - 1) * entries / (exposure + entries))
        np.maximum(best, now, out=best)
    return best


def _coarser(counts: F8) -> Iterator[F8]:
    """Yield the counts, then those of blocks of twice as many bins along each axis, and so on, to two."""
    while True:
        yield counts
        if max(counts.shape) <= 2:
            return
        for axis, bins in enumerate(counts.shape):
            if bins > 1:
                counts = np.add.reduceat(counts, np.arange(0, bins, 2), axis=axis)


def _block(
    at: tuple[np.intp, ...], level: int, shape: tuple[int, ...], share: float, expected: F8, evidence: float
) -> Block:
    first = tuple(int(place) << level for place in at)
    return Block(
        first=tuple(place - 1 for place in first),
        last=tuple(min(place + (1 << level), bins) - 2 for place, bins in zip(first, shape, strict=True)),
        share=float(share),
        expected=float(expected[at]),
        evidence=evidence,
    )
