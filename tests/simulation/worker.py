"""A worker: what the agents do, as tasks of a process that knows no Faust."""

import asyncio
from collections import Counter as Counted
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from schemas.records import Record, RejectedSpill, RunRecord
from streams.agents import watch
from streams.agents.aggregate import count
from streams.agents.common import SERVER_ERRORS
from streams.agents.products import Products
from streams.agents.reconstruct import Reconstruction
from streams.agents.registry import Registry
from streams.agents.repairs import Repairs
from streams.agents.watch import Watch
from streams.books.counter import Counter
from streams.books.kafka_log import KafkaLog, Known
from streams.books.known_runs import known
from streams.books.layout import Keys
from streams.books.partition import Filling, Partitions
from streams.books.reading import Arrived, Reading
from streams.books.run import Handling
from streams.books.store import CheckpointStore
from streams.books.stored import PartitionState
from streams.kafka.probe import ID_KNOWN_S
from streams.process import plot_ranges
from streams.settings import LIVE, RedisSettings, load_settings
from streams.transform import ConditionsOf
from tests.simulation.host import Host
from tests.simulation.kafka_in_memory import AHEAD, Consumer, Group, Kafka
from tests.simulation.loop import in_greenlet
from tests.simulation.redis_in_memory import AsyncClient, Redis, SyncClient
from tests.simulation.scale import Scale
from tests.wire import decode, encode

PREFIX = "simulated"
RUNS_S = 30.0
"""Time between two looks for runs that have changed."""
IN_VAIN = 3 * AHEAD
"""Messages that come though they are in the books: those that were fetched before a worker went to what is next."""
DEAF_LOOKS = 6
"""A worker that looks so seldom has had time for what it does from one look to the next."""


class Servers:
    """What all processes share.

    Parameters
    ----------
    kafka, redis
        The servers.
    """

    def __init__(self, kafka: Kafka, redis: Redis) -> None:
        self.kafka, self.redis = kafka, redis
        self.asides: Counted[tuple[str, int, int]] = Counted()
        """Session, partition and run → how often what Redis had of it was set aside."""
        self.runs: list[bytes] = []
        """The topic of runs."""
        self._records: list[Record] = []
        self.rejected: list[RejectedSpill] = []
        """The topic of rejected spills."""

    def records(self) -> list[RunRecord]:
        """Return what the topic of runs has."""
        self._records += map(decode, self.runs[len(self._records) :])
        return [record for record in self._records if isinstance(record, RunRecord)]

    def known(self, partition: int) -> Known:
        """Return where runs begin in a partition, as the topic of runs says."""
        return known(self.records(), self.kafka.id(), partition)


class Worker:
    """A worker of a session.

    Parameters
    ----------
    host
        Its process.
    session, writer
        See `CheckpointStore` and `Counter`.
    servers
        What it works with.
    group
        The consumers of its session.
    scale
        How large all is.
    conditions_of
        Gives a run's conditions.
    clock_off_s
        By how much its clock is wrong.
    """

    def __init__(
        self,
        *,
        host: Host,
        session: str,
        writer: str,
        servers: Servers,
        group: Group,
        scale: Scale,
        conditions_of: ConditionsOf,
        clock_off_s: float,
        on_set_back: Callable[[int, PartitionState, PartitionState], None],
        rng: Any,
    ) -> None:
        self.host = host
        self.session = session
        self._servers = servers
        self._group = group
        self._scale = scale
        self._clock_off_s = clock_off_s
        self._on_set_back = on_set_back
        self._now = asyncio.get_running_loop().time
        self.was_led_astray = False
        """Whether its consumer was made to go elsewhere than anybody asked it to."""
        self._in_vain: Counted[int] = Counted()
        """Partition → messages that came since it was last sought in, none of which was next."""
        self.partitions = Partitions()
        self.consumer = Consumer(host, servers.kafka, group, rng)
        self._id, self._id_asked_s = "", 0.0
        log = self._kafka_log()
        store = _Store(AsyncClient(host, servers.redis), PREFIX, session)  # type: ignore[arg-type]
        store.asides = servers.asides
        filling = Filling(
            run_books={},
            window_books={},
            ranges_of=lambda run: plot_ranges(run, conditions_of),
            window_s=scale.window_s,
            windows_kept=scale.windows_kept,
            handling=lambda at_ms: Handling(delay_s=self._now() - at_ms / 1000, resident_mb=0.0),
            compute=self._in_thread,
        )
        self.counter = Counter(store=store, kafka=log, partitions=self.partitions, filling=filling, writer=writer)
        reading = Reading(counter=self.counter, kafka=log, store=store, partitions=self.partitions, clock=self._now)
        self._reconstruction = Reconstruction(reading, Products(None, self._in_thread), conditions_of, self._in_thread)
        self._repairs = Repairs(
            log=log,
            read=self._read,
            counter=self.counter,
            partitions=self.partitions,
            conditions_of=conditions_of,
            in_thread=self._in_thread,
            compute=self._in_thread,
        )
        self._watch = Watch(reading, self.partitions, self._well)
        self._well_at = self._now()
        settings = load_settings(session=session, redis=RedisSettings(key_prefix=PREFIX))
        self._registry = Registry(SyncClient(host, servers.redis), settings)  # type: ignore[arg-type]
        self._between: asyncio.Queue[Any] = asyncio.Queue(1)
        self.consumer.on_moved = lambda: host.begin(self.counter.forget_all)

    def begin(self) -> None:
        """Start its tasks."""
        self.host.begin(self._reconstruct, self._aggregate, self._look_after, self._make_again)
        if self.session == LIVE:
            self.host.begin(self._write_runs)
        self._group.join(self.consumer)

    async def _reconstruct(self) -> None:
        while True:
            arrived = await self.consumer.take(self._scale.batch, self._scale.batch_wait_s)
            outcomes = await self._reconstruction.of(arrived)
            for one in arrived:
                self._in_vain[one.partition] += 1
            for outcome in outcomes:
                self._in_vain[outcome.message.partition] = 0
            if max(self._in_vain.values(), default=0) > IN_VAIN and not self.was_led_astray:
                raise InVainError(f"more than {IN_VAIN} messages came that are in the books, one after the other")
            await self._between.put((outcomes, arrived))

    async def _aggregate(self) -> None:
        while True:
            outcomes, arrived = await self._between.get()
            await count(outcomes, self.counter)
            self.consumer.ack(arrived)

    async def _look_after(self) -> None:
        while True:
            await self.host.sleep(self._scale.watch_s)
            await self._watch.look(lambda: set(self.consumer.assigned))
            if self._now() - self._well_at > max(watch.DEAF_S, DEAF_LOOKS * self._scale.watch_s):
                raise DeafError("nothing was taken for a minute, though there is something")

    def _well(self) -> None:
        self._well_at = self._now()

    def was_stopped(self) -> None:
        """Take note that time has passed in which it could do nothing."""
        self._well()

    async def _make_again(self) -> None:
        while True:
            before = {number: (known, known.state.repairs) for number, known in self.partitions.items()}
            if not await self._repairs.look():
                await self.host.sleep(self._scale.watch_s)
            for number, (its, repairs) in before.items():
                left = its.state.repairs
                newest = max(repairs, key=lambda run: (repairs[run], run), default=None)
                if self.partitions.get(number) is its and newest in left and repairs.keys() - left.keys():
                    raise OrderError(f"older runs than {newest} were made again before it")

    async def _write_runs(self) -> None:
        while True:
            await self.host.sleep(RUNS_S)
            if 0 not in self.consumer.assigned:
                continue
            try:
                now_s = self._now() + self._clock_off_s
                newest = await self._ask(lambda: {record.run: record for record in self._servers.records()})
                for record, what in await in_greenlet(self._registry.changed, now_s, newest):
                    await self._ask(self._servers.runs.append, encode(record))
                    await in_greenlet(self._registry.note, record.run, what)
            except SERVER_ERRORS:
                continue

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        await self.host.turn()
        return call(*arguments)

    def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return self.host.ask(self._servers.kafka, call, *arguments)

    def _read(self, partition: int, start: int, stop: int) -> Generator[Arrived, None, None]:
        return self._servers.kafka.read(partition, start, stop)

    async def _topic_id(self) -> str:
        """Return the topic's id, as `Probe` does: what it was a moment ago."""
        if not self._id or self._now() - self._id_asked_s > ID_KNOWN_S:
            self._id, self._id_asked_s = await self._ask(self._servers.kafka.id), self._now()
        return self._id

    def _begins(self, partition: int, state: PartitionState) -> None:
        """See that the run that is taken comes first where Redis has nothing of a partition."""
        known, keys = self._servers.known(partition), Keys(PREFIX, self.session, partition)
        newest = max(known.runs.values(), default=0)
        if self.session != LIVE or newest >= known.below or self._servers.redis.keys.scan(keys.run("*")):
            return
        if state.next < newest:
            raise OrderError(f"it begins at {state.next} of partition {partition}, and the newest run at {newest}")

    def _kafka_log(self) -> KafkaLog:
        kafka = self._servers.kafka

        async def seek(partition: int, offset: int) -> None:
            await self.host.turn()
            self._in_vain[partition] = 0
            self.consumer.seek(partition, offset)

        async def known_runs(partition: int) -> Known:
            if self.session != LIVE:
                return Known()
            return await self._ask(self._servers.known, partition)  # type: ignore[no-any-return]

        async def reject(spill: RejectedSpill) -> None:
            await self._ask(self._servers.rejected.append, spill)

        return _Log(
            on_set_back=self._on_set_back,
            on_begin=self._begins,
            name=kafka.topic,
            id=self._topic_id,
            epoch=lambda partition: self._ask(kafka.epoch, partition),
            span=lambda partition: self._ask(kafka.span, partition),
            first_from=lambda partition, offset: self._ask(kafka.first_from, partition, offset),
            still_has=lambda partition, offset, at_ms: self._ask(kafka.still_has, partition, offset, at_ms),
            seek=seek,
            known=known_runs,
            reject=reject,
            now_s=lambda: self._now() + self._clock_off_s,
        )


class _Store(CheckpointStore):
    asides: Counted[tuple[str, int, int]]

    async def set_aside(self, partition: int, run: int, fence: str, *, for_good: bool) -> None:
        await CheckpointStore.set_aside(self, partition, run, fence, for_good=for_good)
        self.asides[self._session, partition, run] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log(KafkaLog):
    on_begin: Callable[[int, PartitionState], None]
    on_set_back: Callable[[int, PartitionState, PartitionState], None]

    async def held_against(self, partition: int, state: PartitionState) -> PartitionState:
        if not state.fence:
            self.on_begin(partition, state)
        found = await KafkaLog.held_against(self, partition, state)
        if found.log == state.log and found.next < state.next:
            self.on_set_back(partition, state, found)
        return found


class DeafError(Exception):
    """A worker takes nothing."""


class InVainError(Exception):
    """A worker reads again what was counted, and does not go on behind it."""


class OrderError(Exception):
    """A worker makes older runs again before newer ones."""
