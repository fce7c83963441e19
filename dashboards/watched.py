"""How the page is: /metrics, /live and /ready at its own port, for this machine and `metrics.peers` alone."""

import time
from collections.abc import Iterator
from functools import partial

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards.access.identity import is_here
from dashboards.addresses import plain
from dashboards.data import Data
from dashboards.guard import LIVE
from dashboards.live import Live
from streams import metrics
from streams.health.answers import PATHS, answer
from streams.health.state import Health
from streams.metrics import Part, Value
from streams.settings import Settings
from streams.words import several

_ACTS = "/act/"
_PAGES = ("/_dash", "/alarm/", "/hand-over", "/assets/")


def add_watched(server: FastAPI, settings: Settings, data: Data, live: Live) -> Health:
    """Have the server say how it is, and answer open pages at `LIVE`; return what says it."""

    def figures() -> Iterator[Value]:
        yield from data.told()
        yield Value(metrics.PAGE_OPEN, live.open)
        yield Value(metrics.PAGE_SHOWN_AGE, max(time.time() - at_s, 0.0) if (at_s := data.read_s) else None)

    health = Health(
        Part.PAGE,
        settings,
        faults=data.faults,
        does=lambda: several(live.open, "open page"),
        figures=figures,
    )
    peers = frozenset(plain(str(peer)) for peer in settings.metrics.peers)
    said = partial(_said, health, peers)

    async def live_or_said(request: Request) -> Response:
        # An open page says what it looks at; who only wants to know whether the server lives asks nothing.
        return await (live.answer(request) if request.url.query else said(request))

    for path in PATHS:
        server.add_route(path, live_or_said if path == LIVE else said)
    return health


async def _said(health: Health, peers: frozenset[str], request: Request) -> Response:
    if not is_here(request, peers):
        words = "How the page is, is told on its own machine and to the addresses in metrics.peers, through no proxy."
        return Response(words, status_code=403, media_type="text/plain")
    found = answer(health, request.url.path, request.headers.get("accept", ""))
    return Response(found.body, status_code=found.status, media_type=found.media)


class Timed:
    """Measures how long answers take."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have it answered, and take note of how long that took."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with metrics.PAGE_REQUEST.labels(_what(scope["path"])).time():
            await self._app(scope, receive, send)


def _what(path: str) -> str:
    if path == LIVE:
        return "live"
    if path.startswith(_ACTS):
        return "act"
    return "page" if path == "/" or path.startswith(_PAGES) else metrics.OTHER
