"""One partition of spills.raw in memory, and workers that count it into a real Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, ClassVar

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from schemas.known import WireError
from schemas.records import ControlKind, ReconstructedSpill, RejectedSpill, RunControl
from streams.books.book import Book
from streams.books.counter import Counter
from streams.books.kafka_log import KafkaLog, Known
from streams.books.partition import Filling, Partitions
from streams.books.reader import BookReader
from streams.books.reading import SEEK_PATIENCE_S, Arrived, Reading
from streams.books.run import Handling, RunPart
from streams.books.store import CheckpointStore
from streams.books.windows import Window, window_at
from streams.transform import Message, Outcome, reconstructed, transform
from tests.records import reconstructed_spill
from tests.same_counts import differing
from tests.wire import decode, encode

RUN = 900001
WINDOW_S = 10
KEPT = 2
TOPIC = "spills.raw"


class Log:
    """The partition. Spills lie in it as they are reconstructed, so that tests need no detector's bytes."""

    def __init__(self) -> None:
        self.messages: list[Arrived] = []
        self.low = 0
        self.id = "a topic"
        self.epoch = 0
        self.now_ms = 1000
        self.known = Known()

    def append(self, record: ReconstructedSpill | RunControl | bytes) -> None:
        self.now_ms += 1
        value = record if isinstance(record, bytes) else encode(record)
        self.messages.append(Arrived(partition=0, offset=self.end, produced_ms=self.now_ms, value=value))

    @property
    def end(self) -> int:
        return self.messages[-1].offset + 1 if self.messages else self.low

    def from_(self, offset: int) -> list[Arrived]:
        return [message for message in self.messages if message.offset >= max(offset, self.low)]

    def lose(self, messages: int) -> None:
        """Lose the newest messages, as in a power cut: whoever has the rest leads then."""
        del self.messages[len(self.messages) - messages :]
        self.epoch += 1

    def make_anew(self) -> None:
        """Remove the topic, and make another of its name."""
        self.messages, self.low, self.id = [], 0, self.id + "'"


OTHERS = ("raw", "kl", "emr", "tracker")
"""Of two plots in three: a spill without them is counted, stored and compared in half the time."""


@cache
def spill_bytes(spill: int, run: int = RUN, version: int = 0, *, whole: bool = False) -> bytes:
    """Return a spill as a log has it, of all detectors if whole."""
    without: dict[str, Any] = {} if whole else dict.fromkeys(OTHERS)
    return encode(reconstructed_spill(spill, run=run, version=version, **without))


_decode = lru_cache(1000)(decode)
"""Kept: each worker reads a message, and who compares, and the next scenario has the same spills."""


def of(message: Message) -> Outcome:
    """Return what is counted of a message of such a log."""
    try:
        record = _decode(message.value)
    except WireError:
        return transform(message, lambda _run: None)
    assert isinstance(record, ReconstructedSpill | RunControl)
    return reconstructed(message, record)


class Worker:
    """A counter with its consumer: a position in the log, and messages that it fetched already."""

    open_clients: ClassVar[list[AsyncRedis]] = []
    started: ClassVar[int] = 0

    def __init__(self, log: Log, redis_url: str, position: int = 0, **changes: Any) -> None:
        Worker.started += 1
        self.log, self.position = log, position
        self.fetched: list[Arrived] = []
        self.rejected: list[RejectedSpill] = []
        self.seeks: list[int] = []
        self.now = 0.0
        redis = AsyncRedis.from_url(redis_url)
        self.open_clients.append(redis)
        self.run_books: dict[Any, Book] = {}
        self.window_books: dict[Any, Book] = {}
        self.partitions = Partitions()
        self.store = CheckpointStore(redis, "test", "live")
        filling = Filling(
            run_books=self.run_books,
            window_books=self.window_books,
            ranges_of=lambda _run: {},
            window_s=WINDOW_S,
            windows_kept=KEPT,
            handling=lambda produced_ms: Handling(delay_s=produced_ms / 1000, resident_mb=200.0),
            compute=asyncio.to_thread,
        )
        kafka = self._kafka()
        self.counter = Counter(
            store=self.store,
            kafka=kafka,
            partitions=self.partitions,
            filling=replace(filling, **changes),
            writer=f"worker-{self.started}",
        )
        self.reading = Reading(
            counter=self.counter,
            kafka=kafka,
            store=self.store,
            partitions=self.partitions,
            clock=lambda: self.now,
        )

    def _kafka(self) -> KafkaLog:
        log = self.log

        async def topic_id() -> str:
            return log.id

        async def epoch(_partition: int) -> int:
            return log.epoch

        async def span(_partition: int) -> tuple[int, int]:
            return log.low, log.end

        async def first_from(_partition: int, offset: int) -> tuple[int | None, int]:
            return next((message.offset for message in log.from_(offset)), None), log.low

        async def still_has(_partition: int, offset: int, produced_ms: int) -> bool:
            there = {message.offset: message.produced_ms for message in log.messages}
            return offset < log.low or there.get(offset) == produced_ms

        async def seek(_partition: int, offset: int) -> None:
            self.seeks.append(offset)
            self.position = offset

        async def known(_partition: int) -> Known:
            return log.known

        async def reject(spill: RejectedSpill) -> None:
            self.rejected.append(spill)

        return KafkaLog(
            name=TOPIC,
            id=topic_id,
            epoch=epoch,
            span=span,
            first_from=first_from,
            still_has=still_has,
            seek=seek,
            known=known,
            reject=reject,
            now_s=lambda: 1_700_000_000.0,
        )

    def fetch(self, count: int) -> None:
        new = self.log.from_(self.position)[:count]
        self.fetched += new
        if new:
            self.position = new[-1].offset + 1

    async def take(self, count: int) -> None:
        batch, self.fetched = self.fetched[:count], self.fetched[count:]
        self.now += 0.1
        await self.counter.take(0, [of(message) for message in await self.reading.accept(batch)])

    async def look(self) -> None:
        """Look after the partition, and make again what is to be, as a worker's timers do."""
        await self.reading.look_after(0)
        known = self.partitions.get(0)
        for run, first in sorted((known.state.repairs if known else {}).items(), key=lambda job: -job[1]):
            assert known is not None
            stop = known.state.next
            there = [m for m in self.log.from_(first) if m.offset < stop]
            halves = [there[: len(there) // 2], there[len(there) // 2 :]]
            for half, upto in zip(halves, [halves[1][0].offset if halves[1] else stop, stop], strict=True):
                await self.counter.take_again(known, run, [of(as_message(m)) for m in half], upto)

    async def drain(self) -> None:
        """Go on until all that the log has is in the books."""
        for _ in range(200):
            self.fetch(50)
            while self.fetched:
                await self.take(20)
            for _ in range(3):  # what Kafka has is given time to come
                self.now += SEEK_PATIENCE_S
                await self.look()
            known = self.partitions.get(0)
            if known and known.state.next >= self.log.end and not known.state.repairs and not self.fetched:
                return
        raise AssertionError("the log was never drained")


def as_message(arrived: Arrived) -> Message:
    return Message(
        partition=0,
        offset=arrived.offset,
        start=arrived.offset,
        produced_ms=arrived.produced_ms,
        value=arrived.value,
    )


def window_of(time_us: int) -> int:
    return time_us // (WINDOW_S * 1_000_000) * WINDOW_S


@lru_cache(4)
def pure(messages: tuple[Arrived, ...]) -> dict[int, tuple[RunPart, Book, dict[int, bytes], dict[Window, Book]]]:
    """Return what the log makes by itself, in one pass: what the books must hold."""
    parts: dict[int, RunPart] = {}
    found: dict[int, tuple[RunPart, Book, dict[int, bytes], dict[Window, Book]]] = {}
    by_run: dict[int, list[Outcome]] = {}
    for message in messages:
        outcome = of(as_message(message))
        by_run.setdefault(outcome.run, []).append(outcome)
    for run, outcomes in by_run.items():
        part = parts[run] = RunPart()
        book, numbers, windows = Book({}), dict[int, bytes](), dict[Window, Book]()
        for start, _, filled in part.count(outcomes, {}, window_of).filled:
            book += filled.book
            numbers |= filled.key_numbers
            newest_s, kept = part.totals.last_us // 1_000_000, 1 if part.totals.ended else KEPT
            window = windows.setdefault(window_at(start, newest_s, window_s=WINDOW_S, kept=kept), Book({}))
            window += filled.book
        found[run] = part, book, numbers, windows
    return found


def check(redis_url: str, log: Log) -> None:
    """Compare every bin and counter in Redis with the pure calculation."""
    with Redis.from_url(redis_url) as redis:
        reader = BookReader(redis, "test", "live")
        expected = pure(tuple(log.messages))
        stored_runs = reader.runs()
        assert stored_runs.keys() == expected.keys()
        for n, (part, *_) in expected.items():
            wanted, there = part.totals.to_json(), stored_runs[n].to_json()
            assert {name: (there[name], wanted[name]) for name in wanted if there[name] != wanted[name]} == {}
        assert reader.places().keys() == expected.keys()
        for number, (part, book, numbers, windows) in expected.items():
            stored = reader.run(number, {})
            totals = stored.totals
            assert totals.filled + totals.all_rejected == totals.received - totals.duplicates
            assert totals.filled == len(stored.ledger) == reader.places()[number].filled
            assert stored.ledger == part.ledger
            assert stored.key_numbers == numbers
            assert not differing(stored.book, book)
            assert list(reader.windows(number)) == sorted(windows)
            for window, its in windows.items():
                assert not differing(reader.window(number, window, {}), its)


def filled_log(spills: int, run: int = RUN, log: Log | None = None, *, whole: bool = False) -> Log:
    """Return a log with a run in it, or one with another run behind what it has."""
    log = log if log is not None else Log()
    log.append(RunControl(run=run, kind=ControlKind.START, time_us=1, source="f", byte=0, events=2))
    for spill in range(spills):
        log.append(spill_bytes(spill, run, whole=whole))
    log.append(RunControl(run=run, kind=ControlKind.END, time_us=9, source="f", byte=0, events=2))
    return log


def run_scenario(redis_url: str, scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario in an event loop on an empty Redis."""
    with Redis.from_url(redis_url) as redis:
        redis.flushall()

    async def closing() -> None:
        try:
            await scenario()
        finally:
            for client in Worker.open_clients:
                await client.aclose()
            Worker.open_clients.clear()

    asyncio.run(closing())
