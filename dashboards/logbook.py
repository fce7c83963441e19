"""What somebody logs, told to the site's logbook: beside the page, again and again, and never in its way.

An entry is a note in Kafka before it is told, and Kafka has it, too, when the logbook has taken it. So a page that ends
loses none: the next one tells what waits by the record, without its picture, which was in memory alone.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from redis.exceptions import RedisError

from dashboards.webhook import FAILS, next_pause, post, why_not
from streams.books.notes import Note, Notes, find
from streams.errors import ServerError, UsageError
from streams.settings import Settings

PICTURES = 16
"""Of so many entries, the newest, the picture is kept until they are told."""
KEPT = 200
"""Entries that are remembered, told or waiting, the newest."""
ORPHAN_S = 60.0
"""What waits by the record for so long is told by any page: the one that took it is gone, or tells it, too."""
LOOK_S = 2.0
"""Time between two looks at the record."""
GIVE_UP_S = 86_400.0
"""What was told in vain for so long is not told any more."""
GONE = "the page began anew, and tells it without its picture"

_log = structlog.get_logger(__name__)
_US = 1_000_000


@dataclass(slots=True, kw_only=True)
class _Entry:
    note: Note
    picture: str
    is_told: bool = False
    is_noted: bool = False
    """Whether Kafka has it that it is told."""
    why: str = ""
    """Why it was not taken the last time; empty if it was not tried."""

    @property
    def is_given_up(self) -> bool:
        return _is_old(self.note)

    @property
    def is_due(self) -> bool:
        return not self.is_noted and (self.is_told or not self.is_given_up)


class Logbook:
    """Tells entries by a thread of its own.

    Parameters
    ----------
    settings
        Address of the webhook, file of the secret, and where the page is to be reached.
    notes
        Gives the notes as far as the page knows them.
    noted
        Writes that the logbook has a note; raises UsageError if somebody has written so.
    """

    def __init__(self, settings: Settings, notes: Callable[[], Notes], noted: Callable[[Note], None]) -> None:
        self._webhook, self._secret_file = settings.logbook.webhook, settings.logbook.secret_file
        self._dashboard, self._notes, self._noted = settings.dashboard, notes, noted
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._changed = threading.Condition()
        if self.is_there:
            threading.Thread(target=self._work, daemon=True, name="logbook").start()

    @property
    def is_there(self) -> bool:
        """Whether the settings name one."""
        return self._webhook is not None

    def tell(self, note: Note, picture: str) -> None:
        """Have a note told with a picture; what has its id already is the same one."""
        if not self.is_there:
            return
        with self._changed:
            self._add(note, picture)
            self._changed.notify_all()

    def state(self, note_id: str) -> dict[str, Any] | None:
        """Return whether a note was taken or still waits, and why it was not; None of one that nobody knows."""
        with self._changed:
            its = self._entries.get(note_id)
        if its is not None:
            return {"told": its.is_told, "waits": not (its.is_told or its.is_given_up), "why": its.why}
        note = find(self._notes(), note_id)
        if note is None or not note.to_log:
            return None
        return {"told": not note.waits, "waits": note.waits and not _is_old(note), "why": GONE if note.waits else ""}

    def _add(self, note: Note, picture: str) -> None:
        self._entries.setdefault(note.id, _Entry(note=note, picture=picture))
        for entry in [each for each in self._entries.values() if each.picture][:-PICTURES]:
            entry.picture = ""
        while len(self._entries) > KEPT:
            self._entries.popitem(last=False)

    def _work(self) -> None:
        pause_s = 0.0
        while True:
            with self._changed:
                self._take_over()
                self._changed.wait_for(self._due, LOOK_S)
                due = self._due()
            # All are tried: one that is never taken keeps no other from being told.
            failed = [self._try(each) for each in due].count(False)
            pause_s = next_pause(pause_s) if failed else 0.0
            time.sleep(pause_s)

    def _due(self) -> list[_Entry]:
        return [each for each in self._entries.values() if each.is_due]

    def _take_over(self) -> None:
        """Tell what waits by the record and nobody seems to tell."""
        now_us = time.time_ns() // 1000
        for note in self._notes():
            if note.waits and note.at_us + ORPHAN_S * _US <= now_us and not _is_old(note):
                self._add(note, "")

    def _try(self, entry: _Entry) -> bool:
        """Tell an entry, and note it; return whether nothing is left to do."""
        known = find(self._notes(), entry.note.id)
        if known is not None and not known.waits:  # another page has told it
            entry.is_told = entry.is_noted = True
        if not entry.is_told and not self._tell(entry):
            return False
        entry.why, entry.picture = "", ""
        if not entry.is_noted:
            try:
                self._noted(entry.note)
            except UsageError as error:
                _log.info("another has told it, too", id=entry.note.id, why=str(error))
            except (ServerError, RedisError) as error:
                _log.warning("that the logbook has an entry is not noted", id=entry.note.id, why=str(error))
                return False
            entry.is_noted = True
        return True

    def _tell(self, entry: _Entry) -> bool:
        if self._webhook is None:
            return True
        try:
            post(self._webhook, self._secret_file, entry.note.id, self._said(entry))
        except FAILS as error:
            entry.why = why_not(error)
            _log.warning("the logbook does not take an entry", id=entry.note.id, why=entry.why)
            return False
        entry.is_told = True
        return True

    def _said(self, entry: _Entry) -> dict[str, Any]:
        its = entry.note
        link = self._dashboard.link(its.path) if its.path else ""
        text = f"Run {its.run}: {its.text} {link}".strip()
        of_it = {"id": its.id, "who": its.who, "at_us": its.at_us, "run": its.run}
        return of_it | {"text": text, "note": its.text, "plot": its.plot, "link": link, "picture": entry.picture}


def _is_old(note: Note) -> bool:
    return time.time_ns() // 1000 - note.at_us > GIVE_UP_S * _US
