"""A number of a plot against what it is in good runs: a place, a width, a share; by how much it is another, how sure.

Good runs differ by more than the errors of a number: by how much is estimated from them as for shapes (DerSimonian and
Laird 1986), where there are several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

from schemas.columns import F8
from streams.checks.shapes import FADE


class Number(NamedTuple):
    """A value with its statistical error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """How far a number is from that of good runs."""

    expected: Number
    """By the good runs, the newer the more; its error is that of another run's number, how runs differ included."""
    by: float
    """The number less what is expected."""
    evidence: float
    """Logarithm of how much likelier the number is if it is another, than if it is what is expected."""

    @property
    def errors(self) -> float:
        """By how many errors."""
        return sqrt(2 * self.evidence)


def apart(now: Number, before: Sequence[Number]) -> Apart:
    """Return how far a number is from those of good runs, the newest first, one at least."""
    values, errors = (np.array(its) for its in zip(*before, strict=True))
    fading = FADE ** np.arange(len(before))
    weights = fading / fading.sum()
    expected, scatter = float(weights @ values), _scatter(values, errors)
    error = sqrt(scatter**2 + float(weights**2 @ (errors**2 + scatter**2)))
    by, both = now.value - expected, now.error**2 + error**2
    evidence = by**2 / (2 * both) if both else 0.0
    return Apart(expected=Number(expected, error), by=by, evidence=evidence)


def _scatter(values: F8, errors: F8) -> float:
    """Return by how much a number differs between runs beyond its errors."""
    if len(values) < 2 or not errors.all():
        return float(values.std(ddof=1)) if len(values) > 1 else 0.0
    weights = errors**-2
    common = float(weights @ values) / float(weights.sum())
    beyond = float(weights @ (values - common) ** 2) - (len(values) - 1)
    spread = float(weights.sum()) - float(weights @ weights) / float(weights.sum())
    return sqrt(max(beyond, 0.0) / spread)
