"""What happens when an address changes or the theme is switched."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from dash import ClientsideFunction, Dash, Input, Output, State, html

from dashboards.addresses import at, within
from dashboards.choices import Choices, passed_over
from dashboards.data import Data
from dashboards.faults import Faults
from dashboards.live import joined, versions
from dashboards.make import FigureCache
from dashboards.pages import plots
from dashboards.pages.alarms import bell
from dashboards.pages.controls import controls
from dashboards.pages.dialogs import plain
from dashboards.pages.spills import choices_on
from dashboards.pages.strip import badges, banners, strip
from dashboards.pages.tiles import tiles
from streams.books import situation


def add_callbacks(app: Dash, data: Data, figures: FigureCache, faults: Faults) -> None:
    """Give the app its callbacks."""

    @app.callback(
        Output("page", "children"),
        Input("address", "pathname"),
        State("address", "search"),
        State("theme", "data"),
    )
    def show_page(path: str | None, search: str | None, theme: str | None) -> Any:
        path = within(path or "/")
        try:
            return _page(data, figures, path, search, theme)
        except Exception as error:  # noqa: BLE001 - it is told where the page would stand
            faults.note("a page cannot be made", error, f"{path}{search or ''}")
            words = html.Div("This page cannot be made: the server's log says why.", className="card alone bad")
            return _made(words, path, "", {"navigation": plots.navigation(path)})

    app.clientside_callback(
        ClientsideFunction("spilldeck", "ask"),
        Input("page", "children"),
        Input("address", "search"),
        Input("theme", "data"),
        State("limits", "data"),
    )
    app.clientside_callback(
        ClientsideFunction("spilldeck", "theme"),
        Output("theme", "data"),
        Input("switch-theme", "n_clicks"),
        State("theme", "data"),
    )


def _page(data: Data, figures: FigureCache, path: str, search: str | None, theme: str | None) -> Any:
    choices = choices_on(path, Choices.of(search))
    beside = plots.beside_on(path)
    view = data.view(choices, plots.followed_on(path), beside)
    names = plots.names_on(path)
    has = joined(versions(view, theme, choices, names))
    parts = {
        "navigation": plots.navigation(path, situation.not_read_out(view.book.totals), bell(view)),
        "strip": strip(view),
        "badges": badges(view),
        "banners": banners(view, choices, passed_over(search)),
        "controls": controls(view, choices, names, beside),
        "tiles": tiles(view, path),
    }
    return _made(plots.page(path, figures.maker(view, theme, choices)), path, has, parts)


def _made(page: Any, path: str, has: str, parts: Mapping[str, Any]) -> Any:
    """Return a page, what a browser has with it, and what stands above it, which the browser writes."""
    made = uuid4().hex  # the browser has other figures on it later, and must not take it for a new page then
    above = json.dumps(parts, default=plain, separators=(",", ":"))
    beside = "beside" if plots.tables_on(path) and plots.names_on(path) else ""
    return html.Div(
        page,
        key=made,
        className=beside,
        **{"data-has": has, "data-path": at(path), "data-made": made, "data-parts": above},
    )
