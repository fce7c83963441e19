"""Tiles: for each detector the worst that is wrong with it, by mark, colour and words; what is in order is quiet.

The overview has one a detector; a detector's own pages have all that is and was wrong with it; every page has those of
other detectors with which something is wrong.
"""

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboards.data import View
from dashboards.pages.links import to_page
from streams.books import shapes, situation
from streams.books.judgement import measured, words
from streams.books.shapes import PlotVerdict
from streams.checks.counts import SETTLING
from streams.checks.judge import Verdict
from streams.experiment import experiment
from streams.freshness import MARK, Level, span
from streams.words import several

MOST = 12
"""Faults that are listed of a detector: a board that dies takes hundreds of channels with it."""
MOST_PLOTS = 3
"""Plots that are named of those that are off: most follow from what is wrong with the first."""


def tiles(view: View, path: str) -> list[Any]:
    """Return what is wrong, as the page at an address shows it."""
    if view.run is None:
        return []
    all_of = {detector: _said(detector, view) for detector in experiment().detectors if _has_tile(detector, view)}
    if not path.strip("/"):
        return [_tile(*said, detector, "tile") for detector, said in all_of.items()]
    match path.strip("/").split("/"):
        case ["detector", here, *_] if here in all_of:
            own = _all_of(here, view)
        case ["plot", name] if name in view.shapes:
            here, own = "", [_plot_tile(view.shapes[name])]
        case _:
            here, own = "", []
    bad = {detector: said for detector, said in all_of.items() if said[0] is Level.BAD and detector != here}
    return own + [_tile(*said, detector, "tile elsewhere") for detector, said in bad.items()]


def _has_tile(detector: str, view: View) -> bool:
    """Say whether a detector has a tile: one that is not watched has none while its plots are as they should be."""
    return detector in experiment().watched or bool(_off(detector, view))


def _tile(level: Level, text: str, detector: str, classes: str) -> Any:
    parts = [
        html.Span(MARK[level], className="mark"),
        html.Span(experiment().detectors[detector].title, className="what"),
        html.Span(text, className="words"),
    ]
    return to_page(parts, f"/detector/{detector}", className=f"{classes} {level}")


def _plot_tile(verdict: PlotVerdict) -> Any:
    """Return all that is known of a plot in the whole run."""
    level = verdict.level
    parts = [html.Span(MARK[level], className="mark"), html.Span(shapes.words(verdict), className="words")]
    return to_page(parts, f"/plot/{verdict.plot}", className=f"tile one {level}")


def _off(detector: str, view: View) -> list[PlotVerdict]:
    """Return the plots of a detector whose shape is not that of the reference, the worst first."""
    plots = [plot.name for plot in experiment().detectors[detector].plots]
    return shapes.bad({name: view.shapes[name] for name in plots if name in view.shapes})


def _off_tile(detector: str, view: View) -> list[Any]:
    """Return a line for the plots of a detector whose shape is not that of the reference, if there are any."""
    off = _off(detector, view)
    if not off:
        return []
    more = f"; {len(off) - MOST_PLOTS} more" if len(off) > MOST_PLOTS else ""
    plots = "; ".join(_named(each) for each in off[:MOST_PLOTS])
    text = f"{several(len(off), 'plot')} not as in {off[0].against}: {plots}{more}"
    parts = [html.Span(MARK[off[0].level], className="mark"), html.Span(text, className="words")]
    return [to_page(parts, f"/plot/{off[0].plot}", className=f"tile one {off[0].level}")]


def _named(verdict: PlotVerdict) -> str:
    elsewhere = verdict.shape.elsewhere if verdict.shape is not None else 0.0
    return f"{experiment().plots[verdict.plot].title} {100 * elsewhere:.2g} % off"


def _all_of(detector: str, view: View) -> list[Any]:
    """Return how a detector is, and all that is and was wrong with it, the newest first."""
    its, off = _of(detector, view), _off_tile(detector, view)
    if not its:
        return off or [_tile(*_said(detector, view), detector, "tile")]
    bad, past = ([each for each in its if (each.ended is None) == is_bad][::-1] for is_bad in (True, False))
    shown = [*bad, *past][:MOST]
    found = [
        _tile(Level.BAD if each.ended is None else Level.IDLE, f"{words(each)}: {measured(each)}", detector, "tile one")
        for each in shown
    ]
    left = len(its) - len(shown)
    more = f"{several(left, 'fault')} more: spilldeck checks show {view.run}"
    return [*found, *([_tile(Level.IDLE, more, detector, "tile one")] if left else []), *off]


def _said(detector: str, view: View) -> tuple[Level, str]:
    """Return what a tile says: unknown is not good, and what does not go on is not now."""
    judgement = view.judgement
    if view.is_loading or judgement is None:
        return Level.UNKNOWN, "Not judged yet"
    if detector in situation.not_read_out(view.book.totals):
        return Level.IDLE, "Not read out in this run"
    its, off = _of(detector, view), _off(detector, view)
    if off and all(each.ended is not None for each in its):
        more = f"; {several(len(off) - 1, 'plot')} more" if len(off) > 1 else ""
        return off[0].level, f"{_named(off[0])}{more}"
    if judgement.problem:
        return Level.UNKNOWN, f"Cannot be judged: {judgement.problem}"
    bad = [each for each in its if each.ended is None]
    as_of = f", as of spill {judgement.last}" if judgement.left else ""
    if bad:
        return Level.BAD, _first(bad, view) + as_of
    if not judgement.counted:
        return Level.UNKNOWN, "No hits by channel are kept of this run" if judgement.spills else "No spills yet"
    if judgement.is_settling:
        return Level.IDLE, f"Settling: {judgement.counted} of {SETTLING}{as_of}"
    was = f"; {several(len(its), 'fault')} before" if its else ""
    return Level.GOOD, f"No change{was}{as_of}{_as_in(detector, view)}"


def _as_in(detector: str, view: View) -> str:
    """Return what the plots of a detector are like, if that is known of one at least."""
    verdicts = [view.shapes[plot.name] for plot in experiment().detectors[detector].plots if plot.name in view.shapes]
    good = next((each for each in verdicts if each.state is shapes.State.GOOD), None)
    return f"; plots as in {good.against}" if good is not None else ""


def _of(detector: str, view: View) -> list[Verdict]:
    """Return what is and was wrong with a detector, in the order in which it began."""
    its = {each.name for each in experiment().watched[detector]}
    return [each for each in view.judgement.verdicts if each.group in its] if view.judgement is not None else []


def _first(bad: Sequence[Verdict], view: View) -> str:
    """Return the one that began first, with since when, and how many others there are."""
    first, spills = bad[0], view.run_spills
    times_us = spills.time_us[spills.spill >= first.finding.begin.first]
    ago = f", {span(view.now_s - times_us[0] / 1e6)} ago" if len(times_us) and view.run == view.current else ""
    others = f"; {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{words(first)}{ago}{others}"
