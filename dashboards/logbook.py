"""What somebody logs, told to the site's logbook: beside the page, again and again, and never in its way.

An entry is a note in Kafka before it is told, so that nothing is lost that was logged. What is waiting is in memory
alone: a page that is started anew tells no more of it.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import structlog

from dashboards.webhook import FAILS, next_pause, post, why_not
from streams.settings import Settings

KEPT = 16
"""Entries that are remembered, told or waiting, the newest: each has a picture."""
GIVE_UP_S = 3600.0
"""What was told in vain for so long is not told any more."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Entry:
    said: dict[str, Any] | None
    """None if it need not be told any more."""
    since_s: float
    """When it was logged, by the clock that only goes on."""
    is_told: bool = False
    why: str = ""
    """Why it was not taken the last time; empty if it was not tried."""


class Logbook:
    """Tells entries by a thread of its own, which begins with the first.

    Parameters
    ----------
    settings
        Address of the webhook, file of the secret.
    """

    def __init__(self, settings: Settings) -> None:
        self._webhook, self._secret_file = settings.logbook.webhook, settings.logbook.secret_file
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def is_there(self) -> bool:
        """Whether the settings name one."""
        return self._webhook is not None

    def tell(self, entry_id: str, said: dict[str, Any]) -> None:
        """Have an entry told; what has this id already is the same one."""
        if not self.is_there:
            return
        with self._changed:
            if entry_id not in self._entries:
                self._entries[entry_id] = _Entry(said=said, since_s=time.monotonic())
            while len(self._entries) > KEPT:
                gone, entry = self._entries.popitem(last=False)
                if entry.said is not None:
                    _log.error("an entry of the logbook is given up: too many wait", id=gone)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="logbook")
                self._thread.start()
            self._changed.notify_all()

    def state(self, entry_id: str) -> dict[str, Any] | None:
        """Return whether an entry was taken or still waits, and why it was not; None of one that nobody knows."""
        with self._changed:
            its = self._entries.get(entry_id)
            return {"told": its.is_told, "waits": its.said is not None, "why": its.why} if its is not None else None

    def _work(self) -> None:
        pause_s = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: any(each.said is not None for each in self._entries.values()))
                waiting = [(its_id, each) for its_id, each in self._entries.items() if each.said is not None]
            # All are tried: one that is never taken keeps no other from being told.
            failed = [self._try(*each) for each in waiting].count(False)
            pause_s = next_pause(pause_s) if failed else 0.0
            if failed:
                time.sleep(pause_s)

    def _try(self, entry_id: str, entry: _Entry) -> bool:
        if self._webhook is None or entry.said is None:
            return True
        try:
            post(self._webhook, self._secret_file, entry_id, entry.said)
        except FAILS as error:
            entry.why = why_not(error)
            _log.warning("the logbook does not take an entry", id=entry_id, why=entry.why)
            if time.monotonic() - entry.since_s > GIVE_UP_S:
                entry.said = None
            return False
        entry.is_told, entry.said, entry.why = True, None, ""
        return True
