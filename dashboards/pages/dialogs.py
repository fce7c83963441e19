"""What opens over a page: search, runs, what the counters counted, links, keys."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
from dash import dcc, html

from dashboards.access.roles import Role
from dashboards.choices import address_of, book_of
from dashboards.data import Replay, RunSummary, View, book_words
from dashboards.pages.flags import flag_form, run_word
from dashboards.pages.issues import issue_form, note_form
from dashboards.pages.links import act, acting, decide, to_page
from dashboards.pages.strip import out_of_order
from schemas.columns import I8
from schemas.records import TIME
from streams.books import situation
from streams.books.totals import NUMBERS_KEPT, Totals
from streams.experiment import experiment
from streams.plots.model import Plot, Trend
from streams.words import several

RUNS_LISTED = 100
RANGES_LISTED = 200
KEYS = (
    ("?", "This help"),
    ("/", "Find a plot"),
    ("n  p", "Next, previous plot, on a plot’s own page"),
    ("[  ]", "Earlier, later run"),
    ("w", "Whole run or last minute"),
    ("l", "Counts linear or logarithmic"),
    ("b", "Compare with the run before, or not"),
    ("space", "Freeze the plots of this browser, or let them go on"),
    ("f", "Full screen"),
    ("a", "Acknowledge what is bad: it is seen in this browser, and a rotating screen goes on"),
    ("s", "Have alarms heard in this browser, or not; on the page of alarms"),
    ("e", "Log what you see"),
    ("c", "Fill in the checklist, while one is due"),
    ("Esc", "Close what is open; leave the large screen"),
)


def plain(component: Any) -> Any:
    """Return what `json` writes of a component: the browser makes an element of it, by way of Dash or by itself."""
    return component.to_plotly_json()


def dialogs() -> list[Any]:
    """Return what can open over every page."""
    keys = [html.Tr([html.Th(html.Kbd(key)), html.Td(words)]) for key, words in KEYS]
    zoom = "On a plot: drag to zoom, click twice to see all of it. Every key has its button on the page."
    return [
        _dialog(
            "find",
            "Find a plot",
            [_filter("find-words", "Name, detector, keyword or any word of its texts"), _written_later(_plots())],
        ),
        _dialog(
            "runs",
            "Runs",
            [_filter("run-words", "Number, type, state or file"), acting("runs"), html.Div(id="runs-list")],
        ),
        _dialog(
            "flags",
            "Flags",
            [html.Div(id="flags-shares"), _written_later(flag_form()), html.Div(id="flags-list")],
        ),
        _dialog("issue", "Known issue", [_written_later(issue_form())]),
        _dialog("note", "Log it", [_written_later(note_form())]),
        _dialog("counters", "What was counted", [html.Div(id="counted")]),
        _dialog("link", "Link to this view", [_address("live", "As it goes on"), _address("frozen", "As it is now")]),
        _dialog("help", "Keys", [_written_later([html.Table(html.Tbody(keys)), html.P(zoom)])]),
    ]


def listed_flags(view: View) -> list[Any]:
    """Return what is said of the runs that are listed."""
    listed = islice(view.runs.newest_first(), RUNS_LISTED)
    return [(view.flags.get(each.run), view.proposed.get(each.run)) for each in listed]


def runs_list(view: View) -> list[Any]:
    """Return the newest runs, each to be shown or compared with, and the files that can be compared with."""
    rows = [_replay_row(view, each) for each in view.replays_of(view.run)]
    for each in islice(view.runs.newest_first(), RUNS_LISTED):
        begun = f"{datetime.fromtimestamp(each.begin_us / 1e6, UTC):%d %b %H:%M} UTC" if each.begin_us else ""
        state = "live" if each.run == view.current and not each.ended else "ended"
        state = "left Redis" if each.retired else state
        shown = each.run == view.run and view.session is None
        flag = run_word(view.flags.get(each.run, ()), view.proposed.get(each.run))
        words = each.run_type, state, begun, flag
        rows.append(_book_row(f"Run {each.run}", each.run, *words, shown=shown, more=[_to_decide(each)]))
    rows = rows or [html.P("No run is stored yet.")]
    return [*rows, *map(_file_row, view.imports)]  # last: Enter takes the first row, which is a run


def _replay_row(view: View, replay: Replay) -> Any:
    its = book_of(view.run, replay.plan.session)
    promoted = "promoted" if view.run in replay.promoted else ""
    shown = replay.plan.session == view.session
    return _book_row(book_words(view.run, replay.plan.session, "Run"), its, "", replay.state, promoted, "", shown=shown)


def _book_row(called: str, its: int | str | None, *words: str, shown: bool, more: Sequence[Any] = ()) -> Any:
    """Return the row of a book that stands so in the address: to be shown, if it is not, or compared with."""
    show = html.A(called, href=f"?run={its}", **{"data-set": f"run={its}&frozen="})
    parts = [show, *map(html.Span, words), _compare(its), *more]
    return html.Div(parts, key=str(its), className="row book here" if shown else "row book")


def _to_decide(its: RunSummary) -> Any:
    """Return what may be decided of a run: that it has ended, or that others of its type are compared with it."""
    said = {"run": its.run}
    if not its.ended:
        asks = f"Say that run {its.run} has ended, as its DAQ did not. Why?"
        return decide("End", "/act/end-run", said, asks=asks, role=Role.SHIFTER)
    asks = f"Have all later runs of type {its.run_type or 'none'} be compared with run {its.run}. Why?"
    return decide("Pin", "/act/pin-reference", said, asks=asks)


def _file_row(name: str) -> Any:
    """Return the row of an imported file: no run, so that it can only be compared with."""
    parts = [html.B(name), html.Span(), html.Span("imported"), html.Span(), html.Span(), _compare(address_of(name))]
    return html.Div(parts, key=name, className="row book")


def _compare(its: int | str | None) -> Any:
    return html.A("Compare", href=f"?reference={its}", **{"data-set": f"reference={its}"})


def counted(view: View) -> list[Any]:
    """Return what stands behind the counters: which spills are missing, and why others were refused."""
    totals = view.book.totals
    ranges = _gaps(view.run_spills.spill, totals.refused)
    listed = _ranges(ranges)
    on_the_way = " Some of them may still be on their way." if ranges and (view.behind or view.is_made_again) else ""
    rejected = [f"{step}: {count:,}" for step, count in sorted(totals.rejected.items())] or ["none"]
    if totals.refused:
        rejected.append(f"Spills {_ranges(_joined(totals.refused))} are in no plot for it.")
    rejected += _reasons(totals.reasons)
    if totals.rejected:
        rejected.append(f"each with its bytes: spilldeck rejected list --run {view.run}")
    errors = [_failed(totals, name) for name in sorted(totals.errors)] or ["none"]
    absent = [f"{_called(name)}: not in the run" for name in sorted(situation.not_read_out(totals))]
    absent += [f"{_called(name)}: {several(spills, 'spill')}" for name, spills in situation.lapses(totals).items()]
    doubled, late = _which(totals.duplicated), _which(view.disordered[:NUMBERS_KEPT])
    late_spills = out_of_order(view)
    parts = [
        ("Missing", [f"Spills {listed}." + on_the_way if ranges else "none"]),
        (
            "Duplicate",
            [f"{totals.duplicates:,} came again with the same bytes, each counted once{doubled}"]
            if totals.duplicates
            else ["none"],
        ),
        (
            "Out of order",
            [f"{late_spills:,} came after a spill with a higher number, and are counted{late}"]
            if late_spills
            else ["none"],
        ),
        ("Rejected, by step", rejected),
        ("Errors, by detector or plot", errors),
        ("Detectors not read out", absent or ["none"]),
        ("Of no run", [f"{name}: {count:,}" for name, count in sorted(view.unattributed.rejected.items())] or ["none"]),
    ]
    return [html.Div([html.H3(title), *(html.P(line) for line in lines)]) for title, lines in parts]


def _failed(totals: Totals, name: str) -> str:
    """Say of a detector or plot on how many spills it failed, and why on the first one."""
    said = f"{_called(name)}: {several(totals.errors[name], 'spill')}"
    if name not in totals.first_errors:
        return said
    spill, why = totals.first_errors[name]
    return f"{said}, first spill {spill}: {why}"


def _reasons(reasons: Mapping[int, Sequence[str]]) -> list[str]:
    """Return why spills were rejected, the newest first; those of one reason together."""
    spills: dict[str, list[int]] = {}
    for spill in sorted(reasons, reverse=True):
        spills.setdefault(": ".join(reasons[spill]), []).append(spill)
    return [f"Spill{'s' if len(its) > 1 else ''} {_ranges(_joined(its))}: {why}" for why, its in spills.items()]


def _which(spills: Sequence[int]) -> str:
    more = f", and those with higher numbers than {spills[-1]}" if len(spills) == NUMBERS_KEPT else ""
    return f": spills {', '.join(map(str, spills))}{more}" if spills else ""


def _called(name: str) -> str:
    """Return how the page calls what had errors."""
    if name == TIME:
        return "Time, impossible and replaced"
    return experiment().detectors[name].title if name in experiment().detectors else name


def _plots() -> list[Any]:
    rows = []
    every: list[Plot | Trend] = [*experiment().plots.values(), *experiment().trends.values()]
    for plot in every:
        detector = experiment().detectors[plot.detector].title
        words = html.Span(" · ".join([detector, plot.name, *plot.keywords]))
        texts = f"{plot.words.shows} {plot.words.normal} {plot.words.action}"
        link = to_page(plot.title, f"/plot/{plot.name}")
        rows.append(html.Div([link, words], className="row", **{"data-words": texts}))
    return rows


def _written_later(parts: list[Any]) -> Any:
    """Return parts that the browser writes when they are opened.

    To Dash it is one component: of those that it knows it asks each at each change on the page, and these are hundreds.
    """
    return html.Div(**{"data-rows": json.dumps(parts, default=plain)})


def _dialog(name: str, title: str, parts: list[Any]) -> Any:
    head = html.Div([html.H2(title), act("✕", "close", said="Close")], className="head")
    if any(getattr(part, "className", "") == "filter" for part in parts):
        parts = [*parts, html.P("Nothing has all these words.", className="nothing")]
    return html.Dialog([head, *parts], id=name, **{"aria-label": title})


def _filter(name: str, words: str) -> Any:
    return dcc.Input(id=name, type="text", placeholder=words, className="filter", autoComplete="off")


def _address(name: str, words: str) -> Any:
    return html.Label([words, dcc.Input(id=f"link-{name}", type="text", readOnly=True, className="address")])


def _gaps(spills: I8, refused: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and the last of the numbers up to the last spill that neither are there nor were refused."""
    last = spills.max(initial=-1)
    there = np.sort(np.append(spills, [-1, *(spill for spill in refused if spill < last)]))
    at = np.flatnonzero(np.diff(there) > 1)
    return [*zip((there[at] + 1).tolist(), (there[at + 1] - 1).tolist(), strict=True)]


def _joined(spills: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and the last of numbers that follow one another, of each such range."""
    found: list[tuple[int, int]] = []
    for spill in sorted(spills):
        if found and spill == found[-1][1] + 1:
            found[-1] = found[-1][0], spill
        else:
            found.append((spill, spill))
    return found


def _ranges(ranges: Sequence[tuple[int, int]]) -> str:
    listed = ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in ranges[:RANGES_LISTED]) or "none"
    return listed if len(ranges) <= RANGES_LISTED else f"{listed} and {len(ranges) - RANGES_LISTED} more such"
