"""What of a run is exported: all, a detector, or some plots."""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.books.cells import Histogram
from streams.books.kept_run import file_of
from streams.books.run import RunBook, spill_facts
from streams.errors import UsageError
from streams.experiment import experiment
from streams.plots.spillfacts import SpillFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Plots and trends of one run."""

    run: int
    what: str
    """Stands in the names of files that hold several plots."""
    book: RunBook
    plots: tuple[str, ...]
    trends: tuple[str, ...]

    @property
    def histograms(self) -> dict[str, Histogram]:
        """The plots' histograms, empty ones too."""
        return {name: self.book.histogram(name) for name in self.plots}

    @property
    def spills(self) -> SpillFacts:
        """What the trends are of."""
        return spill_facts(self.book.ledger, self.book.handling, self.book.totals.refused)

    @property
    def title(self) -> str:
        """Run and spills."""
        return f"Run {self.run} · {self.book.totals.filled:,} spills"

    def file(self, name: str, ending: str) -> str:
        """Return the name of a file."""
        return file_of(self.run, name, ending)


def choose(run: int, book: RunBook, plots: Sequence[str], detectors: Sequence[str]) -> Chosen:
    """Return what is asked for; all if nothing is.

    Raises
    ------
    UsageError
        When there is no such plot or detector.
    """
    for name in detectors:
        if name not in experiment().detectors:
            raise UsageError(f"there is no detector {name}: there are {', '.join(experiment().detectors)}")
    for name in plots:
        if name not in experiment().plots and name not in experiment().trends:
            raise UsageError(f"there is no plot {name}: docs/plots.md lists them")
    of = [experiment().detectors[name] for name in (detectors or ([] if plots else experiment().detectors))]
    names = [*plots, *(plot.name for each in of for plot in each.plots), *(t.name for each in of for t in each.trends)]
    return Chosen(
        run=run,
        what="_".join([*plots, *detectors]) if len(plots) + len(detectors) in (1, 2, 3) else "plots",
        book=book,
        plots=tuple(dict.fromkeys(name for name in names if name in experiment().plots)),
        trends=tuple(dict.fromkeys(name for name in names if name in experiment().trends)),
    )
