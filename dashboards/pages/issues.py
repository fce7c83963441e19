"""The page of known issues: what is known to be wrong, who sees to it, and how often it was seen."""

from typing import Any

from dash import html

from dashboards.addresses import at
from dashboards.data import View
from dashboards.pages.elements import element, label
from dashboards.pages.links import to_page, to_page_with
from streams.books.flags import END
from streams.books.issues import LONGEST_NAME, LONGEST_TEXT, Issue
from streams.books.named import PLOT
from streams.books.notes import LONGEST_NOTE
from streams.experiment import experiment
from streams.words import calendar_time

HEADS = ("Is", "Of", "What is known", "Seen")
WITHDRAWN_LISTED = 20
"""Those that were withdrawn, the newest ones."""


def asking(view: View) -> int:
    """Return how many are past their end, and ask whether they are still so."""
    return sum(each.asks(view.current, _now_us(view)) for each in view.issues)


def listed_issues(view: View) -> tuple[Any, ...]:
    """Return what changes when the page does."""
    return view.issues, view.known, [each.asks(view.current, _now_us(view)) for each in view.issues]


def issues(view: View) -> list[Any]:
    """Return the known issues, those that ask first, and the last ones that were withdrawn."""
    now_us = _now_us(view)
    here = [each for each in view.issues if each.withdrawn is None]
    here.sort(key=lambda each: (not each.asks(view.current, now_us), each not in view.known))
    over = [each for each in reversed(view.issues) if each.withdrawn is not None][:WITHDRAWN_LISTED]
    parts: list[Any] = [html.P(known_button("", "Add a known issue"))]
    parts.append(_table(here, view) if here else html.P("Nothing is known to be wrong."))
    if over:
        parts.append(html.Details([html.Summary(f"Withdrawn: the last {len(over)}"), _table(over, view)]))
    return parts


def known_button(of: str, words: str = "Known issue") -> Any:
    """Return what opens the form of a known issue.

    Parameters
    ----------
    of
        What it is of, as alarms name it, without the side; empty if whoever opens it says so.
    """
    said = f"Note that it is known: {of}" if of else "Note what is known to be wrong"
    return html.Button(
        words, title=said, type="button", className="choice may-expert", **{"data-do": "issue", "data-of": of}
    )


def issue_form() -> list[Any]:
    """Return what notes a known issue; as elements, which the browser writes."""
    names = [*experiment().plots, *(each.name for each in experiment().all_watched)]
    number = {"type": "number", "min": "0", "max": str(END)}
    form = [
        label(
            ["Of ", element("input", name="of", list="issue-places", required=True, maxlength=f"{LONGEST_NAME * 2}")]
        ),
        element("datalist", [element("option", value=name) for name in names], id="issue-places"),
        label(["What is known ", element("input", name="text", required=True, maxlength=str(LONGEST_TEXT))]),
        label(["Who sees to it ", element("input", name="owner", required=True, maxlength=str(LONGEST_NAME))]),
        label(["Runs from ", element("input", name="first", placeholder="any", **number)]),
        label(["to ", element("input", name="last", placeholder="any", **number)]),
        label(["Until (UTC) ", element("input", name="until", type="datetime-local")]),
        element("button", ["Note it"], type="submit", className="choice"),
    ]
    return [
        element(
            "p", ["A plot by its name, GROUP/CHANNEL as alarms name them, or GROUP. It ends with a run or a time."]
        ),
        element("form", form, id="issue-form", className="may-expert"),
        element("p", className="acting why"),
        element("p", id="issue-status", role="status"),
    ]


def note_form() -> list[Any]:
    """Return what notes something of the run that is shown; as elements, which the browser writes."""
    form = [
        element(
            "textarea", name="text", rows="4", maxlength=str(LONGEST_NOTE), required=True, **{"aria-label": "Note"}
        ),
        element("button", ["Log it"], type="submit", className="choice"),
        element("button", ["As Markdown"], type="button", className="choice", **{"data-log": "markdown"}),
    ]
    return [
        element("p", ["It stands in the hand-over of this shift, and goes to the clipboard, with link and picture."]),
        element("p", ["What it begins with is replaced as you type; End keeps it."]),
        element("form", form, id="note-form", className="may-shifter"),
        element("p", className="acting why"),
        element("p", id="note-status", role="status"),
    ]


def tabs(view: View, here: str) -> Any:
    """Return the links between alarms, known issues, checklist and hand-over: what shifts know of each other."""
    asks = asking(view)
    titles = {
        "alarms": "Alarms",
        "issues": f"Known issues ({asks} ask{'s' if asks == 1 else ''})" if asks else "Known issues",
    }
    links = [to_page(words, f"/{name}", className="here" if name == here else "") for name, words in titles.items()]
    # Pages of their own: they keep nothing that is chosen.
    own = [html.A("Checklist", href=at("/checklist")), html.A("Hand-over", href=at("/handover"))]
    return html.Nav([*links, *own], className="tabs")


def _table(its: list[Issue], view: View) -> Any:
    heads = [html.Th(head, scope="col") for head in HEADS]
    return html.Table(
        [html.Thead(html.Tr(heads)), html.Tbody([_row(each, view) for each in its])], className="flags alarms"
    )


def _row(issue: Issue, view: View) -> Any:
    words, level = _state(issue, view)
    head = html.Th([words, html.Div(issue.ends, className="why")], scope="row", className=level)
    what = [html.Div(issue.text, className="words"), html.Div(f"{issue.owner} sees to it", className="why")]
    noted = f"Noted by {issue.who}, {_time(issue.at_us)}"
    if issue.extended is not None:
        noted = f"{noted}; still so: {issue.extended.who}, {_time(issue.extended.at_us)}"
    what.append(html.Div(noted, className="why"))
    seen = [html.Div(issue.seen[:1].upper() + issue.seen[1:])]
    if issue.hit is not None:
        run = f"run={issue.hit.run}"
        seen.append(to_page_with(f"Run {issue.hit.run}", "/", run, said="Show this run"))
    return html.Tr([head, html.Td(_of(issue)), html.Td(what), html.Td([*seen, *_became(issue)])], key=issue.id)


def _state(issue: Issue, view: View) -> tuple[str, str]:
    if issue.withdrawn is not None:
        return "– withdrawn", "unknown"
    if issue.asks(view.current, _now_us(view)):
        return "? expired: still so?", "warning"
    return ("▨ known here", "") if issue in view.known else ("– not of this run", "unknown")


def _of(issue: Issue) -> Any:
    name = issue.of.removeprefix(PLOT)
    if name in experiment().plots:
        return to_page(experiment().plots[name].title, f"/plot/{name}")
    return issue.of


def _became(issue: Issue) -> list[Any]:
    if issue.withdrawn is not None:
        why = f": {issue.withdrawn.reason}" if issue.withdrawn.reason else ""
        return [html.Div(f"Withdrawn by {issue.withdrawn.who}, {_time(issue.withdrawn.at_us)}{why}")]
    own = {"className": "choice may-expert", "type": "button", "data-issue": issue.id}
    return [
        html.Button("Still so", title=f"Give it another end: {issue.text}", **own, **{"data-act": "extend-issue"}),
        html.Button("Withdraw", title=f"It is no more so: {issue.text}", **own, **{"data-act": "withdraw-issue"}),
    ]


def _now_us(view: View) -> int:
    return round(view.now_s * 1_000_000)


def _time(at_us: int) -> str:
    return f"{calendar_time(at_us / 1000)} UTC"
