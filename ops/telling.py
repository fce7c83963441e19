"""Tells alarms outside, to a webhook or by mail: each way for itself, once, and again while nobody knows of them.

What was told is in Kafka when it has been taken. So a teller may be killed at any moment, or run twice; what was being
told then is told again, with the same id.
"""

import secrets
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from typing import Any, Protocol, cast
from urllib.error import HTTPError

import structlog
from redis import Redis

from dashboards import webhook
from dashboards.webhook import ANSWER_S, end_after, next_pause, post, why_not
from ops.quality import Quality
from schemas.records import NO_RUN, Action
from streams import metrics
from streams.books.advice import advice
from streams.books.alarm_actions import tell_action
from streams.books.alarms import Alarm, Alarms, New, Priority, Way, bundle, telling_id, to_tell
from streams.books.watchers import Heartbeat
from streams.errors import SpilldeckError, UsageError
from streams.printable import printable
from streams.settings import MailSettings, Settings, Tls

GATHER_S = 2.0
"""So long what is to be told waits for what comes together with it."""
TURN_S = 20.0
"""So much later than the watcher before it each one tells: by then one that has ended is known to be silent."""
BUNDLE_FROM = 4
"""So many that are told at once are told in one."""
TEST = "This is a test: nothing is wrong"
SUBJECT = 150
"""Characters of a mail's subject."""

_log = structlog.get_logger(__name__)
_US = 1_000_000


class Telling(Protocol):
    """A way of telling."""

    way: Way

    def tell(self, told_id: str, alarms: Sequence[Alarm]) -> None:
        """Tell alarms in one, under an id; whatever it raises of `FAILS` says that they were not taken."""
        raise NotImplementedError


FAILS = (*webhook.FAILS, smtplib.SMTPException)
"""What is raised where somebody does not take what is told."""
REFUSES = (HTTPError, smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)
"""By which he says that he takes this, and maybe another, not; else nobody answers."""


def ways_of(settings: Settings) -> list[Telling]:
    """Return the ways that the settings name."""
    found: list[Telling] = [Webhook(settings)] if settings.alarms.webhook is not None else []
    return [*found, Mail(settings)] if settings.alarms.mail.host else found


def try_ways(settings: Settings) -> dict[str, str]:
    """Tell in each way that the settings name that nothing is wrong; return by way why it was not taken, or nothing."""
    new = New(settings.session, NO_RUN, f"test {secrets.token_hex(4)}", NO_RUN, NO_RUN, TEST, "", "", Priority.LOW)
    its = [Alarm(new.id, new, time.time_ns() // 1000)]
    told_id = telling_id(its)
    ways: dict[str, Callable[[], None]] = {way.way: partial(way.tell, told_id, its) for way in ways_of(settings)}
    if (address := settings.logbook.webhook) is not None:
        entry = {"id": told_id, "text": TEST, "note": TEST, "link": settings.dashboard.link("/"), "picture": ""}
        ways["logbook"] = partial(post, address, settings.logbook.secret_file, told_id, entry)
    return {name: _why_of(tell) for name, tell in ways.items()}


def _why_of(tell: Callable[[], None]) -> str:
    try:
        tell()
    except FAILS as error:
        return _why_not(error)
    return ""


class Teller:
    """Tells in one way what nobody has acknowledged.

    Parameters
    ----------
    settings
        How often it is told again.
    redis
        Client that returns bytes.
    known
        Gives the alarms as the page has them.
    how
        The way.
    heart
        Of the watcher: what time it is, and how many watchers tell before this one.
    """

    def __init__(
        self, settings: Settings, redis: Redis, known: Callable[[], Alarms], how: Telling, heart: Heartbeat
    ) -> None:
        self._settings, self._known, self._how, self._heart = settings, known, how, heart
        self._quality = Quality(settings, redis)
        self._singly = False
        """Whether what comes together is told each for itself, as it was refused in one."""
        self._to_note: Action | None = None
        """What was told, and could not be noted yet."""
        self.pause_s = 0.0
        """How long to wait before the next try; it grows while nobody listens."""

    def pause(self) -> float:
        """Return how long to wait before the next try."""
        return self.pause_s

    def look(self) -> None:
        """Tell what is due.

        Raises
        ------
        ServerError
            When Kafka does not answer; `redis.RedisError` when Redis refuses.
        """
        self._note()
        if not self._due(self._known()):
            return
        alarms = self._due(self._quality.alarms())
        in_one = len(alarms) >= BUNDLE_FROM and not self._singly
        why: Exception | None = None
        for told in [alarms] if in_one else [[each] for each in alarms]:
            failed = self._tell(told)
            if failed is None:
                self._to_note = tell_action(told, self._how.way)
                self._note()
                continue
            why = failed
            # What is refused keeps nothing else from being told; who does not answer is not asked for each.
            if not isinstance(failed, REFUSES):
                break
        self.pause_s = next_pause(self.pause_s) if why is not None else 0.0
        self._singly = isinstance(why, REFUSES)
        self._heart.say(self._how.way, _for_all(why) if why is not None else "")

    def _due(self, alarms: Alarms) -> list[Alarm]:
        # Of several watchers one tells, and the next what that has not told for a while.
        now_us, later_us = self._heart.now_us(), round(self._heart.rank * TURN_S * _US)
        repeat_us = round(self._settings.alarms.repeat_s * _US) + later_us
        due = to_tell(alarms, now_us, repeat_us, self._how.way)
        found = [each for each in due if each.at_us + later_us <= now_us]
        has_waited = any(each.at_us + later_us + GATHER_S * _US <= now_us for each in found)
        return found if has_waited else []

    def _note(self) -> None:
        if self._to_note is None:
            return
        try:
            self._quality.decide(replace(self._to_note, at_us=self._heart.now_us()))
        except UsageError as error:
            _log.info("another has told it, too", id=self._to_note.subject, why=str(error))
        self._to_note = None

    def _tell(self, alarms: list[Alarm]) -> Exception | None:
        """Tell some alarms in one; return why they were not taken, None if they were."""
        told_id, way = telling_id(alarms, self._how.way), self._how.way
        try:
            self._how.tell(told_id, alarms)
        except FAILS as error:
            metrics.ALARMS_NOT_TOLD.labels(way).inc()
            again_in_s = next_pause(self.pause_s)
            _log.warning(f"the {way} cannot be told", id=told_id, why=_why_not(error), again_in_s=again_in_s)
            return error
        metrics.ALARMS_TOLD.labels(way).inc()
        _log.info(f"the {way} is told", id=told_id, words=bundle(alarms))
        return None


class Webhook:
    """Posts JSON, signed.

    Parameters
    ----------
    settings
        Its address, and the file of the secret that signs what is told.
    """

    way = Way.WEBHOOK

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def tell(self, told_id: str, alarms: Sequence[Alarm]) -> None:
        """Post alarms."""
        its = self._settings.alarms
        assert its.webhook is not None  # noqa: S101
        post(its.webhook, its.secret_file, told_id, message(self._settings, told_id, alarms))


class Mail:
    """Sends a mail by SMTP.

    Parameters
    ----------
    settings
        Server, sender, recipients.
    """

    way = Way.MAIL

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def tell(self, told_id: str, alarms: Sequence[Alarm]) -> None:
        """Send alarms in one mail; whoever of several does not get it is logged."""
        its = self._settings.alarms.mail
        with _server(its) as server:
            if its.user:
                server.login(its.user, its.password.get_secret_value())
            refused = server.send_message(self._mail(told_id, alarms), its.sender, its.recipients)
        for recipient, (status, _) in refused.items():
            _log.warning("somebody does not get a mail of an alarm", recipient=ascii(recipient), status=status)

    def _mail(self, told_id: str, alarms: Sequence[Alarm]) -> EmailMessage:
        its, mail = self._settings.alarms.mail, EmailMessage()
        # Words of faults may be somebody's: a line of them must not become a header.
        subject = printable(" ".join(f"{alarms[0].new.priority}: {bundle(alarms)}".split()))
        mail["Subject"] = f"[Spilldeck] {subject[:SUBJECT]}"
        mail["From"], mail["To"] = its.sender, ", ".join(its.recipients)
        mail["Date"] = format_datetime(datetime.now(UTC))
        # The same if it is sent again: who has it already may know it by that.
        mail["Message-ID"] = f"<{told_id}@spilldeck.invalid>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(printable("\n\n".join(_text(self._settings, each) for each in alarms)))
        return mail


class _Bounded(smtplib.SMTP):
    def _get_socket(self, *where: Any) -> socket.socket:
        found = super()._get_socket(*where)  # type: ignore[misc]
        end_after(webhook.ALL_S, lambda: self.sock)
        return cast("socket.socket", found)


class _BoundedByTls(_Bounded, smtplib.SMTP_SSL):
    pass


def _why_not(error: Exception) -> str:
    """Return in words why something was not taken, without what a server of mails says: it may name somebody."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({status for status, _ in error.recipients.values()})
        return f"it answers {', '.join(map(str, codes))} to all recipients"
    return f"it answers {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else why_not(error)


def _for_all(error: Exception) -> str:
    """Return why in words that whoever looks may read: no path of ours."""
    return "its secret cannot be used, see the watcher's log" if isinstance(error, SpilldeckError) else _why_not(error)


def _server(its: MailSettings) -> smtplib.SMTP:
    """Return a connection to the server, encrypted as the settings say."""
    context = ssl.create_default_context()
    if its.tls is Tls.TLS:
        return _BoundedByTls(its.host, its.port, timeout=ANSWER_S, context=context)
    server = _Bounded(its.host, its.port, timeout=ANSWER_S)
    if its.tls is Tls.STARTTLS:
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _text(settings: Settings, alarm: Alarm) -> str:
    new, (action, call, _) = alarm.new, advice(alarm.new)
    run = f"Run {new.run}, after spill {new.spill}, " if new.run != NO_RUN else ""
    lines = [
        f"{new.priority}: {' '.join(new.words.split())}",
        f"{run}{datetime.fromtimestamp(alarm.at_us / _US, UTC):%d %b %Y %H:%M:%S} UTC",
        f"What to do: {action}" if action else "",
        f"Call: {call}" if call else "",
        settings.dashboard.link(f"/alarm/{alarm.id}"),
    ]
    return "\n".join(filter(None, lines))


def message(settings: Settings, told_id: str, alarms: Sequence[Alarm]) -> dict[str, Any]:
    """Return what a webhook is told: in a line, and all of each alarm."""
    link = settings.dashboard.link(f"/alarm/{alarms[0].id}" if len(alarms) == 1 else "/alarms")
    text = f"{bundle(alarms)} {link}".strip()
    return {"id": told_id, "text": text, "alarms": [_plain(settings, each) for each in alarms]}


def _plain(settings: Settings, alarm: Alarm) -> dict[str, Any]:
    of_it = {"id": alarm.id, "raised_us": alarm.at_us, "times_told": len(alarm.told_us)}
    link = {"link": settings.dashboard.link(f"/alarm/{alarm.id}")}
    return of_it | alarm.new._asdict() | advice(alarm.new)._asdict() | link
