"""Tiles: for each detector the worst that is wrong with it, by mark, colour and words; what is in order is quiet."""

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboards.data import View
from dashboards.pages.links import to_page
from dashboards.pages.strip import MARK
from streams.books import situation
from streams.books.judgement import words
from streams.checks.counts import SETTLING
from streams.checks.judge import Verdict
from streams.experiment import experiment
from streams.freshness import Level, span
from streams.words import several


def tiles(view: View, path: str) -> list[Any]:
    """Return a tile for each detector whose channels are watched, on the page at an address: the overview has them."""
    if path.strip("/") or view.run is None:
        return []
    return [_tile(detector, view) for detector in experiment().channels]


def _tile(detector: str, view: View) -> Any:
    level, text = _said(detector, view)
    title = experiment().detectors[detector].title
    parts = [
        html.Span(MARK[level], className="mark"),
        html.Span(title, className="what"),
        html.Span(text, className="words"),
    ]
    return to_page(parts, f"/detector/{detector}", className=f"tile {level}")


def _said(detector: str, view: View) -> tuple[Level, str]:
    """Return what a tile says: unknown is not good, and what does not go on is not now."""
    judgement = view.judgement
    if view.is_loading or judgement is None:
        return Level.UNKNOWN, "Not judged yet"
    if judgement.problem:
        return Level.UNKNOWN, f"Cannot be judged: {judgement.problem}"
    if detector in situation.not_read_out(view.book.totals):
        return Level.IDLE, "Not read out in this run"
    groups = {group.name for group in experiment().channels[detector]}
    bad = [each for each in judgement.bad if each.group in groups]
    as_of = f", as of spill {judgement.last}" if judgement.left else ""
    if bad:
        return Level.BAD, _worst(bad, view) + as_of
    if not judgement.counted:
        return Level.UNKNOWN, "No hits by channel are kept of this run" if judgement.spills else "No spills yet"
    if judgement.is_settling:
        return Level.IDLE, f"Settling: {judgement.counted} of {SETTLING} spills{as_of}"
    past = [each for each in judgement.verdicts if each.group in groups]
    was = f"; {several(len(past), 'fault')} before" if past else ""
    return Level.GOOD, f"No channel has changed{was}{as_of}"


def _worst(bad: Sequence[Verdict], view: View) -> str:
    """Return the one that began first, with since when, and how many others there are."""
    first = bad[0]
    spills = view.run_spills
    times = spills.time_us[spills.spill >= first.finding.begin.first]
    ago = f", {span(view.now_s - times[0] / 1e6)} ago" if len(times) and view.run == view.current else ""
    others = f"; {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{words(first)}{ago}{others}"
