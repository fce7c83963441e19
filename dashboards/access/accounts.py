"""Users and tokens for programs, in one file that their owner alone can read; no password or token is in it."""

import hashlib
import hmac
import re
import secrets
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY
from pydantic import TypeAdapter

from dashboards.access.private import PrivateJson
from dashboards.access.roles import Role
from streams.errors import UsageError

SHORTEST, LONGEST = 10, 1000
"""Characters of a password."""
TOKEN_BYTES, ADDED_BYTES = 32, 12
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+-]{0,62}[A-Za-z0-9])?")
_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_ONE_AT_A_TIME = threading.Lock()
"""A hash takes 64 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may log in, or whom a proxy names."""

    role: Role
    password: str
    """Its hash by argon2; empty for who cannot log in here."""
    added: str = ""
    """Random: who is added anew is another, and has none of the sessions of before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a program shows in place of a password."""

    role: Role
    sha256: str
    """Of the token, which is long and random, so that none can be found for it."""
    expires_s: float
    """Seconds since 1970 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)


_FILE = TypeAdapter(_File)


class Accounts:
    """The users and tokens of a site.

    Raises
    ------
    SpilldeckError
        From each of its functions, when the file cannot be read or written.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "accounts.json"
        self._json = PrivateJson(self.path, _FILE)
        self._nobodys = _HASHER.hash(secrets.token_urlsafe())
        """Held against what is said of users that do not exist, so that they take as long."""

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Return those of a directory as a setting names it."""
        return cls(directory.expanduser())

    def users(self) -> dict[str, User]:
        """Return the users by name."""
        return self._json.read().users

    def tokens(self) -> dict[str, Token]:
        """Return the tokens by name."""
        return self._json.read().tokens

    def is_empty(self) -> bool:
        """Say whether nobody is known."""
        return not self.users() and not self.tokens()

    def add_user(self, name: str, role: Role, password: str | None) -> None:
        """Have a user more, or another password for one; None has one who cannot log in here."""
        _check_name(name)
        if password is not None and not SHORTEST <= len(password) <= LONGEST:
            raise UsageError(f"a password has {SHORTEST} to {LONGEST} characters")
        hashed = "" if password is None else _HASHER.hash(password)
        user = asdict(User(role=role, password=hashed, added=secrets.token_urlsafe(ADDED_BYTES)))
        self._json.change(lambda values: values.setdefault("users", {}).update({name: user}))

    def set_role(self, name: str, role: Role) -> None:
        """Give a user another role."""

        def change(values: dict[str, Any]) -> None:
            _one(values, "users", name)["role"] = role

        self._json.change(change)

    def remove_user(self, name: str) -> None:
        """Remove a user, whose sessions end."""
        self._json.change(lambda values: _remove(values, "users", name))

    def add_token(self, name: str, role: Role, expires_s: float) -> str:
        """Return a new token, which is kept nowhere."""
        _check_name(name)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        its = asdict(Token(role=role, sha256=_digest(token), expires_s=expires_s))

        def change(values: dict[str, Any]) -> None:
            if name in values.setdefault("tokens", {}):
                raise UsageError(f"there is a token {name}: remove it first, or give another name")
            values["tokens"][name] = its

        self._json.change(change)
        return token

    def remove_token(self, name: str) -> None:
        """Have a token be none any more."""
        self._json.change(lambda values: _remove(values, "tokens", name))

    def is_password(self, name: str, password: str) -> bool:
        """Say whether a user has this password; it takes as long where there is no such user."""
        user = self.users().get(name)
        hashed = user.password if user is not None else ""
        with _ONE_AT_A_TIME:
            try:
                _HASHER.verify(hashed or self._nobodys, password)
            except (VerificationError, InvalidHashError):
                return False
        return bool(hashed)

    def token_name(self, token: str) -> str | None:
        """Return the name of a token that is one, and has not expired."""
        digest, found = _digest(token), None
        for name, its in self.tokens().items():
            if hmac.compare_digest(its.sha256, digest) and time.time() < its.expires_s:
                found = name
        return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def is_name(name: str) -> bool:
    """Say whether somebody may be called so."""
    return _NAME.fullmatch(name) is not None


def _check_name(name: str) -> None:
    if not is_name(name):
        raise UsageError("a name has 1 to 64 letters, digits and . _ @ + -, no sign at its begin or end")


def _one(values: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    if name not in values.get(kind, {}):
        raise UsageError(f"there is no {kind[:-1]} {name}: see spilldeck {kind} list")
    found: dict[str, Any] = values[kind][name]
    return found


def _remove(values: dict[str, Any], kind: str, name: str) -> None:
    _one(values, kind, name)
    del values[kind][name]
