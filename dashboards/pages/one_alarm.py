"""One alarm, on a page that a telephone has at once: words, a small picture, whom to call; some kB, and no plotly."""

from html import escape
from typing import NamedTuple

from dashboards.addresses import at
from dashboards.choices import Choices
from dashboards.data import Data, View
from dashboards.figures.small import small
from dashboards.pages.alarms import state_of, when, who_knows
from dashboards.pages.strip import clock
from streams.books.advice import advice
from streams.books.alarms import Alarm, find
from streams.experiment import experiment
from streams.freshness import MARK, Level

GONE = "There is no such alarm: only the newest ones are remembered."


class Shown(NamedTuple):
    """What the page of an alarm shows."""

    title: str
    body: str
    """HTML."""
    is_there: bool


def one_alarm(data: Data, alarm_id: str) -> Shown:
    """Return the page of an alarm as of now."""
    alarm = find(data.view().alarms, alarm_id)
    if alarm is None:
        # Nobody can say so who has not read them.
        view = data.view()
        why = view.warnings[0] if view.is_old and view.warnings else GONE
        return Shown("No alarm", f"<p>{escape(why)}</p>", is_there=False)
    view = data.view(Choices(run=alarm.new.run) if alarm.new.run >= 0 else Choices())
    return Shown(alarm.new.words, _body(alarm, view), is_there=True)


def _body(alarm: Alarm, view: View) -> str:
    new, its, now_us = alarm.new, advice(alarm.new), round(view.now_s * 1_000_000)
    words, level = state_of(alarm, now_us)
    texts = [("What to do", its.action), ("Whom to call", its.call)]
    texts.append(("Why it matters" if not new.is_verdict else "What is normal", its.why))
    parts = [
        f"<p class='{level}'><b>{escape(words)}</b>, {new.priority} priority</p>",
        f"<h1>{escape(new.words)}</h1>",
        *(f"<p class='why'>{escape(line)}</p>" for line in (when(new, alarm.at_us), *who_knows(alarm, now_us))),
        _buttons(alarm, view),
        *(f"<h2>{title}</h2><p>{escape(text)}</p>" for title, text in texts if text),
        _picture(alarm, view),
        *_freshness(view),
    ]
    return "".join(parts)


def _buttons(alarm: Alarm, view: View) -> str:
    its = "class='choice may-shifter' type='button'"
    of = f"{its} data-alarm='{escape(alarm.id)}'"
    acts = [
        ("Acknowledge", "acknowledge-alarm", alarm.acknowledged is None),
        ("Shelve", "shelve-alarm", alarm.is_active),
    ]
    made = "".join(f"<button {of} data-act='{act}'>{title}</button>" for title, act, can in acts if can)
    # A note is of a run: what is noted of an alarm that is of none is of the current one.
    if view.run is not None and view.is_stored:
        said = {"plot": alarm.new.plot, "words": alarm.new.words, "run": view.run, "spill": view.book.totals.last_spill}
        data = " ".join(f"data-{name}='{escape(str(value))}'" for name, value in said.items())
        made += f"<button {its} data-do='note' {data}>Log it</button>"
    return f"<p class='buttons'>{made}</p>"


def _picture(alarm: Alarm, view: View) -> str:
    plot = experiment().plots.get(alarm.new.plot)
    if plot is None:
        return ""
    link = f"<a class='choice' href='{at('/plot/' + plot.name)}?run={alarm.new.run}'>{escape(plot.title)}</a>"
    if view.is_loading:
        return f"<p>{link} <span class='why'>is being read</span></p>"
    if not view.is_stored:
        return f"<p>Run {alarm.new.run} is not in the books any more.</p>"
    reference = view.reference.histogram(plot.name) if view.reference is not None else None
    called = view.reference.called if view.reference is not None else ""
    totals = view.book.totals
    drawn = small(plot, view.book.book[plot.name], reference, called)
    said = f"Run {alarm.new.run}, {totals.filled:,} spills to {totals.last_spill}"
    return f"<figure>{drawn}<figcaption class='why'>{escape(said)}</figcaption></figure><p>{link}</p>"


def _freshness(view: View) -> list[str]:
    """Return how old all of it is, and whether anybody watches."""
    its = [("DAQ", view.daq), ("Pipeline", view.pipeline), ("Alarms", view.watching)]
    lines = [f"<p class='{fresh.level}'>{MARK[fresh.level]} {title}: {escape(fresh.text)}</p>" for title, fresh in its]
    old = [f"<p class='{Level.BAD}'>{MARK[Level.BAD]} {escape(view.warnings[0])}</p>"] if view.is_old else []
    return [*old, *lines, f"<p class='why'>As of {clock(view.now_s)}</p>"]
