"""What becomes of the runs, written to the compacted topic of runs whenever the state or the products of one change.

One worker writes for all: the one that has the first partition. The states are derived each time anew, and what was
written last stands in Redis; so a record may be written twice, and none is left out. The records also say where each
run is in spills.raw, so that the one that is taken comes first when Redis was emptied (`KnownRuns`).
"""

import asyncio
import json
import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import cast

import faust
import structlog
from confluent_kafka import KafkaException
from faust.types import TP

from schemas.records import RunRecord, RunState
from schemas.wire import WireError, decode, encode
from streams.agents.common import SERVER_ERRORS, Channels
from streams.books import layout
from streams.books.connect import connect
from streams.books.kafka_log import Known
from streams.books.products import Products
from streams.books.reader import BookReader
from streams.books.registry import record, states
from streams.kafka import messages, no_kafka, reader, span
from streams.settings import Settings

LOOK_S = 5.0
"""Time between two looks."""
ANSWER_S = 10.0
"""A broker that does not answer within it is taken to be down."""

_log = structlog.get_logger(__name__)


def add_registry(app: faust.App, channels: Channels, settings: Settings) -> None:
    """Give the application the timer that writes the records."""
    redis = connect(settings)
    prefix, session = settings.redis.key_prefix, settings.session
    books = BookReader.of(redis, settings)
    products = Products(redis, prefix, session)
    first = TP(channels.raw.get_topic_name(), 0)
    key = layout.run_states(prefix, session)

    def changed() -> list[tuple[RunRecord, str]]:
        """Return the records that are to be written, each with what makes a new one when it changes."""
        counted = {str(partition): its.next for partition, its in books.progress().items()}
        places = books.places()
        written, named = cast("dict[bytes, bytes]", redis.hgetall(key)), products.names()
        what = {
            run: json.dumps([state, places[run].log, places[run].partitions, *named.get(run, ())])
            for run, state in states(places, time.time()).items()
        }
        new = [run for run, its in what.items() if written.get(b"%d" % run) != its.encode()]
        found = []
        for run, totals in books.runs(new).items():
            state = RunState(json.loads(what[run])[0])
            found.append((record(run, totals, places[run], state, named.get(run, ())), what[run]))
        if found and not books.unreadable:
            # What had begun by then is in these records or in earlier ones.
            found[-1] = replace(found[-1][0], counted=counted), found[-1][1]
        return found

    @app.timer(LOOK_S)
    async def look() -> None:
        if first not in app.consumer.assignment():
            return
        try:
            for one, what in await asyncio.to_thread(changed):
                await (await channels.runs.send(key=str(one.run).encode(), value=encode(one), force=True))
                await asyncio.to_thread(redis.hset, key, str(one.run), what)
        except SERVER_ERRORS as error:
            _log.warning("cannot write what becomes of the runs", error=f"{type(error).__name__}: {error}")

    @app.on_before_shutdown.connect
    async def close(*_: object, **__: object) -> None:
        redis.close()


class KnownRuns:
    """Where runs begin, as the topic of runs says. Blocking: call it from a thread.

    Parameters
    ----------
    settings
        Brokers.
    topic
        The one of runs.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._lock = threading.Lock()
        self._end = -1
        self._records: list[RunRecord] = []

    def of(self, log: str, partition: int) -> Known:
        """Return where runs begin in a partition of the topic of raw spills that has this id.

        Raises
        ------
        ServerError
            When Kafka does not answer.
        """
        with self._lock:
            self._read()
            number = str(partition)
            ours = [one for one in self._records if one.log == log]
            return Known(
                runs={one.run: one.firsts[number] for one in ours if number in one.firsts},
                below=max((one.counted.get(number, 0) for one in ours), default=0),
            )

    def _read(self) -> None:
        try:
            with closing(reader(self._settings)) as consumer:
                low, end = span(consumer, self._topic, 0, ANSWER_S)
                if end == self._end:
                    return
                newest: dict[int, RunRecord] = {}
                found = []
                for message in messages(consumer, self._topic, 0, low, end, ANSWER_S):
                    try:
                        one = decode(message.value() or b"")
                    except WireError:
                        continue  # somebody else's
                    if isinstance(one, RunRecord):
                        newest[one.run] = one
                        found += [one] if one.counted else []
                self._records = [*newest.values(), *(replace(one, firsts={}) for one in found)]
                self._end = end
        except KafkaException as error:
            raise no_kafka(self._settings, error) from error
