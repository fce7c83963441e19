"""What a worker does besides: it looks after quiet partitions, makes runs again, and ends itself when it is deaf."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import faust
import structlog
from confluent_kafka import Consumer, KafkaException

from schemas.records import NO_RUN, RawSpill, RunControl
from schemas.wire import WireError, decode
from streams.agents.common import SERVER_ERRORS
from streams.agents.reconstruct import transform_all
from streams.books.counter import Counter
from streams.books.kafka_log import KafkaLog
from streams.books.partition import Partition, Partitions
from streams.books.reading import Reading
from streams.kafka import messages, no_kafka, reader
from streams.settings import Settings
from streams.transform import ConditionsOf, Message

WATCH_S = 1.0
"""How often quiet partitions are looked after."""
DEAF_S = 60.0
"""A worker that takes nothing for so long, though there is something and all servers answer, ends itself."""
DEAF_STATUS = 70
"""Its exit status: a fault of the software, as ``sysexits.h`` has it."""
ANSWER_S = 10.0
"""A broker that does not answer within it is taken to be down."""
LIVE_LAG = 4
"""Messages by which a partition may be behind while an older run of it is made again."""
BYTES_AT_ONCE = 16 << 20
"""Of messages of a run that is made again, that are taken together."""

_log = structlog.get_logger(__name__)


class Deafness:
    """Ends the process, from a thread of its own, when nothing has been well for `DEAF_S`.

    So a worker that waits for ever gives its partitions to others, and whoever supervises it starts it again.
    """

    def __init__(self) -> None:
        self._silent = 0
        """Looks since something was well: a machine that slept for an hour has not looked meanwhile."""
        threading.Thread(target=self._look, daemon=True, name="deafness").start()

    def well(self) -> None:
        """Take note that something was taken, that nothing waits, or that a server is away."""
        self._silent = 0

    def _look(self) -> None:
        while self._silent * WATCH_S < DEAF_S:
            self._silent += 1
            time.sleep(WATCH_S)
        _log.critical("nothing was taken for a minute, though there is something: ending", status=DEAF_STATUS)
        os._exit(DEAF_STATUS)


def add_watch(app: faust.App, raw: Any, reading: Reading, partitions: Partitions, repairs: "Repairs") -> None:
    """Give the application the timers that look after its partitions, and after runs that are to be made again."""
    topic = raw.get_topic_name()
    deafness: list[Deafness] = []
    counted: dict[int, int] = {}

    @app.timer(WATCH_S)
    async def watch() -> None:
        deafness[:] = deafness or [Deafness()]
        assigned = sorted(tp.partition for tp in app.consumer.assignment() if tp.topic == topic)
        waits = False
        for partition in assigned:
            try:
                waits |= not await reading.look_after(partition)
            except SERVER_ERRORS as error:
                deafness[0].well()
                _log.warning(
                    "cannot look after a partition", partition=partition, error=f"{type(error).__name__}: {error}"
                )
        now = {number: known.state.next for number, known in partitions.items()}
        if not waits or now != counted:
            deafness[0].well()
        counted.clear()
        counted.update(now)

    @app.task
    async def make_again() -> None:
        while not app.should_stop:
            await repairs.look()
            await asyncio.sleep(WATCH_S)


class Repairs:
    """Makes runs again that were not whole, the newest first, behind live.

    Parameters
    ----------
    settings
        Brokers.
    log
        Where the messages are.
    counter, partitions
        Of this worker.
    conditions_of
        Gives a run's conditions.
    """

    def __init__(
        self,
        settings: Settings,
        log: KafkaLog,
        counter: Counter,
        partitions: Partitions,
        conditions_of: ConditionsOf,
    ) -> None:
        self._settings = settings
        self._log = log
        self._counter = counter
        self._partitions = partitions
        self._conditions_of = conditions_of

    async def look(self) -> None:
        """Make one run again, if there is one that is to be."""
        jobs = [
            (first, run, known) for known in self._partitions.values() for run, first in known.state.repairs.items()
        ]
        if not jobs:
            return
        _, run, known = max(jobs, key=lambda job: job[:2])
        try:
            with closing(reader(self._settings)) as consumer:
                while self._goes_on(known, run):
                    await self._read(known, _Run(consumer, self._log.name, known, run))
        except KafkaException as error:
            _log.warning("cannot make a run again yet", run=run, error=str(no_kafka(self._settings, error)))
        except SERVER_ERRORS as error:
            _log.warning("cannot make a run again yet", run=run, error=f"{type(error).__name__}: {error}")

    def _goes_on(self, known: Partition, run: int) -> bool:
        return self._partitions.get(known.number) is known and run in known.state.repairs

    async def _read(self, known: Partition, its: "_Run") -> None:
        """Bring in what Kafka has of a run, as far as the partition was when this began."""
        while self._goes_on(known, its.run):
            _, end = await self._log.span(known.number)
            if end - known.state.next > LIVE_LAG:
                await asyncio.sleep(WATCH_S / 10)
                continue
            batch = await asyncio.to_thread(its.batch)
            outcomes = await asyncio.to_thread(transform_all, batch, self._conditions_of)
            await self._counter.take_again(known, its.run, outcomes, its.upto)
            if its.upto >= its.stop:
                return


class _Run:
    """The messages of one run in a stretch of a partition, some at a time."""

    def __init__(self, consumer: Consumer, topic: str, known: Partition, run: int) -> None:
        self.run, self.stop, self.upto = run, known.state.next, known.state.repairs[run]
        """``upto`` is the first offset that was not looked at."""
        self._partition = known.number
        self._messages: Iterator[Any] = iter(())
        if self.upto < self.stop:
            self._messages = messages(consumer, topic, known.number, self.upto, self.stop, ANSWER_S)

    def batch(self) -> list[Message]:
        """Return the next messages of the run. Blocking."""
        found: list[Message] = []
        size = 0
        for message in self._messages:
            offset, value = message.offset() or 0, message.value() or b""
            self.upto = offset + 1
            if _run_of(value) != self.run:
                continue
            found.append(
                Message(
                    partition=self._partition,
                    offset=offset,
                    start=offset,
                    produced_ms=message.timestamp()[1],
                    value=value,
                )
            )
            size += len(value)
            if size >= BYTES_AT_ONCE or len(found) >= 32:
                return found
        self.upto = self.stop
        return found


def _run_of(value: bytes) -> int:
    try:
        record = decode(value)
    except WireError:
        return NO_RUN
    return record.run if isinstance(record, RawSpill | RunControl) else NO_RUN
