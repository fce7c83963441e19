"""The page of replays: how far each is, and the ways to its plots, beside live's or over them."""

from datetime import UTC, datetime
from typing import Any

from dash import html

from dashboards.choices import book_of
from dashboards.data import Replay, View
from dashboards.pages.links import decide, to_page_with
from streams.books.replays import AT_WORK, WAITING, Origin
from streams.freshness import span
from streams.settings import LIVE
from streams.words import several

HEADS = ("Replay", "State", "Progress", "Spills", "Runs")
RUNS_AT_ONCE = 3
"""More runs of a replay than these are unfolded."""
_FROM = {
    Origin.RAW: "from raw spills",
    Origin.RECO: "from reconstructed spills",
    Origin.ARCHIVE: "from an archive",
}


def replays(view: View) -> Any:
    """Return all replays, the newest first."""
    if not view.replays:
        return html.P(["There are no replays. One begins with ", html.Code("spilldeck replay RUN"), "."])
    rows = [_row(each) for each in view.replays]
    heads = [html.Th(head, scope="col") for head in HEADS]
    return html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className="replays")


def _row(replay: Replay) -> Any:
    plan, left = replay.plan, replay.left_s
    told = f"{int(100 * replay.share)} %, {replay.read:,} of {plan.messages:,} messages"
    goes_on = "" if replay.rate is None or left is None else f"{replay.rate:,.0f} a second, {span(left)} left"
    bar = html.Progress(
        value=str(replay.read), max=str(max(plan.messages, 1)), **{"aria-label": f"{plan.name}: {told}"}
    )
    cells = [
        [
            html.Div(replay.state, className=f"state {replay.state.replace(' ', '-')}"),
            html.Div(_FROM[plan.origin], className="why", title=plan.archive),
            *([html.Div("with own tables", className="why", title=plan.conditions)] if plan.conditions else ()),
        ],
        [bar, html.Div(told), html.Div(goes_on)],
        f"{replay.spills:,}",
        _runs(replay),
    ]
    began = html.Div(f"{datetime.fromtimestamp(plan.began_s, UTC):%d %b %H:%M} UTC", className="why", title="It began")
    head = [plan.name, began, html.Div(_to_decide(replay), className="of-run")]
    return html.Tr([html.Th(head, scope="row"), *map(html.Td, cells)], key=plan.session)


def _to_decide(replay: Replay) -> list[Any]:
    """Return what an expert may decide of a replay."""
    plan, said = replay.plan, {"name": replay.plan.name}
    found = []
    if plan.done and set(plan.runs) - set(replay.promoted):
        asks = f"Have the books of {several(len(plan.runs), 'run')} be those of the replay {plan.name}. Why?"
        found.append(decide("Promote", "/act/promote-replay", said, asks=asks))
    if not replay.promoted and replay.state not in {AT_WORK, WAITING}:
        found.append(decide("Remove", "/act/drop-replay", said, asks=f"Remove the replay {plan.name} for good. Why?"))
    return found


def _runs(replay: Replay) -> Any:
    runs = [_run(replay, run) for run in replay.plan.runs]
    if len(runs) <= RUNS_AT_ONCE:
        return runs
    return html.Details([html.Summary(f"{len(runs)} runs, {replay.plan.runs[0]} to {replay.plan.runs[-1]}"), *runs])


def _run(replay: Replay, run: int) -> Any:
    its = book_of(run, replay.plan.session)
    promoted = run in replay.promoted
    live = book_of(run, LIVE if promoted else None)
    return html.Div(
        [
            html.Span(str(run)),
            to_page_with(
                "Show", "/", f"run={its}&frozen=", said=f"Show the plots of run {run} as this replay has them"
            ),
            to_page_with(
                "Over live’s",
                "/",
                f"run={live}&reference={its}&frozen=",
                said=f"Show the plots of run {run} as live made them, and this replay’s over them",
            ),
            *(
                [
                    decide(
                        "Pin",
                        "/act/pin-reference",
                        {"run": run, "replay": replay.plan.name},
                        asks=f"Have all later runs of its type be compared with run {run} as the replay "
                        f"{replay.plan.name} made it. It is kept as it is now. Why?",
                    )
                ]
                if replay.plan.done
                else ()
            ),
            *(
                [
                    html.Span("promoted", className="promoted", title="The book of the run is this one"),
                    decide(
                        "Restore live’s",
                        "/act/restore-run",
                        {"run": run},
                        asks=f"Have what live made be the book of run {run} again. Why?",
                    ),
                ]
                if promoted
                else ()
            ),
        ],
        className="of-run",
    )
