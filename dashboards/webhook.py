"""Posts JSON, signed, to an address that the settings name: alarms, and what somebody logs."""

import hashlib
import hmac
import json
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pydantic import SecretStr

from dashboards.access.private import read_private
from streams.errors import SpilldeckError, UsageError

ANSWER_S = 10.0
"""Who has not answered within it has not been told."""
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
    with build_opener(_NoRedirect).open(request, timeout=ANSWER_S):
        pass


def signature(secret: bytes, body: bytes) -> str:
    """Return by what a receiver knows that what is told is ours: HMAC-SHA256 of the body, hexadecimal."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def why_not(error: Exception) -> str:
    """Return in words why something was not taken."""
    if not isinstance(error, HTTPError):
        return str(error)
    error.close()
    return f"it answers {error.code}"


def next_pause(pause_s: float) -> float:
    """Return how long to wait after it was told in vain once more."""
    return min(max(2 * pause_s, PAUSE_S), LONGEST_PAUSE_S)


class _NoRedirect(HTTPRedirectHandler):
    """Takes a redirection for an error: what is told would be lost on the way."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def _secret(file: Path) -> bytes:
    content = read_private(file.expanduser())
    if not content or not content.strip():
        raise UsageError(f"{file}, whose content is to sign what is told, is empty, or is not there")
    return content.strip()
