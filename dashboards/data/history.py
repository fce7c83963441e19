"""A plot's key number, spill by spill, window by window and run by run: only what has changed is read again."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

from schemas.columns import I8
from streams.books.book import Ranges, axes_of
from streams.books.cells import Cells, Histogram
from streams.books.key_number import KeyNumber, key_number, measures_of
from streams.books.reader import BookReader
from streams.books.spill_numbers import SpillNumber
from streams.books.totals import Totals
from streams.books.windows import Window
from streams.experiment import experiment

RUNS_SHOWN = 20
"""Runs of the same type that are followed, the one that is shown the last."""
SPILLS_SHOWN = 1000
"""Spills that are followed, the last ones: as many as a browser draws one by one with each update."""
KEPT = 10_000
"""Key numbers that are remembered."""
RUNS_KEPT = 16
"""Runs whose spills' key numbers are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A plot's key number in one window, or in one run."""

    at: int
    """Start of the window, s since 1970 UTC, or the run."""
    spills: int
    number: KeyNumber | None
    """None without entries."""
    measures: tuple[KeyNumber | None, ...] = ()
    """Of the plot, in their order."""
    packed: bytes = field(default=b"", repr=False, compare=False)
    """Of a window, the plot's counts, see `Cells.pack`."""


def point(name: str, ranges: Ranges, histogram: Histogram, *, at: int, spills: int) -> Point:
    """Return key number and measures of a plot."""
    plot = experiment().plots[name]
    measures = measures_of(plot, axes_of(name, ranges), histogram)
    return Point(at=at, spills=spills, number=key_number(plot, histogram, spills), measures=measures)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A plot's key number."""

    spills: tuple[SpillNumber, ...] = ()
    """Of those of the last `SPILLS_SHOWN` that have one."""
    windows: tuple[Point, ...] = ()
    """Of those that are kept of the run, in order."""
    runs: tuple[Point, ...] = ()
    """Of the runs of its type before, and of the run itself."""
    is_read: bool = True
    """Else it is still being read."""
    unreadable: Mapping[int, str] = field(default_factory=dict)
    """Runs of which some of that cannot be read, and why."""


class KeyNumbers:
    """Reads key numbers, and remembers them for as long as they have the same spills."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Point] = OrderedDict()
        self._of_spills: OrderedDict[Hashable, dict[int, bytes]] = OrderedDict()

    def read(
        self,
        reader: BookReader,
        whose: str | None,
        name: str,
        run: int,
        totals: Totals,
        *,
        ranges: Ranges,
        window: tuple[Window, int] | None = None,
    ) -> Point:
        """Return the key number of a plot.

        Parameters
        ----------
        whose
            Session of the book; None for the book that is the run's.
        totals
            Of the run, which say what its book was made with.
        window
            And how many spills are in it; None for the whole run.
        """
        part, spills = (None, totals.filled) if window is None else window
        key = (whose, name, run, part, spills, frozenset(totals.conditions), frozenset(totals.code))
        if key not in self._known:
            histogram = reader.plot(name, run, ranges, part)
            at = run if part is None else part.start
            found = point(name, ranges, histogram, at=at, spills=spills)
            self._known[key] = found if part is None else replace(found, packed=Cells.of(histogram).pack())
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[key]

    def read_spills(
        self, reader: BookReader, whose: str | None, run: int, totals: Totals, spills: I8
    ) -> dict[int, bytes]:
        """Return the key numbers of the last of these spills, packed, see `streams.books.spill_numbers`.

        Parameters
        ----------
        whose, totals
            As for `read`.
        spills
            Numbers of spills in the book, in order.
        """
        key = (whose, run, frozenset(totals.conditions), frozenset(totals.code))
        last, known = spills[-SPILLS_SHOWN:].tolist(), self._of_spills.get(key, {})
        # What is not there may come: Redis may have been emptied since the spills were looked up.
        new = reader.key_numbers(run, [spill for spill in last if not known.get(spill)])
        self._of_spills[key] = known = {spill: new[spill] if spill in new else known[spill] for spill in last}
        self._of_spills.move_to_end(key)
        while len(self._of_spills) > RUNS_KEPT:
            self._of_spills.popitem(last=False)
        return known
