"""The status strip on every page: run, spills, freshness, counters, clock."""

from datetime import UTC, datetime
from typing import Any

import dash_mantine_components as dmc
from dash import html

from dashboards.data import View
from streams.books.run import Ledger
from streams.freshness import Freshness, Level, span

_MARK = {Level.GOOD: "✓", Level.WARNING: "!", Level.BAD: "✕", Level.UNKNOWN: "?", Level.IDLE: "–"}
RATE_SPILLS = 20
"""Spills that the rate is measured over."""


def badge(title: str, freshness: Freshness, **attributes: Any) -> html.Div:
    """Return a figure of freshness: colour, mark and words together."""
    return html.Div(
        [
            html.Span(_MARK[freshness.level], className="mark"),
            html.Span(title, className="what"),
            html.Span(freshness.text, className="words"),
        ],
        className=f"badge {freshness.level}",
        **attributes,
    )


def strip(view: View) -> list[Any]:
    """Return the children of the strip that change with the data."""
    totals = view.book.totals
    numbers = [
        ("Run", "–" if view.run is None else str(view.run)),
        ("State", _state(view)),
        ("Spills", f"{totals.filled:,}"),
        ("Last spill", str(totals.last_spill) if totals.last_spill >= 0 else "–"),
        ("Rate", _rate(view.book.ledger)),
        ("Triggers", f"{totals.triggers:,}"),
    ]
    if totals.control and (run_type := next(iter(totals.control.values())).run_type):
        numbers.insert(1, ("Type", run_type))
    rejected = totals.all_rejected + view.unattributed.all_rejected
    counters = [
        ("Missing", totals.last_spill + 1 - totals.filled, "Numbers up to the last spill that are in no histogram"),
        ("Duplicate", totals.duplicates, "Came again with the same bytes: counted once"),
        ("Out of order", totals.out_of_order, "Came after a spill with a higher number"),
        ("Rejected", rejected, _reasons(totals.rejected + view.unattributed.rejected)),
        ("Errors", sum(totals.errors.values()), _reasons(totals.errors)),
    ]
    return [
        dmc.Group([_number(name, value) for name, value in numbers], className="numbers", gap="xl"),
        dmc.Group([_counter(*counter) for counter in counters], className="counters", gap="lg"),
        dmc.Group([badge("DAQ", view.daq), badge("Pipeline", view.pipeline)], gap="sm"),
    ]


def banners(view: View) -> list[Any]:
    """Return what must not be overlooked."""
    said = list(view.lost)
    if view.store_lost_s:
        ago = span(view.now_s - view.store_lost_s)
        said.insert(0, f"The store (Redis) does not answer for {ago}: all numbers below are old")
    return [html.Div([html.Span("✕", className="mark"), text], className="banner bad") for text in said]


def clock(now_s: float) -> str:
    """Return the server's time, UTC and local."""
    now = datetime.fromtimestamp(now_s, UTC)
    return f"{now:%H:%M:%S} UTC · {now.astimezone():%H:%M:%S} local"


def _state(view: View) -> str:
    totals = view.book.totals
    if view.run is None:
        return "no run yet: waiting for the DAQ"
    if totals.ended:
        return "ended"
    return "running" if totals.received else "started, waiting for its first spill"


def _rate(ledger: Ledger) -> str:
    times = sorted(entry.time_us for entry in ledger.values())[-RATE_SPILLS:]
    if len(times) < 2 or times[-1] == times[0]:
        return "–"
    return f"{(len(times) - 1) / (times[-1] - times[0]) * 1e6:.2f} /s"


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "None"


def _number(name: str, value: str) -> html.Div:
    return html.Div([html.Div(name, className="what"), html.Div(value, className="value")])


def _counter(name: str, count: int, explanation: str) -> html.Div:
    kind = "counter some" if count else "counter"
    return html.Div(
        [html.Span(f"{count:,}", className="value"), html.Span(name, className="what")],
        className=kind,
        title=explanation,
    )
