"""Tiles: for each detector the worst that is wrong with it, by mark, colour and words; what is in order is quiet.

The overview has one a detector; a detector's own pages have all that is and was wrong with it; every page has those of
other detectors with which something is wrong.
"""

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboards.data import View
from dashboards.pages.links import to_page
from dashboards.pages.sparkline import sparkline
from dashboards.pages.strip import MARK
from streams.books import situation
from streams.books.judgement import measured, words
from streams.checks.counts import SETTLING
from streams.checks.judge import Verdict
from streams.experiment import experiment
from streams.freshness import Level, span
from streams.words import several

MOST = 12
"""Faults that are listed of a detector: a board that dies takes hundreds of channels with it."""


def tiles(view: View, path: str) -> list[Any]:
    """Return what is wrong, as the page at an address shows it."""
    if view.run is None:
        return []
    all_of = {detector: _said(detector, view) for detector in experiment().watched}
    if not path.strip("/"):
        return [_tile(*said, detector, "tile", _line(detector, view)) for detector, said in all_of.items()]
    match path.strip("/").split("/"):
        case ["detector", here, *_] if here in all_of:
            own = _all_of(here, view)
        case _:
            here, own = "", []
    bad = {detector: said for detector, said in all_of.items() if said[0] is Level.BAD and detector != here}
    return own + [_tile(*said, detector, "tile elsewhere") for detector, said in bad.items()]


def _tile(level: Level, text: str, detector: str, classes: str, line: Any = None) -> Any:
    said = [
        html.Span(MARK[level], className="mark"),
        html.Span(experiment().detectors[detector].title, className="what"),
        html.Span(text, className="words"),
    ]
    parts = [html.Span(said, className="said"), *([] if line is None else [line])]
    return to_page(parts, f"/detector/{detector}", className=f"{classes} {level}")


def _line(detector: str, view: View) -> Any:
    """Return the detector's yield over the run, marked where what its tile says began."""
    its = view.judgement.yields.get(detector) if view.judgement is not None and not view.is_loading else None
    bad = [each for each in _of(detector, view) if each.ended is None]
    return None if its is None else sparkline(its, bad[0].finding.begin.first if bad else None)


def _all_of(detector: str, view: View) -> list[Any]:
    """Return how a detector is, and all that is and was wrong with it, the newest first."""
    its = _of(detector, view)
    if not its:
        return [_tile(*_said(detector, view), detector, "tile")]
    bad, past = ([each for each in its if (each.ended is None) == is_bad][::-1] for is_bad in (True, False))
    shown = [*bad, *past][:MOST]
    found = [
        _tile(Level.BAD if each.ended is None else Level.IDLE, f"{words(each)}: {measured(each)}", detector, "tile one")
        for each in shown
    ]
    left = len(its) - len(shown)
    more = f"{several(left, 'fault')} more: spilldeck checks show {view.run}"
    return [*found, _tile(Level.IDLE, more, detector, "tile one")] if left else found


def _said(detector: str, view: View) -> tuple[Level, str]:
    """Return what a tile says: unknown is not good, and what does not go on is not now."""
    judgement = view.judgement
    if view.is_loading or judgement is None:
        return Level.UNKNOWN, "Not judged yet"
    if judgement.problem:
        return Level.UNKNOWN, f"Cannot be judged: {judgement.problem}"
    if detector in situation.not_read_out(view.book.totals):
        return Level.IDLE, "Not read out in this run"
    its = _of(detector, view)
    bad = [each for each in its if each.ended is None]
    as_of = f", as of spill {judgement.last}" if judgement.left else ""
    if bad:
        return Level.BAD, _first(bad, view) + as_of
    if not judgement.counted:
        return Level.UNKNOWN, "No hits by channel are kept of this run" if judgement.spills else "No spills yet"
    if judgement.is_settling:
        return Level.IDLE, f"Settling: {judgement.counted} of {SETTLING}{as_of}"
    was = f"; {several(len(its), 'fault')} before" if its else ""
    return Level.GOOD, f"No change{was}{as_of}"


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
