"""Who asks: by a token, a proxy, a session, or because nobody else can."""

import ipaddress
import socket
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboards.access.accounts import Accounts, is_name
from dashboards.access.oidc import Provider
from dashboards.access.roles import Role
from dashboards.access.sessions import COOKIE, Sessions
from dashboards.addresses import PEER, plain
from streams.settings import AccessSettings

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""A proxy sets one of these: what it passes on may come from anywhere."""


class Way(StrEnum):
    """How it is known who asks."""

    NOBODY = "nobody"
    """It is not: whoever looks need not say."""
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - no password
    PROXY = "proxy"
    MACHINE = "machine"
    """Nobody is configured: who is on the machine of the page is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who asks."""

    name: str
    """As the record of an action has it; empty for nobody."""
    role: Role
    way: Way


NOBODY = Person(name="", role=Role.VIEWER, way=Way.NOBODY)


class RefusedError(Exception):
    """A request is refused; its text is one sentence.

    Parameters
    ----------
    status
        Of HTTP.
    again_s
        After how long it may be tried again, if that helps.
    """

    def __init__(self, status: int, words: str, *, again_s: float = 0.0) -> None:
        super().__init__(words)
        self.status, self.again_s = status, again_s


class SocketPeer:
    """Notes who is at the other end of the connection, before what a proxy says of it is taken for that."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note it."""
        await self._app({**scope, PEER: (scope.get("client") or ("",))[0]}, receive, send)


class Access:
    """Says who asks.

    Raises
    ------
    SpilldeckError
        From each of its functions, when the users cannot be read.
    """

    def __init__(self, settings: AccessSettings) -> None:
        directory = settings.directory.expanduser()
        self.accounts = Accounts(directory)
        self.sessions = Sessions(directory, self.accounts, settings.session_hours)
        self.provider = Provider(settings) if settings.oidc_issuer is not None else None
        self._peers = {plain(str(peer)) for peer in settings.proxy_peers}
        self._header = settings.proxy_header

    def is_configured(self) -> bool:
        """Say whether anybody is known, or a proxy is believed."""
        return bool(self._peers) or self.provider is not None or not self.accounts.is_empty()

    def person(self, request: Request) -> Person:
        """Return who asks.

        Raises
        ------
        RefusedError
            When somebody says who it is, and that is not so.
        """
        if request.headers.get("authorization") is not None:
            return self._by_token(request)
        if self._peers and (said := request.headers.getlist(self._header)):
            if len(said) > 1 or not (said[0] == "" or is_name(said[0])):
                raise RefusedError(400, f"The header {self._header} is to name one user, once: mend the proxy.")
            if said[0] and plain(request.scope.get(PEER, "")) in self._peers:
                user = self.accounts.users().get(said[0])
                return Person(name=said[0], role=user.role if user else Role.VIEWER, way=Way.PROXY)
        if cookie := self.sessions.in_jar(request.cookies, COOKIE):
            name = self.sessions.user(cookie)
            user = self.accounts.users().get(name) if name is not None else None
            if name is None or user is None:
                raise RefusedError(401, "This session is over: log in again.")
            return Person(name=name, role=user.role, way=Way.SESSION)
        if not self.is_configured() and is_here(request):
            return Person(name=f"local@{socket.gethostname()}", role=Role.ADMIN, way=Way.MACHINE)
        return NOBODY

    def _by_token(self, request: Request) -> Person:
        said = request.headers.getlist("authorization")
        kind, _, token = said[0].partition(" ")
        name = self.accounts.token_name(token.strip()) if len(said) == 1 and kind.lower() == "bearer" else None
        its = self.accounts.tokens().get(name) if name is not None else None
        if its is None:
            raise RefusedError(401, "This token is none, or has expired: spilldeck tokens add makes one.")
        return Person(name=f"token:{name}", role=its.role, way=Way.TOKEN)


def is_here(request: Request, peers: AbstractSet[str] = frozenset()) -> bool:
    """Say whether somebody on this machine asks, or one of these addresses, and no proxy for somebody else."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    peer = plain(request.scope.get(PEER, ""))
    try:
        return peer in peers or ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
