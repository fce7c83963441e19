"""What a worker does besides: it looks after quiet partitions, makes runs again, and ends itself when it is deaf."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import Any

import faust
import structlog
from confluent_kafka import KafkaException

from streams.agents.common import SERVER_ERRORS
from streams.agents.reconstruct import transform_all
from streams.books.counter import Counter
from streams.books.kafka_log import KafkaLog
from streams.books.partition import Partition, Partitions
from streams.books.reading import Arrived, Reading
from streams.kafka import messages, no_kafka, reader
from streams.settings import Settings
from streams.transform import ConditionsOf, Message, run_of

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

Read = Callable[[int, int, int], Generator[Arrived, None, None]]
"""Yields what a partition has from an offset up to another. Blocking, and closed by who uses it; raises `ServerError`
when Kafka does not answer."""

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
    watching: list[Watch] = []

    @app.timer(WATCH_S)
    async def watch() -> None:
        watching[:] = watching or [Watch(reading, partitions, Deafness().well)]
        await watching[0].look(tp.partition for tp in app.consumer.assignment() if tp.topic == topic)

    @app.task
    async def make_again() -> None:
        while not app.should_stop:
            if not await repairs.look():
                await asyncio.sleep(WATCH_S)


class Watch:
    """Looks after the partitions of a worker.

    Parameters
    ----------
    reading, partitions
        Of the worker.
    well
        Called when something was taken, when nothing waits, and when a server is away.
    """

    def __init__(self, reading: Reading, partitions: Partitions, well: Callable[[], None]) -> None:
        self._reading = reading
        self._partitions = partitions
        self._well = well
        self._written: dict[int, str] = {}

    async def look(self, assigned: Iterable[int]) -> None:
        """Look after the partitions that are the worker's now."""
        waits = False
        for partition in sorted(assigned):
            try:
                waits |= not await self._reading.look_after(partition)
            except SERVER_ERRORS as error:
                self._well()
                _log.warning(
                    "cannot look after a partition", partition=partition, error=f"{type(error).__name__}: {error}"
                )
        now = {number: known.state.fence for number, known in self._partitions.items()}
        if not waits or now != self._written:
            self._well()
        self._written = now


class Repairs:
    """Makes runs again that were not whole, the newest first, behind live.

    Parameters
    ----------
    log
        Where the messages are.
    read
        Gives them.
    counter, partitions
        Of this worker.
    conditions_of
        Gives a run's conditions.
    in_thread
        Awaitable: calls a function with arguments, so that others may go on meanwhile.
    """

    def __init__(
        self,
        *,
        log: KafkaLog,
        read: Read,
        counter: Counter,
        partitions: Partitions,
        conditions_of: ConditionsOf,
        in_thread: Callable[..., Any],
    ) -> None:
        self._log = log
        self._read = read
        self._counter = counter
        self._partitions = partitions
        self._conditions_of = conditions_of
        self._in_thread = in_thread

    async def look(self) -> bool:
        """Make one run again, if there is one that is to be; say whether that was done."""
        jobs = [
            (first, run, known) for known in self._partitions.values() for run, first in known.state.repairs.items()
        ]
        if not jobs:
            return False
        _, run, known = max(jobs, key=lambda job: job[:2])
        try:
            while self._goes_on(known, run):
                await self._bring_in(known, run)
        except SERVER_ERRORS as error:
            _log.warning("cannot make a run again yet", run=run, error=f"{type(error).__name__}: {error}")
            return False
        return True

    def _goes_on(self, known: Partition, run: int) -> bool:
        return self._partitions.get(known.number) is known and run in known.state.repairs

    async def _bring_in(self, known: Partition, run: int) -> None:
        """Bring in what Kafka has of a run, as far as the partition was when this began."""
        start, stop = known.state.repairs[run], known.state.next
        with closing(self._read(known.number, start, stop)) as arrived:
            its = _Run(arrived, run, start, stop)
            while self._goes_on(known, run):
                _, end = await self._log.span(known.number)
                if end - known.state.next > LIVE_LAG:
                    await asyncio.sleep(WATCH_S / 10)
                    continue
                batch = await self._in_thread(its.batch)
                outcomes = await self._in_thread(transform_all, batch, self._conditions_of)
                await self._counter.take_again(known, run, outcomes, its.upto)
                if its.upto >= stop:
                    return


class _Run:
    """The messages of one run in a stretch of a partition, some at a time."""

    def __init__(self, arrived: Iterable[Arrived], run: int, start: int, stop: int) -> None:
        self._arrived, self._run, self._stop = iter(arrived), run, stop
        self.upto = start
        """The first offset that was not looked at."""

    def batch(self) -> list[Message]:
        """Return the next messages of the run. Blocking."""
        found: list[Message] = []
        size = 0
        for one in self._arrived:
            self.upto = one.offset + 1
            if run_of(one.value) != self._run:
                continue
            found.append(
                Message(
                    partition=one.partition,
                    offset=one.offset,
                    start=one.offset,
                    produced_ms=one.produced_ms,
                    value=one.value,
                )
            )
            size += len(one.value)
            if size >= BYTES_AT_ONCE or len(found) >= 32:
                return found
        self.upto = self._stop
        return found


def read_from_kafka(settings: Settings, topic: str) -> Read:
    """Return what reads a topic with consumers of its own."""

    def read(partition: int, start: int, stop: int) -> Generator[Arrived, None, None]:
        try:
            with closing(reader(settings)) as consumer:
                for message in messages(consumer, topic, partition, start, stop, ANSWER_S):
                    yield Arrived(
                        partition=partition,
                        offset=message.offset() or 0,
                        produced_ms=message.timestamp()[1],
                        value=message.value() or b"",
                    )
        except KafkaException as error:
            raise no_kafka(settings, error) from error

    return read
