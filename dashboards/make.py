"""Figures made once for each change of the books, plot and theme, however many browsers look."""

import threading
from collections.abc import Callable

from dashboards.data import View
from dashboards.figures.histograms import histogram_figure
from dashboards.figures.parts import Figure
from dashboards.figures.theme import LIGHT, THEMES
from dashboards.figures.trends import trend_figure
from streams.books.totals import Totals
from streams.plots.catalogue import PLOTS, TRENDS
from streams.plots.model import Plot

Maker = Callable[[str], Figure]
"""Gives the figure of a plot or trend, by its name."""


class FigureCache:
    """Keeps the figures of the latest version of the books."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: str | None = None
        self._figures: dict[tuple[str, str], Figure] = {}

    def maker(self, view: View, theme: str | None) -> Maker:
        """Return what makes the figures of a view; a theme that does not exist is the light one."""
        known = theme if theme in THEMES else LIGHT.name

        def make(name: str) -> Figure:
            key = (name, known)
            with self._lock:
                if self._version != view.version:
                    self._version, self._figures = view.version, {}
                if key not in self._figures:
                    self._figures[key] = _make(view, name, known)
                return self._figures[key]

        return make


def _make(view: View, name: str, theme: str) -> Figure:
    totals = view.book.totals

    def when(last: int | None = None) -> str:
        return which_spills(view.run, totals, last=last) if view.run is not None else "No run yet"

    if name in TRENDS:
        trend = TRENDS[name]
        return trend_figure(trend, view.spills, when=when(trend.last), theme=THEMES[theme])
    plot = PLOTS[name]
    return histogram_figure(plot, view.shown[name], when=when(), theme=THEMES[theme], why_empty=why_empty(plot, totals))


def which_spills(run: int, totals: Totals, *, last: int | None = None) -> str:
    """Return what a title says of the spills in a plot: all of the run's, or the last ones."""
    if totals.last_spill < 0:
        return f"Run {run} · no spills yet"
    return f"Run {run} · spills up to {totals.last_spill} ({'whole run' if last is None else f'the last {last}'})"


def why_empty(plot: Plot, totals: Totals) -> str:
    """Return why a plot has no entries."""
    if not totals.filled:
        return f"all {totals.received} spills were rejected" if totals.received else "no spills yet"
    failed = totals.errors[plot.detector]
    if failed and not totals.conditions - {""}:
        return f"{plot.detector} failed on {failed} of {totals.filled} spills: the run has no conditions"
    if failed:
        return f"{plot.detector} failed on {failed} of {totals.filled} spills"
    if unfilled := totals.errors[f"plot {plot.name}"]:
        return f"this plot could not be filled from {unfilled} of {totals.filled} spills"
    if not any(totals.detectors.get(plot.detector, {}).values()):
        return f"no hits of {plot.detector} in {totals.filled} spills: is it in the run?"
    return f"no entries yet in {totals.filled} spills"
