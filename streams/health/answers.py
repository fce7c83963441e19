"""What is answered at /metrics, /live and /ready, by processes that serve nothing else and by the page alike."""

import json
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST

from streams import metrics
from streams.health.state import Health, Verdict

PATHS = ("/metrics", "/live", "/ready")
_JSON, _TEXT = "application/json", "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """What is answered."""

    status: int
    media: str
    body: bytes


def answer(health: Health, path: str, accept: str) -> Answer:
    """Return the answer at a path; JSON to who asks for that alone, else plain text.

    Parameters
    ----------
    accept
        The header of that name.
    """
    if path == "/metrics":
        return Answer(200, CONTENT_TYPE_LATEST, metrics.scraped(health.part))
    if path == "/live":
        return _said("lives", health.live(), accept)
    if path == "/ready":
        return _said("ready", health.ready(), accept)
    return Answer(404, _TEXT, f"There is nothing at this address: {', '.join(PATHS)}.\n".encode())


def _said(what: str, verdict: Verdict, accept: str) -> Answer:
    status = 200 if verdict.is_so else 503
    if "json" in accept:
        return Answer(status, _JSON, json.dumps({what: verdict.is_so, "why": verdict.words}).encode())
    words = "".join(f"{line}\n" for line in (what if verdict.is_so else f"not {what}", *verdict.words))
    return Answer(status, _TEXT, words.encode())
