"""The checklist: its lines as the checks answer them now, and the page on which a person fills them in."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html import escape

from dashboards.choices import Choices
from dashboards.data import Data, View
from dashboards.pages.flags import flags_in_full, is_flagged
from dashboards.pages.strip import clock
from dashboards.pages.tiles import detectors
from streams.books import shapes
from streams.books.alarms import by_priority
from streams.books.checklists import LONGEST_REMARK, LONGEST_WHY, OWN, Answer, Checklist, Line
from streams.books.duties import Agenda, Duty
from streams.books.shapes import State
from streams.experiment import experiment
from streams.freshness import MARK, Level
from streams.words import calendar_time, several

MARKS = {Answer.YES: MARK[Level.GOOD], Answer.NO: MARK[Level.BAD], Answer.UNKNOWN: MARK[Level.UNKNOWN]}
NOTHING_DUE = "No checklist is due."
NOBODY_KNOWS = "Nobody knows whether a checklist is due."
_LEVELS = {Answer.YES: Level.GOOD, Answer.NO: Level.BAD, Answer.UNKNOWN: Level.UNKNOWN}
_ANSWERS = {
    Level.GOOD: Answer.YES,
    Level.WARNING: Answer.NO,
    Level.BAD: Answer.NO,
    Level.KNOWN: Answer.NO,
    Level.UNKNOWN: Answer.UNKNOWN,
    Level.IDLE: Answer.UNKNOWN,
}
"""What is known to be wrong is not as it should be, either, and what is not known is never yes."""
_Said = tuple[Answer, str]


def lines(view: View, duty: Duty | None, own: Sequence[str]) -> tuple[Line, ...]:
    """Return the lines of a checklist as the checks answer them.

    Parameters
    ----------
    view
        Of the whole run that it is of.
    duty
        What is due; None if nothing is.
    own
        Lines that a person alone can answer.
    """
    why = _why_unknown(view)
    found = (Line(name, asks, *((Answer.UNKNOWN, why) if why else said())) for name, asks, said in _asked(view, duty))
    of_checks = (line._replace(why=_short(line.why)) for line in found)
    return (*of_checks, *(Line(f"{OWN}{each}", each, Answer.UNKNOWN, "") for each in own))


def _asked(view: View, duty: Duty | None) -> Iterator[tuple[str, str, Callable[[], _Said]]]:
    """Yield name, words and what answers each line of the checks."""
    yield "spills", "Spills came" if view.is_over else "Spills come", lambda: _spills(view)
    yield "processed", "Spills are processed as they come", lambda: _processed(view)
    yield "counted", "No more spills are missing or rejected than may be", lambda: _counted(view)
    for name, of_it in detectors(view).items():
        said = partial(_detector, view, of_it.level, of_it.text)
        yield f"detector {name}", f"{experiment().detectors[name].title}: as it should be", said
    yield "plots", "Plots are as in the reference, where there is enough data", lambda: _plots(view)
    yield "alarms", "All alarms are acknowledged", lambda: _alarms(view)
    if duty is not None and duty.is_end:
        yield "flag", "The run is flagged", lambda: (Answer.YES if is_flagged(view) else Answer.NO, flags_in_full(view))


def _why_unknown(view: View) -> str:
    """Return why nothing is known of the run; empty if something is."""
    if view.is_old:
        return view.warnings[0] if view.warnings else "The store (Redis) does not answer"
    if view.is_loading:
        return "The run is still being read"
    if view.is_unreadable or not view.is_stored:
        return "The run cannot be read"
    return "Some of the run is being made again" if view.is_made_again else ""


def _spills(view: View) -> _Said:
    totals = view.book.totals
    if view.is_over:
        last = f", the last {calendar_time(totals.counted_ms)} UTC" if totals.counted_ms else ""
        return (Answer.YES if totals.filled else Answer.NO), f"{several(totals.filled, 'spill')}{last}"
    return _ANSWERS[view.daq.level], view.daq.text


def _processed(view: View) -> _Said:
    return _ANSWERS[view.pipeline.level], view.pipeline.text


def _counted(view: View) -> _Said:
    totals = view.book.totals
    over = [each.words for each in view.too_many if not each.detector]
    if over:
        return Answer.NO, "; ".join(over)
    if not totals.received:
        return Answer.UNKNOWN, f"No spills{view.yet}"
    return (
        Answer.YES,
        f"{view.missing:,} missing, {totals.all_rejected:,} rejected of {several(totals.received, 'spill')}",
    )


def _detector(view: View, level: Level, text: str) -> _Said:
    if level is Level.GOOD and view.judgement is not None and view.judgement.left:
        return Answer.UNKNOWN, f"Not all is judged yet: {text}"
    return _ANSWERS[level], text


def _plots(view: View) -> _Said:
    known = {state: sum(each.state is state for each in view.shapes.values()) for state in State}
    off = [each for each in shapes.bad(view.shapes) if not each.is_past]
    against = next((each.against for each in view.shapes.values() if each.state is State.GOOD), "")
    if off:
        first = f"{experiment().plots[off[0].plot].title} {shapes.off(off[0])}"
        more = f"; {several(len(off) - 1, 'plot')} more" if len(off) > 1 else ""
        return Answer.NO, f"Not as in {off[0].against}: {first}{more}"
    if not view.automatic.compared:
        return Answer.UNKNOWN, "No run to compare with"
    if not against:
        return Answer.UNKNOWN, "Not enough data" if view.shapes else "Not judged yet"
    of = f"{several(known[State.GOOD], 'plot')} as in {against}"
    few = known[State.FEW] + known[State.SETTLING]
    return Answer.YES, f"{of}; of {few} nobody can tell, for want of data" if few else of


def _alarms(view: View) -> _Said:
    now_us = round(view.now_s * 1e6)
    waiting = sorted((each for each in view.alarms if each.waits(now_us)), key=by_priority)
    if waiting:
        more = f"; {several(len(waiting) - 1, 'alarm')} more" if len(waiting) > 1 else ""
        return Answer.NO, f"Nobody has acknowledged: {waiting[0].new.words}{more}"
    if view.watching.level is not Level.GOOD:
        return Answer.UNKNOWN, view.watching.text
    return Answer.YES, "None waits"


def agenda_words(agenda: Agenda | None, run: int | None) -> str:
    """Return what there is to say if nothing is due, with what falls due next."""
    if agenda is None:
        return NOBODY_KNOWS
    if agenda.next_us is None or run is None:
        return f"{NOTHING_DUE} One falls due at the end of a run."
    return f"{NOTHING_DUE} The next one falls due {_time(agenda.next_us)}, or when run {run} ends."


def shown(data: Data, own: Sequence[str]) -> str:
    """Return what stands on the page of the checklist now, as HTML."""
    view = data.view()
    duty = view.agenda.due[0] if view.agenda is not None and view.agenda.due else None
    return page(view if duty is None or duty.run == view.run else data.view(Choices(run=duty.run)), duty, own)


def page(view: View, duty: Duty | None, own: Sequence[str]) -> str:
    """Return what stands on the page of the checklist, as HTML; the view is of the run that is due, or is current."""
    head = _capital(duty.words) if duty is not None else agenda_words(view.agenda, view.current)
    found = lines(view, duty, own) if view.run is not None else ()
    said = "".join(_line(each, fill=duty is not None) for each in found)
    as_of = f"Run {view.run} as of spill {view.book.totals.last_spill}, {clock(view.now_s)}" if found else ""
    parts = [
        f"<h1>{escape(head)}</h1>",
        f"<p class='why as-of'>{escape(as_of)}</p>",
        _trouble(view),
        _form(duty, said) if duty is not None else f"<ul class='lines'>{said}</ul>" if view.agenda is not None else "",
        *_last(view),
    ]
    state = "unknown" if view.agenda is None else "due" if duty is not None else "nothing"
    return f"<div data-state='{state}'>{''.join(parts)}</div>"


def _trouble(view: View) -> str:
    told = view.warnings[:1] if view.is_old or view.agenda is None else ()
    words = "".join(f"{MARK[Level.BAD]} {escape(each)}" for each in told)
    return f"<p class='trouble bad'>{words}</p>"


def _form(duty: Duty, said: str) -> str:
    key = f"{duty.run} {'end' if duty.is_end else duty.at_us}"
    what = {"run": duty.run, "due_us": duty.at_us, "end": duty.is_end}
    return (
        f"<p id='whose' class='warning' hidden></p>"
        f"<form id='checklist-form' data-key='{key}' data-what='{escape(json.dumps(what))}'>"
        f"<ul class='lines'>{said}</ul>"
        f"<p class='may-shifter'><button type='submit' class='choice'>Send it</button>"
        f" <button type='button' class='choice' data-draft='drop'>Begin anew</button></p></form>"
    )


def _line(line: Line, *, fill: bool) -> str:
    asks, name = escape(line.asks), escape(line.name)
    checks = f"<b class='{_LEVELS[line.checks]}'>{MARKS[line.checks]} {line.checks}</b> {escape(line.why)}"
    words = "Only a person can tell." if line.is_own else checks
    said = f"<b class='asks'>{asks}</b><span class='said' data-said='{line.checks}'>{words}</span>"
    if not fill:
        return f"<li>{said}</li>"
    radios = "".join(
        f"<label><input type='radio' name='{name}' value='{each}'> {MARKS[each]} {each}</label>" for each in Answer
    )
    its = f"aria-label='Remark: {asks}' placeholder='Remark' maxlength='{LONGEST_REMARK}' autocomplete='off'"
    answers = f"<legend class='unseen'>{asks}</legend>{radios}<input class='remark' {its}>"
    return f"<li data-line='{name}'>{said}<fieldset class='may-shifter'>{answers}</fieldset></li>"


def _last(view: View) -> list[str]:
    """Return what was sent last."""
    if not view.checklists:
        return []
    its = view.checklists[-1]
    told = "".join(f"<li>{escape(each.words)}</li>" for each in its.lines)
    return [
        f"<h2 data-sent='{escape(its.id)}'>The last one</h2><p>{escape(sent_words(its))}</p>",
        f"<ul>{told}</ul>" if told else "",
    ]


def sent_words(its: Checklist) -> str:
    """Return who sent a checklist when, of what, and how it came out."""
    return f"{_time(its.at_us)}, {its.who}: {its.of_what}, as of spill {its.spill}: {its.counts}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_WHY else f"{line[: LONGEST_WHY - 1]}…"


def _time(at_us: int) -> str:
    return f"{calendar_time(at_us / 1000, '%d %b %H:%M')} UTC"
