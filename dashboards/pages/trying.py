"""The page on which an expert tries limits: what they would have told of the last runs. Nothing is changed by it."""

from typing import Any

from dash import dcc, html

from dashboards.data.trying import MOST_RUNS
from dashboards.pages.links import act

TRY = "try"
"""The page's address, and where it sends limits to."""
LAST = 5
"""Runs that are tried if nobody says how many."""
_EXAMPLE = """[physics]
matters = 0.05      # share of a plot's entries that must lie elsewhere
tolerance = 0.05    # relative scatter of a bin from run to run
percent = 5         # of the spills: rejected, missing, in error
"""


def trying() -> Any:
    """Return what limits are typed or pasted into, and where it is said what they would have told."""
    limits = dcc.Textarea(id="try-limits", placeholder=_EXAMPLE, rows=14)
    last = dcc.Input(id="try-last", type="number", min=1, max=MOST_RUNS, value=LAST)
    return html.Div(
        [
            html.H2("What would other limits have told?"),
            html.P("They are tried on stored runs, beside those in force, and nothing is changed."),
            html.Label(["Limits by run type, as in the file of the setting checks.limits", limits]),
            html.Div([html.Label(["Of the last runs: ", last]), act("Try", TRY, said="Try these limits")]),
            html.Pre(id="tried", tabIndex=0, **{"aria-live": "polite", "aria-label": "What they would have told"}),
        ],
        className="card trying",
    )
