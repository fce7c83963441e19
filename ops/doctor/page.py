"""Of the page: whether it answers at its address, and shows what the books have."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

from ops.doctor.finding import Check, Finding, Site, trouble
from streams.books import situation
from streams.books.reader import BookReader
from streams.freshness import Level
from streams.settings import Settings

ANSWER_S = 2.5
"""A run at which nobody looks has to be read and judged first: a busy machine takes longer."""
THERE_S = 0.4
CATCHES_UP_S = 2.0
"""The page shows what is in the books within it."""
FAILS = (OSError, ValueError, HTTPException)
"""What asking raises where no page answers: what speaks TLS, or anything else, is none."""
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what others listen on
_MOST_BYTES = 64 << 20


def address(settings: Settings) -> str:
    """Return where the page is for this machine."""
    its = settings.dashboard
    return f"http://{its.model_copy(update={'host': _ANY.get(its.host, its.host)}).address}{its.prefix}"


def _page(site: Site) -> Iterator[Finding]:
    where = address(site.settings)
    try:
        told = _ask(site.settings)
    except urllib.error.HTTPError as error:
        said = error.read(200).decode(errors="replace")
        yield trouble("page.away", f"what answers at {where} says {error.code}: {said}")
        return
    except FAILS as error:
        # What is no HTTP may be no words either.
        is_other = isinstance(error, HTTPException) and not isinstance(error, OSError)
        why = "what answers there speaks no HTTP" if is_other else getattr(error, "reason", error)
        if isinstance(why, TimeoutError) and _is_there(site.settings):
            words = f"the page at {where} answers, and what it shows was not made within {ANSWER_S:g} s"
            yield trouble("doctor.late", words, Level.UNKNOWN)
            return
        yield trouble("page.away", f"no page answers at {where} ({why})")
        return
    if "shows" not in told:
        yield trouble("page.away", f"what answers at {where} is no page of this version")
        return
    yield PAGE.good(f"answers at {where}")


def _ask(settings: Settings) -> dict[str, Any]:
    """Return what the page tells a browser that has nothing yet."""
    with urllib.request.urlopen(f"{address(settings)}/live?path=/&search=", timeout=ANSWER_S) as answer:  # noqa: S310
        told = json.loads(answer.read(_MOST_BYTES))
    return told if isinstance(told, dict) else {}


def _is_there(settings: Settings) -> bool:
    """Say whether it says how it is, for which nothing has to be made."""
    try:
        with urllib.request.urlopen(f"{address(settings)}/ready", timeout=THERE_S):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        return error.code == HTTPStatus.SERVICE_UNAVAILABLE
    except FAILS:
        return False


PAGE = Check(name="page", look=_page, needs=("settings",), late="page.away")


def _shown(site: Site) -> Iterator[Finding]:
    end_s, first = time.monotonic() + CATCHES_UP_S, _now(site)
    while True:
        before, shown, after = _now(site), _ask(site.settings)["shows"], _now(site)
        # Spills go on coming meanwhile: what the books had at first is what the page must have by now.
        first = first if first["run"] == before["run"] else before
        if first["run"] == shown["run"] == after["run"] and first["spills"] <= shown["spills"] <= after["spills"]:
            yield SHOWN.good("what the books have")
            return
        if time.monotonic() > end_s:
            break
        time.sleep(0.2)
    words = (
        f"the page shows run {shown['run']} with {shown['spills']} spills, the books have run {after['run']} with "
        f"{after['spills']}"
    )
    yield trouble("page.other", words)


def _now(site: Site) -> dict[str, int | None]:
    books = BookReader.shown(site.redis, site.settings)
    places = books.places()
    run = situation.current(places, books.came_ms)
    return {"run": run, "spills": places[run].filled if run is not None else 0}


SHOWN = Check(name="page shows", look=_shown, needs=("page", "Kafka", "topics", "runs"), late="page.other")
