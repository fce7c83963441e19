"""Shapes of plots against a reference: which share of the entries lies elsewhere, in which bins, how sure that is.

For each bin, and each block of 2, 4, 8 … neighbours, the logarithm of how much likelier its counts are if its share of
the entries is some times that of the reference than if it is the same. What the reference has is a gamma distribution
of the share, of a weight that is bounded, since runs differ. Such a ratio comes to e^h by chance in one of e^h runs at
most, however often somebody looks (Ville 1939): so the plot of a whole run may be judged at each of its spills.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from schemas.columns import F8, I8

FACTORS = (0.2, 0.5, 0.8, 1.25, 2.0, 5.0)
"""Of a bin's share: the changes that are looked for."""
ENOUGH = 200
"""Independent entries below which a plot is not judged, on either side."""
_PRIOR = 0.5
"""Entries that each bin of the reference is taken to have besides those that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on a difference is one."""

    evidence: float
    """Logarithm of how much likelier something else than chance must be, see `streams.checks.cusum.threshold`."""
    matters: float = 0.05
    """Share of the entries that must lie elsewhere."""
    tolerance: float = 0.05
    """By so much, relative to it, the share of a bin differs from run to run without anything being wrong."""


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


def shape_of(counts: I8, reference: I8, limits: Limits, *, a_trigger: tuple[float, float] = (1.0, 1.0)) -> Shape:
    """Return how counts differ from those of a reference.

    Parameters
    ----------
    counts, reference
        By bin along each axis, flow included, of the same shape.
    a_trigger
        Entries that a trigger has on average, in both: those of one trigger go together, and count as one if they are
        more.
    """
    ours, theirs = (its / max(each, 1.0) for its, each in zip((counts, reference), a_trigger, strict=True))
    entries, known = float(ours.sum()), float(theirs.sum())
    found = Shape(entries=round(entries), reference=round(known), of_triggers=min(a_trigger) > 1)
    if not found.is_enough:
        return found
    elsewhere, best, worst = 0.0, 0.0, None
    for level, (n, before) in enumerate(zip(_coarser(ours), _coarser(theirs), strict=True)):
        expected = (before + _PRIOR) / known
        evidence = evidence_of(n, entries, before, expected, limits.tolerance)
        off = np.where(evidence >= limits.evidence, n / entries - expected, 0.0)
        elsewhere = max(elsewhere, float(off[off > 0].sum()), -float(off[off < 0].sum()))
        at = int(np.argmax(evidence))
        if evidence.flat[at] > best:
            best = float(evidence.flat[at])
            worst = _block(np.unravel_index(at, n.shape), level, counts.shape, n.flat[at] / entries, expected, best)
    return replace(found, elsewhere=elsewhere, evidence=best, worst=worst)


def evidence_of(n: F8, entries: float, before: F8, expected: F8, tolerance: float) -> F8:
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
