"""Plain limits: what too many of a run's spills have: rejected, missing, with errors, without a detector."""

from collections.abc import Iterator
from dataclasses import dataclass

from streams.books import situation
from streams.books.totals import Totals
from streams.experiment import experiment

FEW_PERCENT = 5.0
"""So many of the spills may be rejected, or missing, or have errors."""
LEAST = 3
"""Fewer spills than that are none too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooMany:
    """What too many spills have."""

    detector: str
    """Of which; empty where it is of the spill as a whole."""
    count: int
    """Spills that have it."""
    of: int
    """Of so many."""
    what: str
    """In words that follow the number: ``rejected``."""
    why: str = ""
    """The first of them, as far as somebody said why."""

    @property
    def words(self) -> str:
        """It as a shifter says it: ``30 of 400 spills (7.5 %) rejected``."""
        why = f": {self.why}" if self.why else ""
        return f"{self.count:,} of {self.of:,} spills ({100 * self.count / self.of:.3g} %) {self.what}{why}"


def too_many(totals: Totals, percent: float = FEW_PERCENT, missing: int | None = None) -> list[TooMany]:
    """Return what more than some percent of the spills have, the most first.

    Parameters
    ----------
    missing
        Spills that never came, where somebody knows of some that are on their way; by the totals alone otherwise.
    """
    missing = situation.missing(totals) if missing is None else missing
    found = [each for each in _all(totals, missing) if each.count >= LEAST and 100 * each.count > percent * each.of]
    return sorted(found, key=lambda each: -each.count)


def _all(totals: Totals, missing: int) -> Iterator[TooMany]:
    spills = totals.filled + totals.all_rejected + missing
    for what, count in (("rejected", totals.all_rejected), ("missing", missing)):
        yield TooMany(detector="", count=count, of=spills, what=what)
    for name, count in totals.errors.items():
        spill, why = totals.first_errors.get(name, (None, ""))
        first = f"first in spill {spill}, {why}" if spill is not None else ""
        yield TooMany(detector=_detector(name), count=count, of=spills, what=f"with errors of {name}", why=first)
    for name, count in situation.lapses(totals).items():
        yield TooMany(detector=name, count=count, of=spills, what=f"without {name}")


def _detector(name: str) -> str:
    """Return the detector that an error is of: the counter has its name, that of a plot, or what of it failed."""
    kind, _, rest = name.partition(" ")
    if kind == "plot" and rest in experiment().plots:
        return experiment().plots[rest].detector
    return kind if kind in experiment().detectors else ""
