"""The page of alarms: what waits for somebody, what to do about it, and how many there were."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from dash import html

from dashboards.addresses import at
from dashboards.data import View
from dashboards.pages.issues import known_button
from dashboards.pages.links import log_button, to_page, to_page_with
from schemas.records import NO_RUN
from streams.books.advice import advice
from streams.books.alarms import STEADY_MOST, UPSET_MOST, Alarm, Figures, New, by_priority, figures
from streams.books.named import PLOT
from streams.experiment import experiment
from streams.freshness import MARK, Freshness, Level
from streams.words import several

HEADS = ("Alarm", "What", "What to do", "Who knows")
LISTED = 100
"""Alarms that are not over."""
OVER_LISTED = 20
"""Those that are, the newest ones."""
_US = 1_000_000
NONE = "No alarm is known."


class Bell(NamedTuple):
    """What the link to the page says."""

    waiting: tuple[str, ...] = ()
    """Alarms that wait for somebody to acknowledge them: how much depends on each, and its id."""
    watching: Freshness | None = None
    """Whether anybody watches; None if nobody can say."""


def bell(view: View) -> Bell:
    """Return what waits, and whether anybody watches: else that nothing waits says nothing."""
    now_us = _now_us(view)
    waiting = (f"{each.new.priority}:{each.id}" for each in view.alarms if each.waits(now_us))
    return Bell(tuple(waiting), view.watching)


def listed_alarms(view: View) -> tuple[Any, ...]:
    """Return what changes when the page does."""
    now_us = _now_us(view)
    quiet = [(each.is_shelved(now_us), each.is_known(now_us)) for each in view.alarms]
    return view.alarms, figures(view.alarms, now_us), quiet, view.watching


def alarms(view: View) -> Any:
    """Return the alarms that are not over, what matters most first, and the last of those that are."""
    now_us = _now_us(view)
    here = sorted((each for each in view.alarms if not each.is_over), key=by_priority)
    here.sort(key=lambda each: (not each.waits(now_us), not each.is_active))
    over = [each for each in reversed(view.alarms) if each.is_over][:OVER_LISTED]
    parts: list[Any] = [_watching(view.watching), _figures(figures(view.alarms, now_us))]
    parts += [_table(here[:LISTED], now_us)] if here else [html.P(NONE)]
    if len(here) > LISTED:
        parts.append(html.P(f"{several(len(here) - LISTED, 'alarm')} more: spilldeck alarms list"))
    if over:
        parts.append(html.Details([html.Summary(f"Over: the last {len(over)}"), _table(over, now_us)]))
    return parts


def _watching(its: Freshness) -> Any:
    return html.P([html.Span(MARK[its.level], className="mark"), " ", its.text], className=f"watching {its.level}")


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
    words, level = state_of(alarm, now_us)
    action, call, _ = advice(alarm.new)
    to_do = [action, html.Div(f"Call: {call}", className="why")] if action else []
    head = html.Th([words, html.Div(f"{alarm.new.priority} priority", className="why")], scope="row", className=level)
    return html.Tr([head, html.Td(_what(alarm)), html.Td(to_do), html.Td(_became(alarm, now_us))], key=alarm.id)


def state_of(alarm: Alarm, now_us: int) -> tuple[str, str]:
    """Return how an alarm is, with its mark, and how good that is."""
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
    links.append(
        html.A("Its page", href=at(f"/alarm/{alarm.id}"), className="choice", title="To be sent to a telephone")
    )
    links.append(log_button(new.plot, new.words))
    return [
        html.Div(new.words, className="words"),
        html.Div(when(new, alarm.at_us), className="why"),
        html.Div(links, className="links"),
    ]


def when(new: New, at_us: int) -> str:
    """Return in which run, after which spill and when an alarm was raised."""
    spill = f"told after spill {new.spill}, " if new.spill != NO_RUN else ""
    return f"Run {new.run}, {spill}{_time(at_us)}" if new.run != NO_RUN else _time(at_us)


def who_knows(alarm: Alarm, now_us: int) -> list[str]:
    """Return who acknowledged or shelved an alarm, and why it was cleared, a line each."""
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
    return lines


def _became(alarm: Alarm, now_us: int) -> list[Any]:
    """Return who knows of an alarm, and what one can do about it."""
    its_own = {"className": "choice may-shifter", "type": "button", "data-alarm": alarm.id}
    buttons = []
    if alarm.acknowledged is None:
        said = f"Say that you know: {alarm.new.words}"
        buttons.append(html.Button("Acknowledge", title=said, **its_own, **{"data-act": "acknowledge-alarm"}))
    if alarm.is_active:
        said = f"Hear nothing of it for a while: {alarm.new.words}"
        buttons.append(html.Button("Shelve", title=said, **its_own, **{"data-act": "shelve-alarm"}))
    if alarm.is_active and alarm.new.is_verdict:
        buttons.append(known_button(alarm.new.of if alarm.new.of.startswith(PLOT) else alarm.new.of.rpartition("/")[0]))
    return [*map(html.Div, who_knows(alarm, now_us)), *buttons]


def sound() -> Any:
    """Return what switches the sound on and off, and tries it; see ``sound.js``."""
    switch = html.Button(
        "Sound: off",
        id="sound",
        className="choice",
        type="button",
        role="switch",
        disabled=True,  # until the script has come
        title="Have alarms heard in this browser (s)",
        **{"aria-checked": "false", "data-sound": "turn", "data-key": "s"},
    )
    its = {"className": "choice", "type": "button", "title": "Hear what alarms of each priority sound like"}
    return html.P([switch, html.Button("Test", **its, **{"data-sound": "test"})], className="sounds")


def link(here: str, its: Bell) -> Any:
    """Return the link to the page, with how many wait, and the mark of what keeps others from being raised."""
    count, watching = len(its.waiting), its.watching
    unwatched = watching if watching is not None and watching.level is not Level.GOOD else None
    classes = [name for name, has in (("here", here == "/alarms"), ("bad", count > 0)) if has]
    words = ["Alarms", *([str(count)] if count else []), *([MARK[unwatched.level]] if unwatched else [])]
    said = {"title": unwatched.text, "aria-label": f"{' '.join(words)} {unwatched.text}"} if unwatched else {}
    said["data-waiting"] = " ".join(its.waiting)
    return to_page(" ".join(words), "/alarms", className=" ".join(["apart", *classes]), **said)


def _now_us(view: View) -> int:
    return round(view.now_s * _US)


def _time(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us / _US, UTC):%d %b %H:%M:%S} UTC"
