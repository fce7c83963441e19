"""What somebody froze: a run as it was then, for whoever opens the link, as long as it is kept or has not changed."""

import threading
from collections import OrderedDict
from dataclasses import replace

from dashboards.data.one_run import OneRun

KEPT = 16
"""Frozen runs that are remembered, those that were looked at last."""
JUST_NOW_S = 30.0
"""A time so near is that of somebody who freezes now."""


class Frozen:
    """Remembers runs as they were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int, str | None], OneRun] = OrderedDict()

    def at(self, time_ms: int, run: int, session: str | None, one: OneRun, now_s: float) -> OneRun | None:
        """Return a run as it was at a time, milliseconds since 1970 UTC; None if that is not kept.

        Parameters
        ----------
        one
            As it is now.
        """
        key = time_ms, run, session
        with self._lock:
            kept = self._kept.get(key)
            if kept is None and abs(now_s - time_ms / 1000) > JUST_NOW_S:
                return one if 0 < one.book.totals.produced_ms < time_ms else None
            if kept is None or kept.version == one.version:  # more of it may have been read meanwhile
                before = kept or one
                parts, histories = {**before.parts, **one.parts}, {**before.histories, **one.histories}
                kept = replace(one, parts=parts, histories=histories, hits=one.hits or before.hits)
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return kept
