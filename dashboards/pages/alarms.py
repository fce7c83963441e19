"""The page of alarms: what waits for somebody, what to do about it, and how many there were."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dash import html

from dashboards.data import View
from dashboards.pages.issues import known_button
from dashboards.pages.links import to_page, to_page_with
from streams.books.alarming import advice
from streams.books.alarms import STEADY_MOST, UPSET_MOST, Alarm, Figures, by_priority, figures
from streams.books.issues import PLOT
from streams.experiment import experiment
from streams.words import several

HEADS = ("Alarm", "What", "What to do", "Who knows")
LISTED = 100
"""Alarms that are not over."""
OVER_LISTED = 20
"""Those that are, the newest ones."""
_US = 1_000_000
NONE = "No alarm is known. Only spilldeck alarms watch raises them, and this page does not see whether it is at work."
"""Unknown is not good: the page cannot tell that nothing is wrong."""


def waiting(view: View) -> int:
    """Return how many alarms wait for somebody to acknowledge them."""
    return sum(each.waits(_now_us(view)) for each in view.alarms)


def listed_alarms(view: View) -> tuple[Any, ...]:
    """Return what changes when the page does."""
    now_us = _now_us(view)
    return (
        view.alarms,
        figures(view.alarms, now_us),
        [(each.is_shelved(now_us), each.is_known(now_us)) for each in view.alarms],
    )


def alarms(view: View) -> Any:
    """Return the alarms that are not over, what matters most first, and the last of those that are."""
    now_us = _now_us(view)
    here = sorted((each for each in view.alarms if not each.is_over), key=by_priority)
    here.sort(key=lambda each: (not each.waits(now_us), not each.is_active))
    over = [each for each in reversed(view.alarms) if each.is_over][:OVER_LISTED]
    parts: list[Any] = [_figures(figures(view.alarms, now_us))]
    parts += [_table(here[:LISTED], now_us)] if here else [html.P(NONE)]
    if len(here) > LISTED:
        parts.append(html.P(f"{several(len(here) - LISTED, 'alarm')} more: spilldeck alarms list"))
    if over:
        parts.append(html.Details([html.Summary(f"Over: the last {len(over)}"), _table(over, now_us)]))
    return parts


def _figures(its: Figures) -> Any:
    """Return how many there were, held against what one person can bear."""
    lately = f"{its.lately} in the last 10 minutes (bearable for long: {STEADY_MOST})"
    worst = f"{its.worst} in the worst 10 minutes of the last 8 hours (bearable once: {UPSET_MOST})"
    return html.P(
        [
            html.B(f"{several(its.standing, 'alarm')} active"),
            ", raised ",
            html.Span(lately, className="bad" if its.lately > STEADY_MOST else ""),
            ", ",
            html.Span(worst, className="bad" if its.worst > UPSET_MOST else ""),
            html.Span(" after EEMUA 191", className="why"),
        ],
        className="figures",
    )


def _table(its: Sequence[Alarm], now_us: int) -> Any:
    heads = [html.Th(head, scope="col") for head in HEADS]
    rows = [_row(each, now_us) for each in its]
    return html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="flags alarms")


def _row(alarm: Alarm, now_us: int) -> Any:
    words, level = _state(alarm, now_us)
    action, call = advice(alarm.new)
    to_do = [action, html.Div(f"Call: {call}", className="why")] if action else []
    head = html.Th([words, html.Div(f"{alarm.new.priority} priority", className="why")], scope="row", className=level)
    return html.Tr([head, html.Td(_what(alarm)), html.Td(to_do), html.Td(_became(alarm, now_us))])


def _state(alarm: Alarm, now_us: int) -> tuple[str, str]:
    if not alarm.is_active:
        return ("✓ over" if alarm.is_over else "✓ recovered"), "good"
    if alarm.is_known(now_us):
        return "▨ known issue", "unknown"
    if alarm.is_shelved(now_us):
        return "– shelved", "unknown"
    return ("✕ acknowledged", "unknown") if alarm.acknowledged else ("✕ active", "bad")


def _what(alarm: Alarm) -> list[Any]:
    new = alarm.new
    detector = experiment().detectors.get(new.detector)
    run = f"run={new.run}"
    links = []
    if detector is not None:
        said = f"All of {detector.title} in run {new.run}"
        links.append(to_page_with(detector.title, f"/detector/{new.detector}", run, said=said))
    if new.plot in experiment().plots:
        title = experiment().plots[new.plot].title
        links.append(to_page_with(title, f"/plot/{new.plot}", run, said=f"This plot in run {new.run}"))
    when = f"Run {new.run}, told after spill {new.spill}, {_time(alarm.at_us)}"
    return [html.Div(new.words, className="words"), html.Div(when, className="why"), html.Div(links, className="links")]


def _became(alarm: Alarm, now_us: int) -> list[Any]:
    """Return who knows of an alarm, and what one can do about it."""
    lines = []
    if alarm.acknowledged is not None:
        lines.append(f"{alarm.acknowledged.who}, {_time(alarm.acknowledged.at_us)}")
    if alarm.shelved is not None and alarm.is_shelved(now_us):
        its = alarm.shelved
        lines.append(f"Shelved until {_time(its.until_us)} by {its.who}: {its.reason}")
    if alarm.known is not None:
        lines.append(f"{alarm.known.words[:1].upper()}{alarm.known.words[1:]}")
    if alarm.cleared is not None:
        lines.append(f"{alarm.cleared.reason}, {_time(alarm.cleared.at_us)}")
    its_own = {"className": "choice may-shifter", "type": "button", "data-alarm": alarm.id}
    buttons = []
    if alarm.acknowledged is None:
        said = f"Say that you know: {alarm.new.words}"
        buttons.append(html.Button("Acknowledge", title=said, **its_own, **{"data-act": "acknowledge-alarm"}))
    if alarm.is_active:
        said = f"Hear nothing of it for a while: {alarm.new.words}"
        buttons.append(html.Button("Shelve", title=said, **its_own, **{"data-act": "shelve-alarm"}))
        buttons.append(known_button(alarm.new.of if alarm.new.of.startswith(PLOT) else alarm.new.of.rpartition("/")[0]))
    return [*map(html.Div, lines), *buttons]


def link(here: str, count: int) -> Any:
    """Return the link to the page, with how many wait."""
    classes = [name for name, has in (("here", here == "/alarms"), ("bad", count > 0)) if has]
    return to_page(f"Alarms {count}" if count else "Alarms", "/alarms", className=" ".join(["apart", *classes]))


def _now_us(view: View) -> int:
    return round(view.now_s * _US)


def _time(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us / _US, UTC):%d %b %H:%M:%S} UTC"
