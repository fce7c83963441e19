"""A plot's key number, window by window and run by run: only what has changed is read again."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from streams.books.book import Ranges
from streams.books.key_number import KeyNumber, key_number
from streams.books.reader import BookReader
from streams.books.totals import Totals
from streams.plots.catalogue import PLOTS

RUNS_SHOWN = 20
"""Runs of the same type that are followed, the one that is shown the last."""
KEPT = 10_000
"""Key numbers that are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A plot's key number in one window, or in one run."""

    at: int
    """Start of the window, s since 1970 UTC, or the run."""
    spills: int
    number: KeyNumber | None
    """None without entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A plot's key number."""

    windows: tuple[Point, ...] = ()
    """Of those that are kept of the run, in order."""
    runs: tuple[Point, ...] = ()
    """Of the runs of its type before, and of the run itself."""


class KeyNumbers:
    """Reads key numbers, and remembers them for as long as they have the same spills."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Point] = OrderedDict()

    def read(
        self,
        reader: BookReader,
        whose: str | None,
        name: str,
        run: int,
        totals: Totals,
        *,
        ranges: Ranges,
        window: tuple[int, int] | None = None,
    ) -> Point:
        """Return the key number of a plot.

        Parameters
        ----------
        whose
            Session of the book; None for the book that is the run's.
        totals
            Of the run, which say what its book was made with.
        window
            Its start and how many spills are in it; None for the whole run.
        """
        start, spills = (None, totals.filled) if window is None else window
        key = (whose, name, run, start, spills, frozenset(totals.conditions), frozenset(totals.code))
        if key not in self._known:
            histogram = reader.plot(name, run, ranges, start)
            at = run if start is None else start
            self._known[key] = Point(at=at, spills=spills, number=key_number(PLOTS[name], histogram, spills))
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[key]
