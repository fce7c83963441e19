"""What becomes of the runs, written to the compacted topic of runs whenever the state or the products of one change.

One worker writes for all: the one that has the first partition. The states are derived each time anew, and what was
written last stands in Redis; so a record may be written twice, and none is left out. The records also say where each
run is in spills.raw, so that the one that is taken comes first when Redis was emptied (`KnownRuns`).
"""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import faust
import structlog
from faust.types import TP
from redis import Redis

from schemas.known import WireError
from schemas.records import RunRecord
from schemas.wire import encode
from streams.agents.common import SERVER_ERRORS, Channels
from streams.books import layout
from streams.books.changing import ChangingHash
from streams.books.connect import connect
from streams.books.decided import refresh
from streams.books.known_runs import KnownRuns
from streams.books.products import Products
from streams.books.reader import BookReader
from streams.books.registry import record, states
from streams.settings import Settings

LOOK_S = 5.0
"""Time between two looks."""

_log = structlog.get_logger(__name__)


What = list[str | int]
"""What makes a new record of a run when it changes: state, topic, where it begins in how many partitions, products."""


class Registry:
    """Finds the records that are to be written. Blocking: call it from a thread.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    settings
        Name the session.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        prefix, session = settings.redis.key_prefix, settings.session
        self._books = BookReader.of(redis, settings)
        self._products = Products(redis, prefix, session)
        self._written = ChangingHash(redis, layout.run_states(prefix, session), _unpack_written)

    def changed(self, now_s: float, newest: Mapping[int, RunRecord]) -> list[tuple[RunRecord, What]]:
        """Return the records that are to be written, each with what makes a new one when it changes.

        Parameters
        ----------
        now_s
            Seconds since 1970 UTC.
        newest
            The record of each run that was written last: the next one says as much of where it is, though Redis may
            have been emptied meanwhile.
        """
        before, places = self._books.progress(), self._books.places()
        written, named = self._written.read(), self._products.names()
        its = states(places, now_s)
        what: dict[int, What] = {
            run: [its[run], place.log, place.partitions, place.first, *named.get(run, ())]
            for run, place in places.items()
        }
        new = [run for run in what if written.get(run) != what[run]]
        found = [
            (_extended(record(run, totals, places[run], its[run], named.get(run, ())), newest.get(run)), what[run])
            for run, totals in self._books.runs(new).items()
        ]
        if found and not self._books.unreadable:
            # What had begun by then is in these records or in earlier ones, if nothing was emptied meanwhile.
            after = self._books.progress()
            counted = {str(p): its.next for p, its in before.items() if p in after and after[p].follows(its)}
            found[-1] = replace(found[-1][0], counted=counted), found[-1][1]
        return found

    def note(self, run: int, what: What) -> None:
        """Take note that the record of a run was written."""
        self._written.set({str(run): json.dumps(what)})


def _unpack_written(stored: Mapping[bytes, bytes]) -> Mapping[int, What]:
    """Return what was written of each run; where that cannot be read, it is written again."""
    found = {}
    for run, what in stored.items():
        with suppress(ValueError):
            found[int(run)] = json.loads(what)
    return found


def add_registry(app: faust.App, channels: Channels, settings: Settings) -> None:
    """Give the application the timer that writes the records."""
    redis = connect(settings)
    registry = Registry(redis, settings)
    written = KnownRuns(settings, channels.runs.get_topic_name())
    first = TP(channels.raw.get_topic_name(), 0)

    @app.timer(LOOK_S)
    async def look() -> None:
        if first not in app.consumer.assignment():
            return
        try:
            await asyncio.to_thread(refresh, settings, redis)  # what people decided comes back, too
            for one, what in await asyncio.to_thread(lambda: registry.changed(time.time(), written.newest())):
                try:
                    value = encode(one)
                except WireError as error:
                    _log.warning("left out of the topic of runs", run=one.run, why=str(error))
                else:
                    await (await channels.runs.send(key=str(one.run).encode(), value=value, force=True))
                await asyncio.to_thread(registry.note, one.run, what)
        except SERVER_ERRORS as error:
            _log.warning("cannot write what becomes of the runs", error=f"{type(error).__name__}: {error}")

    @app.on_before_shutdown.connect
    async def close(*_: object, **__: object) -> None:
        redis.close()


def _extended(now: RunRecord, before: RunRecord | None) -> RunRecord:
    """Return a record that says of no less offsets than the one before."""
    if before is None or before.log != now.log:
        return now
    firsts, lasts = dict(before.firsts), dict(before.lasts)
    for partition, first in now.firsts.items():
        firsts[partition] = min(first, firsts.get(partition, first))
    for partition, last in now.lasts.items():
        lasts[partition] = max(last, lasts.get(partition, last))
    return replace(now, firsts=firsts, lasts=lasts)
