"""The way to the checklist, in the strip of every page, as long as one is due."""

from typing import Any

from dash import html

from dashboards.addresses import at
from dashboards.data import View
from streams.freshness import MARK, Level
from streams.words import calendar_time

DAY_US = 86_400_000_000


def strip_checklist(view: View) -> list[Any]:
    """Return what leads to the checklist, with since when it is due; nothing while none is."""
    if view.agenda is None or not view.agenda.due:
        return []
    its = view.agenda.due[0]
    is_today = view.now_s * 1e6 - its.at_us < DAY_US
    since = calendar_time(its.at_us / 1000, "%H:%M" if is_today else "%d %b")
    parts = [
        html.Div("Checklist since", className="what"),
        html.Div(f"{MARK[Level.WARNING]} {since}", className="value warning"),
    ]
    said = f"Fill in the checklist of {its.words} (c)"
    return [html.A(parts, href=at("/checklist"), className="due", title=said, **{"data-key": "c"})]
