"""Tables: the scalers' numbers beside their plots, and the replays."""

from math import isnan
from typing import Any

from dash import html

from dashboards.data import View
from dashboards.pages.replays import replays
from streams.plots.scalers import RECENT_SPILLS, scaler_table

HEADS = ("Scaler", "Last spill", f"Mean of the last {RECENT_SPILLS}", "Mean of the run")


def scalers(view: View) -> Any:
    """Return what the scalers counted per spill."""
    rows = [
        html.Tr([html.Th(row.name), *map(html.Td, (_count(row.last, 0), _count(row.recent, 1), _count(row.run, 1)))])
        for row in scaler_table(view.spills)
    ]
    return html.Table([html.Thead(html.Tr([html.Th(head) for head in HEADS])), html.Tbody(rows)])


def _count(value: float, decimals: int) -> str:
    return "–" if isnan(value) else f"{value:,.{decimals}f}"


TABLES = {"scalers": scalers, "replays": replays}
"""Name of a detector or a page → its table."""
