"""What people say of a run: in a word, and all of it with what became of each flag."""

from datetime import UTC, datetime
from typing import Any

from dash import html

from dashboards.data import View
from dashboards.pages.elements import element, label
from streams.books.flags import ALL, END, Flag, Flags, Interval, Shares, Verdict, intervals, of_run, shares, spill_words
from streams.books.proposals import Proposal, Proposed
from streams.experiment import experiment
from streams.words import several

MARKS = {Verdict.BAD: "✕", Verdict.UNKNOWN: "?", Verdict.GOOD: "✓"}
"""The worst first."""
UNSEEN = "– not looked at"
MOST = 100
"""Flags that are listed, the newest, and ranges of what holds: a program may set any number."""
_LEVELS = {Verdict.BAD: "bad", Verdict.UNKNOWN: "unknown", Verdict.GOOD: "good"}


def run_word(flags: Flags, proposal: Proposal | None) -> str:
    """Return what is said of a run, mark and word; of some of its spills, if it is not said of all."""
    found = of_run(flags)
    worst = next((each for each in MARKS if any(each is its.verdict for its in found)), None)
    if worst is None:
        worst = _proposed(proposal)
        return UNSEEN if worst is None else f"{UNSEEN} (proposed: {MARKS[worst]} {worst})"
    is_whole = {its.verdict for its in found} == {worst} and _spills(found) == END + 1
    return f"{MARKS[worst]} {worst}" if is_whole else f"{MARKS[worst]} {worst} in part"


def strip_flag(view: View) -> Any:
    """Return what is said of the run that is shown, which opens all that is."""
    flags = view.flags.get(view.run, ()) if view.run is not None else ()
    counted = _shares(view, flags)
    worst = next((each for each in MARKS if getattr(counted, each.value)), None)
    proposal = view.proposed.get(view.run) if view.run is not None else None
    proposed = _proposed(proposal) if not flags else None
    # There is no room for more: the rest stands where it leads.
    words = UNSEEN if proposed is None else f"– proposed {MARKS[proposed]}"
    level = "unknown" if not flags else ""
    if worst is not None:
        share = percent(getattr(counted, worst.value), len(view.book.ledger))
        words, level = f"{MARKS[worst]} {worst}" + (f" {share}" if share != "100 %" else ""), _LEVELS[worst]
    return html.Button(
        [html.Div("Flag", className="what"), html.Div(words, className=f"value {level}".strip())],
        className="flag",
        title=f"{_in_full(view, counted)}. Show all flags",
        **{"data-do": "flags"},
    )


def is_flagged(view: View) -> bool:
    """Say whether somebody said of each spill of the run what it is."""
    flags = view.flags.get(view.run, ()) if view.run is not None else ()
    return bool(of_run(flags)) and not _shares(view, flags).unseen


def flags_in_full(view: View) -> str:
    """Return which shares of the run that is shown are what, in words."""
    return _in_full(view, _shares(view, view.flags.get(view.run, ()) if view.run is not None else ()))


def flags_shares(view: View) -> list[Any]:
    """Return which shares of the run that is shown are what."""
    if view.run is None:
        return [html.P("There is no run yet.")]
    words = html.P([html.B(f"Run {view.run}: "), flags_in_full(view)], **{"data-run": str(view.run)})
    return [words]


def _proposed(proposal: Proposal | None) -> Verdict | None:
    """Return the worst that the checks propose."""
    verdicts = {each.verdict for each in proposal.flags} if proposal is not None else set()
    return next((each for each in MARKS if each in verdicts), None)


def flags_list(view: View) -> list[Any]:
    """Return all that is said of the run that is shown; it is written anew when somebody says something alone."""
    if view.run is None:
        return []
    return [*_proposals(view.proposed.get(view.run)), *_flags(view.run, view.flags.get(view.run, ()))]


def _proposals(proposal: Proposal | None) -> list[Any]:
    """Return what the checks propose; each can be taken into the form, and is set by who takes it."""
    if proposal is None or not proposal.flags:
        return []
    against = f", against run {proposal.reference}" if proposal.reference is not None else ""
    return [html.P(f"The checks propose{against}:"), html.Ul([_proposal(each) for each in proposal.flags])]


def _proposal(its: Proposed) -> Any:
    said = (
        f"{MARKS[its.verdict]} {its.verdict}: {_title(its.detector)}, {spill_words(its.first, its.last)}: {its.reason}"
    )
    numbers = {"data-first": str(its.first or ""), "data-last": "" if its.last == END else str(its.last)}
    what = {"data-verdict": its.verdict.value, "data-detector": its.detector, "data-reason": its.reason}
    button = html.Button(
        "Take over",
        title="Write it into the form",
        type="button",
        className="choice may-shifter",
        **{"data-act": "take-over"},
        **what,
        **numbers,
    )
    return html.Li([said, " ", button])


def _flags(run: int, flags: Flags) -> list[Any]:
    if not flags:
        return []
    heads = [html.Th(head, scope="col") for head in ("Flag", "Of", "By", "Reason", "")]
    rows = [_row(run, flag) for flag in reversed(flags[-MOST:])]
    before = len(flags) - len(rows)
    return [
        html.Ul([html.Li(line) for line in _holds(flags)]),
        html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="flags"),
        *([html.P(f"{several(before, 'flag')} before these: spilldeck flags list {run}.")] if before else []),
    ]


def flag_form() -> list[Any]:
    """Return what sets a flag; as elements, which the browser writes."""
    verdicts = [
        label(
            [element("input", type="radio", name="verdict", value=each.value, required=True), f" {MARKS[each]} {each}"]
        )
        for each in reversed(MARKS)
    ]
    names = {ALL: "all detectors"} | {name: _title(name) for name in experiment().tables}
    options = [element("option", [words], value=name) for name, words in names.items()]
    number = {"type": "number", "min": "0", "max": str(END), "placeholder": "whole run"}
    form = [
        element("fieldset", [element("legend", ["The run is"]), *verdicts]),
        label(["Of ", element("select", options, name="detector")]),
        label(["Spills from ", element("input", name="first", **number)]),
        label(["to ", element("input", name="last", **number)]),
        label(["Reason ", element("input", name="reason", type="text", maxlength="1000", autocomplete="off")]),
        element("button", ["Set flag"], type="submit", className="choice"),
    ]
    return [
        element("form", form, id="flag-form", className="may-shifter"),
        element("p", className="acting why"),
        element("p", id="flag-status", role="status"),
    ]


def percent(some: int, of: int) -> str:
    """Return a share that says all or nothing only where it is so."""
    if some == of:
        return "100 %"
    share = round(100 * some / max(of, 1))
    return "< 1 %" if some and not share else "> 99 %" if share == 100 else f"{share} %"


def _row(run: int, flag: Flag) -> Any:
    when = f"{datetime.fromtimestamp(flag.at_us / 1e6, UTC):%d %b %H:%M:%S} UTC"
    became: list[Any] = []
    if flag.withdrawn is not None:
        why = f": {flag.withdrawn.reason}" if flag.withdrawn.reason else ""
        became = [f"withdrawn by {flag.withdrawn.who}{why}"]
    else:
        its = {"data-flag": flag.id, "data-run": str(run), "className": "choice may-shifter", "type": "button"}
        became = [f"verified by {flag.verified.who}"] if flag.verified else ["not verified"]
        if flag.verified is None:
            became.append(
                html.Button("Verify", title="Agree with what somebody else said", **its, **{"data-act": "verify"})
            )
        became.append(html.Button("Withdraw", title="Take it back", **its, **{"data-act": "withdraw"}))
    cells = [
        f"{_title(flag.detector)}, {flag.spills}",
        [flag.who, html.Div(when, className="why")],
        flag.reason,
        became,
    ]
    head = html.Th(f"{MARKS[flag.verdict]} {flag.verdict}", scope="row", className=_LEVELS[flag.verdict])
    return html.Tr([head, *map(html.Td, cells)], key=flag.id, className="withdrawn" if flag.withdrawn else "")


def _holds(flags: Flags) -> list[str]:
    """Return what holds, of each detector that has flags of its own."""
    lanes = dict.fromkeys((ALL, *(flag.detector for flag in flags if flag.withdrawn is None)))
    said = {lane: intervals(flags, lane) for lane in lanes}
    return [f"{_title(lane)}: {_ranges(found)}" for lane, found in said.items() if found]


def _ranges(found: list[Interval]) -> str:
    more = [f"and {len(found) - MOST:,} more"] if len(found) > MOST else []
    return ", ".join([*map(_interval, found[:MOST]), *more])


def _interval(its: Interval) -> str:
    return f"{spill_words(its.first, its.last)} {MARKS[its.verdict]} {its.verdict}"


def _in_full(view: View, counted: Shares) -> str:
    spills = len(view.book.ledger)
    said = [f"{percent(getattr(counted, each.value), spills)} {each}" for each in reversed(MARKS)]
    flags = view.flags.get(view.run, ()) if view.run is not None else ()
    waiting = sum(flag.withdrawn is None and flag.verified is None for flag in flags)
    unseen = f"{percent(counted.unseen, spills) if spills else '100 %'} not looked at"
    return ", ".join([*said, unseen]) + (f"; {waiting} not verified" if waiting else "")


def _shares(view: View, flags: Flags) -> Shares:
    return shares(of_run(flags), sorted(view.book.ledger)) if flags else Shares(0, 0, 0, len(view.book.ledger))


def _spills(found: list[Interval]) -> int:
    return sum(its.last - its.first + 1 for its in found)


def _title(detector: str) -> str:
    if detector == ALL:
        return "all"
    return experiment().detectors[detector].title if detector in experiment().detectors else detector
