"""The Dash application and its server."""

import base64
import gzip
import hashlib
import logging
import re
import socket
from collections.abc import Callable, Sequence
from errno import EACCES, EADDRINUSE
from functools import partial
from html import escape as html_of
from pathlib import Path
from typing import Any

import uvicorn
from dash import Dash, dcc, html
from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dashboards.access.identity import SocketPeer
from dashboards.acts import Acts
from dashboards.addresses import Below, Forwarded, at, below, plain
from dashboards.backend import Backend
from dashboards.callbacks import add_callbacks
from dashboards.choices import Choices, number
from dashboards.connections import OTHER_FILES, Connection, raise_file_limit
from dashboards.data import Data
from dashboards.data.books import collect_seldom
from dashboards.data.trying import MOST_BYTES, MOST_RUNS, Trier
from dashboards.export import as_csv, as_json
from dashboards.faults import Faults
from dashboards.guard import NO_SUCH_PAGE, Guard
from dashboards.handover import MARKDOWN, PAGE, HandOver
from dashboards.live import COMPRESSION, Live
from dashboards.log_ins import BEGIN
from dashboards.make import FigureCache, file_name
from dashboards.pages.checklist import shown
from dashboards.pages.dialogs import dialogs
from dashboards.pages.links import act, choose
from dashboards.pages.one_alarm import one_alarm
from dashboards.pages.trying import TRY
from dashboards.scripts import (
    ACTING,
    AGAIN,
    ALARM,
    ALARM_SCRIPT,
    CHECKLIST,
    CHECKLIST_SCRIPT,
    HAND_OVER,
    HAND_OVER_SCRIPT,
    LOADING,
    LOG_IN,
    LOG_IN_SCRIPT,
    PLOTLY,
    REGENERATOR,
    SOUND,
)
from dashboards.threads import Threads, peer_of
from dashboards.watched import Timed, add_watched
from streams.books.notes import LONGEST_NOTE
from streams.errors import ServerError, UsageError
from streams.experiment import experiment
from streams.freshness import BROWSER_LATE_S
from streams.health.state import Health
from streams.settings import LOOPBACK, Settings

TRUSTED = ("127.0.0.1", "::1")
"""Who is believed for whom it asks, and whether by TLS, besides the proxies of the settings: one on this machine."""
HOLD_S = 0.5
"""The longest that an answer waits: a browser has six connections to a server, and of twelve tabs two share one."""

BEAT_MS = 1000
"""How often the browser asks itself whether its server still speaks."""
PATIENCE_S, MOST_PATIENCE_S = 3.0, 12.0
"""An answer that has not come within it is asked for again: at first, and after several times in vain."""
_ICON = (
    "<link rel='icon' href=\"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'>"
    "<path fill='%231f6fb2' d='M1 8V4h2v4M3 8V1h2v7M5 8V5h2v3'/></svg>\">"
)
_TICKS_A_SECOND = 10
"""Of uvicorn's loop."""
REFRESHES_LATE = 3
"""A browser that refreshes rarely has missed so many before it says that it lost its server."""


class _Page(Dash):
    """Dash, with another script in the place of its polyfill, one of ours before all others, none for its tables."""

    regenerator = ""
    """Its address."""
    loading = ""
    """What is written into the page."""

    def interpolate_index(self, **parts: Any) -> str:
        script = f'src="{self.regenerator}"'
        parts["scripts"] = re.sub(r'src="[^"]*/polyfill@[^"]*"', script, parts["scripts"])
        parts["scripts"] = re.sub(r'<script src="[^"]*/dash_table/[^"]*"></script>', "", parts["scripts"])
        parts["metas"] = f"{parts['metas']}<script>{self.loading}</script>"
        return str(super().interpolate_index(**parts))


def create_app(settings: Settings, data: Data) -> FastAPI:
    """Return the server of the page."""
    with below(settings.dashboard.prefix):
        return _create_app(settings, data)


def _create_app(settings: Settings, data: Data) -> FastAPI:
    figures, faults = FigureCache(), Faults()
    app = _Page(
        __name__,
        backend=Backend,
        title=f"{experiment().title} · Spilldeck",
        update_title=None,
        suppress_callback_exceptions=True,
        routes_pathname_prefix="/",
        requests_pathname_prefix=at("/"),
    )
    server: FastAPI = app.server
    threads: Threads = app.backend.threads
    _add_files(server, data, threads)
    hold_s = min(settings.dashboard.refresh_s, HOLD_S)
    server.state.health = add_watched(server, settings, data, Live(data, figures, hold_s, threads))
    Acts(settings, data).add_to(server)
    _add_log_in(server, settings)
    _add_hand_over(server, settings)
    acting = _add_script(server, ACTING)
    again = _add_script(server, AGAIN)
    _add_alarm(server, data, threads, acting, again)
    _add_checklist(server, data, threads, acting, again, settings.checklist.lines)
    server.add_route(f"/{TRY}", partial(_tried, Trier(settings)), methods=["POST"])
    app.regenerator = _add_script(server, REGENERATOR)
    app.loading = LOADING.read_text().replace("PLOTLY", _add_script(server, PLOTLY))
    app.index_string = (
        app.index_string.replace("<html>", f'<html lang="en" data-prefix="{at("")}">')
        .replace("{%favicon%}", _ICON)
        .replace("{%app_entry%}", '<div id="loading" role="status"></div>{%app_entry%}')
    )
    app.layout = _layout(settings.dashboard.refresh_s, acting, _add_script(server, SOUND))
    add_callbacks(app, data, figures, faults)
    # Dash does so at its first request, but only if that is for "/": another page would come without scripts and style.
    app._setup_server()
    server.add_middleware(GZipMiddleware, compresslevel=COMPRESSION)
    names = {*LOOPBACK, settings.dashboard.host, *settings.dashboard.names}
    server.add_middleware(Guard, names=names, policy=_policy(app), faults=faults)
    # uvicorn's own would come before who is at the other end is noted.
    server.add_middleware(Below, prefix=settings.dashboard.prefix)
    proxies = [*TRUSTED, *map(str, settings.access.proxy_peers)]
    server.add_middleware(ProxyHeadersMiddleware, trusted_hosts=proxies)
    listed = frozenset(plain(str(peer)) for peer in settings.access.proxy_peers)
    server.add_middleware(Forwarded, peers=listed, prefix=settings.dashboard.prefix)
    server.add_middleware(SocketPeer)
    server.add_middleware(Timed)
    return server


def _policy(app: _Page) -> str:
    """Return what a browser may load: what comes from here, and no script that is written into the page but Dash's."""
    ours = base64.b64encode(hashlib.sha256(app.loading.encode()).digest()).decode()
    scripts = " ".join(["'self'", f"'sha256-{ours}'", *app.csp_hashes()])
    # Plotly's plots are styled where they stand; its pictures are made in the browser.
    return (
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        f"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )


def _add_script(server: FastAPI, file: Path) -> str:
    """Have a script served, compressed, and return its address."""
    content = file.read_bytes() if file.suffix == ".gz" else gzip.compress(file.read_bytes(), mtime=0)
    address = f"/{hashlib.sha256(content).hexdigest()[:12]}-{file.stem}"
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}

    async def script(request: Request) -> Response:
        if "gzip" in request.headers.get("accept-encoding", ""):
            encoded = headers | {"Content-Encoding": "gzip"}
            return Response(content, media_type="text/javascript", headers=encoded)
        return Response(gzip.decompress(content), media_type="text/javascript", headers=headers)

    server.add_route(address, script)
    return at(address)


def _add_log_in(server: FastAPI, settings: Settings) -> None:
    """Have the page served on which one logs in."""
    provider = f'<p><a class="choice" id="provider" href="{at(BEGIN)}">Log in as elsewhere here</a></p>'
    parts = {
        "SCRIPT": _add_script(server, LOG_IN_SCRIPT),
        "ICON": _ICON,
        "PREFIX": at(""),
        "PROVIDER": provider if settings.access.oidc_issuer is not None else "",
    }
    content = LOG_IN.read_text()
    for name, part in parts.items():
        content = content.replace(name, part)

    async def page(_: Request) -> Response:
        return Response(content, media_type="text/html")

    server.add_route("/log-in", page)


def _add_hand_over(server: FastAPI, settings: Settings) -> None:
    """Have the hand-over served, as a page and as Markdown."""
    # Apart from those of the page: one is made after the other, and who waits for it lets nobody wait there.
    threads = Threads()
    text = HAND_OVER.read_text().replace("SCRIPT", _add_script(server, HAND_OVER_SCRIPT)).replace("ICON", _ICON)
    text = text.replace("PREFIX", at(""))
    made = HandOver(settings, text)
    for path, answer in ((PAGE, made.page), (MARKDOWN, made.markdown)):

        async def answered(request: Request, answer: Callable[[Request], Response] = answer) -> Response:
            return await threads.run(peer_of(request), partial(answer, request))

        server.add_route(path, answered)


def _add_checklist(server: FastAPI, data: Data, threads: Threads, acting: str, again: str, own: Sequence[str]) -> None:
    """Have the page of the checklist served."""
    script = _add_script(server, CHECKLIST_SCRIPT)
    fixed = {"AGAIN": again, "ICON": _ICON, "ACTING": acting, "SCRIPT": script, "PREFIX": at("")}
    content = re.sub("|".join(fixed), lambda found: fixed[found[0]], CHECKLIST.read_text())

    def made() -> Response:
        page = content.replace("BODY", shown(data, own))
        return Response(page, headers={"Cache-Control": "no-store"}, media_type="text/html")

    @server.get("/checklist")
    async def checklist(request: Request) -> Response:
        return await threads.run(peer_of(request), made)


def _add_alarm(server: FastAPI, data: Data, threads: Threads, acting: str, again: str) -> None:
    """Have the page of each alarm served."""
    fixed = {"AGAIN": again, "ICON": _ICON, "ACTING": acting, "PREFIX": at(""), "LONGEST": str(LONGEST_NOTE)}
    fixed["SCRIPT"] = _add_script(server, ALARM_SCRIPT)
    content = re.sub("|".join(fixed), lambda found: fixed[found[0]], ALARM.read_text())

    def made(alarm_id: str) -> Response:
        its = one_alarm(data, alarm_id)
        # What stands in it is no place for anything more.
        parts = {"TITLE": html_of(its.title), "BODY": its.body}
        page = re.sub("TITLE|BODY", lambda found: parts[found[0]], content)
        headers = {"Cache-Control": "no-store"}
        return Response(page, 200 if its.is_there else 404, headers, media_type="text/html")

    @server.get("/alarm/{alarm_id}")
    async def alarm(alarm_id: str, request: Request) -> Response:
        return await threads.run(peer_of(request), partial(made, alarm_id))


def _add_files(server: FastAPI, data: Data, threads: Threads) -> None:
    """Have a plot's numbers served as files, named after run, plot and spills."""
    kinds = {"csv": (as_csv, "text/csv"), "json": (as_json, "application/json")}

    def made(name: str, kind: str, query: str) -> Response:
        view = data.view(Choices.of(query))
        if not view.is_stored:
            return Response("There is no such run here.", status_code=404)
        write, media = kinds[kind]
        headers = {"Content-Disposition": f'attachment; filename="{file_name(view, name)}.{kind}"'}
        return Response(write(view, name), media_type=media, headers=headers)

    @server.get("/export/{name}.{kind}")
    async def export(name: str, kind: str, request: Request) -> Response:
        if kind not in kinds or (
            name not in experiment().plots and (name not in experiment().trends or kind == "json")
        ):
            return Response(NO_SUCH_PAGE, status_code=404)
        return await threads.run(peer_of(request), partial(made, name, kind, request.url.query))


async def _tried(trier: Trier, request: Request) -> Response:
    """Return what the limits that somebody sends would have told of the last runs."""
    said, limits = request.query_params.get("last"), await request.body()
    last = number(said)
    if last is None or not 0 < last <= MOST_RUNS:
        return _words(f"Of the last 1 to {MOST_RUNS} runs it can be told.", 400)
    if len(limits) > MOST_BYTES:
        return _words(f"Limits have at most {MOST_BYTES:,} bytes here.", 413)
    if trier.is_at_work:
        return _words("Limits are being tried already: ask again in a minute.", 429)
    try:
        return _words("\n".join(await trier.lines(limits, last)), 200)
    except UsageError as error:
        return _words(f"{error}.", 400)


def _words(words: str, status: int) -> Response:
    return Response(words, status_code=status, media_type="text/plain")


def _layout(refresh_s: float, *later: str) -> Any:
    limits = {
        "later": later,
        "beat_ms": BEAT_MS,
        "late_ms": max(BROWSER_LATE_S, REFRESHES_LATE * refresh_s) * 1000,
        "patience_ms": (refresh_s + PATIENCE_S) * 1000,
        "most_patience_ms": (refresh_s + MOST_PATIENCE_S) * 1000,
    }
    browser = [
        html.Span("?", id="browser-mark", className="mark"),
        html.Span("Browser", className="what"),
        html.Span("Waiting for the server", id="browser-words", className="words"),
    ]
    tools = [
        act("Find", "find", said="Find a plot", key="/"),
        choose("Rotate", "rotate=30", said="For a large screen: go on to the next page again and again; Esc leaves"),
        act("Full screen", "full", said="Full screen", key="f"),
        html.Button(
            "◐", id="switch-theme", className="choice", title="Light or dark", **{"aria-label": "Light or dark"}
        ),
        act("?", "help", said="Keys", key="?"),
    ]
    top = [
        html.Span("Spilldeck", className="brand"),
        html.Nav(id="navigation"),
        html.Span(id="clock"),
        html.Div(tools, className="tools"),
    ]
    header = [
        html.Div(top, className="top"),
        html.Div(id="strip"),
        html.Div(
            [
                html.Div(id="badges"),
                html.Div(browser, id="browser", className="badge unknown"),
                act("Seen", "acknowledge", said="Acknowledge what is bad", key="a"),
                html.Div(id="who"),
            ],
            className="freshness",
        ),
        html.Div(id="banners"),
    ]
    return html.Div(
        [
            dcc.Location(id="address"),
            dcc.Store(id="theme", data="light"),
            dcc.Store(id="limits", data=limits),
            html.Header(header),
            html.Main([html.Nav(id="tiles"), html.Nav(id="controls"), html.Div(id="page")]),
            *dialogs(),
        ]
    )


def serve(settings: Settings) -> None:
    """Serve the page until the process is told to stop.

    Raises
    ------
    ServerError
        When the port is in use.
    """
    host, port = settings.dashboard.host, settings.dashboard.port
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        what = "port in dashboard.port" if error.errno in {EADDRINUSE, EACCES} else "address in dashboard.host"
        where = settings.dashboard.address
        raise ServerError(f"the page cannot listen on {where} ({error.strerror}): choose another {what}") from error
    collect_seldom()
    with Data(settings) as data:
        server_of(settings, data).run()


class _Server(uvicorn.Server):
    """Says that its loop turns, and to whoever supervises it that the page follows Redis and Kafka."""

    def __init__(self, config: uvicorn.Config, health: Health, data: Data) -> None:
        super().__init__(config)
        self._health, self._data = health, data

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._health.begin()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._health.end()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_SECOND == 0:
            self._health.turn()
            if self._data.has_looked_lately():
                self._health.progress()
        return await super().on_tick(counter)


def server_of(settings: Settings, data: Data) -> uvicorn.Server:
    """Return what serves the page, and has raised this process's limit of open files for it."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    Connection.most = raise_file_limit() - OTHER_FILES
    app = create_app(settings, data)
    config = uvicorn.Config(
        app,
        host=settings.dashboard.host,
        port=settings.dashboard.port,
        http=Connection,
        ws="none",
        proxy_headers=False,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    return _Server(config, app.state.health, data)
