"""Shapes of the plots of the runs that somebody looks at, against what each is compared with if nobody chooses."""

from collections.abc import Mapping

from dashboards.choices import LAST_MINUTE
from dashboards.data.books import Books
from dashboards.data.one_run import NOTHING, OneRun
from streams.books.limits import LimitsFile
from streams.books.shapes import Against, Late, PlotVerdict, against_run, plot_verdicts

Shapes = Mapping[tuple[int, str | None], Mapping[str, PlotVerdict]]
"""Run and session, as in `Books.read` → plot → what is known of it."""


class ShapeJudges:
    """Judges the plots of runs, again only of those that have changed.

    Parameters
    ----------
    limits
        By run type.
    """

    def __init__(self, limits: LimitsFile) -> None:
        self._limits = limits
        self._known: dict[tuple[int, str | None], tuple[object, Mapping[str, PlotVerdict]]] = {}
        self._against: dict[tuple[int, str | None], tuple[object, Against | None]] = {}
        """What each run is judged against: of that is kept what was reckoned of it."""

    def look(self, books: Books, last: Shapes) -> Shapes:
        """Return what is known of the runs that were read; the same again if nothing has changed."""
        wanted = books.to_judge()
        self._against = {at: self._compared(books, at) for at in wanted}
        known = {at: self._judged(at, one, is_past=at[0] != books.current) for at, one in wanted.items()}
        is_same = known.keys() == last.keys() and all(its is last[at] for at, (_, its) in known.items())
        self._known = known
        return last if is_same else {at: its for at, (_, its) in known.items()}

    def _compared(self, books: Books, at: tuple[int, str | None]) -> tuple[object, Against | None]:
        """Return what a run is judged against, and what tells it from another."""
        automatic = books.automatic_reference(at[0])
        if automatic.book is not None:
            if at not in self._against or self._against[at][0] is not automatic.book:
                return automatic.book, automatic.book.against
            return self._against[at]
        other = automatic.run
        reference, earlier = books.one(other, None), books.earlier_references(at[0])
        key = other, reference.version, *(each.version for each in earlier.values())
        if at in self._against and self._against[at][0] == key:
            return self._against[at]
        if other is None or reference is NOTHING:
            return key, None
        return key, against_run(other, reference.book, {run: its.book for run, its in earlier.items()})

    def _judged(
        self, at: tuple[int, str | None], one: OneRun, *, is_past: bool
    ) -> tuple[object, Mapping[str, PlotVerdict]]:
        which, against = self._against[at]
        limits = self._limits.of(one.book.totals.run_type)
        part = one.parts.get(LAST_MINUTE)
        has_late = part is not None and part.is_of_whole and not part.unreadable
        is_over = one.book.totals.ended or is_past
        key = one.version, which, limits, has_late, is_over
        if at in self._known and self._known[at][0] == key:
            return self._known[at]
        late = None
        if part is not None and has_late:
            late = Late(book=part.book, triggers=int(part.within(one.spills).triggers.sum()))
        return key, plot_verdicts(one.book, against, limits, late=late, is_over=is_over)
