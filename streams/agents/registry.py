"""What becomes of the runs, written to the compacted topic of runs whenever the state or the products of one change.

One worker writes for all: the one that has the first partition. The states are derived each time anew, and what was
written last stands in Redis; so a record may be written twice, and none is left out.
"""

import asyncio
import json
import time
from typing import cast

import faust
import structlog
from faust.types import TP

from schemas.records import RunRecord
from schemas.wire import encode
from streams.agents.common import SERVER_ERRORS, Channels
from streams.books import layout
from streams.books.connect import connect
from streams.books.products import Products
from streams.books.reader import BookReader
from streams.books.registry import records
from streams.settings import Settings

LOOK_S = 5.0
"""Time between two looks: all totals are read for one."""

_log = structlog.get_logger(__name__)


def add_registry(app: faust.App, channels: Channels, settings: Settings) -> None:
    """Give the application the timer that writes the records."""
    redis = connect(settings)
    prefix, session = settings.redis.key_prefix, settings.session
    reader = BookReader.of(redis, settings)
    first = TP(channels.reco.get_topic_name(), 0)
    key = layout.run_states(prefix, session)

    def changed() -> list[RunRecord]:
        written = cast("dict[bytes, bytes]", redis.hgetall(key))
        now = records(reader.runs(), Products(redis, prefix, session).names(), time.time())
        return [one for one in now if written.get(b"%d" % one.run) != _what_matters(one).encode()]

    @app.timer(LOOK_S)
    async def look() -> None:
        if first not in app.consumer.assignment():
            return
        try:
            for record in await asyncio.to_thread(changed):
                await (await channels.runs.send(key=str(record.run).encode(), value=encode(record), force=True))
                await asyncio.to_thread(redis.hset, key, str(record.run), _what_matters(record))
        except SERVER_ERRORS as error:
            _log.warning("cannot write what becomes of the runs", error=f"{type(error).__name__}: {error}")

    @app.on_before_shutdown.connect
    async def close(*_: object, **__: object) -> None:
        redis.close()


def _what_matters(record: RunRecord) -> str:
    """Return of a record what makes a new one when it changes."""
    return json.dumps([record.state, *record.products])
