"""Logging in, by a password or at a provider, and out."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated

import structlog
from fastapi import Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import Field, TypeAdapter

from dashboards.access.accounts import LONGEST
from dashboards.access.attempts import Attempts
from dashboards.access.identity import Access, RefusedError
from dashboards.access.oidc import WITHIN_S, Begun, Provider, ProviderRefusedError
from dashboards.access.sessions import COOKIE
from dashboards.addresses import at
from dashboards.refusals import LOGGED, Said, refusal, refused
from dashboards.threads import peer_of
from streams.errors import SpilldeckError

BEGIN, BACK = "/log-in/provider", "/log-in/back"
"""Where one is led to a provider, and where that brings one back."""
BEGUN = "spilldeck-log-in"
"""The cookie that is kept between."""
ADDRESS_CHARACTERS = 1000
_BEGUN = TypeAdapter(Begun)

_log = structlog.get_logger(__name__)


class LogIn(Said):
    """What the page sends."""

    user: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=LONGEST)]


class LogIns:
    """Begins and ends sessions."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._attempts = Attempts()

    def log_in(self, request: Request, said: LogIn) -> Response:
        """Begin a session of who knows the password; raises `RefusedError` for who does not."""
        # What nobody is called may be a password in the wrong place.
        called = said.user if said.user in self._access.accounts.users() else "no user"
        self._count_attempt(f"peer {peer_of(request)}", f"user {said.user}")
        if not self._access.accounts.is_password(said.user, said.password):
            _log.warning("a log-in is refused", user=called, peer=ascii(peer_of(request)))
            raise RefusedError(401, "No user has this name and password.")
        return self._with_session(request, JSONResponse({"name": said.user}), said.user)

    def log_out(self, request: Request) -> Response:
        """End the session of who asks."""
        sessions = self._access.sessions
        if cookie := sessions.in_jar(request.cookies, COOKIE):
            sessions.end(cookie)
        answer = JSONResponse({})
        answer.delete_cookie(sessions.called(COOKIE), path=at("/"))
        return answer

    def by_provider(self) -> Mapping[str, Callable[[Request], Response]]:
        """Return by address what leads to a provider and back, if there is one."""
        its = self._access.provider
        return {BEGIN: partial(self._begin, its), BACK: partial(self._end, its)} if its is not None else {}

    def _begin(self, provider: Provider, request: Request) -> Response:
        try:
            self._count_attempt(f"peer {peer_of(request)}")
            url, begun = provider.begin(_back(request), _ours(request.query_params.get("next", at("/"))))
        except (RefusedError, SpilldeckError) as error:
            return refused(request, "", refusal(error))
        answer = RedirectResponse(url, 303)
        sessions, secure = self._access.sessions, request.url.scheme == "https"
        name, cookie = sessions.called(BEGUN), sessions.sign(begun, BEGUN)
        # Lax: what brings somebody back is a page of the provider.
        answer.set_cookie(name, cookie, round(WITHIN_S), path=at(BACK), httponly=True, samesite="lax", secure=secure)
        return answer

    def _end(self, provider: Provider, request: Request) -> Response:
        try:
            begun = self._begun(request)
            name = self._user(provider.end(_back(request), str(request.url), begun))
            answer = self._with_session(request, RedirectResponse(begun.next, 303), name)
        except ProviderRefusedError as error:
            _log.warning("the word of the provider is refused", why=ascii(str(error)[:LOGGED]))
            said = RefusedError(401, f"Nobody has logged in at the provider: begin again at {at('/log-in')}.")
            return refused(request, "", said)
        except (RefusedError, SpilldeckError) as error:
            return refused(request, "", refusal(error))
        answer.delete_cookie(self._access.sessions.called(BEGUN), path=at(BACK))
        return answer

    def _begun(self, request: Request) -> Begun:
        sessions = self._access.sessions
        kept = sessions.signed(sessions.in_jar(request.cookies, BEGUN), BEGUN, _BEGUN)
        if kept is None:
            raise RefusedError(401, f"This log-in was not begun here: begin again at {at('/log-in')}.")
        return kept

    def _user(self, name: str) -> str:
        if name not in self._access.accounts.users():
            raise RefusedError(403, f"No user here is called {ascii(name[:64])[1:-1]}: spilldeck users add.")
        return name

    def _with_session(self, request: Request, answer: Response, user: str) -> Response:
        sessions, secure = self._access.sessions, request.url.scheme == "https"
        name, cookie = sessions.called(COOKIE), sessions.begin(user)
        answer.set_cookie(name, cookie, sessions.seconds, path=at("/"), httponly=True, samesite="strict", secure=secure)
        return answer

    def _count_attempt(self, *whose: str) -> None:
        if wait_s := self._attempts.wait_s(*whose):
            raise RefusedError(429, f"Too many log-ins: try again in {wait_s:.0f} s.", again_s=wait_s)


def _back(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers['host']}{at(BACK)}"


def _ours(address: str) -> str:
    """Return an address if it is one of this server's: nobody is led elsewhere."""
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_ours and address.isprintable() and len(address) <= ADDRESS_CHARACTERS else at("/")
