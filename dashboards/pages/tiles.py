"""Tiles: for each detector the worst that is wrong with it, by mark, colour and words; what is in order is quiet.

The overview has one a detector; a detector's own pages have all that is and was wrong with it; every page has those of
other detectors with which something is wrong.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from dash import html

from dashboards.data import View
from dashboards.pages.links import to_page
from dashboards.pages.sparkline import sparkline
from dashboards.pages.spills import filling_line
from streams.books import shapes, situation
from streams.books.following import Beneath, beneath, detector_of
from streams.books.issues import Issue, known_of
from streams.books.judgement import cause_words, measured, words
from streams.books.named import name_of, name_of_plot
from streams.books.plain_limits import TooMany
from streams.books.shapes import PlotVerdict
from streams.checks.causes import Cause
from streams.checks.counts import SETTLING, Finding
from streams.checks.means import Moved
from streams.experiment import experiment
from streams.explain.verdicts import of_peak
from streams.freshness import MARK, Level, span
from streams.words import several

MOST = 12
"""Faults that are listed of a detector, and what follows that is listed of a fault."""
MOST_PLOTS = 3
"""Plots that are named of those that are off: most follow from what is wrong with the first."""


class Said(NamedTuple):
    """What is said of something."""

    level: Level
    text: str
    names: Sequence[str] = ()
    """Of all that is wrong with it."""


def tiles(view: View, path: str) -> list[Any]:
    """Return what is wrong, as the page at an address shows it."""
    if view.run is None:
        return []
    of_run = [_run_tile(each, view) for each in _over("", view)]
    all_of = detectors(view)
    if not path.strip("/"):
        its = (_tile(said, detector, "tile", _line(detector, view)) for detector, said in all_of.items())
        return [*of_run, *its]
    match path.strip("/").split("/"):
        case ["detector", here, *_] if here in experiment().detectors:
            own = _all_of(here, view) if here in all_of else _off_tiles(here, view)
        case ["plot", name] if name in view.shapes:
            here, own = "", [_plot_tile(view.shapes[name], view), *filling_line(view, name)]
        case _:
            here, own = "", []
    bad = {detector: said for detector, said in all_of.items() if said.level is Level.BAD and detector != here}
    return own + of_run + [_tile(said, detector, "tile elsewhere") for detector, said in bad.items()]


def detectors(view: View) -> dict[str, Said]:
    """Return how each detector is, that is watched or has something wrong, and in words why."""
    return {detector: _said(detector, view) for detector in experiment().detectors if _has_tile(detector, view)}


def _has_tile(detector: str, view: View) -> bool:
    """Say whether a detector has a tile: one that is not watched has none while its plots are as they should be."""
    return detector in experiment().watched or bool(_off(detector, view) or _over(detector, view))


def _over(detector: str, view: View) -> list[TooMany]:
    """Return what too many spills have of a detector; of none, as a whole."""
    return [each for each in view.too_many if each.detector == detector]


def _wrong_level(view: View) -> Level:
    """Return how bad it is that something is wrong: of a run type that nobody gave limits for, it only warns."""
    return Level.WARNING if view.limits.only_warns else Level.BAD


def _run_tile(over: TooMany, view: View) -> Any:
    said = _too_many(over, view)
    words = _said_so(said.level, said.text, "Run")
    its = {"data-do": "counters"} | _names(said.names)
    return html.Button(words, className=f"tile {said.level}", title="List them", **its)


def _said_so(level: Level, text: str, what: str = "") -> Any:
    """Return how something is: by its mark, and in words."""
    title = [html.Span(what, className="what")] if what else []
    return html.Span(
        [html.Span(MARK[level], className="mark"), *title, html.Span(text, className="words")], className="said"
    )


def _tile(said: Said, detector: str, classes: str, line: Any = None) -> Any:
    words = _said_so(said.level, said.text, experiment().detectors[detector].title)
    parts = [words, *([] if line is None else [line])]
    return to_page(parts, f"/detector/{detector}", className=f"{classes} {said.level}", **_names(said.names))


def _names(names: Iterable[str]) -> dict[str, str]:
    """Return by what the browser knows what is wrong again, whatever is said of it: who has seen it need not anew."""
    return {"data-names": json.dumps([*names])}


def _name(wrong: Cause | PlotVerdict | TooMany) -> str:
    match wrong:
        case Cause():
            return name_of(wrong.verdict)
        case PlotVerdict():
            return name_of_plot(wrong.plot)
    return f"too many {wrong.what}"


def _plot_tile(verdict: PlotVerdict, view: View) -> Any:
    """Return all that is known of a plot in the whole run."""
    text = shapes.words(verdict)
    issue = _issue_of(verdict, view)
    if issue is not None and verdict.shape is not None and verdict.state in {shapes.State.BAD, shapes.State.WARNING}:
        verdict, text = replace(verdict, known=issue.words), f"{_of_issue(issue)}. {text}"
    if its := view.explained.get(verdict.plot):
        text = f"{text} {its.words}"
    return _of_plot(verdict, verdict.level, text, [verdict])


def _of_plot(shown: PlotVerdict, level: Level, text: str, those: Iterable[PlotVerdict]) -> Any:
    """Return a line that says something of plots, and leads to one of them."""
    names = _names(map(_name, those))
    return to_page(_said_so(level, text), f"/plot/{shown.plot}", className=f"tile one {level}", **names)


def _off(detector: str, view: View, *, follow: bool = False) -> list[PlotVerdict]:
    """Return the plots of a detector whose shape is not that of the reference, the worst first.

    Parameters
    ----------
    follow
        Those that stand beneath a fault, in place of the others.
    """
    found = _beneath(view)
    those = [each for _, its in found.of for each in its] if follow else found.rest
    names = {plot.name for plot in experiment().detectors[detector].plots}
    return [each for each in those if each.plot in names]


def _issue_of(told: Cause | PlotVerdict, view: View) -> Issue | None:
    """Return the known issue that something which is wrong stands under."""
    if isinstance(told, PlotVerdict):
        return known_of(view.known, name_of_plot(told.plot))
    return known_of(view.known, f"{told.verdict.group}/{told.verdict.channel}")


def _known(detector: str, view: View) -> str:
    """Return what is wrong with a detector and known; empty if nothing is."""
    now = [each for each in _of(detector, view) if each.verdict.ended is None]
    wrong: list[Cause | PlotVerdict] = [*now, *_off(detector, view)]
    found = list(dict.fromkeys(issue for each in wrong if (issue := _issue_of(each, view)) is not None))
    more = f"; {len(found) - 1} more" if len(found) > 1 else ""
    return f"{_of_issue(found[0])}{more}" if found else ""


def _of_issue(issue: Issue) -> str:
    return f"Known: {issue.text} ({issue.owner}; {issue.seen})"


def _beneath(view: View) -> Beneath:
    """Return the plots that are off, the worst first, by the fault that they may follow from."""
    return beneath(view.judgement.causes if view.judgement is not None else (), shapes.bad(view.shapes))


def _off_tiles(detector: str, view: View) -> list[Any]:
    """Return a line for the plots of a detector whose shape is not that of the reference, if there are any."""
    # Those that follow from its own faults stand beneath these.
    own = {each.plot for cause, its in _beneath(view).of if detector_of(cause) == detector for each in its}
    elsewhere = [each for each in _off(detector, view, follow=True) if each.plot not in own]
    off = _off(detector, view)
    known = [_plot_tile(each, view) for each in off if _issue_of(each, view) is not None]
    return [
        *_off_tile([each for each in off if _issue_of(each, view) is None], view),
        *known,
        *_off_tile(elsewhere, view, "What may follow from a fault elsewhere: ", Level.IDLE),
    ]


def _off_tile(off: Sequence[PlotVerdict], view: View, why: str = "", level: Level | None = None) -> list[Any]:
    if not off:
        return []
    level = off[0].level if level is None else level
    more = f"; {len(off) - MOST_PLOTS} more" if len(off) > MOST_PLOTS else ""
    plots = "; ".join(_named(each) for each in off[:MOST_PLOTS])
    text = f"{why}{several(len(off), 'plot')} not as in {off[0].against}: {plots}{more}{_answers(off, view)}"
    return [_of_plot(off[0], level, text, off)]


def _answers(off: Sequence[PlotVerdict], view: View) -> str:
    """Return whether conditions explain what is off, as far as is known: of how many plots, if not of all."""
    found = Counter(view.explained[each.plot].answer for each in off if each.plot in view.explained)
    of = {answer: f" ({count} of {len(off)})" if count < len(off) else "" for answer, count in found.items()}
    return "".join(f". {answer[0].upper()}{answer[1:]}{of[answer]}" for answer in found)


def _named(verdict: PlotVerdict) -> str:
    part = f" in {verdict.part}" if verdict.part else ""
    return f"{experiment().plots[verdict.plot].title} {shapes.off(verdict)}{part}"


def _line(detector: str, view: View) -> Any:
    """Return the detector's yield over the run, marked where what its tile says began."""
    its = view.judgement.yields.get(detector) if view.judgement is not None and not view.is_loading else None
    bad = [each for each in _of(detector, view) if each.verdict.ended is None] if its is not None else []
    return None if its is None else sparkline(its, _begun(bad[0]) if bad else None)


def _all_of(detector: str, view: View) -> list[Any]:
    """Return how a detector is, and all that is and was wrong with it: what is over behind, the newest of it first."""
    its, off = _of(detector, view), _off_tiles(detector, view)
    off = [*(_tile(_too_many(each, view), detector, "tile one") for each in _over(detector, view)), *off]
    if not its:
        return off or [_tile(_said(detector, view), detector, "tile")]
    bad = [each for each in its if each.verdict.ended is None]
    past = sorted((each for each in its if each.verdict.ended is not None), key=_begun, reverse=True)
    shown = [*bad, *past][:MOST]
    found = [part for each in shown for part in _with_what_follows(each, detector, view)]
    left = len(its) - len(shown)
    more = Said(
        Level.IDLE, f"{several(left, 'fault')} more: spilldeck checks show {view.run}", [*map(_name, bad[MOST:])]
    )
    return [*found, *([_tile(more, detector, "tile one")] if left else []), *off]


def _begun(cause: Cause) -> int:
    return cause.verdict.finding.begin.first


def _with_what_follows(cause: Cause, detector: str, view: View) -> list[Any]:
    """Return a fault, and beneath it what follows, folded when it is long."""
    level = _wrong_level(view) if cause.verdict.ended is None else Level.IDLE
    issue = _issue_of(cause, view) if cause.verdict.ended is None else None
    by_tables = f". {of_peak(view.book.totals).words}" if isinstance(cause.verdict.finding, Moved) else ""
    said = f"{cause_words(cause)}: {measured(cause.verdict)}{by_tables}"
    if issue is not None:
        level, said = Level.KNOWN, f"{_of_issue(issue)}. {said}"
    names = [_name(cause)] if cause.verdict.ended is None else []
    fault = _tile(Said(level, said, names), detector, "tile one")
    lines = [html.Li(f"{words(each)}: {measured(each)}") for each in cause.follows]
    plots = next((its for each, its in _beneath(view).of if each is cause), ())
    lines += [html.Li(to_page(f"{_named(each)}{_answers([each], view)}", f"/plot/{each.plot}")) for each in plots]
    if not lines:
        return [fault]
    title = html.Summary(f"What follows from it: {len(lines)}")
    return [fault, html.Details([title, html.Ul(lines)], className="follows", open=len(lines) <= MOST)]


def _too_many(over: TooMany, view: View) -> Said:
    return Said(_wrong_level(view), over.words, [_name(over)])


def _said(detector: str, view: View) -> Said:
    """Return what a tile says: unknown is not good, and what does not go on is not now."""
    judgement = view.judgement
    if view.is_retired:
        return Said(Level.UNKNOWN, "Left Redis")
    if view.is_loading or judgement is None:
        return Said(Level.UNKNOWN, "Not judged yet")
    if detector in situation.not_read_out(view.book.totals):
        return Said(Level.IDLE, "Not read out in this run")
    if over := _over(detector, view):  # what cannot be read has no hits, either
        return _too_many(over[0], view)
    its, off = _of(detector, view), [each for each in _off(detector, view) if _issue_of(each, view) is None]
    bad = [each for each in its if each.verdict.ended is None and _issue_of(each, view) is None]
    if off and not bad:
        more = f"; {several(len(off) - 1, 'plot')} more" if len(off) > 1 else ""
        return Said(off[0].level, f"{_named(off[0])}{more}", [*map(_name, off)])
    if judgement.problem:
        return Said(Level.UNKNOWN, f"Cannot be judged: {judgement.problem}")
    waiting = f": {several(judgement.left, 'spill')} not judged yet" if judgement.is_behind else ""
    as_of = f", as of spill {judgement.last}{waiting}" if judgement.left else ""
    if bad:
        return Said(_wrong_level(view), _first(bad, view) + as_of, [*map(_name, bad)])
    if not judgement.counted:
        why = "Not judged yet" if view.book.totals.filled else f"No spills{view.yet}"
        return Said(Level.UNKNOWN, "No hits by channel are kept of this run" if judgement.spills else why)
    if judgement.is_settling:
        spills = f"{judgement.counted}/{SETTLING + 1} spills"
        return Said(Level.IDLE, f"Not enough data: {spills}" if view.is_over else f"Settling: {spills}{as_of}")
    return _at_rest(detector, view, as_of)


def _at_rest(detector: str, view: View, as_of: str) -> Said:
    """Return what a tile says of a detector with which nothing is wrong, or nothing that is not known."""
    if known := _known(detector, view):
        return Said(Level.KNOWN, f"{known}{as_of}")
    its = _of(detector, view)
    was = f"; {several(len(its), 'fault')} before" if its else ""
    if following := _off(detector, view, follow=True):  # as far off as they may be, they are not as they should be
        plots = f"{several(len(following), 'plot')} not as in {following[0].against}"
        return Said(Level.WARNING, f"No change{was}{as_of}; {plots}, as may follow from what is wrong elsewhere")
    level = Level.UNKNOWN if view.judgement is not None and view.judgement.is_behind else Level.GOOD
    return Said(level, f"No change{was}{as_of}{_as_in(detector, view)}")


def _as_in(detector: str, view: View) -> str:
    """Return what the plots of a detector are like, if that is known of one at least."""
    if not view.automatic.compared:
        return "; no run to compare with"
    verdicts = [view.shapes[plot.name] for plot in experiment().detectors[detector].plots if plot.name in view.shapes]
    good = next((each for each in verdicts if each.state is shapes.State.GOOD), None)
    return f"; plots as in {good.against}{_itself(view)}" if good is not None else ""


def _of(detector: str, view: View) -> list[Cause]:
    """Return what is and was wrong with a detector, each with what follows from it."""
    its = {each.name for each in experiment().watched.get(detector, ())}
    return [each for each in view.judgement.causes if each.where in its] if view.judgement is not None else []


def _first(bad: Sequence[Cause], view: View) -> str:
    """Return the one that takes most with it, with since when, and how many others there are."""
    first, spills = bad[0], view.run_spills
    times_us = spills.time_us[spills.spill >= _begun(first)]
    ago = f", {span(view.now_s - times_us[0] / 1e6)} ago" if len(times_us) and view.run == view.current else ""
    others = f"; {len(bad) - 1} more" if len(bad) > 1 else ""
    against = f", unlike in {view.automatic.compared}{_itself(view)}" if _is_from_the_begin(first) else ""
    return f"{cause_words(first)}{against}{ago}{others}"


def _itself(view: View) -> str:
    """Say so if something is wrong with the reference itself: then it may be that, and not this run."""
    return f" (itself with {several(view.automatic_faults, 'fault')})" if view.automatic_faults else ""


def _is_from_the_begin(cause: Cause) -> bool:
    """Say whether another run tells it: then that one may be the one with the fault."""
    finding = cause.verdict.finding
    return isinstance(finding, Finding) and finding.from_the_begin
