"""Sessions: a signed cookie says who logged in, until it expires or somebody logs out."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from itsdangerous import BadSignature, URLSafeSerializer

from dashboards.access.accounts import Accounts
from dashboards.access.private import PrivateJson, alone, read_private, write_private

COOKIE = "spilldeck-session"
KEY_BYTES = 32


class Session(NamedTuple):
    """What a cookie says."""

    user: str
    id: str
    password: str
    """A digest of the hash of the password: another password ends the session."""
    until_s: float
    """Seconds since 1970 UTC."""


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
        self._ended = PrivateJson(directory / "ended.json")

    def sign(self, values: Sequence[Any], what: str) -> str:
        """Return values as a cookie of this kind has them, so that nobody can make another."""
        return str(self._signer(what).dumps([*values]))

    def signed(self, cookie: str, what: str) -> list[Any]:
        """Return the values of what `sign` returned; none of anything else."""
        try:
            return list(self._signer(what).loads(cookie))
        except (BadSignature, TypeError):
            return []

    def begin(self, user: str) -> str:
        """Return the cookie of a user who has just shown who it is."""
        session = Session(user, secrets.token_urlsafe(16), self._password(user), time.time() + self.seconds)
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
        if not (values := self.signed(cookie, COOKIE)):
            return None
        session = Session(*values)
        user = self._accounts.users().get(session.user)
        if user is None or session.password != self._password(session.user):
            return None
        is_over = time.time() >= session.until_s or session.id in self._ended.read()
        return None if is_over else session

    def _password(self, user: str) -> str:
        return hashlib.sha256(self._accounts.users()[user].password.encode()).hexdigest()[:16]

    def _signer(self, what: str) -> URLSafeSerializer:
        path = self._directory / "key"
        key = read_private(path)
        if not key:
            with alone(self._directory):
                key = read_private(path) or secrets.token_bytes(KEY_BYTES)
                write_private(path, key)
        return URLSafeSerializer(key, salt=what, signer_kwargs={"digest_method": hashlib.sha256})
