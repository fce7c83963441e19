"""Posts JSON, signed, to an address that the settings name: alarms, and what somebody logs."""

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from pydantic import SecretStr

from dashboards.access.private import read_private
from streams.errors import SpilldeckError, UsageError

ANSWER_S = 10.0
"""Who has not answered within it has not been told."""
ALL_S = 30.0
"""Nor who has answered by then, but a letter at a time."""
PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two times that it is told in vain: each is twice as long as the one before."""
FAILS = (OSError, HTTPException, ValueError, SpilldeckError)
"""What is raised where somebody does not take what is told."""


def post(address: SecretStr, secret_file: Path | None, told_id: str, said: Any) -> None:
    """Post something under an id; whatever it raises of `FAILS` says that it was not taken.

    Parameters
    ----------
    secret_file
        Its content signs what is told; None if nothing does.
    """
    body = json.dumps(said).encode()
    headers = {"Content-Type": "application/json", "Spilldeck-Id": told_id}
    if secret_file is not None:
        headers["Spilldeck-Signature"] = f"sha256={signature(_secret(secret_file), body)}"
    request = Request(address.get_secret_value(), body, headers, method="POST")  # noqa: S310 - it is of the web
    with build_opener(_NoRedirect, _Http, _Https).open(request, timeout=ANSWER_S):
        pass


def signature(secret: bytes, body: bytes) -> str:
    """Return by what a receiver knows that what is told is ours: HMAC-SHA256 of the body, hexadecimal."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def why_not(error: Exception) -> str:
    """Return in words why something was not taken."""
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        return str(error.reason)
    if not isinstance(error, HTTPError):
        return str(error)
    error.close()
    return f"it answers {error.code}"


def next_pause(pause_s: float) -> float:
    """Return how long to wait after it was told in vain once more."""
    return min(max(2 * pause_s, PAUSE_S), LONGEST_PAUSE_S)


def end_after(seconds: float, connected: Callable[[], socket.socket | None]) -> None:
    """Have a connection end after a time, whatever comes meanwhile; who waits for more of it gets an error."""

    def end() -> None:
        its = connected()
        with suppress(OSError):  # it has ended
            if its is not None:
                its.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


class _Bounded(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        end_after(ALL_S, lambda: self.sock)


class _BoundedByTls(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        end_after(ALL_S, lambda: self.sock)


class _Http(HTTPHandler):
    def http_open(self, request: Request) -> HTTPResponse:
        return self.do_open(_Bounded, request)


class _Https(HTTPSHandler):
    def https_open(self, request: Request) -> HTTPResponse:
        return self.do_open(_BoundedByTls, request)


class _NoRedirect(HTTPRedirectHandler):
    """Takes a redirection for an error: what is told would be lost on the way."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def _secret(file: Path) -> bytes:
    content = read_private(file.expanduser())
    if not content or not content.strip():
        raise UsageError(f"{file}, whose content is to sign what is told, is empty, or is not there")
    return content.strip()
