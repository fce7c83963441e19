"""Plots that are off as may follow from what is wrong with a detector: each stands beneath one fault, or for itself."""

from collections.abc import Sequence
from typing import NamedTuple

from streams.books.shapes import PlotVerdict
from streams.checks.causes import Cause
from streams.experiment import experiment


class Beneath(NamedTuple):
    """Plots that are off, by what they may follow from."""

    of: tuple[tuple[Cause, tuple[PlotVerdict, ...]], ...]
    """Each cause with the plots that stand beneath it."""
    rest: tuple[PlotVerdict, ...]
    """Those that follow from none."""


def beneath(causes: Sequence[Cause], off: Sequence[PlotVerdict]) -> Beneath:
    """Return which plots may follow from which cause: from the first that is wrong now with what may show in them."""
    first: dict[str, int] = {}
    for at, cause in enumerate(causes):
        if cause.verdict.ended is None:
            first.setdefault(detector_of(cause), at)
    of: list[list[PlotVerdict]] = [[] for _ in causes]
    rest: list[PlotVerdict] = []
    for verdict in off:
        shows = experiment().shows(experiment().plots[verdict.plot])
        places = [at for detector, at in first.items() if detector in shows]
        (of[min(places)] if places else rest).append(verdict)
    return Beneath(of=tuple(zip(causes, map(tuple, of), strict=True)), rest=tuple(rest))


def detector_of(cause: Cause) -> str:
    """Return the detector in which a cause was seen."""
    return next(name for name, its in experiment().watched.items() if any(each.name == cause.where for each in its))
