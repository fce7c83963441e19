"""One partition of a replay, in a process of its own: the pure functions of live, into the books of the session."""

import asyncio
import logging
import os
import signal
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import nan
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Event
from typing import Any, ClassVar

import psutil
import structlog
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from ops.replay.live import LiveLag
from ops.replay.origins import taken, topic_of
from ops.stack.processes import die_with_parent
from schemas.records import ReconstructedSpill, RejectedSpill
from streams.books.batches import by_bytes
from streams.books.connect import COMMAND_S, connect_async, no_redis
from streams.books.counter import Counter
from streams.books.kafka_log import KafkaLog, Known
from streams.books.partition import Filling, Partition, Partitions
from streams.books.replays import Plan
from streams.books.run import Handling
from streams.books.store import CheckpointStore
from streams.books.topic_spills import Taken
from streams.process import plot_ranges
from streams.settings import Settings, load_settings
from streams.transform import Message, Outcome, outcome, reconstructed

NICENESS = 10
"""Live goes before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the processes of a replay tell each other; arrays are by partition."""

    parent: int
    """Process id of the one that began the others."""
    read: "SynchronizedArray[int]"
    """The first offset that is still to be read."""
    taken: "SynchronizedArray[int]"
    """Messages of the runs that were brought in."""
    behind: "SynchronizedArray[int]"
    """By how many messages live is behind, while that keeps the partition waiting; else 0."""
    stop: Event
    """Set when all are to end."""


class _Process:
    shared: ClassVar[Shared]


def begin(shared: Shared) -> None:
    """Make a new process one of the replay's."""
    die_with_parent()
    if os.getppid() != shared.parent:  # it died before we could ask to hear of it
        os._exit(1)
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # our parent is asked too, and ends us
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    _Process.shared = shared


def replay_partition(plan: Plan, partition: int) -> None:
    """Bring the messages of a partition into the books of the session, from its checkpoint on.

    Raises
    ------
    SpilldeckError
        When a server goes away, or Kafka no longer has what it had.
    """
    settings = load_settings()
    try:
        asyncio.run(_replay(settings, plan, partition))
    except RedisError as error:
        raise no_redis(settings, error) from error


async def _replay(settings: Settings, plan: Plan, partition: int) -> None:
    redis = connect_async(settings, COMMAND_S)
    try:
        with LiveLag(settings) as live:
            part = _Part(settings, plan, partition, redis, live)
            while not await part.to_the_end():
                if _Process.shared.stop.is_set():
                    return
        _Process.shared.read[partition] = plan.spans[partition][1]
    finally:
        await redis.aclose()


class _Part:
    """One partition of a replay."""

    def __init__(self, settings: Settings, plan: Plan, partition: int, redis: "AsyncRedis", live: LiveLag) -> None:
        self._settings = settings
        self._plan = plan
        self._partition = partition
        self._live = live
        self._conditions_of = plan.store(settings).for_run
        self._partitions = Partitions()
        self._counter = Counter(
            store=CheckpointStore(redis, settings.redis.key_prefix, plan.session),
            kafka=_log_of(settings, plan),
            partitions=self._partitions,
            filling=Filling(
                run_books={},
                window_books={},
                ranges_of=lambda run: plot_ranges(run, self._conditions_of),
                window_s=settings.books.window_s,
                windows_kept=settings.books.windows_kept,
                handling=partial(_handling, psutil.Process()),
                compute=_here,
            ),
            writer=uuid.uuid4().hex[:8],
        )

    async def to_the_end(self) -> bool:
        """Read from the checkpoint to the end; return whether all that was read is in the books then."""
        known = await self._counter.begin(self._partition)
        stop = self._plan.spans[self._partition][1]
        if not await self._read(known, known.state.next, self._take):
            return False
        if known.state.next < stop:  # what is behind the last message is of other runs
            await self._counter.advance(known, stop, 0)
        for run, first in list(known.state.repairs.items()):
            if not await self._read(known, first, partial(self._take_again, run)):
                return False
            await self._counter.take_again(known, run, [], stop)
        return self._is_ours(known) and not known.state.repairs and await self._counter.is_current(known)

    async def _read(
        self, known: Partition, start: int, take: Callable[[Partition, list[Outcome]], Awaitable[None]]
    ) -> bool:
        """Read from an offset to the end; return whether nobody else had the partition meanwhile."""
        partition, at = self._partition, start

        def read(offset: int) -> None:
            _Process.shared.read[partition] = offset + 1

        with closing(taken(self._settings, self._plan, partition, start, read)) as messages:
            for batch in by_bytes(messages, self._settings.books.batch_spills):
                if not _wait_for_live(self._live, partition):
                    return False
                outcomes = []
                for one in batch:
                    message = Message(
                        partition=partition, offset=one.offset, start=at, produced_ms=one.produced_ms, value=one.value
                    )
                    at = one.offset + 1
                    outcomes.append(self._outcome(message, one))
                await take(known, outcomes)
                if not self._is_ours(known):
                    return False
                _Process.shared.taken[partition] += len(outcomes)
        return True

    def _outcome(self, message: Message, one: Taken) -> Outcome:
        if isinstance(one.record, ReconstructedSpill):
            return reconstructed(message, one.record)
        return outcome(message, one.record, self._conditions_of)

    async def _take(self, _known: Partition, outcomes: list[Outcome]) -> None:
        await self._counter.take(self._partition, outcomes)

    async def _take_again(self, run: int, known: Partition, outcomes: list[Outcome]) -> None:
        await self._counter.take_again(known, run, outcomes, outcomes[-1].message.offset + 1)

    def _is_ours(self, known: Partition) -> bool:
        return self._partitions.get(self._partition) is known


async def _here(call: Callable[..., Any], *arguments: Any) -> Any:
    return call(*arguments)


def _wait_for_live(live: LiveLag, partition: int) -> bool:
    """Wait while live is behind; return False when the replay is to stop."""
    while not _Process.shared.stop.is_set():
        _Process.shared.behind[partition] = live.too_far_behind()
        if not _Process.shared.behind[partition]:
            return True
        time.sleep(0.1)
    return False


def _log_of(settings: Settings, plan: Plan) -> KafkaLog:
    """Return what is asked of the log that a replay reads: its plan says what that has, and reading it tells more."""

    async def first_from(_partition: int, offset: int) -> tuple[int | None, int]:
        return offset, 0

    async def seek(_partition: int, _offset: int) -> None:
        """Do nothing: a replay reads by itself."""

    async def still_has(_partition: int, _offset: int, _produced_ms: int) -> bool:
        return True  # what is gone, or came in its place, is refused when it is read

    async def span(partition: int) -> tuple[int, int]:
        return plan.spans[partition]

    async def epoch(_partition: int) -> int:
        return 0  # what is gone, or came in its place, is refused when it is read

    async def known(_partition: int) -> Known:
        return Known()

    async def topic_id() -> str:
        return str(plan.origin)

    async def reject(_spill: RejectedSpill) -> None:
        """Count it alone: it is in spills.rejected since it was live."""

    return KafkaLog(
        name=topic_of(settings, plan.origin),
        id=topic_id,
        epoch=epoch,
        span=span,
        first_from=first_from,
        still_has=still_has,
        seek=seek,
        known=known,
        reject=reject,
        now_s=time.time,
    )


def _handling(ours: psutil.Process, _produced_ms: int) -> Handling:
    """Say what memory it took; from the DAQ to a replay there is no delay that means anything."""
    return Handling(delay_s=nan, resident_mb=ours.memory_info().rss / 1e6)
