"""The hand-over at its addresses: a page, and the same as Markdown."""

import math
import threading
import time
from html import escape

from fastapi import Request, Response
from redis.exceptions import RedisError

from dashboards.addresses import at
from dashboards.data.shift import MOST_HOURS, shift
from dashboards.pages.handover import sections
from dashboards.refusals import sentence
from streams.books.connect import connect, no_redis
from streams.books.handover import Report, markdown, report
from streams.errors import ServerError, UsageError
from streams.settings import Settings

PAGE, MARKDOWN = "/handover", "/handover.md"
HOURS = 8.0
"""Of a shift, if nobody says how many."""
KEPT_S = 5.0
"""So long it is the same for whoever asks: two runs are compared for it, with all their plots and channels."""


class HandOver:
    """Answers with the hand-over, made by one thread at a time.

    Parameters
    ----------
    settings
        Servers.
    page
        The page's text, with TITLE, MARKDOWN and SECTIONS in the places of these.
    """

    def __init__(self, settings: Settings, page: str) -> None:
        self._settings, self._page = settings, page
        self._making = threading.Lock()
        self._made: dict[float, tuple[float, Report]] = {}

    def page(self, request: Request) -> Response:
        """Return it as a page."""
        return self._answer(request, is_page=True)

    def markdown(self, request: Request) -> Response:
        """Return it as Markdown."""
        return self._answer(request, is_page=False)

    def _answer(self, request: Request, *, is_page: bool) -> Response:
        try:
            hours = _hours(request.query_params.get("hours", ""))
            made = self._report(hours)
        except UsageError as error:
            return Response(sentence(error), 400, media_type="text/plain")
        except ServerError as error:
            return Response(sentence(error), 503, media_type="text/plain")
        headers = {"Cache-Control": "no-store"}
        if not is_page:
            return Response(markdown(made), media_type="text/markdown; charset=utf-8", headers=headers)
        text = self._page.replace("MARKDOWN", f"{at(MARKDOWN)}?hours={hours:g}").replace("TITLE", escape(made.title))
        return Response(text.replace("SECTIONS", sections(made)), media_type="text/html", headers=headers)

    def _report(self, hours: float) -> Report:
        with self._making:
            at_s, made = self._made.get(hours, (-math.inf, None))
            if made is None or time.monotonic() - at_s > KEPT_S:
                try:
                    with connect(self._settings) as redis:
                        made = report(shift(self._settings, redis, hours))
                except RedisError as error:
                    raise no_redis(self._settings, error) from error
                self._made = {hours: (time.monotonic(), made)}
            return made


def _hours(said: str) -> float:
    try:
        hours = float(said or HOURS)
    except ValueError:
        hours = math.nan
    if not 0 < hours <= MOST_HOURS:
        raise UsageError(f"a hand-over is of more than 0 and at most {MOST_HOURS} hours")
    return hours
