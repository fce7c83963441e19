"""Raises and clears the alarms, and tells them outside, in threads for which the first never waits.

What is raised, cleared and told is in Kafka before anything follows from it. So either may be killed at any moment, or
run twice; what was being told then is told again, with the same id.
"""

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog
from redis import Redis, RedisError

from dashboards.choices import Choices
from dashboards.data import Data, View
from ops.quality import Quality
from ops.telling import Teller, ways_of
from schemas.records import NO_RUN, Action
from streams.books.alarm_actions import due_actions
from streams.books.alarming import Due, Gone, Lasting, Seen, due
from streams.books.alarms import Alarms
from streams.books.data_flow import DataFlow, Flow, unread
from streams.books.plain_limits import TooMany
from streams.books.watchers import Heartbeat
from streams.errors import ServerError, UsageError
from streams.health.server import serve
from streams.health.state import Health, Known
from streams.metrics import Part
from streams.settings import Settings

LOOK_S = 1.0
"""Time between two looks at what is known; at once when there is something new."""
LATE_S = 60.0
"""A look has a whole run to judge at first, and several alarms to write."""
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
        self._settings, self._data = settings, data
        self._quality = Quality(settings, redis)
        self._lasting, self._flow, self._gone = Lasting(), DataFlow(), Gone()
        self.heart = Heartbeat(redis, settings.redis.key_prefix, settings.session)

    def watch(self) -> None:
        """Look, and say that it is done: who cannot see or not write does not watch."""
        self.heart.hear()
        self.look()
        self.heart.beat()

    def end(self) -> None:
        """Say that nobody watches here any more."""
        self.heart.end()

    def look(self) -> None:
        """Raise and clear what is due.

        Raises
        ------
        ServerError
            When Kafka does not answer, or the books cannot be read; `redis.RedisError` when Redis does not answer.
        """
        view = self._data.view(Choices())
        over, gone = self._others(view)
        flow = replace(self._seen_flow(view), over=over, gone=gone)
        self._take(lambda known: self._flow.due(flow, known), view.alarms)
        if view.is_old:
            raise ServerError("the books cannot be read")
        if view.observed.kafka_lost_s:
            raise ServerError("Kafka does not answer")
        if (seen := self._seen(view)) is not None:
            its = replace(seen, over=over, gone=gone, unread=unread(flow.too_many))
            self._take(lambda known: due(its, known, self.heart.now_us()), view.alarms)

    def _take(self, what: Callable[[Alarms], Due], shown: Alarms) -> None:
        """Write what is due, by what is shown and by what Kafka knows: the page may know less."""
        if what(shown) == ((), ()):
            return
        for action in due_actions(what(self._quality.alarms())):
            self._write(action)

    def _write(self, action: Action) -> None:
        try:
            self._quality.decide(replace(action, at_us=self.heart.now_us()))
        except UsageError as error:
            _log.info(f"another was faster: {action.kind}", alarm=action.subject, why=str(error))
            return
        words = json.loads(action.after or action.before)["words"]
        _log.warning(action.kind, alarm=action.subject, words=words, why=action.reason)

    def _others(self, view: View) -> tuple[set[int], set[int]]:
        """Return the other runs with alarms, by what became of them: those that are over, and those that are gone."""
        runs = {each.new.run for each in view.alarms if each.is_active} - {NO_RUN, view.run}
        stored = {run for run in runs if view.runs.get(run)}
        is_known = view.run is not None and not view.is_old and not view.observed.made_again
        return stored, self._gone.look(runs - stored if is_known else (), view.now_s)

    def _seen_flow(self, view: View) -> Flow:
        is_known = not (view.is_old or view.is_loading or view.is_made_again or view.is_unreadable)
        # What only warns is no alarm.
        too_many: Sequence[TooMany] | None = () if view.limits.only_warns else view.too_many
        return Flow(
            session=self._settings.session,
            observed=view.observed,
            run=view.run,
            is_over=view.is_over,
            last=view.book.totals.last_spill,
            too_many=too_many if is_known else None,
        )

    def _seen(self, view: View) -> Seen | None:
        """Return what is known of the current run; None while too little is."""
        if view.run is None or view.judgement is None or view.is_loading or view.is_made_again or view.is_unreadable:
            return None
        seen = Seen(
            session=self._settings.session,
            run=view.run,
            is_over=view.is_over,
            judgement=view.judgement,
            settled=view.settled,
            shapes=view.shapes if view.is_as_judged else {},
        )
        against = view.reference.against if view.reference is not None else None
        lasting = self._lasting.look(view.run, view.book, seen.beneath.rest, against, view.limits)
        return replace(seen, lasting=lasting)


def watch(settings: Settings, redis: Redis, stopped: threading.Event) -> None:
    """Decide and tell until stopped; a server that is away is waited for."""
    failed: list[BaseException] = []
    with Data(settings, explains=False) as data:
        watching = Known("what is to be watched", LATE_S)
        health = Health(
            Part.ALARMS,
            settings,
            faults=lambda: (*watching.faults, *data.faults()),
            does=lambda: "watching",
            figures=data.told,
            live_s=LATE_S,
        )
        serve(settings, health)
        watcher = AlarmWatcher(settings, redis, data)

        def said(why: str) -> None:
            watching.say(why)
            health.turn()
            health.progress()

        for way in ways_of(settings):
            teller = Teller(settings, redis, lambda: data.view(Choices()).alarms, way, watcher.heart)
            # Whoever listens slowly does not keep us from ending.
            args = (teller.look, stopped, teller.pause, failed)
            threading.Thread(target=_keep, args=args, daemon=True).start()
        _keep(watcher.watch, stopped, lambda: 0.0, failed, said)
        health.end()
        with suppress(RedisError):  # then it is said to be silent
            watcher.end()
    if failed:
        raise failed[0]


def _keep(
    look: Callable[[], None],
    stopped: threading.Event,
    pause_s: Callable[[], float],
    failed: list[BaseException],
    said: Callable[[str], None] = lambda _why: None,
) -> None:
    """Look again and again; what is no server's fault ends all, and is noted, so that somebody starts it anew.

    `said` is called after each look, with why it was in vain; an empty text if it was not.
    """
    is_away = False
    while not stopped.is_set():
        try:
            look()
        except (RedisError, ServerError) as error:
            is_away = True
            said(f"a server does not answer: {error}")
            _log.warning("a server does not answer: what is due waits for it", error=str(error))
        except Exception as error:  # noqa: BLE001 - one thread must not end alone
            failed.append(error)
            stopped.set()
        else:
            if is_away:
                _log.info("the servers answer again")
            is_away = False
            said("")
        stopped.wait(max(pause_s(), LOOK_S))
