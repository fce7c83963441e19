"""What the page's server answers before any of its parts is asked, and what it says with each answer."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog
from fastapi import Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.addresses import ASKED
from dashboards.faults import Faults
from dashboards.threads import TooManyError

BODY_BYTES = 1_000_000
"""The page posts some hundred bytes."""
MOST_CHARACTERS = 4096
"""In an address or a choice."""
LIVE = "/live"
"""What an open page asks has the page's address in it, in which marks take more characters."""
NO_SUCH_PAGE = "There is nothing at this address."
SAFE = ("GET", "HEAD")
"""Methods that change nothing."""
AGAIN_S = "1"
"""When a peer that has asked for too much may ask again."""


_log = structlog.get_logger(__name__)


class _TooLargeError(Exception):
    """A body is larger than anything that the page sends."""


_TOO_MUCH: dict[type[Exception], tuple[int, str, dict[str, str]]] = {
    _TooLargeError: (413, f"A request has at most {BODY_BYTES:,} bytes.", {"Connection": "close"}),
    TooManyError: (429, "Too much is being made for you already: ask again later.", {"Retry-After": AGAIN_S}),
}


class Guard:
    """Bounds what is asked, and has an error answered and logged once.

    Parameters
    ----------
    app
        What answers else.
    names
        By which a browser may know this server, besides its addresses: one that asks for another name was led here by
        somebody else's page.
    policy
        What a browser may load, `Content-Security-Policy`.
    """

    def __init__(self, app: ASGIApp, *, names: Iterable[str], policy: str, faults: Faults) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._policy = policy
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._add_headers(MutableHeaders(scope=message))
            await send(message)

        async def refuse(status: int, words: str, headers: dict[str, str] | None = None) -> None:
            _note_refusal(scope, status)
            response = Response(words, status_code=status, media_type="text/plain", headers=headers)
            await response(scope, receive, send_with_headers)

        asked = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}"
        if refused := self._refused(scope):
            await refuse(*refused)
            return
        try:
            await self._app(_as_get(scope), await _whole(scope, receive), send_with_headers)
        except (_TooLargeError, TooManyError) as error:
            await refuse(*_TOO_MUCH[type(error)])
        except ClientDisconnect:
            return  # who asked is gone, before all of it had come
        except Exception as error:  # noqa: BLE001 - one answer that fails stops no other
            self._faults.note("a request cannot be answered", error, asked)
            if not started:
                await refuse(500, "This cannot be made: the server's log says why.")

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Return with which status and words a request is refused, if it is."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        # A proxy says for which name it was asked. That alone says nothing of who asks us: both have to be known.
        for name in (scope.get(ASKED, host), host):
            if not self._knows(name):
                return 400, f"This server is not known as {ascii(name)[1:-1]}: dashboard.names says how it is known."
        if _is_of_foreign_page(scope["method"], headers, host):
            return 403, "A page of another server asked for this: it is refused."
        length = len(scope["raw_path"]) + len(scope["query_string"])
        if length > MOST_CHARACTERS and scope["path"] != LIVE:
            return (
                414,
                f"This address is too long: it has {length:,} characters, and at most {MOST_CHARACTERS:,} are read.",
            )
        return None

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self._names:
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _add_headers(self, headers: MutableHeaders) -> None:
        headers["Content-Security-Policy"] = self._policy
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        # Chromium holds back equal questions of other tabs while it waits for an answer that it may keep.
        if "etag" not in headers:
            headers.setdefault("Cache-Control", "no-store")


def _is_of_foreign_page(method: str, headers: Headers, host: str) -> bool:
    """Say whether a browser asks for a page that is not ours, of what may change something."""
    if method in SAFE:
        return False
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    except ValueError:
        return True


def _note_refusal(scope: Scope, status: int) -> None:
    """Log that something is refused that may have changed something."""
    if scope["method"] not in SAFE:
        peer = ascii((scope.get("client") or ("",))[0])
        _log.warning("a request is refused", status=status, path=ascii(scope["path"]), peer=peer)


def _as_get(scope: Scope) -> Scope:
    """Have HEAD answered as GET is, wherever; what carries the answer leaves its body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


async def _whole(scope: Scope, receive: Receive) -> Receive:
    """Return what gives a request's body, once it has come."""
    announced = Headers(scope=scope).get("content-length", "0")
    if not announced.isdigit() or int(announced) > BODY_BYTES:
        raise _TooLargeError
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return receive
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_BYTES:
            raise _TooLargeError
    given = False

    async def give() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
