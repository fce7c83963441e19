"""Sessions: a signed cookie says who logged in, until it expires or somebody logs out."""

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from itsdangerous import BadSignature, URLSafeSerializer
from pydantic import TypeAdapter, ValidationError

from dashboards.access.accounts import Accounts, User
from dashboards.access.private import PrivateJson, alone, read_private, write_private

COOKIE = "spilldeck-session"
"""Begins the name of the cookie of a session; goes on with that of its site."""
KEY_BYTES = 32


class Session(NamedTuple):
    """What a cookie says."""

    user: str
    id: str
    password: str
    """A digest of the hash of the password, and of when its user was added: another ends the session."""
    until_s: float
    """Seconds since 1970 UTC."""


_SESSION = TypeAdapter(Session)
_ENDED = TypeAdapter(dict[str, float])
"""Those that were ended, until when each would have gone on."""
T = TypeVar("T")


class Sessions:
    """Those of a site.

    Parameters
    ----------
    directory
        Has the key that signs them, made when it is first needed, and those that were ended.
    """

    def __init__(self, directory: Path, accounts: Accounts, hours: float) -> None:
        self._directory, self._accounts = directory, accounts
        self.seconds = round(hours * 3600)
        self._ended = PrivateJson(directory / "ended.json", _ENDED)

    def sign(self, values: Sequence[Any], what: str) -> str:
        """Return values as a cookie of this kind has them, so that nobody can make another."""
        return str(self._signer(what).dumps([*values]))

    def called(self, what: str) -> str:
        """Return the name of a cookie of this kind at this site: a browser has one jar for all ports of a host."""
        return f"{what}-{hashlib.sha256(self._key()).hexdigest()[:8]}"

    def in_jar(self, cookies: Mapping[str, str], what: str) -> str:
        """Return this site's cookie of a kind; empty if there is none."""
        # Who has none of any site has no key made for him.
        return cookies.get(self.called(what), "") if any(name.startswith(what) for name in cookies) else ""

    def signed(self, cookie: str, what: str, values: TypeAdapter[T]) -> T | None:
        """Return the values of what `sign` returned; None of anything else, and of what another version had signed."""
        try:
            return values.validate_python(self._signer(what).loads(cookie))
        except (BadSignature, ValidationError):
            return None

    def begin(self, user: str) -> str:
        """Return the cookie of a user who has just shown who it is."""
        password = _password(self._accounts.users()[user])
        session = Session(user, secrets.token_urlsafe(16), password, time.time() + self.seconds)
        return self.sign(session, COOKIE)

    def user(self, cookie: str) -> str | None:
        """Return whose session a cookie is of; None if it is of none that goes on."""
        session = self._session(cookie)
        return session.user if session is not None else None

    def end(self, cookie: str) -> None:
        """End a session wherever its cookie is; what has expired is forgotten."""
        session, now_s = self._session(cookie), time.time()
        if session is None:
            return

        def change(values: dict[str, Any]) -> None:
            for each in [each for each, until_s in values.items() if until_s <= now_s]:
                del values[each]
            values[session.id] = session.until_s

        self._ended.change(change)

    def _session(self, cookie: str) -> Session | None:
        session = self.signed(cookie, COOKIE, _SESSION)
        user = self._accounts.users().get(session.user) if session is not None else None
        if session is None or user is None or session.password != _password(user):
            return None
        is_over = time.time() >= session.until_s or session.id in self._ended.read()
        return None if is_over else session

    def _key(self) -> bytes:
        path = self._directory / "key"
        key = read_private(path)
        if not key:
            with alone(self._directory):
                key = read_private(path) or secrets.token_bytes(KEY_BYTES)
                write_private(path, key)
        return key

    def _signer(self, what: str) -> URLSafeSerializer:
        return URLSafeSerializer(self._key(), salt=what, signer_kwargs={"digest_method": hashlib.sha256})


def _password(user: User) -> str:
    return hashlib.sha256(f"{user.added}{user.password}".encode()).hexdigest()[:16]
