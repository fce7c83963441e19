"""What happens when time passes, an address changes, or the theme is switched."""

from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, Patch, State, no_update

from dashboards.data import Data
from dashboards.figures.parts import Figure
from dashboards.make import FigureCache
from dashboards.pages import plots
from dashboards.pages.strip import badges, banners, clock, strip
from dashboards.pages.tables import OF_DETECTOR

Shown = dict[str, Any]
"""What the figures on a browser's screen are of."""


def add_callbacks(app: Dash, data: Data, figures: FigureCache) -> None:
    """Give the app its callbacks."""

    @app.callback(
        Output("page", "children"),
        Output("navigation", "children"),
        Input("address", "pathname"),
        State("theme", "data"),
    )
    def show_page(path: str | None, theme: str | None) -> tuple[Any, ...]:
        path = path or "/"
        return plots.page(path, figures.maker(data.view(), theme)), plots.navigation(path)

    # Strip and figures in one answer: they are of one view, and one request a browser is under way, never more.
    @app.callback(
        Output("strip", "children"),
        Output("badges", "children"),
        Output("banners", "children"),
        Output("clock", "children"),
        Output("served", "data"),
        Output({"type": "figure", "name": ALL}, "figure"),
        Output({"type": "table", "name": ALL}, "children"),
        Output("shown", "data"),
        Input("asked", "data"),
        Input({"type": "figure", "name": ALL}, "id"),
        Input({"type": "table", "name": ALL}, "id"),
        Input("theme", "data"),
        State("shown", "data"),
    )
    def update(
        _asked: int | None,
        ids: list[dict[str, str]],
        table_ids: list[dict[str, str]],
        theme: str | None,
        shown: Shown | None,
    ) -> tuple[Any, ...]:
        view = data.view()
        make = figures.maker(view, theme)
        names = [each["name"] for each in ids]
        now: Shown = {"version": view.version, "theme": theme, "run": view.run, "names": names}
        drawn: list[Any]
        if now == shown:
            drawn = [no_update] * len(names)
        elif shown and all(now[key] == shown[key] for key in ("run", "names")):
            drawn = [redrawn(make(name)) for name in names]
        else:
            drawn = [make(name) for name in names]
        tables = [OF_DETECTOR[each["name"]](view) for each in table_ids]
        return strip(view), badges(view), banners(view), clock(view.now_s), view.now_s, drawn, tables, now

    app.clientside_callback(
        ClientsideFunction("spilldeck", "ask"),
        Output("asked", "data"),
        Input("tick", "n_intervals"),
        State("served", "data"),
        State("limits", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("spilldeck", "freshness"),
        Output("browser", "className"),
        Output("browser-mark", "children"),
        Output("browser-words", "children"),
        Input("beat", "n_intervals"),
        Input("served", "data"),
        State("limits", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("spilldeck", "theme"),
        Output("theme", "data"),
        Output("mantine", "forceColorScheme"),
        Input("switch-theme", "n_clicks"),
        State("theme", "data"),
    )


def redrawn(figure: Figure) -> Patch:
    """Return what changes in a figure on the screen: all of it but the ranges that somebody may have zoomed to.

    Dash writes the zoom into the figure that the browser holds, where plotly's own means (uirevision) takes it for the
    server's and forgets it with the next figure. So a figure is replaced only when the run or the page is another.
    """
    patch = Patch()
    patch["data"] = figure["data"]
    for key, value in figure["layout"].items():
        if key in {"xaxis", "yaxis"}:
            for name, part in value.items():
                patch["layout"][key][name] = part
        else:
            patch["layout"][key] = value
    return patch
