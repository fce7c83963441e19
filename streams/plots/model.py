"""What a plot is: axes, what fills it, and the words that a shifter needs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy.typing as npt

from streams.plots.axis import YES_OR_NO, Axis, with_unit
from streams.plots.batch import Batch
from streams.plots.measures import Measure
from streams.plots.spillfacts import SpillFacts

__all__ = ["Axis", "DetectorPlots", "Measure", "Plot", "Trend", "Words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The four texts of a plot for the shifter."""

    shows: str
    normal: str
    action: str
    """What to do when it is not."""
    call: str
    """Whom to call: a role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One histogram of the catalogue."""

    name: str
    detector: str
    title: str
    axes: tuple[Axis, ...]
    fill: Callable[[Batch], tuple[npt.ArrayLike, ...]]
    """Takes joined spills, returns one array per axis, all of one length: an entry each."""
    canvas: str
    """Tag of the picture that shows it together with others."""
    keywords: tuple[str, ...]
    words: Words
    expert: bool = False
    """It is for the expert; the shifter has at most 12 a detector."""
    log: bool = False
    """Counts are drawn on a logarithmic scale."""
    measures: tuple[Measure, ...] = ()
    """Numbers that follow from its counts, for the expert."""
    triangles: range | None = None
    """The second axis counts triangular bars of planes, the first one the planes; these are the ones that are drawn."""

    boards_of: frozenset[str] = frozenset()
    """Detectors whose boards fill it, if it is filled with raw hits: what is wrong with them shows in it, too."""
    follows_beam: bool = False
    """Its shape is another where the beam's intensity is: it is judged against no reference."""

    @property
    def by_spill(self) -> bool:
        """Whether it has a bin for each spill, and so a value for each."""
        return self.axes[0].label == "Spill"

    @property
    def is_judged(self) -> bool:
        """Whether its shape is as in other runs if nothing is wrong."""
        return not self.by_spill and not self.follows_beam

    @property
    def is_share(self) -> bool:
        """Whether it answers a question along its first axis: the share of yes is what one looks at."""
        return len(self.axes) == 2 and self.axes[1] == YES_OR_NO

    @property
    def has_mean(self) -> bool:
        """Whether its key number is the mean; else it is the entries a spill."""
        return len(self.axes) == 1 and bool(self.axes[0].unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One quantity against the spills of a run."""

    name: str
    detector: str
    title: str
    label: str
    unit: str
    value: Callable[[SpillFacts], npt.ArrayLike]
    """Takes the spills of a run in the order of their numbers, returns a number each; NaN where there is none."""
    keywords: tuple[str, ...]
    words: Words
    last: int | None = None
    """Spills that are shown, the last ones; None for the whole run."""
    expert: bool = False

    @property
    def quantity(self) -> str:
        """The label with its unit in brackets."""
        return with_unit(self.label, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorPlots:
    """All plots and trends of a detector."""

    name: str
    title: str
    """Its name on the page."""
    plots: tuple[Plot, ...] = ()
    trends: tuple[Trend, ...] = ()
    overview: tuple[str, ...]
    """Names of those that tell in one look."""
