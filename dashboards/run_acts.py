"""What people do to whole runs and to replays: a run's end, its book, the reference of its type.

Each is asked for again when nobody knows whether it was done, so what is so already is no error.
"""

from typing import Annotated

from pydantic import Field
from redis import Redis

from dashboards.refusals import Said
from streams.books import pinning
from streams.books.decided import newest
from streams.books.flags import END
from streams.books.sessions import Sessions
from streams.ending import end_run
from streams.settings import Settings


class OfReplay(Said):
    """What is asked of a replay."""

    name: Annotated[str, Field(max_length=100)]
    reason: Annotated[str, Field(max_length=1000)] = ""


class OfRun(Said):
    """What is asked of a run."""

    run: Annotated[int, Field(ge=0, le=END)]
    reason: Annotated[str, Field(max_length=1000)] = ""


class ToPin(OfRun):
    """What is asked to be compared with: the book that is a run's, or that of a replay of it."""

    replay: Annotated[str, Field(max_length=100)] = ""


class OfType(Said):
    """What is asked of a type of runs."""

    run_type: Annotated[str, Field(max_length=100)]
    reason: Annotated[str, Field(max_length=1000)] = ""


def promote(settings: Settings, redis: Redis, said: OfReplay, **by: str) -> None:
    """Have the books of a replay be those of its runs."""
    known = newest(settings, redis)
    sessions = Sessions(settings, redis, decisions=known, **by)
    plan, promoted = sessions.named(said.name), known().promoted
    if any(promoted.get(run) != plan.session for run in plan.runs):
        sessions.promote(plan, said.reason)


def restore(settings: Settings, redis: Redis, said: OfRun, **by: str) -> None:
    """Have what live made be the book of a run again."""
    known = newest(settings, redis)
    if said.run in known().promoted:
        Sessions(settings, redis, decisions=known, **by).restore(said.run, said.reason)


def drop(settings: Settings, redis: Redis, said: OfReplay, **by: str) -> None:
    """Remove a replay and its books."""
    sessions = Sessions.now(settings, redis, **by)
    plan = sessions.named(said.name)
    with sessions.at_work(plan.session):
        sessions.drop(plan.session, said.reason)


def pin(settings: Settings, redis: Redis, said: ToPin, **by: str) -> None:
    """Have the runs of its type be compared with a run, or with what a replay made of it."""
    if said.replay:
        pinning.pin_replay(settings, redis, said.replay, said.run, reason=said.reason, **by)
    else:
        pinning.pin(settings, redis, said.run, reason=said.reason, **by)


def unpin(settings: Settings, redis: Redis, said: OfType, **by: str) -> None:
    """Have the runs of a type be compared with the newest good one again."""
    pinning.unpin(settings, redis, said.run_type, reason=said.reason, **by)


def end(settings: Settings, redis: Redis, said: OfRun, **by: str) -> None:
    """Say that a run has ended."""
    end_run(settings, redis, said.run, reason=said.reason, **by)
