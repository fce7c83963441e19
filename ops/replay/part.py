"""One partition of a replay, in a process of its own: the pure functions of live, into the books of the session."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import nan
from multiprocessing.sharedctypes import SynchronizedArray
from multiprocessing.synchronize import Event
from typing import ClassVar

import psutil
import structlog
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from ops.replay.live import LiveLag
from ops.replay.origins import Taken, taken, topic_of
from ops.stack.processes import die_with_parent
from schemas.records import RejectedSpill
from streams.agents.transform import Source, transform
from streams.books.aggregator import Aggregator, Incoming, KafkaAccess, TopicAccess
from streams.books.connect import place
from streams.books.replays import Origin, Plan
from streams.books.run import Handling
from streams.books.store import NO_OFFSET, CheckpointStore
from streams.conditions.store import ConditionsStore
from streams.errors import ServerError
from streams.process import ranges_of
from streams.settings import Settings, load_settings

NICENESS = 10
"""Live goes before."""
BYTES_AT_ONCE = 16 << 20
"""Of the messages that are brought into the books together; one that alone has more comes alone."""


class _ReadAgainError(Exception):
    """The books lack messages that were given to them: Redis lost data, or another brings in the same."""


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


def replay_partition(plan: Plan, partition: int) -> int:
    """Bring the messages of a partition into the books of the session, from its checkpoint on.

    Returns
    -------
    int
        Offset of the last one in them; `NO_OFFSET` if there is none, or if the replay was stopped.

    Raises
    ------
    SpilldeckError
        When a server goes away, or Kafka no longer has what it had.
    """
    settings = load_settings()
    try:
        return asyncio.run(_replay(settings, plan, partition))
    except RedisError as error:
        raise ServerError(f"Redis at {place(settings)} does not answer: {error}") from error


async def _replay(settings: Settings, plan: Plan, partition: int) -> int:
    redis = AsyncRedis.from_url(settings.redis.url.get_secret_value())
    try:
        store = CheckpointStore(redis, settings.redis.key_prefix, plan.session)
        conditions = plan.store(settings)
        with LiveLag(settings) as live:
            while not await _to_the_end(settings, plan, partition, store, conditions, live):
                if _Process.shared.stop.is_set():
                    return NO_OFFSET
        _Process.shared.read[partition] = plan.spans[partition][1]
        return (await store.load_state(partition)).offset
    finally:
        await redis.aclose()


async def _to_the_end(
    settings: Settings,
    plan: Plan,
    partition: int,
    store: CheckpointStore,
    conditions: ConditionsStore,
    live: LiveLag,
) -> bool:
    """Read from the checkpoint to the end; return whether all that was read is in the books then."""
    last = (await store.load_state(partition)).offset
    aggregator = _aggregator(settings, plan, store, conditions)
    topic = topic_of(settings, plan.origin)

    def read(offset: int) -> None:
        _Process.shared.read[partition] = offset + 1

    start = max(last + 1, plan.spans[partition][0])
    with closing(taken(settings, plan, partition, start, read)) as messages:
        for batch in _batches(messages, settings.books.batch_spills):
            if not _wait_for_live(live, partition):
                return False
            incoming = []
            for message in batch:
                source = Source(topic=topic, partition=partition, offset=message.offset)
                again = plan.origin is not Origin.RECO
                incoming.append(
                    Incoming(
                        partition=partition,
                        offset=message.offset,
                        raw_offset=message.raw_offset,
                        produced_ms=message.produced_ms,
                        follows=last,
                        value=transform(message.value, source, conditions.for_run).value if again else message.value,
                    )
                )
                last = message.offset
            try:
                await aggregator.take(incoming)
            except _ReadAgainError:
                return False
            _Process.shared.taken[partition] += len(incoming)
    # A checkpoint that was refused is told by the next message alone, and there is none.
    return (await store.load_state(partition)).offset == last


def _wait_for_live(live: LiveLag, partition: int) -> bool:
    """Wait while live is behind; return False when the replay is to stop."""
    while not _Process.shared.stop.is_set():
        _Process.shared.behind[partition] = live.too_far_behind()
        if not _Process.shared.behind[partition]:
            return True
        time.sleep(0.1)
    return False


def _batches(messages: Iterator[Taken], most: int) -> Iterator[list[Taken]]:
    """Yield messages in batches that are bounded by number and by bytes."""
    batch: list[Taken] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == most or size + len(message.value) > BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += len(message.value)
    if batch:
        yield batch


def _aggregator(settings: Settings, plan: Plan, store: CheckpointStore, conditions: ConditionsStore) -> Aggregator:
    async def first_from(_partition: int, offset: int) -> tuple[int | None, int]:
        return offset, 0

    async def seek(_partition: int, _offset: int) -> None:
        raise _ReadAgainError

    async def still_has(_partition: int, _offset: int, _produced_ms: int) -> bool:
        return True  # what is gone, or came in its place, is refused when it is read

    async def end(partition: int) -> int:
        return plan.spans[partition][1]

    async def reject(_spill: RejectedSpill) -> None:
        """Count it alone: it is in spills.rejected since it was live."""

    topic = TopicAccess(
        name=topic_of(settings, plan.origin), seek=seek, first_from=first_from, still_has=still_has, end=end
    )
    return Aggregator(
        store=store,
        kafka=KafkaAccess(raw=topic, reco=topic, reject=reject),
        run_books={},
        window_books={},
        ranges_of=lambda run: ranges_of(conditions.for_run(run)),
        window_s=settings.books.window_s,
        windows_kept=settings.books.windows_kept,
        clock=time.monotonic,
        handling=partial(_handling, psutil.Process()),
    )


def _handling(ours: psutil.Process, _produced_ms: int) -> Handling:
    """Say what memory it took; from the DAQ to a replay there is no delay that means anything."""
    return Handling(delay_s=nan, resident_mb=ours.memory_info().rss / 1e6)
