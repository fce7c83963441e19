"""The reference of a type of runs, as somebody pins it, on the page or by a command."""

import json

from redis import Redis

from schemas.records import ActionKind
from streams.books.actions import new_action
from streams.books.decided import decide, newest
from streams.books.reader import BookReader
from streams.errors import UsageError
from streams.settings import Settings


def pin(settings: Settings, redis: Redis, run: int, *, origin: str, reason: str = "", who: str = "") -> str:
    """Have the runs of its type be compared with a run, from now on, and return the type; it may be so already.

    Raises
    ------
    UsageError
        When there is no such run.
    ServerError
        When Kafka does not answer.
    """
    totals = BookReader.shown(redis, settings).runs([run]).get(run)
    if totals is None or not totals.filled:
        raise UsageError(f"there is no run {run} in the books: see spilldeck runs list")
    _decide(settings, redis, totals.run_type, run, origin=origin, reason=reason, who=who)
    return totals.run_type


def unpin(settings: Settings, redis: Redis, run_type: str, *, origin: str, reason: str = "", who: str = "") -> None:
    """Have the runs of a type be compared with the newest good one again; raises as `pin` does."""
    _decide(settings, redis, run_type, None, origin=origin, reason=reason, who=who)


def _decide(settings: Settings, redis: Redis, run_type: str, run: int | None, **by: str) -> None:
    pins = newest(settings, redis)().pins.get(run_type, ())
    if run is not None and pins and pins[-1].run == run:
        return
    before = json.dumps({"run": pins[-1].run}) if pins else ""
    after = json.dumps({"run": run})
    decide(settings, redis, new_action(ActionKind.PIN_REFERENCE, run_type, before=before, after=after, **by))
