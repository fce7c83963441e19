"""Dash's part of the server, with what it lacks by itself: threads for callbacks, 404, 400 for what no page asks."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from dash import Dash
from dash.backends._fastapi import DashMiddleware, FastAPIDashServer, reset_current_request, set_current_request
from dash.exceptions import DependencyException, InvalidResourceError
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field, ValidationError

from dashboards.guard import MOST_CHARACTERS, NO_SUCH_PAGE
from dashboards.pages.plots import is_page
from dashboards.threads import Threads, peer_of

_log = structlog.get_logger(__name__)


class _Value(BaseModel):
    id: str
    property: str
    value: str | None = Field(default=None, max_length=MOST_CHARACTERS)


class _Asked(BaseModel):
    """What the page posts to Dash's address for updates."""

    output: str
    inputs: list[_Value]
    state: list[_Value] = []


class _Context(DashMiddleware):
    """What Dash does around each of its requests, but for making errors silent."""

    async def _handle_error(self, error: Exception, *_: Any) -> None:
        raise error


class Backend(FastAPIDashServer):
    """Dash's server for FastAPI."""

    websocket_capability = False
    """Nothing of the page uses it."""

    def __init__(self, server: FastAPI) -> None:
        super().__init__(server)
        self.threads = Threads()

    @staticmethod
    def create_app(*_: Any) -> FastAPI:
        """Return a server without pages about itself."""
        return FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def setup_backend(self, dash_app: Dash) -> None:
        """Have Dash know which request it is called in."""
        self._dash_app = dash_app
        self.server.add_middleware(
            _Context, dash_app=dash_app, dash_server=self, before_request_funcs=self._before_request_funcs
        )

    def serve_callback(self, dash_app: Dash) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers Dash's updates. Dash calls its callbacks on the event loop: here a thread does."""
        dispatch = super().serve_callback(dash_app)

        async def answer(request: Request) -> Response:
            try:
                asked = _Asked.model_validate(request.state.json_body)
                found = [(each.id, each.property) for each in (*asked.inputs, *asked.state)]
                known = dash_app.callback_map.get(asked.output, {"inputs": [], "state": []})
                if not found or found != [(each["id"], each["property"]) for each in known["inputs"] + known["state"]]:
                    return _malformed(request, "no callback takes it")
            except ValidationError as error:
                return _malformed(request, "; ".join(each["msg"] for each in error.errors()))
            return await self.threads.run(peer_of(request), partial(_dispatched, dispatch, request))

        return answer

    def serve_component_suites(
        self, dash_app: Dash, package_name: str, fingerprinted_path: str, request: Request
    ) -> Response:
        """Return a script of Dash's."""
        try:
            found: Response = super().serve_component_suites(dash_app, package_name, fingerprinted_path, request)
        except (DependencyException, InvalidResourceError, OSError, ValueError):
            return Response(NO_SUCH_PAGE, status_code=404)
        return found

    def _setup_catchall(self) -> None:
        """Answer at all other addresses with the page, which says where there is none, as does the status."""
        app = (
            self._dash_app
        )  # known since `setup_backend`; the address of all others comes last, when the server starts

        async def page(request: Request) -> Response:
            token = set_current_request(request)
            try:
                status = 200 if is_page(request.url.path) else 404
                return Response(app.index(), status_code=status, media_type="text/html")
            finally:
                reset_current_request(token)

        self.add_url_rule("{path:path}", page, methods=["GET"])


def _dispatched(dispatch: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    async def run() -> Response:
        return await dispatch(request)

    return asyncio.run(run())


def _malformed(request: Request, why: str) -> Response:
    _log.warning("a request is malformed", peer=peer_of(request), path=request.url.path, why=why[:200])
    return Response(f"This is nothing that the page asks: {why}.", status_code=400, media_type="text/plain")
