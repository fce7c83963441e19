"""Tells alarms outside, to a webhook or by mail: each way for itself, once, and again while nobody knows of them.

What was told is in Kafka when it has been taken. So a teller may be killed at any moment, or run twice; what was being
told then is told again, with the same id.
"""

import smtplib
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Protocol

import structlog
from redis import Redis

from dashboards import webhook
from dashboards.webhook import ANSWER_S, next_pause, post, why_not
from ops.quality import Quality
from schemas.records import NO_RUN, Action
from streams import metrics
from streams.books.advice import advice
from streams.books.alarm_actions import tell_action
from streams.books.alarms import Alarm, Alarms, Way, bundle, telling_id, to_tell
from streams.errors import UsageError
from streams.settings import MailSettings, Settings, Tls

GATHER_S = 2.0
"""So long what is to be told waits for what comes together with it."""
BUNDLE_FROM = 4
"""So many that are told at once are told in one."""
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


def ways_of(settings: Settings) -> list[Telling]:
    """Return the ways that the settings name."""
    found: list[Telling] = [Webhook(settings)] if settings.alarms.webhook is not None else []
    return [*found, Mail(settings)] if settings.alarms.mail.host else found


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
    """

    def __init__(self, settings: Settings, redis: Redis, known: Callable[[], Alarms], how: Telling) -> None:
        self._settings, self._known, self._how = settings, known, how
        self._quality = Quality(settings, redis)
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
        for told in [alarms] if len(alarms) >= BUNDLE_FROM else [[each] for each in alarms]:
            if not self._tell(told):
                return
            self._to_note = tell_action(told, self._how.way)
            self._note()

    def _due(self, alarms: Alarms) -> list[Alarm]:
        now_us = time.time_ns() // 1000
        found = to_tell(alarms, now_us, round(self._settings.alarms.repeat_s * _US), self._how.way)
        has_waited = any(each.at_us + GATHER_S * _US <= now_us for each in found)
        return found if has_waited else []

    def _note(self) -> None:
        if self._to_note is None:
            return
        try:
            self._quality.decide(self._to_note)
        except UsageError as error:
            _log.info("another has told it, too", id=self._to_note.subject, why=str(error))
        self._to_note = None

    def _tell(self, alarms: list[Alarm]) -> bool:
        """Tell some alarms in one; return whether they were taken."""
        told_id, way = telling_id(alarms, self._how.way), self._how.way
        try:
            self._how.tell(told_id, alarms)
        except FAILS as error:
            self.pause_s = next_pause(self.pause_s)
            metrics.ALARMS_NOT_TOLD.labels(way).inc()
            _log.warning(f"the {way} cannot be told", id=told_id, why=why_not(error), again_in_s=self.pause_s)
            return False
        self.pause_s = 0.0
        metrics.ALARMS_TOLD.labels(way).inc()
        _log.info(f"the {way} is told", id=told_id, words=bundle(alarms))
        return True


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
        subject = " ".join(f"{alarms[0].new.priority}: {bundle(alarms)}".split())
        mail["Subject"] = f"[Spilldeck] {subject[:SUBJECT]}"
        mail["From"], mail["To"] = its.sender, ", ".join(its.recipients)
        mail["Date"] = format_datetime(datetime.now(UTC))
        # The same if it is sent again: who has it already may know it by that.
        mail["Message-ID"] = f"<{told_id}@spilldeck.invalid>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n".join(_text(self._settings, each) for each in alarms))
        return mail


def _server(its: MailSettings) -> smtplib.SMTP:
    """Return a connection to the server, encrypted as the settings say."""
    context = ssl.create_default_context()
    if its.tls is Tls.TLS:
        return smtplib.SMTP_SSL(its.host, its.port, timeout=ANSWER_S, context=context)
    server = smtplib.SMTP(its.host, its.port, timeout=ANSWER_S)
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
