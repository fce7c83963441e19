"""From bins of a plot to the spills that filled them, and to the particle triggers of these.

What fills a plot does not say what each entry is of: so the plot is filled again with one spill, and with the rows of
some of its triggers alone. If bins lack entries no spill filled them, and those are named in which they are empty.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from schemas.columns import I4, I8, Detector, Table
from schemas.records import ReconstructedSpill
from streams.books.book import PlotError, Ranges, counts_of
from streams.checks.shapes import Block

MOST_SPILLS = 3
MOST_TRIGGERS = 3
"""That are named: of a plot, and of a spill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSpill:
    """What a spill has in a block of bins."""

    spill: int
    inside: int
    """Entries in the block."""
    entries: int
    """In the whole plot."""
    triggers: tuple[int, ...] = ()
    """The first ones that have entries in the block; none where an entry is of no single trigger."""
    has_more: bool = False
    """There are more of them."""


class BlockSearch:
    """Looks at one spill after the other, in any order.

    Parameters
    ----------
    plot
        Its name.
    block
        Of its bins.
    ranges
        The run's own ranges of plots.
    """

    def __init__(self, plot: str, block: Block, ranges: Ranges) -> None:
        self.looked = 0
        """How many spills it has looked at."""
        self.matching = 0
        """How many of them filled the block, or have nothing there if it lacks entries."""
        self.is_lacking = block.share < block.expected
        """No spill filled the block: it looks for those in which it is empty."""
        self._plot = plot
        self._ranges = ranges
        # The counts begin with what lies below the axis, which is bin -1.
        self._inside = tuple(slice(first + 1, last + 2) for first, last in zip(block.first, block.last, strict=True))
        self._best: list[tuple[BlockSpill, ReconstructedSpill]] = []

    def look(self, spill: ReconstructedSpill) -> None:
        """Look at a spill; one that the plot cannot be filled with is in no histogram of it."""
        self.looked += 1
        try:
            counts = self._counts(spill)
        except PlotError:
            return
        found = BlockSpill(spill=spill.spill, inside=int(counts[self._inside].sum()), entries=int(counts.sum()))
        if found.entries and bool(found.inside) != self.is_lacking:
            self.matching += 1
            self._best = sorted([*self._best, (found, spill)], key=lambda each: self._rank(each[0]))[:MOST_SPILLS]

    def found(self) -> tuple[BlockSpill, ...]:
        """Return the spills that say most: with most entries in the block, or with none there and most elsewhere."""
        if self.is_lacking:
            return tuple(found for found, _ in self._best)
        return tuple(self._with_triggers(found, spill) for found, spill in self._best)

    def _rank(self, found: BlockSpill) -> tuple[int, int]:
        return -(found.entries if self.is_lacking else found.inside), found.spill

    def _counts(self, spill: ReconstructedSpill) -> I8:
        return counts_of(self._plot, spill, self._ranges)

    def _with_triggers(self, found: BlockSpill, spill: ReconstructedSpill) -> BlockSpill:
        try:
            of_none = self._counts(_cut(spill, 0, 0))
            parts = self._triggers(spill, 0, self._counts(spill) - of_none, of_none)
            triggers = tuple(islice(parts, MOST_TRIGGERS + 1))
        except PlotError:
            return found
        return replace(found, triggers=triggers[:MOST_TRIGGERS], has_more=len(triggers) > MOST_TRIGGERS)

    def _triggers(self, spill: ReconstructedSpill, first: int, counts: I8, of_none: I8) -> Iterator[int]:
        """Yield the triggers of a part of a spill that fill the block, in their order.

        Parameters
        ----------
        first
            The part's first trigger.
        counts
            What its triggers fill.
        of_none
            What the spill fills without any.

        Raises
        ------
        PlotError
            When the halves of the part fill something else: an entry is of no single trigger.
        """
        if not counts[self._inside].any():
            return
        if spill.triggers <= 1:
            yield first
            return
        middle = spill.triggers // 2
        halves = _cut(spill, 0, middle), _cut(spill, middle, spill.triggers)
        left, right = (self._counts(half) - of_none for half in halves)
        if (left + right != counts).any():
            raise PlotError("its entries are of no single trigger")
        yield from self._triggers(halves[0], first, left, of_none)
        yield from self._triggers(halves[1], first + middle, right, of_none)


def _cut(spill: ReconstructedSpill, start: int, stop: int) -> ReconstructedSpill:
    """Return a spill of a part of the triggers alone, counted from 0 again."""
    detectors = {name: _cut_detector(detector, start, stop) for name, detector in spill.detectors.items()}
    return replace(spill, triggers=stop - start, detectors=detectors)


def _cut_detector(detector: Detector, start: int, stop: int) -> Detector:
    return replace(detector, **{name: _cut_table(its, start, stop) for name, its in detector.tables().items()})


def _cut_table(table: Table, start: int, stop: int) -> Table:
    trigger = getattr(table, "trigger", None)
    if trigger is None:
        return table
    rows = table.rows((trigger >= start) & (trigger < stop))
    counted: I4 = getattr(rows, "trigger")  # noqa: B009 - not every table has it
    counted -= start  # the rows that a mask selects are a copy
    return rows
