"""Figures made once for each change of the books, plot, theme and choices, however many browsers look."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import Any

import numpy as np

from dashboards.choices import LAST_MINUTE, Choices, Mode, book_of
from dashboards.data import SPILLS_SHOWN, Point, Reference, View, book_words, window_words
from dashboards.figures.compare import Compared
from dashboards.figures.histograms import histogram_figure
from dashboards.figures.history import history_figure, spills_figure
from dashboards.figures.parts import Figure, empty
from dashboards.figures.theme import LIGHT, THEMES, Theme
from dashboards.figures.trends import trend_figure
from schemas.columns import F8, I8
from streams.books import situation
from streams.books.book import new_histogram
from streams.books.cells import Cells, same_bins
from streams.books.issues import known_of
from streams.books.key_number import KeyNumber, what
from streams.books.named import name_of_plot
from streams.books.shapes import PlotVerdict, plot_verdict
from streams.books.totals import Totals
from streams.experiment import NOT_CALIBRATED, experiment
from streams.freshness import Level
from streams.plots.model import Plot
from streams.words import several

Maker = Callable[[str], Figure]
"""Gives the figure of a plot or trend, by its name."""
SPILLS, WINDOWS, RUNS = ":spills", ":windows", ":runs"
"""After the name of a plot: its key number over the spills, windows or runs, in place of its histogram."""
MEASURE = ":measure"
"""Between these, with the place of one of the plot's measures: that in place of its key number."""
MINUTE_S = 60
KEPT_BYTES = 32_000_000
"""Of the figures that are kept: those of some ten pages of large plots."""
VALUE_BYTES = 32
"""What a number in a list takes, about."""


class FigureCache:
    """Keeps the figures that were shown last, of each the newest: an update takes the place of what was before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: OrderedDict[tuple[Any, ...], tuple[str, Figure, int]] = OrderedDict()
        self._bytes = 0

    def maker(self, view: View, theme: str | None, choices: Choices = Choices()) -> Maker:  # noqa: B008 - frozen
        """Return what makes the figures of a view; a theme that does not exist is the light one."""
        known = theme if theme in THEMES else LIGHT.name
        # The rest of what was chosen is in the view; a reference that is none changes nothing.
        look = Choices(mode=choices.mode if view.reference else Mode.SHAPE, log=choices.log, errors=choices.errors)
        other = view.reference.its if view.reference is not None else None
        shown = (view.run, view.session, view.window, other, view.version if view.is_frozen else "")

        def make(name: str) -> Figure:
            key = (*shown, name, known, look)
            with self._lock:
                version, figure, weighs = self._figures.get(key, ("", {}, 0))
                if version != view.version:
                    self._bytes -= weighs
                    figure = _make(view, name, known, look)
                    weighs = weight(figure)
                    self._figures[key] = view.version, figure, weighs
                    self._bytes += weighs
                self._figures.move_to_end(key)
                while self._bytes > KEPT_BYTES and len(self._figures) > 1:
                    self._bytes -= self._figures.popitem(last=False)[1][2]
                return figure

        return make


def weight(of: Any) -> int:
    """Return about how many bytes a figure takes."""
    if isinstance(of, dict):
        return VALUE_BYTES * len(of) + sum(map(weight, of.values()))
    if isinstance(of, str):
        return VALUE_BYTES + len(of)
    if not isinstance(of, list | tuple) or not of:
        return VALUE_BYTES
    first = next((each for each in of if each is not None), None)
    # Other lists have values of one kind, and about one size: to look at each takes longer than to make the figure.
    return sum(map(weight, of)) if isinstance(first, dict) else weight(first) * len(of)


def _make(view: View, name: str, theme: str, choices: Choices) -> Figure:
    other = view.reference
    if view.is_loading and name in experiment().plots | experiment().trends:
        return empty(
            (experiment().plots | experiment().trends)[name].title, which_spills(view), "loading", THEMES[theme]
        )
    if name.endswith(SPILLS):
        return _spills(view, name, THEMES[theme])
    if name.endswith((WINDOWS, RUNS)):
        return _history(view, name, THEMES[theme])
    is_known = False
    if name in experiment().trends:
        trend = experiment().trends[name]
        figure = trend_figure(
            trend,
            view.in_line(view.spills),
            when=which_spills(view, last=trend.last, in_line=True),
            theme=THEMES[theme],
            why_empty=_why_nothing(view) or _no_spills(view),
            choices=choices,
            reference=other.spills if other is not None else None,
            called=_without_trends(other) if other is not None else "",
        )
    else:
        plot, verdict = experiment().plots[name], shown_verdict(view, name)
        is_known = verdict.level is Level.KNOWN
        figure = histogram_figure(
            plot,
            view.shown[name],
            when=which_spills(view),
            theme=THEMES[theme],
            why_empty=why_empty(plot, view),
            choices=choices,
            reference=_compared(view, other, name) if other is not None else None,
            by_spill=_by_spill(view, name) if plot.by_spill else None,
            minute=_last_minute(view, plot),
            verdict=verdict,
        )
    figure["layout"]["meta"] |= {"file": file_name(view, name), "known": is_known}
    return figure


def _spills(view: View, name: str, theme: Theme) -> Figure:
    history = view.history
    if not history.is_read:
        return empty(what(experiment().plots[name.partition(":")[0]]), "", "loading", theme)
    of = "the spills" if len(view.book.ledger) <= SPILLS_SHOWN else f"the last {SPILLS_SHOWN:,} spills"
    of_run = history.runs[-1].number if history.runs else None
    why = "no entries" if of_run is None else "no entries in them, or not kept when they were filled"
    return spills_figure(what(experiment().plots[name.partition(":")[0]]), history.spills, of, why, theme)


def _history(view: View, name: str, theme: Theme) -> Figure:
    plot = experiment().plots[name.partition(":")[0]]
    title, number_of = _followed(plot, name)
    if not view.history.is_read:
        return empty(title, "", "loading", theme)
    if name.endswith(WINDOWS):
        points, over = view.history.windows, "over the windows of the run, the older the longer, UTC"
        shape = "%H:%M:%S" if any(point.at % MINUTE_S for point in points) else "%H:%M"
        names = [datetime.fromtimestamp(point.at, UTC).strftime(shape) for point in points]
        at = view.window_at(view.window)
        start = view.windows[at].start if at is not None else None
        marked = next((n for n, point in enumerate(points) if point.at == start), None)
    else:
        points, over = view.history.runs, "over the runs of this type up to this one"
        names = [str(point.at) for point in points]
        marked = len(points) - 1
    numbers = [number_of(point) for point in points]
    if marked is not None and MEASURE in name and (shown := numbers[marked]) is not None:
        over = f"{over}; this one: {shown}"
    return history_figure(
        title,
        over,
        names,
        [None if number is None else number.value for number in numbers],
        [None if number is None else number.error for number in numbers],
        spills=[point.spills for point in points],
        marked=marked,
        theme=theme,
    )


def _followed(plot: Plot, name: str) -> tuple[str, Callable[[Point], KeyNumber | None]]:
    """Return what is followed under this name, and what gives it."""
    _, is_measure, rest = name.partition(MEASURE)
    if not is_measure:
        return what(plot), lambda point: point.number
    place = int(rest.partition(":")[0])
    return plot.measures[place].title, lambda point: point.measures[place]


def shown_verdict(view: View, name: str) -> PlotVerdict:
    """Return what is known of the shape of a plot as it is shown: in the part of the run, against what was chosen."""
    verdict, issue = _verdict(view, name), known_of(view.known, name_of_plot(name))
    return verdict if issue is None else replace(verdict, known=issue.words)


def _verdict(view: View, name: str) -> PlotVerdict:
    known = view.shapes.get(name)
    if known is not None and not known.part and view.is_as_judged:
        return known
    totals, spills = view.book.totals, view.spills
    of = (totals.filled, totals.triggers) if view.window is None else (len(spills), int(spills.triggers.sum()))
    against = view.reference.against if view.reference is not None else None
    part = "" if view.window is None else _window(view)
    at = view.window_at(view.window)
    is_over = view.is_over or (at is not None and at < len(view.windows) - 1)
    return plot_verdict(name, view.shown.of(name), *of, against, view.limits, part=part, is_over=is_over)


def windows_told(view: View) -> list[tuple[int, int]]:
    """Return which windows of a run are judged by themselves, with how many spills: all but one that goes on."""
    found = [(each.at, each.spills) for each in view.history.windows]
    return found if view.is_over else found[:-1]


def window_verdicts(view: View, name: str) -> dict[int, PlotVerdict]:
    """Return what is known of a plot in each window that is judged, by where that begins: as if it were chosen."""
    if name not in experiment().plots:
        return {}
    against = view.reference.against if view.reference is not None else None
    judged, packed = dict(windows_told(view)), {each.at: each.packed for each in view.history.windows}
    found, spills = {}, view.run_spills
    for window in view.windows:
        if window.start in judged and packed[window.start]:
            its = (spills.time_us >= window.start * 1_000_000) & (spills.time_us < window.end * 1_000_000)
            of = int(its.sum()), int(spills.triggers[its].sum())
            found[window.start] = plot_verdict(
                name, Cells.unpack(packed[window.start]), *of, against, view.limits, part="this window", is_over=True
            )
    return found


def _without_trends(other: Reference) -> str:
    """Return what a reference is called where it has no trends: a run has them, and its book of plots has not."""
    is_book = other.spills is None and other.triggers is not None
    return f"the book of {other.called}" if is_book else other.called


def _compared(view: View, other: Reference, name: str) -> Compared:
    found = other.histogram(name)
    earlier = (each.histogram(name) for each in other.earlier)
    return Compared(
        called=other.called,
        histogram=new_histogram(name, {}) if found is None else found,
        has_it=found is not None,
        spills=None if other.spills is None else len(view.spills) / max(len(other.spills), 1),
        by_spill=experiment().plots[name].by_spill,
        earlier=[its for its in earlier if its is not None and same_bins(view.shown.of(name).axes, its.axes)],
    )


def _last_minute(view: View, plot: Plot) -> I8 | None:
    """Return what the last minute has of a plot of one axis; None where it is not shown beside the whole run."""
    if view.beside is None or view.window is not None or len(plot.axes) > 1:
        return None
    if view.stand_since_ms or view.book.totals.ended:
        return None
    return view.beside.book.counts(plot.name)[1:-1]


def _by_spill(view: View, name: str) -> tuple[I8, F8]:
    """Return the spills that are shown, and the entries of each: beyond the end of the axis, by its key number."""
    spills, counts = view.in_line(view.spills).spill, view.book.book.counts(name)[1:-1]
    entries, inside = np.full(len(spills), np.nan), spills < len(counts)
    entries[inside] = counts[spills[inside]]
    if name in view.beyond_axis:
        later, values = view.beyond_axis[name]
        at = np.searchsorted(spills, later)
        there = np.flatnonzero((later >= len(counts)) & (at < len(spills)))
        there = there[spills[at[there]] == later[there]]
        entries[at[there]] = values[there]
    return spills, entries


def which_spills(view: View, *, last: int | None = None, in_line: bool = False) -> str:
    """Return what a title says of the spills in a plot: run, first and last one, and which part of the run they are.

    Parameters
    ----------
    last
        So many of the last ones are shown.
    in_line
        It is a line over them.
    """
    if view.run is None:
        return "No run yet"
    run = book_words(view.run, view.session, "Run")
    if view.is_kept:
        return f"{run} · {several(view.book.totals.filled, 'spill')} (whole run, as the keeper wrote it)"
    if why := _without_spills(view):
        return f"{run} · {why}"
    part = "whole run"
    if view.window == LAST_MINUTE:
        times = view.spills.time_us
        part = f"last {ceil((times.max(initial=0) - times.min(initial=times.max(initial=0))) / 1e6)} s"
    elif view.window is not None:
        at = view.window_at(view.window)
        if at is None:
            return f"{run} · a window that is not kept"
        part = window_words(view.windows[at])
    if last is not None:
        part = f"the last {last}" if view.window is None else part
    if view.stand_since_ms:
        stands = f"stands since {datetime.fromtimestamp(view.stand_since_ms / 1000, UTC):%H:%M:%S} UTC"
        part = f"{part}, {stands}" if part != "whole run" else stands
    return f"{run} · spills {_first(view, last, in_line=in_line)}–{_last(view, in_line=in_line)} ({part})"


def file_name(view: View, name: str) -> str:
    """Return how a file of a plot is called, without its ending: run, plot and spills."""
    return f"run{book_of(view.run, view.session)}_{name}_spills{_first(view)}-{_last(view)}"


def _first(view: View, last: int | None = None, *, in_line: bool = False) -> int:
    spills = (view.in_line(view.spills) if in_line else view.spills).spill[-(last or 0) :]
    return int(spills[0]) if len(spills) else 0


def _last(view: View, *, in_line: bool = False) -> int:
    spills = view.in_line(view.spills).spill if in_line else view.spills.spill
    inside = (in_line and view.settled is not None) or view.window not in {None, LAST_MINUTE}
    return int(spills[-1]) if inside and len(spills) else view.book.totals.last_spill


def why_empty(plot: Plot, view: View) -> str:
    """Return why a plot has no entries."""
    if nothing := _why_nothing(view):
        return nothing
    totals = view.book.totals
    if plot.name in view.absent:
        return view.absent[plot.name]
    if view.window is None or not totals.filled:
        return _why_empty(plot, totals, view.yet)
    return f"no entries in {_window(view)}"


def _no_spills(view: View) -> str:
    if view.is_retired:
        return f"the spills of {book_words(view.run, view.session)} have left Redis"
    return (
        f"no spills{view.yet}" if view.window is None or not len(view.run_spills) else f"no spills in {_window(view)}"
    )


def _without_spills(view: View) -> str:
    """Return why there are no spills of a run; empty if there are."""
    if view.is_loading:
        return "loading"
    if not view.is_stored:
        return "not stored here"
    if view.is_retired:
        return "left Redis"
    if view.book.totals.last_spill < 0:
        return "cannot be read" if view.is_unreadable else f"no spills{view.yet}"
    return ""


def _window(view: View) -> str:
    return "the last minute" if view.window == LAST_MINUTE else "this window"


def _why_nothing(view: View) -> str:
    """Return why there is nothing of a run; empty if there may be something."""
    if view.window is not None and view.window != LAST_MINUTE and view.window_at(view.window) is None:
        return "this window is not kept"
    if view.run is not None and not view.is_stored:
        return f"{book_words(view.run, view.session)} is not stored here"
    if view.is_retired and not view.is_kept:
        return f"the plots of {book_words(view.run, view.session)} have left Redis"
    if view.is_unreadable and not view.book.totals.received:
        return f"{book_words(view.run, view.session)} cannot be read"
    return ""


def _why_empty(plot: Plot, totals: Totals, yet: str) -> str:
    if not totals.filled:
        return f"all rejected: {several(totals.received, 'spill')}" if totals.received else f"no spills{yet}"
    if without := experiment().spills_without(plot, totals.lacking):
        said = "for it there is no table in the conditions of the run"
        return f"{NOT_CALIBRATED} in {without} of {several(totals.filled, 'spill')}: {said}"
    doubts = {name: totals.errors[f"{name} calibration"] for name in experiment().needs(plot)}
    if doubted := max(doubts.values(), default=0):
        where = f"{doubted} of {several(totals.filled, 'spill')}"
        why = experiment().reconstructions[max(doubts, key=lambda name: doubts[name])].doubted
        return f"the calibration does not fit in {where}: {why}"
    if unfilled := totals.errors[f"plot {plot.name}"]:
        return f"this plot could not be filled from {unfilled} of {several(totals.filled, 'spill')}"
    its = [name for name in experiment().detectors if name in experiment().needs(plot)] or [plot.detector]
    whys = (_why_without(name, totals) for name in its)
    return next(filter(None, whys), f"no entries{yet} in {several(totals.filled, 'spill')}")


def _why_without(name: str, totals: Totals) -> str:
    """Return why there is nothing of a detector; empty if there is something."""
    detector, spills = experiment().detectors[name].title, several(totals.filled, "spill")
    failed = totals.errors[name]
    if failed and not totals.conditions - {""}:
        return f"{detector} failed on {failed} of {spills}: the run has no conditions"
    if failed:
        return f"{detector} failed on {failed} of {spills}"
    if name in situation.not_read_out(totals):
        return f"{detector}: not read out in this run"
    if absent := totals.absent[name]:
        return f"{detector}: not read out in {absent} of {spills}"
    if not any(totals.detectors.get(name, {}).values()):
        return f"{detector}: no hits in {spills}, is it in the run?"
    return ""
