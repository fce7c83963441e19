"""Where the page's parts are for a browser: below a prefix, where a proxy has the page beside others.

Within the server all are at the root, whether the proxy takes the prefix away or not.
"""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIX: ContextVar[str] = ContextVar("prefix", default="")
"""Of the page that is made, or asked for; without a slash at its end."""


def at(path: str) -> str:
    """Return the address of one of the page's parts, for a browser."""
    return f"{_PREFIX.get()}{path}"


def within(address: str) -> str:
    """Return which of the page's parts is at an address of a browser's."""
    return _within(_PREFIX.get(), address)


def _within(prefix: str, address: str) -> str:
    if not prefix or not (address == prefix or address.startswith(f"{prefix}/")):
        return address
    return address.removeprefix(prefix) or "/"


@contextmanager
def below(prefix: str) -> Iterator[None]:
    """Have addresses be below a prefix in a ``with`` block."""
    token = _PREFIX.set(prefix)
    try:
        yield
    finally:
        _PREFIX.reset(token)


class Below:
    """Has a server's parts answer below a prefix, too, and make their addresses so.

    Parameters
    ----------
    app
        What answers at the root.
    prefix
        As the settings say it, without a slash at its end.
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = _within(self._prefix, scope["path"])
        raw = _within(self._prefix, scope["raw_path"].decode("latin-1")).encode("latin-1")
        with below(self._prefix):
            await self._app({**scope, "path": path, "raw_path": raw}, receive, send)


class Forwarded:
    """Has what a proxy of the settings says of whom it asks for stand where the server looks for it.

    It may say so by `Forwarded` or by `X-Forwarded-For` and its like; where it says both, the latter holds, since many
    proxies pass on the former as it came. What else it may say, under which name and prefix, is believed of no other.

    Parameters
    ----------
    app
        What answers.
    peers
        Addresses of the proxies, as they are written usually.
    prefix
        As in `Below`: a proxy that says another is set otherwise than the page.
    """

    def __init__(self, app: ASGIApp, *, peers: frozenset[str], prefix: str) -> None:
        self._app, self._peers, self._prefix = app, peers, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "headers": [*scope["headers"]], ASKED: Headers(scope=scope).get("host", "")}
        headers = MutableHeaders(scope=scope)
        if PEER in scope and plain(scope[PEER]) in self._peers:
            self._believe(headers)
            said = headers.get("x-forwarded-prefix")
            if said is not None and said.rstrip("/") != self._prefix:
                words = (
                    f"The proxy has this page below {ascii(said)[1:-1]}: dashboard.prefix says {self._prefix or '/'}."
                )
                await PlainTextResponse(words, 400)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    @staticmethod
    def _believe(headers: MutableHeaders) -> None:
        if "x-forwarded-for" not in headers and (said := headers.get("forwarded")):
            steps = [_step(step) for step in said.split(",")]
            headers["x-forwarded-for"] = ", ".join(_host(step["for"]) for step in steps if "for" in step)
            # The nearest proxy's word: what stands before it may be anybody's.
            for name in ("proto", "host"):
                if name in steps[-1]:
                    headers[f"x-forwarded-{name}"] = steps[-1][name]
        if host := headers.get("x-forwarded-host", "").rpartition(",")[2].strip():
            headers["host"] = host


PEER, ASKED = "spilldeck.peer", "spilldeck.host"
"""Who is at the other end of the connection, and which host it asked for: before anything that a proxy says."""


def plain(address: str) -> str:
    """Return an address as it is written usually, of IPv4 where it is one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(getattr(found, "ipv4_mapped", None) or found)


def _step(said: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in said.split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _host(node: str) -> str:
    """Return the address of a node, which may have a port: [::1]:80, 10.0.0.1:80."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0]
