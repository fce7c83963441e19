"""Counted exactly once: whatever is repeated, lost, reordered between workers, or set back in Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from schemas.records import NO_RUN, ControlKind, ReconstructedSpill, RejectedSpill, Rejection, RunControl
from schemas.wire import WireError, decode, encode
from streams.books.aggregator import RAW_PATIENCE_S, SEEK_PATIENCE_S, Aggregator, Incoming, KafkaAccess, TopicAccess
from streams.books.book import Book, Filled
from streams.books.reader import BookReader
from streams.books.run import Admission, Handling, Ledger, RunShare
from streams.books.store import NO_OFFSET, CheckpointStore
from streams.books.totals import Totals
from streams.plots.catalogue import PLOTS
from tests.records import reconstructed_spill

pytestmark = pytest.mark.servers

RUN = 900001
WINDOW_S = 10
KEPT = 1000


class Log:
    """One partition of spills.reco, with what a consumer's fetch buffer does after a seek."""

    def __init__(self) -> None:
        self.messages: list[Incoming] = []
        self.now_ms = 1000
        self.low = 0
        self.raw: dict[int, int] = {}
        """Offsets of spills.raw that Kafka has, and when each was produced."""
        self.raw_low = 0

    def append(self, record: ReconstructedSpill | RunControl | bytes, raw_offset: int | None = None) -> None:
        offset = len(self.messages)
        raw_offset = offset if raw_offset is None else raw_offset
        self.now_ms += 1
        produced_ms = self.now_ms
        if not isinstance(record, bytes) or len(record) > 1:  # garbage was not made of a raw spill
            produced_ms = self.raw.setdefault(raw_offset, self.now_ms)
        self.messages.append(
            Incoming(
                partition=0,
                offset=offset,
                raw_offset=raw_offset,
                produced_ms=produced_ms,
                value=record if isinstance(record, bytes) else encode(record),
            )
        )


class Worker:
    """An aggregator with its consumer: a position in the log, and messages that it fetched already."""

    open_clients: ClassVar[list[AsyncRedis]] = []

    def __init__(self, log: Log, redis_url: str, position: int) -> None:
        self.log, self.position = log, position
        self.fetched: list[Incoming] = []
        self.rejected: list[RejectedSpill] = []
        self.seeks: list[int] = []
        self.raw_seeks: list[int] = []
        self.now = 0.0
        redis = AsyncRedis.from_url(redis_url)
        self.open_clients.append(redis)

        async def seek(_partition: int, offset: int) -> None:
            self.seeks.append(offset)
            self.position = offset

        async def first_from(_partition: int, offset: int) -> tuple[int | None, int]:
            first = max(offset, log.low)
            return (first if first < len(log.messages) else None), log.low

        async def end(_partition: int) -> int:
            return len(log.messages)

        async def seek_raw(_partition: int, offset: int) -> None:
            self.raw_seeks.append(offset)

        async def first_raw_from(_partition: int, offset: int) -> tuple[int | None, int]:
            return min((raw for raw in log.raw if raw >= max(offset, log.raw_low)), default=None), log.raw_low

        async def end_raw(_partition: int) -> int:
            return max(log.raw, default=-1) + 1

        async def still_has(_partition: int, offset: int, produced_ms: int) -> bool:
            return offset < len(log.messages) and log.messages[offset].produced_ms == produced_ms

        async def still_has_raw(_partition: int, offset: int, produced_ms: int) -> bool:
            return offset < log.raw_low or log.raw.get(offset) == produced_ms

        async def reject(spill: RejectedSpill) -> None:
            self.rejected.append(spill)

        self.run_books: dict[tuple[int, int], Book] = {}
        self.window_books: dict[tuple[int, int, int], Book] = {}
        self.aggregator = Aggregator(
            store=CheckpointStore(redis, "test", "live"),
            kafka=KafkaAccess(
                raw=TopicAccess(
                    name="spills.raw", seek=seek_raw, first_from=first_raw_from, still_has=still_has_raw, end=end_raw
                ),
                reco=TopicAccess(name="spills.reco", seek=seek, first_from=first_from, still_has=still_has, end=end),
                reject=reject,
            ),
            run_books=self.run_books,
            window_books=self.window_books,
            ranges_of=lambda _run: {},
            window_s=WINDOW_S,
            windows_kept=KEPT,
            clock=lambda: self.now,
            handling=lambda produced_ms: Handling(delay_s=produced_ms / 1000, resident_mb=200.0),
        )

    def fetch(self, count: int) -> None:
        new = self.log.messages[max(self.position, self.log.low) :][:count]
        self.fetched += new
        if new:
            self.position = new[-1].offset + 1

    async def take(self, count: int) -> None:
        batch, self.fetched = self.fetched[:count], self.fetched[count:]
        self.now += 0.1
        await self.aggregator.take(batch)

    async def drain(self) -> None:
        """Go on until all that the log has is in the books."""
        for _ in range(200):
            self.fetch(50)
            while self.fetched:
                await self.take(20)
            for _ in range(2):  # what Kafka has is given time to come
                self.now += SEEK_PATIENCE_S
                await self.aggregator.watch([0])
            if self.position >= len(self.log.messages) and not self.fetched:
                return
        raise AssertionError("the log was never drained")


@pytest.fixture
def run(redis_url: str) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Return what runs a scenario in an event loop on an empty Redis."""

    def go(scenario: Callable[[], Awaitable[None]]) -> None:
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

    return go


def pure(messages: Sequence[Incoming]) -> dict[int, tuple[Totals, Ledger, Filled, dict[int, Book]]]:
    """Return what the log makes by itself, in one pass: what the books must hold."""
    seen_raw: set[int] = set()
    shares: dict[int, RunShare] = {}
    spills: dict[int, list[ReconstructedSpill]] = {}
    for message in messages:
        if message.raw_offset in seen_raw:
            continue
        seen_raw.add(message.raw_offset or 0)
        try:
            record = decode(message.value)
        except WireError:
            record = replace(reconstructed_spill(detectors={}), run=NO_RUN, spill=NO_RUN, events=0)
            record = replace(record, rejection=Rejection(step="envelope", reason=""))
        assert isinstance(record, RunControl | ReconstructedSpill)
        share = shares.setdefault(record.run, RunShare({}, Totals()))
        raw_offset = message.raw_offset if record.run != NO_RUN else None
        share.totals.note_origin(record, 0, raw_offset, message.produced_ms)
        if isinstance(record, RunControl):
            share.hear(record)
        elif share.admit(record) is Admission.FILL:
            spills.setdefault(record.run, []).append(record)
    found = {}
    for number, share in shares.items():
        windows: dict[int, list[ReconstructedSpill]] = {}
        for spill in spills.get(number, []):
            windows.setdefault(spill.time_us // (WINDOW_S * 1_000_000) * WINDOW_S, []).append(spill)
        books = {start: share.fill(theirs, {}).book for start, theirs in windows.items()}
        found[number] = (share.totals, share.ledger, share.fill(spills.get(number, []), {}), books)
    return found


def same_counts(a: Book, b: Book) -> bool:
    return all(np.array_equal(a[name].view(flow=True), b[name].view(flow=True)) for name in PLOTS)


def check(redis_url: str, log: Log) -> None:
    """Compare every bin and counter in Redis with the pure calculation."""
    with Redis.from_url(redis_url) as redis:
        reader = BookReader(redis, "test", "live", 1)
        expected = pure(log.messages)
        assert {n: t.to_json() for n, t in reader.runs().items()} == {
            n: totals.to_json() for n, (totals, *_) in expected.items()
        }
        for number, (_, ledger, filled, windows) in expected.items():
            stored = reader.run(number, {})
            totals = stored.totals
            assert totals.filled + totals.all_rejected == totals.received - totals.duplicates
            assert totals.filled == len(stored.ledger)
            assert stored.ledger == ledger
            assert stored.key_numbers == filled.key_numbers
            assert same_counts(stored.book, filled.book)
            assert list(reader.windows(number)) == sorted(windows)
            for start, window in windows.items():
                assert same_counts(reader.window(number, start, {}), window)


def filled_log(spills: int) -> Log:
    log = Log()
    log.append(RunControl(run=RUN, kind=ControlKind.START, time_us=1, source="f", byte=0, events=2))
    for spill in range(spills):
        log.append(reconstructed_spill(spill))
    log.append(RunControl(run=RUN, kind=ControlKind.END, time_us=9, source="f", byte=0, events=2))
    return log


def test_what_is_not_to_be_taken_may_lie_between_messages(run: Callable[..., None], redis_url: str) -> None:
    log = filled_log(20)
    wanted = [message for message in log.messages if message.offset % 3 == 1]
    befores = [NO_OFFSET, *(message.offset for message in wanted)]
    wanted = [replace(message, follows=before) for message, before in zip(wanted, befores, strict=False)]

    async def scenario() -> None:
        worker = Worker(log, redis_url, position=0)
        await worker.aggregator.take(wanted[:3])
        # Another goes on, is given some of it again, and then what lies beyond: it asks for what it lacks.
        other = Worker(log, redis_url, position=0)
        await other.aggregator.take(wanted[1:5])
        await other.aggregator.take(wanted[6:])
        assert other.seeks == [wanted[4].offset + 1]

    run(scenario)
    with Redis.from_url(redis_url) as redis:
        stored = BookReader(redis, "test", "live", 1).run(RUN, {})
    assert stored.ledger.keys() == {decode(message.value).spill for message in wanted[:5]}  # type: ignore[union-attr]


def test_a_log_is_counted_as_the_pure_functions_count_it(run: Callable[..., None], redis_url: str) -> None:
    log = filled_log(20)

    async def scenario() -> None:
        await Worker(log, redis_url, 0).drain()
        check(redis_url, log)

    run(scenario)


def test_a_duplicate_spill_is_counted_once(run: Callable[..., None], redis_url: str) -> None:
    log = filled_log(5)
    log.append(reconstructed_spill(3))

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        check(redis_url, log)
        with Redis.from_url(redis_url) as redis:
            totals = BookReader(redis, "test", "live", 1).runs()[RUN]
        assert (totals.received, totals.filled, totals.duplicates) == (6, 5, 1)

    run(scenario)


def test_the_same_number_with_other_bytes_is_a_conflict_and_is_kept(run: Callable[..., None], redis_url: str) -> None:
    log = filled_log(5)
    other = reconstructed_spill(3, version=1)
    log.append(other)

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        check(redis_url, log)
        (rejected,) = worker.rejected
        assert (rejected.run, rejected.spill, rejected.step) == (RUN, 3, "conflict")
        assert (rejected.topic, rejected.partition, rejected.offset) == ("spills.reco", 0, len(log.messages) - 1)
        assert "offset 7 of the same partition of spills.raw" in rejected.reason
        assert rejected.payload == encode(other)

    run(scenario)


def test_a_spill_reconstructed_twice_is_no_duplicate(run: Callable[..., None], redis_url: str) -> None:
    log = filled_log(5)
    log.append(reconstructed_spill(3), raw_offset=4)

    async def scenario() -> None:
        await Worker(log, redis_url, 0).drain()
        check(redis_url, log)
        with Redis.from_url(redis_url) as redis:
            assert BookReader(redis, "test", "live", 1).runs()[RUN].duplicates == 0

    run(scenario)


def test_a_message_that_cannot_be_read_is_kept_and_the_next_spill_is_filled(
    run: Callable[..., None], redis_url: str
) -> None:
    log = Log()
    log.append(b"garbage")
    log.append(reconstructed_spill(0))

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        check(redis_url, log)
        assert [r.payload for r in worker.rejected] == [b"garbage"]

    run(scenario)


def test_a_worker_that_lost_its_partition_is_refused_and_drops_its_copy(
    run: Callable[..., None], redis_url: str
) -> None:
    log = filled_log(30)

    async def scenario() -> None:
        old, new = Worker(log, redis_url, 0), Worker(log, redis_url, 0)
        old.fetch(20)
        await old.take(5)
        new.fetch(20)
        await new.take(20)
        await old.take(5)  # it does not know yet that the partition is the other's
        assert not old.run_books
        await new.drain()
        check(redis_url, log)

    run(scenario)


def test_an_emptied_redis_comes_back_by_itself_even_when_nothing_more_arrives(
    run: Callable[..., None], redis_url: str
) -> None:
    log = filled_log(30)

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            redis.flushall()
        await worker.drain()
        check(redis_url, log)

    run(scenario)


STATE = "test:{live:0}:state"


@pytest.mark.parametrize("while_known", [True, False], ids=["under a worker", "before a worker starts"])
@pytest.mark.parametrize(
    ("key", "field"),
    [
        (STATE, None),
        (STATE, "raw"),
        ("test:{live:0}:runs", str(RUN)),
        (f"test:{{live:0}}:spills:{RUN}", "1"),
        (f"test:{{live:0}}:key-numbers:{RUN}", None),
        (f"test:{{live:0}}:key-numbers:{RUN}", "1"),
        (f"test:{{live:0}}:book:{RUN}", None),
        (f"test:{{live:0}}:book:{RUN}", "ht01"),
        (f"test:{{live:0}}:windows:{RUN}", "nine"),
    ],
)
def test_rubbish_in_redis_is_replaced_from_kafka(
    run: Callable[..., None], redis_url: str, key: str, field: str | None, *, while_known: bool
) -> None:
    log = filled_log(2)

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            if field is None:
                redis.set(key, "rubbish")
            else:
                redis.hset(key, field, b"\x00[rubbish")
        if while_known:
            log.append(reconstructed_spill(7))
            await worker.drain()
        log.append(reconstructed_spill(8))
        await Worker(log, redis_url, len(log.messages) - 1).drain()
        check(redis_url, log)

    run(scenario)


def test_a_partition_that_fails_does_not_keep_the_others_from_being_looked_after(
    run: Callable[..., None], redis_url: str
) -> None:
    async def scenario() -> None:
        worker = Worker(filled_log(3), redis_url, 0)
        asked: list[int] = []

        async def end(partition: int) -> int:
            asked.append(partition)
            if partition == 0:
                raise OSError("no broker answers")
            return 0

        kafka = worker.aggregator._kafka
        worker.aggregator._kafka = replace(kafka, reco=replace(kafka.reco, end=end))
        with pytest.raises(OSError, match="no broker answers"):
            await worker.aggregator.watch([0, 1, 2])
        assert asked == [0, 1, 2]

    run(scenario)


def test_one_seek_a_loss_though_messages_fetched_before_it_still_arrive(
    run: Callable[..., None], redis_url: str
) -> None:
    log = filled_log(60)

    async def scenario() -> None:
        worker = Worker(log, redis_url, 20)  # Kafka's committed offset is ahead of an empty Redis
        worker.fetch(30)
        while worker.fetched:
            await worker.take(3)
        assert worker.seeks == [0]
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_a_message_on_its_way_is_not_gone_back_for(run: Callable[..., None], redis_url: str) -> None:
    log = filled_log(20)

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        log.append(reconstructed_spill(20))
        worker.now += 60  # the partition was quiet for long
        await worker.aggregator.watch([0])
        worker.now += SEEK_PATIENCE_S / 2
        await worker.aggregator.watch([0])
        assert worker.seeks == []
        worker.now += SEEK_PATIENCE_S / 2
        await worker.aggregator.watch([0])
        assert worker.seeks == [len(log.messages) - 1]  # it had its time
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_what_redis_lost_is_gone_back_to_at_the_first_look(run: Callable[..., None], redis_url: str) -> None:
    log = filled_log(20)

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            redis.flushall()
        worker.now += 1
        await worker.aggregator.watch([0])
        assert worker.seeks == [0]
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_what_was_not_reconstructed_is_gone_back_to_once_it_had_its_time(
    run: Callable[..., None], redis_url: str
) -> None:
    log = filled_log(30)
    missing = [log.messages[at] for at in (0, 7, 8, 31)]
    log.messages = [replace(m, offset=n) for n, m in enumerate(m for m in log.messages if m not in missing)]

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        for at in (0, 7, 31):
            await worker.drain()
            assert worker.raw_seeks == []  # another worker may still be sending it
            worker.now += RAW_PATIENCE_S
            await worker.aggregator.watch([0])
            assert worker.raw_seeks == [at]
            worker.raw_seeks.clear()
            for again in missing:  # what it sends from there on, of which it sent the most before
                if again.raw_offset in ((7, 8) if at == 7 else (at,)):
                    log.messages.append(replace(again, offset=len(log.messages)))
        await worker.drain()
        worker.now += RAW_PATIENCE_S
        await worker.aggregator.watch([0])
        assert worker.raw_seeks == []
        check(redis_url, log)

    run(scenario)


def test_what_kafka_no_longer_has_of_spills_raw_is_not_gone_back_to(run: Callable[..., None], redis_url: str) -> None:
    log = filled_log(30)
    log.messages = [replace(m, offset=n) for n, m in enumerate(log.messages[12:])]
    log.raw_low = 12

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        for _ in range(3):
            worker.now += RAW_PATIENCE_S
            await worker.aggregator.watch([0])
        assert worker.raw_seeks == []

    run(scenario)


def test_what_kafka_no_longer_has_is_said_and_not_waited_for(run: Callable[..., None], redis_url: str) -> None:
    log = filled_log(30)
    log.low = log.raw_low = 12
    log.messages = log.messages[:15] + [replace(m, offset=m.offset - 2) for m in log.messages[17:]]
    del log.raw[16]  # such an offset has no message, and had none

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            reader = BookReader(redis, "test", "live", 1)
            assert reader.progress()[0].lost == ()
            for missing in (15, 17, 32, 32):
                worker.now += RAW_PATIENCE_S
                await worker.aggregator.watch([0])
                (progress,) = reader.progress()
                (loss,) = progress.lost
                assert loss.what == "messages 0 to 11 of spills.raw were gone when needed"
                assert 0 <= time.time() - loss.at_s < 60
                if missing == 15:
                    assert worker.raw_seeks == [15]
                    log.append(reconstructed_spill(14), raw_offset=15)
                    await worker.drain()
                    (progress,) = reader.progress()
            assert progress.raw_end == 32
            assert sorted(reader.run(RUN, {}).ledger) == [*range(11, 15), *range(16, 30)]

    run(scenario)


def cut(log: Log, reco: int, raw: int) -> None:
    """Take the last messages of both topics away, as a power cut does."""
    del log.messages[len(log.messages) - reco :]
    for offset in sorted(log.raw)[len(log.raw) - raw :]:
        del log.raw[offset]


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize(("reco", "raw"), [(5, 0), (0, 5), (5, 3), (3, 5), (31, 0), (0, 31), (31, 31)])
def test_what_comes_in_place_of_what_kafka_lost_is_counted(
    run: Callable[..., None], redis_url: str, reco: int, raw: int, *, stays: bool
) -> None:
    log = filled_log(30)
    cut(log, 1, 1)

    async def scenario() -> None:
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        cut(log, reco, raw)
        if stays:
            worker.now += 1
            await worker.aggregator.watch([0])
            worker.now += RAW_PATIENCE_S
            await worker.aggregator.watch([0])
            worker.position = 0  # as a consumer goes on that is beyond the end
        else:
            worker = Worker(log, redis_url, len(log.messages))
        for spill in range(30, 70):
            log.append(reconstructed_spill(spill), raw_offset=max(log.raw, default=-1) + 1)
        await worker.drain()
        for _ in range(3):
            worker.now += RAW_PATIENCE_S
            await worker.aggregator.watch([0])
        with Redis.from_url(redis_url) as redis:
            reader = BookReader(redis, "test", "live", 1)
            assert sorted(reader.run(RUN, {}).ledger) == list(range(70))
            totals, (progress,) = reader.runs()[RUN], reader.progress()
        assert (totals.received, totals.filled, totals.duplicates) == (70, 70, 0)
        assert (progress.offset, progress.raw_end) == (len(log.messages) - 1, max(log.raw) + 1)
        assert len(progress.lost) == (1 if raw else 0)
        assert all(f"spills.raw lost its messages from {31 - raw} on" in loss.what for loss in progress.lost)
        assert worker.raw_seeks == []

    run(scenario)


STEPS = st.sampled_from(
    [
        *("spill", "spill", "spill", "duplicate", "redelivered", "conflict", "rejected", "garbage", "other run"),
        *("fetch", "fetch", "take", "take", "take", "kill", "flush", "set back", "watch"),
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 1), st.integers(0, 1000)), min_size=10, max_size=60))
def test_whatever_happens_the_books_are_those_of_the_log(
    run: Callable[..., None], redis_url: str, steps: list[tuple[str, int, int]]
) -> None:
    async def scenario() -> None:
        log = Log()
        workers = [Worker(log, redis_url, 0), Worker(log, redis_url, 0)]
        saved: dict[bytes, bytes] = {}
        redis = Redis.from_url(redis_url)
        for step, which, number in steps:
            worker = workers[which]
            spill = number % 40
            if step == "spill":
                log.append(reconstructed_spill(spill))
            elif step == "other run":
                log.append(reconstructed_spill(spill, run=RUN + 1 + number % 6))
            elif step == "duplicate" and log.messages:
                log.append(log.messages[number % len(log.messages)].value)
            elif step == "redelivered" and log.messages:
                again = log.messages[number % len(log.messages)]
                if len(again.value) > 1:  # garbage is nothing that a worker wrote, nor writes again
                    log.append(again.value, again.raw_offset)
            elif step == "conflict":
                log.append(reconstructed_spill(spill, version=1))
            elif step == "rejected":
                log.append(reconstructed_spill(spill, detectors={}, rejection=Rejection(step="unpack", reason="bad")))
            elif step == "garbage":
                log.append(bytes([number % 256]))
            elif step == "fetch":
                worker.fetch(1 + number % 20)
            elif step == "take":
                await worker.take(1 + number % 20)
            elif step == "kill":
                # The group's committed offset is anywhere up to what the worker had read.
                workers[which] = Worker(log, redis_url, number % (worker.position + 1))
            elif step == "flush":
                redis.flushall()
            elif step == "set back":
                if number % 2:
                    saved = {key: redis.dump(key) for key in redis.scan_iter()}  # type: ignore[misc,union-attr]
                else:
                    redis.flushall()
                    for key, value in saved.items():
                        redis.restore(key, 0, value)
            elif step == "watch":
                worker.now += number % 5
                await worker.aggregator.watch([0])
        redis.close()
        for worker in workers:
            await worker.drain()
        check(redis_url, log)

    run(scenario)
