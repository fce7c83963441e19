"""What people ask, and how it is refused: with a sentence, and a line in the log without what may be secret."""

from http import HTTPStatus

import structlog
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict

from dashboards.access.identity import RefusedError
from dashboards.data.one_run import sentence as begun
from dashboards.threads import peer_of
from streams.errors import SpilldeckError

LOGGED = 200
"""Characters of what a log says of a refusal."""

_log = structlog.get_logger(__name__)


class Said(BaseModel):
    """What a request says; nothing else may be in it."""

    model_config = ConfigDict(extra="forbid", strict=True)


def sentence(error: Exception) -> str:
    """Return an error as a sentence."""
    return f"{begun(error)}."


def refusal(error: RefusedError | SpilldeckError) -> RefusedError:
    """Return as what an error is answered."""
    return error if isinstance(error, RefusedError) else RefusedError(503, sentence(error))


def refused(request: Request, name: str, error: RefusedError) -> Response:
    """Return the answer to what is refused to somebody of a name, and log it."""
    words = str(error)
    _log.warning(
        "an action is refused",
        path=request.url.path,
        status=error.status,
        why=ascii(words[:LOGGED]),
        who=ascii(name),
        peer=ascii(peer_of(request)),
    )
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
    if error.again_s:
        headers["Retry-After"] = str(round(error.again_s) + 1)
    return Response(words, status_code=error.status, media_type="text/plain", headers=headers)
