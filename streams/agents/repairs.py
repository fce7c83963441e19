"""Makes runs again from Kafka that were not whole in Redis: the newest first, behind live."""

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import faust
import structlog

from streams.agents.common import SERVER_ERRORS
from streams.agents.reconstruct import transform_one
from streams.books.batches import BYTES_AT_ONCE
from streams.books.counter import Counter
from streams.books.kafka_log import KafkaLog
from streams.books.partition import Partition, Partitions
from streams.books.reading import Arrived
from streams.kafka import asking, messages
from streams.settings import Settings
from streams.transform import ConditionsOf, Message, run_of

LOOK_S = 1.0
"""How often to look whether a run is to be made again."""
PAUSE_S = 0.1
"""While live is behind."""
LIVE_LAG = 4
"""Messages by which a partition may be behind while an older run of it is made again."""
MESSAGES_AT_ONCE = 32
"""Of a run that is made again, that are taken together, as far as they are no more bytes than live takes."""

Read = Callable[[int, int, int], Generator[Arrived, None, None]]
"""Yields what a partition has from an offset up to another. Blocking, and closed by who uses it; raises `ServerError`
when Kafka does not answer."""

_log = structlog.get_logger(__name__)


def add_repairs(app: faust.App, repairs: "Repairs") -> None:
    """Give the application the task that makes runs again."""

    @app.task
    async def make_again() -> None:
        while not app.should_stop:
            if not await repairs.look():
                await asyncio.sleep(LOOK_S)


@dataclass(slots=True, kw_only=True)
class _Seen:
    """A stretch of a partition that was read: with it, many runs are made again in one reading of all.

    Each run needs what lies between its first message and the first one of the run that was made again before it, and
    of what lies behind that as much as has something of it, which mostly is nothing.
    """

    known: Partition
    low: int
    stop: int
    """All from one offset up to the other was read."""
    lasts: dict[int, int] = field(default_factory=dict)
    """Run → its last offset in what was read."""


class Repairs:
    """Makes runs again that were not whole.

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
    in_thread, compute
        Awaitable: call a function with arguments, what waits for Kafka and what computes, so that others may go on
        meanwhile.
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
        compute: Callable[..., Any],
    ) -> None:
        self._log = log
        self._read = read
        self._counter = counter
        self._partitions = partitions
        self._conditions_of = conditions_of
        self._in_thread = in_thread
        self._compute = compute
        self._seen: dict[int, _Seen] = {}

    async def look(self) -> bool:
        """Make one run again, if there is one that is to be; say whether that was done."""
        jobs = [
            (first, run, known) for known in self._partitions.values() for run, first in known.state.repairs.items()
        ]
        if not jobs:
            self._seen.clear()
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
        with closing(self._of(run, known, start, stop)) as theirs:
            while self._goes_on(known, run):
                _, end = await self._log.span(known.number)
                if end - known.state.next > LIVE_LAG:
                    await asyncio.sleep(PAUSE_S)
                    continue
                batch, is_last = await self._in_thread(_batch, theirs)
                # One at a time: what live takes meanwhile is computed between them, not behind all.
                outcomes = [await self._compute(transform_one, one, self._conditions_of) for one in batch]
                upto = stop if is_last else batch[-1].offset + 1
                await self._counter.take_again(known, run, outcomes, upto)
                if upto >= stop:
                    return

    def _of(self, run: int, known: Partition, start: int, stop: int) -> Generator[Message, None, None]:
        """Yield the messages of a run in a stretch of a partition. Blocking."""
        seen = self._seen.get(known.number)
        if seen is None or seen.known is not known:
            seen = self._seen[known.number] = _Seen(known=known, low=stop, stop=stop)
        low = max(start, seen.low)
        if start < seen.low:
            yield from self._unseen(run, start, seen, start, seen.low)
            seen.low = start
        for one in self._there(seen, low, min(seen.lasts.get(run, -1) + 1, seen.stop)):
            if run_of(one.value) == run:
                yield _message(one)
        if seen.stop < stop:
            yield from self._unseen(run, start, seen, seen.stop, stop)
            seen.stop = stop

    def _unseen(self, run: int, first: int, seen: _Seen, start: int, stop: int) -> Iterator[Message]:
        """Yield the messages of a run from its first offset on, and note where all runs end."""
        for one in self._there(seen, start, stop):
            whose = run_of(one.value)
            seen.lasts[whose] = max(one.offset, seen.lasts.get(whose, -1))
            if whose == run and one.offset >= first:
                yield _message(one)

    def _there(self, seen: _Seen, start: int, stop: int) -> Iterator[Arrived]:
        if start < stop:
            with closing(self._read(seen.known.number, start, stop)) as arrived:
                yield from arrived


def _batch(theirs: Iterator[Message]) -> tuple[list[Message], bool]:
    """Return the next messages, and whether there are no more. Blocking."""
    found: list[Message] = []
    size = 0
    for message in theirs:
        found.append(message)
        size += len(message.value)
        if len(found) >= MESSAGES_AT_ONCE or size >= BYTES_AT_ONCE:
            return found, False
    return found, True


def _message(one: Arrived) -> Message:
    return Message(
        partition=one.partition, offset=one.offset, start=one.offset, produced_ms=one.produced_ms, value=one.value
    )


def read_from_kafka(settings: Settings, topic: str) -> Read:
    """Return what reads a topic with consumers of its own."""

    def read(partition: int, start: int, stop: int) -> Generator[Arrived, None, None]:
        with asking(settings) as consumer:
            for message in messages(consumer, topic, partition, start, stop):
                yield Arrived(
                    partition=partition,
                    offset=message.offset() or 0,
                    produced_ms=message.timestamp()[1],
                    value=message.value() or b"",
                )

    return read
