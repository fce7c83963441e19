"""The status strip on every page: run, spills, freshness, counters, clock."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dash import html

from dashboards.choices import Choices
from dashboards.data import View, book_words
from dashboards.pages.checklist_due import strip_checklist
from dashboards.pages.controls import unfreeze
from dashboards.pages.flags import strip_flag
from dashboards.pages.links import choose
from streams.books import situation
from streams.books.replays import called
from streams.books.totals import Totals
from streams.freshness import MARK, Freshness, Level
from streams.plots.spillfacts import SpillFacts


def strip(view: View) -> list[Any]:
    """Return the run, how far it is, and the counters that should stay 0. They go on while plots are frozen."""
    view = view.goes_on or view
    if view.is_loading or (view.is_unreadable and not view.book.totals.received):
        # Nothing of it is known: no number is better than a wrong one.
        said = [("Run", "–" if view.run is None else str(view.run)), ("State", state(view))]
        return [html.Div([_number(*number) for number in said], className="numbers"), *strip_checklist(view)]
    totals = view.book.totals
    numbers: list[tuple[str, ...]] = [
        ("Run", "–" if view.run is None else str(view.run)),
        *((("Book", called(view.session), "Not what live made of the run"),) if view.session is not None else ()),
        *((("Type", totals.run_type),) if totals.run_type else ()),
        ("State", state(view)),
        ("Spills", f"{totals.filled:,}"),
        _last_spill(totals),
        _rate(view),
        ("Triggers", f"{totals.triggers:,}"),
    ]
    flag = [strip_flag(view)] if view.run is not None else []
    lapses = {f"{name} not read out": spills for name, spills in situation.lapses(totals).items()}
    # The raw plots tell of each board that some detector has told of already.
    errors = totals.errors + Counter(lapses)
    counters = [
        (
            "Missing",
            view.missing,
            "Numbers up to the last spill that never came; what is still being processed is left out",
        ),
        ("Duplicate", totals.duplicates, "Came again with the same bytes: counted once"),
        ("Out of order", out_of_order(view), "Came after a spill with a higher number"),
        ("Rejected", totals.all_rejected, _reasons(totals.rejected)),
        ("Errors", max(errors.total() - errors["raw"], errors["raw"]), _reasons(errors)),
    ]
    if no_run := view.unattributed.all_rejected:
        explanation = f"Could not be put down to any run, ever: {_reasons(view.unattributed.rejected)}"
        counters.append(("Of no run", no_run, explanation))
    return [
        html.Div([*(_number(*number) for number in numbers), *flag], className="numbers"),
        *strip_checklist(view),  # beside the counters, where there is no room in a line for all
        html.Button(
            [_counter(*counter) for counter in counters],
            className="counters",
            title="List them",
            **{"data-do": "counters"},
        ),
    ]


def badges(view: View) -> list[Any]:
    """Return how fresh the servers' parts are."""
    return [badge("DAQ", view.daq), badge("Pipeline", view.pipeline)]


def badge(title: str, freshness: Freshness) -> Any:
    """Return a figure of freshness: colour, mark and words together."""
    return html.Div(
        [
            html.Span(MARK[freshness.level], className="mark"),
            html.Span(title, className="what"),
            html.Span(freshness.text, className="words"),
        ],
        className=f"badge {freshness.level}",
    )


def banners(view: View, choices: Choices = Choices(), passed_over: Sequence[str] = ()) -> list[Any]:  # noqa: B008 - frozen
    """Return what must not be overlooked; `passed_over` is of what the address says what cannot be chosen."""
    mark = MARK[Level.BAD]
    found = [
        html.Div([html.Span(mark, className="mark"), text], className=f"banner bad{' old' if view.is_old else ''}")
        for text in view.warnings
    ]
    found += [html.Div([html.Span("–", className="mark"), text], className="banner") for text in view.notes]
    if passed_over:
        what = f"What the address says of {' and '.join(passed_over)} cannot be chosen: the page is as without it"
        leave_out = choose("Leave it out", "&".join(f"{name}=" for name in passed_over), said="Mend the address")
        found.append(_offer("?", what, leave_out))
    if choices.frozen:
        go_on = choose("Go on", unfreeze(view), said="Let the plots update again")
        at = f"{datetime.fromtimestamp(choices.frozen / 1000, UTC):%d %b %H:%M:%S} UTC"
        lost = f"What there was at {at} is no longer kept: the plots are those of now, and go on"
        found.append(_offer("‖", f"Frozen: the plots stay as they were at {at}" if view.is_frozen else lost, go_on))
    if view.session is not None:
        own = choose("Show the run’s own", f"run={view.run}", said="Show the book that is the run’s")
        found.append(_offer("↻", _of_session(view), own, "replay"))
    elif view.current is not None and view.run != view.current:
        live = choose("Show it", "run=&frozen=", said="Follow the current run")
        current = view.runs.get(view.current)
        is_over = current is not None and current.ended
        what = f"Run {view.current} was the last one, and has ended" if is_over else f"Run {view.current} is live"
        found.append(_offer("▸", f"{what}, you look at run {view.run}", live))
    return found


def _of_session(view: View) -> str:
    """Say that the plots are a replay's, and how far it is."""
    text = f"You look at {book_words(view.run, view.session)}: not at the run’s own book"
    here = [each for each in view.replays if each.plan.session == view.session and not each.plan.done]
    return text + "".join(f". The replay is {each.state}, {int(100 * each.share)} % done" for each in here)


def _offer(mark: str, text: str, link: Any, kind: str = "") -> Any:
    return html.Div([html.Span(mark, className="mark"), text, link], className=f"banner {kind}".strip())


def clock(now_s: float) -> str:
    """Return the server's time, UTC and local."""
    now = datetime.fromtimestamp(now_s, UTC)
    return f"{now:%H:%M:%S} UTC · {now.astimezone():%H:%M:%S} local"


def state(view: View) -> str:
    """Return what the run is doing."""
    totals = view.book.totals
    if view.is_loading:
        return "loading"
    if view.run is None:
        return "no run yet"
    if not view.is_stored:
        return "not stored here"
    if view.is_retired:
        return "left Redis"
    if view.is_unreadable:
        return "cannot be read"
    if view.is_over:
        return "ended"
    return "running" if totals.received else "started"


def out_of_order(view: View) -> int:
    """Return how many spills came after one with a higher number, whichever partitions they are in."""
    return max(view.book.totals.out_of_order, len(view.disordered))


def _last_spill(totals: Totals) -> tuple[str, str, str]:
    counted = str(totals.last_spill) if totals.last_spill >= 0 else "–"
    if totals.last_came <= totals.last_spill:
        return "Last spill", counted, "The highest number in the plots"
    return (
        "Last spill / came",
        f"{counted} / {totals.last_came}",
        "The highest number in the plots, and of all that came",
    )


def rate(spills: SpillFacts, *, newest: int | None = None, waited_s: float = 0.0) -> str:
    """Return the rate of all spills or of the newest ones, by their own times."""
    found = situation.rate(spills.time_us, newest=newest, waited_s=waited_s)
    return "–" if found is None else f"{found:.2f}"


def _rate(view: View) -> tuple[str, str, str]:
    """Return the measured rate beside the one that is expected: by the settings, else that of the reference."""
    spills, waited_s = view.in_line(view.run_spills), view.waited_s
    # What the spills say that are there would be the rate of a DAQ that goes on.
    measured = "?" if waited_s is None else rate(spills, newest=situation.RATE_SPILLS, waited_s=waited_s)
    if view.expected_rate is not None:
        return "Rate / expected, 1/s", f"{measured} / {view.expected_rate:.2f}", "Expected by the settings"
    theirs = view.reference.spills if view.reference is not None else None
    if view.reference is None or theirs is None or (found := rate(theirs)) == "–":
        return "Rate, 1/s", measured, "Nobody said what is expected: no setting, and no run to compare with"
    return "Rate / expected, 1/s", f"{measured} / {found}", f"Expected as in {view.reference.called}"


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items())) or "None"


def _number(name: str, value: str, explanation: str = "") -> Any:
    return html.Div([html.Div(name, className="what"), html.Div(value, className="value")], title=explanation)


def _counter(name: str, count: int, explanation: str) -> Any:
    return html.Div(
        [html.Div(name, className="what"), html.Div(f"{count:,}", className="value")],
        className="counter some" if count else "counter",
        title=explanation,
    )
