"""Pages of plots: the overview, a detector, one plot with its words."""

from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboards.make import Maker
from streams.plots.catalogue import DETECTORS, PLOTS, TRENDS
from streams.plots.model import Plot, Trend

FOR_THE_SHIFTER: dict[str, tuple[str, ...]] = {
    "daq": tuple(TRENDS),
    "tof": (
        *("ht01", "ht12", "ht02"),
        *("hspxy_0", "hspxy_1", "hspxy_2"),
        *("hnsp_0", "hnsp_1", "hnsp_2"),
        *("hnsp_vs_spill_tof0", "hnsp_vs_spill_tof1", "hnsp_vs_spill_tof2"),
    ),
    "ckov": ("tof_A", "tof_B", *(f"hPMT{n}" for n in range(1, 9))),
}
"""At most 12 a detector; the others are the expert's."""
ON_THE_OVERVIEW = ("ht01", "hspxy_1", "tof_A", "tof_B", "daq_triggers", "daq_missed")
_CONFIG = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}


def entry(name: str) -> Plot | Trend:
    """Return a plot or trend of the catalogue."""
    return PLOTS.get(name) or TRENDS[name]


def of_detector(detector: str) -> list[str]:
    """Return all plots of a detector, the shifter's first."""
    shown = FOR_THE_SHIFTER[detector]
    return [*shown, *(n for n in (*PLOTS, *TRENDS) if entry(n).detector == detector and n not in shown)]


def overview(make: Maker) -> Any:
    """Return the page that tells in one look."""
    return grid(ON_THE_OVERVIEW, make)


def detector_page(detector: str, make: Maker) -> Any:
    """Return the plots of a detector: the shifter's, and behind a tab the expert's."""
    shown, names = FOR_THE_SHIFTER[detector], of_detector(detector)
    others = names[len(shown) :]
    if not others:
        return grid(shown, make)
    return dmc.Tabs(
        [
            dmc.TabsList([dmc.TabsTab("Shifter", value="shifter"), dmc.TabsTab("Expert", value="expert")]),
            dmc.TabsPanel(grid(shown, make), value="shifter", pt="md"),
            dmc.TabsPanel(grid(others, make), value="expert", pt="md"),
        ],
        value="shifter",
        keepMounted=False,
    )


def plot_page(name: str, make: Maker) -> Any:
    """Return one plot, large, with its words."""
    plot = entry(name)
    words = [
        ("What it shows", plot.words.shows),
        ("What is normal", plot.words.normal),
        ("What to do", plot.words.action),
        ("Whom to call", plot.words.call),
    ]
    texts = [html.Div([html.H3(title), html.P(text)]) for title, text in words]
    keywords = html.P(" · ".join(plot.keywords), className="keywords")
    return html.Div(
        [
            dcc.Link(f"← {DETECTORS[plot.detector]}", href=f"/detector/{plot.detector}", className="back"),
            html.Div(
                [
                    html.Div(_graph(name, make, "large"), className="card large"),
                    html.Div([*texts, keywords], className="card words"),
                ],
                className="one-plot",
            ),
        ]
    )


def nothing(path: str) -> Any:
    """Return what is said of an address that leads nowhere."""
    return html.Div(f"There is no page {path}. Choose one above.", className="card")


def grid(names: tuple[str, ...] | list[str], make: Maker) -> Any:
    """Return plots side by side; each leads to its own page."""
    cards = [
        html.Div(
            [_graph(name, make, "small"), dcc.Link("words and larger", href=f"/plot/{name}", className="more")],
            className="card",
        )
        for name in names
    ]
    return html.Div(cards, className="grid")


def _graph(name: str, make: Maker, size: str) -> Any:
    return dcc.Graph(id={"type": "figure", "name": name}, figure=make(name), config=_CONFIG, className=f"figure {size}")
