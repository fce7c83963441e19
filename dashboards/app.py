"""The Dash application and its server."""

import logging
import socket

import dash_mantine_components as dmc
import uvicorn
from dash import Dash, dcc, html
from fastapi import FastAPI

from dashboards.callbacks import add_callbacks
from dashboards.data import Data
from dashboards.make import FigureCache
from streams.errors import ServerError
from streams.plots.catalogue import DETECTORS
from streams.settings import Settings

BEAT_MS = 1000
"""How often the browser asks itself whether its server still speaks."""


def create_app(settings: Settings) -> tuple[Dash, FastAPI]:
    """Return the page, and the server that it is mounted on."""
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app = Dash(__name__, server=server, title="Spilldeck", update_title=None, suppress_callback_exceptions=True)
    app.layout = _layout(settings)
    add_callbacks(app, Data(settings), FigureCache())
    return app, server


def _layout(settings: Settings) -> dmc.MantineProvider:
    pages = {"/": "Overview"} | {f"/detector/{name}": title for name, title in DETECTORS.items()}
    return dmc.MantineProvider(
        [
            dcc.Location(id="address"),
            dcc.Interval(id="tick", interval=round(settings.dashboard.refresh_s * 1000)),
            dcc.Interval(id="beat", interval=BEAT_MS),
            dcc.Store(id="served"),
            dcc.Store(id="shown"),
            dcc.Store(id="theme", data="light"),
            html.Header(
                [
                    html.Div(
                        [
                            html.Span("Spilldeck", className="brand"),
                            html.Nav([dcc.Link(title, href=path) for path, title in pages.items()], id="navigation"),
                            html.Span(id="clock"),
                            html.Button("Light / dark", id="switch-theme"),
                        ],
                        className="top",
                    ),
                    html.Div(
                        [
                            html.Div(id="strip"),
                            html.Div("? Browser: waiting for the server", id="browser", className="badge unknown"),
                        ],
                        className="status",
                    ),
                    html.Div(id="banners"),
                ]
            ),
            html.Main(id="page"),
        ],
        id="mantine",
    )


def serve(settings: Settings) -> None:
    """Serve the page until the process is told to stop.

    Raises
    ------
    ServerError
        When the port is in use.
    """
    host, port = settings.dashboard.host, settings.dashboard.port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServerError(
                f"the page cannot listen on {host}:{port} ({error.strerror}): choose another port in dashboard.port"
            ) from error
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    _, server = create_app(settings)
    uvicorn.run(server, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
