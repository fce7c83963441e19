"""Tables: a detector's numbers beside its plots, the replays, the alarms, the known issues."""

from collections.abc import Sequence
from math import isnan
from typing import Any

from dash import html

from dashboards.choices import Choices
from dashboards.data import View
from dashboards.pages.alarms import alarms
from dashboards.pages.changed import what_changed
from dashboards.pages.issues import issues, tabs
from dashboards.pages.replays import replays
from streams.experiment import RECENT_SPILLS, TableRow, experiment

REPLAYS, CHANGED, ALARMS, ISSUES = "replays", "changed", "alarms", "issues"
PAGES = (REPLAYS, CHANGED, ALARMS, ISSUES)
"""The pages that have a table and no plots."""
HEADS = ("Counter", "Last spill", f"Mean of the last {RECENT_SPILLS}", "Mean of the run")


def has_table(name: str) -> bool:
    """Say whether a detector, or a page, has a table."""
    return name in PAGES or experiment().table_of(name) is not None


def table_id(name: str) -> str:
    """Return the id of the element that has a table."""
    return f"{name}-table"


def table(name: str, view: View, choices: Choices = Choices()) -> Any:  # noqa: B008 - frozen
    """Return the table of a detector, or of a page."""
    if name == CHANGED:
        return what_changed(view, choices)
    if name == ALARMS:
        return [tabs(view, name), *alarms(view)]
    if name == ISSUES:
        return [tabs(view, name), *issues(view)]
    rows_of = experiment().table_of(name)
    return replays(view) if rows_of is None else _counters(rows_of(view.spills))


def _counters(counters: Sequence[TableRow]) -> Any:
    rows = [
        html.Tr([html.Th(row.name), *map(html.Td, (_count(row.last, 0), _count(row.recent, 1), _count(row.run, 1)))])
        for row in counters
    ]
    return html.Table([html.Thead(html.Tr([html.Th(head) for head in HEADS])), html.Tbody(rows)])


def _count(value: float, decimals: int) -> str:
    return "–" if isnan(value) else f"{value:,.{decimals}f}"
