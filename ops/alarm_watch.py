"""Raises and clears the alarms of the current run, and tells them outside, in a thread for which the other never waits.

What is raised, cleared and told is in Kafka before anything follows from it. So either may be killed at any moment, or
run twice; what was being told then is told again, with the same id.
"""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import structlog
from redis import Redis, RedisError

from dashboards.access.private import read_private
from dashboards.choices import Choices
from dashboards.data import Data, View
from schemas.records import Action
from streams.books.alarm_actions import due_actions, tell_action
from streams.books.alarming import Lasting, Seen, advice, due
from streams.books.alarms import Alarm, Alarms, bundle, telling_id, to_tell
from streams.books.decided import decide, newest
from streams.errors import ServerError, SpilldeckError, UsageError
from streams.settings import Settings

LOOK_S = 1.0
"""Time between two looks at what is known; at once when there is something new."""
GATHER_S = 2.0
"""So long what is to be told waits for what comes together with it."""
BUNDLE_FROM = 4
"""So many that are told at once are told in one."""
ANSWER_S = 10.0
"""A webhook that has not answered within it has not been told."""
PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two times that it is told in vain: each is twice as long as the one before."""

_log = structlog.get_logger(__name__)
_US = 1_000_000


class AlarmWatcher:
    """Decides what is an alarm, by what the page would show of the current run.

    Parameters
    ----------
    settings
        Servers and session.
    redis
        Client that returns bytes.
    data
        What there is to show.
    """

    def __init__(self, settings: Settings, redis: Redis, data: Data) -> None:
        self._settings, self._redis, self._data = settings, redis, data
        self._lasting = Lasting()

    def look(self) -> None:
        """Raise and clear what is due.

        Raises
        ------
        ServerError
            When Kafka does not answer, or the books cannot be read; `redis.RedisError` when Redis does not answer.
        """
        view = self._data.view(Choices())
        if view.is_old:
            raise ServerError("the books cannot be read")
        seen = self._seen(view)
        if seen is None or due(seen, view.alarms, _now_us()) == ((), ()):
            return
        # The page may know less than Kafka.
        known = newest(self._settings, self._redis)().alarms
        for action in due_actions(due(seen, known, _now_us())):
            self._write(action)

    def _write(self, action: Action) -> None:
        try:
            decide(self._settings, self._redis, action)
        except UsageError as error:
            _log.info(f"another was faster: {action.kind}", alarm=action.subject, why=str(error))
            return
        words = json.loads(action.after or action.before)["words"]
        _log.warning(action.kind, alarm=action.subject, words=words, why=action.reason)

    def _seen(self, view: View) -> Seen | None:
        """Return what is known of the current run; None while too little is."""
        if view.run is None or view.judgement is None or view.is_loading or view.is_made_again or view.is_unreadable:
            return None
        stored = {each.new.run for each in view.alarms if each.is_active and view.runs.get(each.new.run)}
        seen = Seen(
            session=self._settings.session,
            run=view.run,
            is_over=view.is_over,
            judgement=view.judgement,
            shapes=view.shapes if view.is_as_judged else {},
            over=stored - {view.run},
        )
        against = view.reference.against if view.reference is not None else None
        lasting = self._lasting.look(view.run, view.book, seen.beneath.rest, against, view.limits)
        return replace(seen, lasting=lasting)


class Teller:
    """Tells a webhook what nobody has acknowledged.

    Parameters
    ----------
    settings
        Its address, and the file of the secret that signs what is told.
    redis
        Client that returns bytes.
    known
        Gives the alarms as the page has them.
    """

    def __init__(self, settings: Settings, redis: Redis, known: Callable[[], Alarms]) -> None:
        self._settings, self._redis, self._known = settings, redis, known
        self._to_note: Action | None = None
        """What was told, and could not be noted yet."""
        self.pause_s = 0.0
        """How long to wait before the next try; it grows while nobody listens."""

    def look(self) -> None:
        """Tell what is due.

        Raises
        ------
        ServerError
            When Kafka does not answer; `redis.RedisError` when Redis does not.
        """
        self._note()
        if not self._due(self._known()):
            return
        alarms = self._due(newest(self._settings, self._redis)().alarms)
        for told in [alarms] if len(alarms) >= BUNDLE_FROM else [[each] for each in alarms]:
            if not self._tell(told):
                return
            self._to_note = tell_action(told)
            self._note()

    def _due(self, alarms: Alarms) -> list[Alarm]:
        now_us = _now_us()
        found = to_tell(alarms, now_us, round(self._settings.alarms.repeat_s * _US))
        has_waited = any(each.at_us + GATHER_S * _US <= now_us for each in found)
        return found if has_waited else []

    def _note(self) -> None:
        if self._to_note is None:
            return
        try:
            decide(self._settings, self._redis, self._to_note)
        except UsageError as error:
            _log.info("another has told it, too", id=self._to_note.subject, why=str(error))
        self._to_note = None

    def _tell(self, alarms: list[Alarm]) -> bool:
        """Tell some alarms in one; return whether the webhook has taken it."""
        told_id = telling_id(alarms)
        try:
            self._post(told_id, json.dumps(message(told_id, alarms)).encode())
        except (OSError, HTTPException, ValueError, SpilldeckError) as error:
            self.pause_s = min(max(2 * self.pause_s, PAUSE_S), LONGEST_PAUSE_S)
            why = str(error)
            if isinstance(error, HTTPError):
                why = f"it answers {error.code}"
                error.close()
            _log.warning("the webhook cannot be told", id=told_id, why=why, again_in_s=self.pause_s)
            return False
        self.pause_s = 0.0
        _log.info("the webhook is told", id=told_id, words=bundle(alarms))
        return True

    def _post(self, told_id: str, body: bytes) -> None:
        webhook, secret_file = self._settings.alarms.webhook, self._settings.alarms.secret_file
        assert webhook is not None  # noqa: S101
        headers = {"Content-Type": "application/json", "Spilldeck-Id": told_id}
        if secret_file is not None:
            headers["Spilldeck-Signature"] = f"sha256={signature(_secret(secret_file), body)}"
        request = Request(webhook.get_secret_value(), body, headers, method="POST")  # noqa: S310 - it is of the web
        with build_opener(_NoRedirect).open(request, timeout=ANSWER_S):
            pass


class _NoRedirect(HTTPRedirectHandler):
    """Takes a redirection for an error: what is told would be lost on the way."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def message(told_id: str, alarms: Sequence[Alarm]) -> dict[str, Any]:
    """Return what is told: in a line, and all of each alarm."""
    return {"id": told_id, "text": bundle(alarms), "alarms": [_plain(each) for each in alarms]}


def signature(secret: bytes, body: bytes) -> str:
    """Return by what a receiver knows that what is told is ours: HMAC-SHA256 of the body, hexadecimal."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def watch(settings: Settings, redis: Redis, stopped: threading.Event) -> None:
    """Decide and tell until stopped; a server that is away is waited for."""
    failed: list[BaseException] = []
    with Data(settings, explains=False) as data:
        watcher = AlarmWatcher(settings, redis, data)
        if settings.alarms.webhook is not None:
            teller = Teller(settings, redis, lambda: data.view(Choices()).alarms)
            # Whoever listens slowly does not keep us from ending.
            args = (teller.look, stopped, lambda: teller.pause_s, failed)
            threading.Thread(target=_keep, args=args, daemon=True).start()
        _keep(watcher.look, stopped, lambda: 0.0, failed)
    if failed:
        raise failed[0]


def _keep(
    look: Callable[[], None], stopped: threading.Event, pause_s: Callable[[], float], failed: list[BaseException]
) -> None:
    """Look again and again; what is no server's fault ends all, and is noted, so that somebody starts it anew."""
    is_away = False
    while not stopped.is_set():
        try:
            look()
        except (RedisError, ServerError) as error:
            is_away = True
            _log.warning("a server does not answer: what is due waits for it", error=str(error))
        except Exception as error:  # noqa: BLE001 - one thread must not end alone
            failed.append(error)
            stopped.set()
        else:
            if is_away:
                _log.info("the servers answer again")
            is_away = False
        stopped.wait(max(pause_s(), LOOK_S))


def _plain(alarm: Alarm) -> dict[str, Any]:
    of_it = {"id": alarm.id, "raised_us": alarm.at_us, "times_told": len(alarm.told_us)}
    return of_it | alarm.new._asdict() | advice(alarm.new)._asdict()


def _secret(file: Path) -> bytes:
    content = read_private(file.expanduser())
    if not content or not content.strip():
        raise UsageError(f"{file} of alarms.secret_file is empty, or is not there")
    return content.strip()


def _now_us() -> int:
    return time.time_ns() // 1000
