"""What happens when time passes, an address changes, or the theme is switched."""

from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from dashboards.data import Data
from dashboards.make import FigureCache
from dashboards.pages import plots
from dashboards.pages.strip import banners, clock, strip
from streams.plots.catalogue import DETECTORS, PLOTS, TRENDS


def add_callbacks(app: Dash, data: Data, figures: FigureCache) -> None:
    """Give the app its callbacks. Each is far quicker than the time between two ticks."""

    @app.callback(
        Output("strip", "children"),
        Output("banners", "children"),
        Output("clock", "children"),
        Output("served", "data"),
        Input("tick", "n_intervals"),
    )
    def show_state(_ticks: int | None) -> tuple[Any, ...]:
        view = data.view()
        return strip(view), banners(view), clock(view.now_s), view.now_s

    @app.callback(Output("page", "children"), Input("address", "pathname"), State("theme", "data"))
    def show_page(path: str | None, theme: str) -> Any:
        make = figures.maker(data.view(), theme)
        match (path or "/").strip("/").split("/"):
            case [""]:
                return plots.overview(make)
            case ["detector", detector] if detector in DETECTORS:
                return plots.detector_page(detector, make)
            case ["plot", name] if name in PLOTS or name in TRENDS:
                return plots.plot_page(name, make)
        return plots.nothing(path or "/")

    @app.callback(
        Output({"type": "figure", "name": ALL}, "figure"),
        Output("shown", "data"),
        Input("tick", "n_intervals"),
        Input({"type": "figure", "name": ALL}, "id"),
        Input("theme", "data"),
        State("shown", "data"),
    )
    def show_figures(_ticks: int | None, ids: list[dict[str, str]], theme: str, shown: str | None) -> tuple[Any, ...]:
        view = data.view()
        names = [each["name"] for each in ids]
        now = f"{view.version}/{theme}/{','.join(names)}"
        if now == shown or not ctx.triggered:
            return [no_update] * len(names), no_update
        make = figures.maker(view, theme)
        return [make(name) for name in names], now

    app.clientside_callback(
        ClientsideFunction("spilldeck", "theme"),
        Output("theme", "data"),
        Output("mantine", "forceColorScheme"),
        Input("switch-theme", "n_clicks"),
        State("theme", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("spilldeck", "freshness"),
        Output("browser", "children"),
        Output("browser", "className"),
        Input("beat", "n_intervals"),
        Input("served", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("spilldeck", "here"),
        Output("navigation", "data-here"),
        Input("address", "pathname"),
    )
