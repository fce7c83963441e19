"""The end of a run that its DAQ never gave, as somebody says it, on the page or by a command."""

import time

from redis import Redis

from schemas.records import ActionKind, ControlKind, RunControl, RunState
from streams.books.actions import new_action
from streams.books.decided import decide
from streams.books.reader import BookReader
from streams.books.registry import record, state
from streams.daq.producer import SpillProducer
from streams.errors import UsageError
from streams.settings import Settings

SOURCE = "spilldeck runs end"
"""Of the message, in place of a file of the DAQ."""


def end_run(settings: Settings, redis: Redis, run: int, *, origin: str, reason: str = "", who: str = "") -> None:
    """Say that a run has ended; it is noted first, so that nobody ended one without being known.

    Raises
    ------
    UsageError
        When there is no such run, or it has its end already.
    ServerError
        When Kafka does not answer.
    """
    books = BookReader.of(redis, settings)
    places = books.places()
    if run not in places:
        raise UsageError(f"there is no run {run}: see spilldeck runs list")
    found = record(run, books.totals(run), places[run], state(places[run], places.values(), time.time()), ())
    if found.state in (RunState.ENDED, RunState.REOPENED):
        raise UsageError(f"run {run} has its end already: {found.state}")
    action = new_action(ActionKind.END_RUN, run, before=found.state, origin=origin, reason=reason, who=who)
    decide(settings, redis, action)
    time_us = found.last_spill_us or found.began_us
    with SpillProducer(settings) as producer:
        producer.send(RunControl(run=run, kind=ControlKind.END, time_us=time_us, source=SOURCE, byte=0, events=0))
