"""What happens when time passes, an address changes, or the theme is switched."""

from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, no_update

from dashboards.choices import Choices
from dashboards.data import Data
from dashboards.make import FigureCache
from dashboards.pages import plots
from dashboards.pages.controls import controls
from dashboards.pages.dialogs import counted, runs_list
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
        State("address", "search"),
        State("theme", "data"),
    )
    def show_page(path: str | None, search: str | None, theme: str | None) -> tuple[Any, ...]:
        path, choices = path or "/", Choices.of(search)
        return plots.page(path, figures.maker(data.view(choices), theme, choices)), plots.navigation(path)

    # Strip and figures in one answer: they are of one view, and one request a browser is under way, never more.
    @app.callback(
        Output("strip", "children"),
        Output("badges", "children"),
        Output("banners", "children"),
        Output("clock", "children"),
        Output("served", "data"),
        Output("drawn", "data"),
        Output({"type": "table", "name": ALL}, "children"),
        Output("controls", "children"),
        Output("runs-list", "children"),
        Output("counted", "children"),
        Output("shown", "data"),
        Input("asked", "data"),
        Input("address", "search"),
        Input({"type": "figure", "name": ALL}, "id"),
        Input({"type": "table", "name": ALL}, "id"),
        Input("theme", "data"),
        State("shown", "data"),
    )
    def update(
        _asked: int | None,
        search: str | None,
        ids: list[dict[str, str]],
        table_ids: list[dict[str, str]],
        theme: str | None,
        shown: Shown | None,
    ) -> tuple[Any, ...]:
        choices = Choices.of(search)
        view = data.view(choices)
        names = [each["name"] for each in ids]
        now: Shown = {
            "version": view.version,
            "theme": theme,
            "search": search,
            "runs": hash(view.runs),
            "names": names,
            "axes": [
                view.run,
                choices.log if choices.log is None else sorted(choices.log),
                view.reference and choices.mode,
            ],
        }
        before = shown or {}

        def same(*keys: str) -> bool:
            return all(now[key] == before.get(key) for key in keys)

        make = figures.maker(view, theme, choices)
        drawn: Any = no_update
        if not same("theme", "search", "names") or not (choices.frozen or same("version")):
            drawn = {"figures": {name: make(name) for name in names}, "zoom": same("names", "axes")}
        tables = [OF_DETECTOR[each["name"]](view) for each in table_ids]
        chosen = no_update if same("search", "runs", "names") else controls(view, choices, names)
        runs = no_update if same("runs") else runs_list(view)
        counts = no_update if same("version") else counted(view)
        top = (strip(view), badges(view), banners(view, choices), clock(view.now_s), view.now_s)
        return *top, drawn, tables, chosen, runs, counts, now

    # A browser may have gone to another page when the answer comes: it takes the figures that it still has a place for.
    app.clientside_callback(
        ClientsideFunction("spilldeck", "draw"),
        Output({"type": "figure", "name": ALL}, "figure"),
        Input("drawn", "data"),
        State({"type": "figure", "name": ALL}, "id"),
        State({"type": "figure", "name": ALL}, "figure"),
    )
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
