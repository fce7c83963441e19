"""Figures made once for each change of the books, plot and theme, however many browsers look."""

import threading
from collections.abc import Callable

from dashboards.data import View
from dashboards.figures import THEMES, Figure, histogram_figure, trend_figure, whole_run
from streams.books.run import spill_facts
from streams.plots.catalogue import PLOTS, TRENDS
from streams.plots.spillfacts import SpillFacts

Maker = Callable[[str], Figure]
"""Gives the figure of a plot or trend, by its name."""


class FigureCache:
    """Keeps the figures of the latest version of the books."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: str | None = None
        self._figures: dict[tuple[str, str], Figure] = {}
        self._spills: SpillFacts | None = None

    def maker(self, view: View, theme: str) -> Maker:
        """Return what makes the figures of a view."""

        def make(name: str) -> Figure:
            with self._lock:
                if self._version != view.version:
                    self._version, self._figures, self._spills = view.version, {}, None
                key = (name, theme)
                if key not in self._figures:
                    self._figures[key] = self._make(view, name, theme)
                return self._figures[key]

        return make

    def _make(self, view: View, name: str, theme: str) -> Figure:
        totals = view.book.totals
        when = whole_run(view.run, totals) if view.run is not None else "No run yet"
        if name in TRENDS:
            if self._spills is None:
                self._spills = spill_facts(view.book.ledger)
            return trend_figure(TRENDS[name], self._spills, when=when, theme=THEMES[theme])
        plot = PLOTS[name]
        why_empty = "no entries yet"
        if totals.filled and totals.errors.get(plot.detector, 0) == totals.filled:
            why_empty = f"{plot.detector} failed on all {totals.filled} spills: see the counter of errors"
        return histogram_figure(plot, view.book.book[name], when=when, theme=THEMES[theme], why_empty=why_empty)
