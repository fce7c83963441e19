"""Errors of the page's own: each is logged once, with what was asked, however often browsers ask again."""

import traceback
from collections import OrderedDict

import structlog

from streams import metrics

KEPT = 256
"""Errors that are remembered as logged."""
ASKED_CHARACTERS = 200

_log = structlog.get_logger(__name__)


class Faults:
    """Remembers which errors were logged."""

    def __init__(self) -> None:
        self._logged: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, what: str, error: Exception, asked: str) -> None:
        """Log an error, unless one of its kind was, from the same place."""
        metrics.PAGE_ERRORS.inc()
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        key = (type(error).__name__, place)
        if key in self._logged:
            return
        self._logged[key] = None
        while len(self._logged) > KEPT:
            self._logged.popitem(last=False)
        # In ASCII: what somebody asked for may hold a terminal's commands.
        said = ascii(f"{type(error).__name__}: {error}"[:ASKED_CHARACTERS])
        _log.error(what, error=said, place=place, asked=ascii(asked[:ASKED_CHARACTERS]))
