"""Counted exactly once: whatever is repeated, lost, reordered between workers, set back or damaged in Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import RedisError

from schemas.records import ControlKind, Rejection, RunControl
from streams.agents.repairs import Repairs
from streams.agents.watch import DEAF_S, Watch
from streams.books import book as books
from streams.books import invariants, partition
from streams.books.kafka_log import Known
from streams.books.part_reader import UnreadableRunError
from streams.books.reader import BookReader
from streams.books.reading import AUDIT_S, SEEK_PATIENCE_S
from streams.books.run import RunPart
from streams.books.windows import Window
from tests.books.one_partition import (
    RUN,
    TOPIC,
    WINDOW_S,
    Log,
    Worker,
    check,
    filled_log,
    of,
    run_scenario,
    spill_bytes,
)
from tests.catalogue import PLOTS
from tests.lanes import again, first
from tests.records import reconstructed_spill
from tests.wire import encode

pytestmark = pytest.mark.servers

PARTITION = "test:v2:{live:0}"
WINDOW = 1_700_000_000

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture
def run(redis_url: str) -> Run:
    """Return what runs a scenario on an empty Redis."""
    return lambda scenario: run_scenario(redis_url, scenario)


def reader_of(redis: Redis) -> BookReader:
    return BookReader(redis, "test", "live")


def read_all(redis: Redis) -> None:
    """Read all that a page may read of a run."""
    reader = reader_of(redis)
    with suppress(UnreadableRunError):
        reader.run(RUN, {})
        for window in reader.windows(RUN):
            reader.window(RUN, window, {})


def losses(redis_url: str) -> list[str]:
    with Redis.from_url(redis_url) as redis:
        return [loss.what for progress in reader_of(redis).progress().values() for loss in progress.lost]


def test_a_log_is_counted_as_the_pure_functions_count_it(run: Run, redis_url: str) -> None:
    log = filled_log(20, whole=True)

    async def scenario() -> None:
        await Worker(log, redis_url).drain()
        check(redis_url, log)

    run(scenario)


def by_twos(time_s: int, newest_s: int, *, window_s: int, kept: int) -> Window:
    """Return the window of a time as the version did that joined two at a time."""
    at, newest, level = time_s // window_s, newest_s // window_s, 0
    while newest + 1 - (((at >> level + 1) + 1) << level + 1) >= kept << level:
        level += 1
    return Window(start=(at >> level << level) * window_s, length=window_s << level)


def test_windows_that_an_earlier_version_joined_by_twos_are_gone_on_with(
    run: Run, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = (2, 5)
    log = Log()
    for spill in range(19):
        if spill not in late:
            log.append(spill_bytes(spill))

    def windows() -> list[int]:
        with Redis.from_url(redis_url) as redis:
            reader = reader_of(redis)
            found = reader.windows(RUN)
            books = {window: (spills, reader.window(RUN, window, {})) for window, spills in found.items()}
            assert list(invariants.of_windows(reader.run(RUN, {}), books)) == []
            assert sum(found.values()) == reader.totals(RUN).filled
        return [window.length for window in found]

    async def scenario() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(partition, "window_at", by_twos)
            await Worker(log, redis_url).drain()
        assert 2 * WINDOW_S in windows()
        for spill in late:
            log.append(spill_bytes(spill))
            await Worker(log, redis_url).drain()
            assert 2 * WINDOW_S in windows()
        filled_log(60, log=log)
        await Worker(log, redis_url).drain()
        check(redis_url, log)

    run(scenario)


def test_a_duplicate_spill_is_counted_once(run: Run, redis_url: str) -> None:
    log = filled_log(5)
    log.append(spill_bytes(3))

    async def scenario() -> None:
        await Worker(log, redis_url).drain()
        check(redis_url, log)
        with Redis.from_url(redis_url) as redis:
            totals = reader_of(redis).runs()[RUN]
        assert (totals.received, totals.filled, totals.duplicates) == (6, 5, 1)

    run(scenario)


def test_of_two_spills_of_one_number_the_one_at_the_lowest_offset_counts_and_the_other_is_kept(
    run: Run, redis_url: str
) -> None:
    log = filled_log(5)
    other = reconstructed_spill(3, version=1)
    log.append(other)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        check(redis_url, log)
        (rejected,) = worker.rejected
        assert (rejected.run, rejected.spill, rejected.step) == (RUN, 3, "conflict")
        assert (rejected.topic, rejected.partition, rejected.offset) == (TOPIC, 0, len(log.messages) - 1)
        assert "this spill came before with other bytes" in rejected.reason
        assert rejected.payload == encode(other)

    run(scenario)


def test_a_message_that_cannot_be_read_is_kept_and_the_next_spill_is_filled(run: Run, redis_url: str) -> None:
    log = Log()
    log.append(b"garbage")
    log.append(spill_bytes(0))

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        check(redis_url, log)
        assert [(r.step, r.payload) for r in worker.rejected] == [("envelope", b"garbage")]

    run(scenario)


@pytest.mark.parametrize("batch", [1, 20])
def test_a_spill_on_which_the_code_fails_is_rejected_with_the_place_and_the_next_one_counts(
    run: Run, redis_url: str, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    log = filled_log(10)
    fill = books.fill

    def brittle(spills: Any, ranges: Any) -> Any:
        if any(spill.spill == 4 for spill in spills):
            raise ZeroDivisionError("four")
        return fill(spills, ranges)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        worker.fetch(100)
        while worker.fetched:
            await worker.take(batch)
        (rejected,) = worker.rejected
        assert (rejected.spill, rejected.step) == (4, "fault")
        assert "fault in the code: ZeroDivisionError: four (test_counter.py, line " in rejected.reason
        check(redis_url, log)  # the plain calculation rejects it too
        with Redis.from_url(redis_url) as redis:
            totals = reader_of(redis).runs()[RUN]
        assert (totals.filled, dict(totals.rejected)) == (9, {"fault": 1})

    monkeypatch.setattr("streams.books.run.fill", brittle)
    run(scenario)


def test_a_worker_that_lost_its_partition_is_refused_and_drops_its_copy(run: Run, redis_url: str) -> None:
    log = filled_log(30)

    async def scenario() -> None:
        first, second = Worker(log, redis_url), Worker(log, redis_url)
        first.fetch(5)
        await first.take(5)
        await second.drain()
        first.fetch(10)
        await first.take(10)
        assert first.partitions == {}
        assert first.run_books == {}
        assert first.window_books == {}
        await first.drain()
        check(redis_url, log)

    run(scenario)


def test_a_worker_at_the_same_offset_as_another_is_refused_by_its_fence(run: Run, redis_url: str) -> None:
    log = filled_log(8)

    async def scenario() -> None:
        one, other = Worker(log, redis_url), Worker(log, redis_url)
        for worker in (one, other):
            worker.fetch(5)
        await one.take(5)
        with Redis.from_url(redis_url) as redis:
            before = redis.hgetall(f"{PARTITION}:state")
            redis.flushall()
            await other.take(5)
            assert redis.hget(f"{PARTITION}:state", "fence") != before[b"fence"]  # type: ignore[index]
        one.fetch(1)
        await one.take(1)
        assert one.partitions == {}

    run(scenario)


def test_an_emptied_redis_comes_back_by_itself_even_when_nothing_more_arrives(run: Run, redis_url: str) -> None:
    log = filled_log(20)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            redis.flushall()
        worker.now += 1
        await worker.look()
        assert worker.seeks == [0]
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_what_is_made_again_waits_for_no_partition_that_has_become_anothers(run: Run, redis_url: str) -> None:
    log = filled_log(20)

    async def scenario() -> None:
        owner, other = Worker(log, redis_url), Worker(log, redis_url)
        await owner.drain()
        # It is taken over late, by who had it: nothing more of it comes there, however much does where it is.
        known = await other.counter.begin(0)
        known.state = replace(known.state, next=log.end - 10, repairs={RUN: 0})

        async def compute(function: Callable[..., Any], *arguments: Any) -> Any:
            return function(*arguments)

        repairs = Repairs(
            log=other.counter._kafka,
            read=lambda _partition, start, stop: (m for m in log.from_(start) if m.offset < stop),
            counter=other.counter,
            partitions=other.partitions,
            conditions_of=lambda _run: None,
            in_thread=compute,
            compute=compute,
        )
        waits = asyncio.create_task(repairs.look())
        watch = Watch(other.reading, other.partitions, lambda: None)
        await watch.look(lambda: {0})
        assert known is other.partitions[0]
        await watch.look(set)
        assert not other.partitions
        await asyncio.wait_for(waits, 10)
        check(redis_url, log)

    run(scenario)


OF_A_RUN = ("run", "spills", "book", "windows", "key-numbers", f"window:{RUN}:{WINDOW}:10")


def key_of(name: str) -> str:
    is_whole = name in ("state", "index", "changed") or ":" in name
    return f"{PARTITION}:{name}" if is_whole else f"{PARTITION}:{name}:{RUN}"


def harm_key(redis: Redis, key: str, how: str, older: bytes) -> None:
    """Do to a key what may happen to one in Redis."""
    if how == "gone":
        assert redis.delete(key)
    elif how == "of another type":
        redis.set(key, "rubbish")
    elif how == "older":
        redis.restore(key, 0, older, replace=True)
    elif redis.type(key) == b"zset":
        redis.zadd(key, {"rubbish": 7})
    else:
        field, value = max(redis.hgetall(key).items())  # type: ignore[union-attr]
        bent = bytes([value[0] ^ 4]) + value[1:] if how == "a bit flipped" else b"\0[rubbish"
        redis.hset(key, field, bent)


HARMED = ("state", "index", "changed", *OF_A_RUN)
HARMS = ("gone", "of another type", "older", "a bit flipped", "rubbish in a field")
WHEN = ("while a worker has it", "when one takes it over")


def harms() -> Iterator[Any]:
    """Yield each key with each harm at each time; every two of the three are together in each `make test`."""
    for (i, name), (j, how), (k, when) in product(*map(enumerate, (HARMED, HARMS, WHEN))):
        marks = [again] if (i + j + k) % 2 else []
        yield pytest.param(name, how, k == 0, id=f"{name}-{how}-{when}", marks=marks)


@pytest.mark.parametrize(("name", "how", "while_known"), list(harms()))
def test_what_is_gone_older_or_damaged_in_redis_is_made_again_and_nothing_else(
    run: Run, redis_url: str, name: str, how: str, while_known: bool
) -> None:
    log = filled_log(3, run=RUN - 1)
    filled_log(2, log=log)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            older = redis.dump(key_of(name))
            others = [redis.dump(f"{PARTITION}:book:{RUN - 1}")]
            log.append(spill_bytes(2))
            await worker.drain()
            harm_key(redis, key_of(name), how, older)  # type: ignore[arg-type]
            if while_known:
                log.append(spill_bytes(7))
                await worker.drain()
            log.append(spill_bytes(8))
            taking_over = Worker(log, redis_url, log.end - 1)
            await taking_over.drain()
            for _ in range(3):  # keys are found by looking; values that no worker has loaded, by who reads them
                read_all(redis)
                taking_over.now += AUDIT_S
                await taking_over.look()
            check(redis_url, log)
            assert [redis.dump(f"{PARTITION}:book:{RUN - 1}")] == others
            assert redis.keys(f"{PARTITION}:aside:*") == []
        assert losses(redis_url) == []

    run(scenario)


def test_what_an_old_run_lost_in_redis_is_found_without_any_message(run: Run, redis_url: str) -> None:
    log = filled_log(3)
    for number in range(1, 60):
        filled_log(1, run=RUN + number, log=log)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            redis.delete(f"{PARTITION}:book:{RUN}")
        for _ in range(8):
            worker.now += AUDIT_S
            await worker.look()
        check(redis_url, log)

    run(scenario)


def test_a_value_that_only_a_reader_finds_damaged_is_made_again(run: Run, redis_url: str) -> None:
    log = filled_log(3)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            harm_key(redis, f"{PARTITION}:book:{RUN}", "a bit flipped", b"")
            with pytest.raises(UnreadableRunError, match=f"run {RUN} in partition 0 cannot be read"):
                reader_of(redis).run(RUN, {})
        worker.now += AUDIT_S
        await worker.look()
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_one_run_that_cannot_be_read_hides_no_other(run: Run, redis_url: str) -> None:
    log = filled_log(3)
    filled_log(2, run=RUN + 1, log=log)

    async def scenario() -> None:
        await Worker(log, redis_url).drain()
        with Redis.from_url(redis_url) as redis:
            redis.hset(f"{PARTITION}:run:{RUN}", "totals", "rubbish")
            reader = reader_of(redis)
            assert reader.runs().keys() == {RUN + 1}
            assert reader.unreadable.keys() == {RUN}
            assert reader.places().keys() == {RUN, RUN + 1}

    run(scenario)


@pytest.mark.parametrize("comes", [True, False], ids=["with another spill of it", "found by looking"])
def test_what_kafka_cannot_give_back_is_never_removed(run: Run, redis_url: str, *, comes: bool) -> None:
    log = filled_log(6)
    filled_log(2, run=RUN + 1, log=log)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        log.low = 3
        log.messages = log.from_(0)
        with Redis.from_url(redis_url) as redis:
            redis.delete(f"{PARTITION}:spills:{RUN}")
            kept = redis.dump(f"{PARTITION}:book:{RUN}")
            if comes:
                log.append(spill_bytes(6))
            worker = Worker(log, redis_url, log.end - 1)
            await worker.drain()
            for _ in range(3):
                worker.now += AUDIT_S
                await worker.look()
            where = f"{PARTITION}:given-up:*:book:{RUN}" if comes else f"{PARTITION}:*book:{RUN}"
            (there,) = redis.keys(where)
            assert redis.dump(there) == kept  # type: ignore[arg-type]
            if comes:
                assert sorted(reader_of(redis).run(RUN, {}).ledger) == [2, 3, 4, 5, 6]
            assert sorted(reader_of(redis).run(RUN + 1, {}).ledger) == [0, 1]
        (said,) = losses(redis_url)
        assert f"run {RUN}" in said

    run(scenario)


def test_other_axes_under_a_run_have_it_made_again(run: Run, redis_url: str) -> None:
    log = filled_log(6)
    name = next(name for name, plot in PLOTS.items() if len(plot.axes) == 1)
    wider = {name: (7, -1e6, 1e6)}

    async def scenario() -> None:
        await Worker(log, redis_url).drain()
        log.append(spill_bytes(6))
        await Worker(log, redis_url, log.end - 1, ranges_of=lambda _run: wider).drain()
        with Redis.from_url(redis_url) as redis:
            stored = reader_of(redis).run(RUN, wider)
        assert sorted(stored.ledger) == list(range(7))
        assert stored.book[name].axes[0].size == 7

    run(scenario)


def test_a_newer_release_and_back_counts_each_spill_once(
    run: Run, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = filled_log(6)

    async def scenario() -> None:
        with monkeypatch.context() as newer:
            newer.setattr("streams.books.totals.FORMAT", 99)
            await Worker(log, redis_url).drain()
        log.append(spill_bytes(6))
        await Worker(log, redis_url, log.end - 1).drain()
        check(redis_url, log)
        monkeypatch.setattr("streams.books.totals.FORMAT", 99)
        log.append(spill_bytes(7))
        await Worker(log, redis_url, log.end - 1).drain()
        check(redis_url, log)

    run(scenario)


def test_the_run_that_is_taken_comes_first_when_redis_was_emptied(run: Run, redis_url: str) -> None:
    log = filled_log(30)
    filled_log(30, run=RUN + 1, log=log)
    newest = log.end
    filled_log(30, run=RUN + 2, log=log)
    log.append(spill_bytes(30))  # late, of the first run
    log.known = Known(runs={RUN: 0, RUN + 1: 32, RUN + 2: newest}, below=newest + 5)

    async def scenario() -> None:
        worker = Worker(log, redis_url, 40)
        worker.fetch(1)
        await worker.take(1)
        assert worker.seeks == [newest]
        worker.fetch(100)
        while worker.fetched:
            await worker.take(20)
        with Redis.from_url(redis_url) as redis:
            assert reader_of(redis).places().keys() == {RUN + 2}
            assert sorted(reader_of(redis).run(RUN + 2, {}).ledger) == list(range(30))
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_runs_of_which_the_topic_of_runs_does_not_know_are_counted_in_order(run: Run, redis_url: str) -> None:
    log = filled_log(10)
    newest = log.end
    filled_log(10, run=RUN + 1, log=log)
    # Not all that begins before the newest one has a record.
    log.known = Known(runs={RUN + 1: newest}, below=newest)

    async def scenario() -> None:
        await Worker(log, redis_url, 15).drain()
        check(redis_url, log)

    run(scenario)


def test_a_partition_without_its_state_goes_on_from_what_its_runs_say(run: Run, redis_url: str) -> None:
    log = filled_log(20)

    async def scenario() -> None:
        await Worker(log, redis_url).drain()
        with Redis.from_url(redis_url) as redis:
            redis.delete(f"{PARTITION}:state")
        log.low = 10  # it need not ask Kafka
        log.append(spill_bytes(20))
        messages, log.messages = log.messages, log.from_(0)
        worker = Worker(log, redis_url, 12)
        await worker.drain()
        log.messages = messages
        check(redis_url, log)
        assert losses(redis_url) == []

    run(scenario)


def test_one_seek_a_loss_though_messages_fetched_before_it_still_arrive(run: Run, redis_url: str) -> None:
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


def test_a_group_whose_offsets_kafka_forgot_goes_on_where_the_checkpoint_says(run: Run, redis_url: str) -> None:
    log = filled_log(60)

    async def scenario() -> None:
        await Worker(log, redis_url).drain()
        log.append(spill_bytes(60))
        worker = Worker(log, redis_url, 0)
        worker.fetch(5)
        await worker.take(5)
        assert worker.seeks == [log.end - 1]
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_a_message_on_its_way_is_not_gone_back_for(run: Run, redis_url: str) -> None:
    log = filled_log(20)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        seeks = len(worker.seeks)
        log.append(spill_bytes(20))
        worker.now += 60  # the partition was quiet for long
        await worker.look()
        worker.now += SEEK_PATIENCE_S / 2
        await worker.look()
        assert len(worker.seeks) == seeks
        worker.now += SEEK_PATIENCE_S / 2
        await worker.look()
        assert worker.seeks[seeks:] == [log.end - 1]  # it had its time
        await worker.drain()
        check(redis_url, log)

    run(scenario)


@pytest.mark.parametrize("takes_s", [1, 5, 20])
def test_what_a_slow_line_brings_comes_though_each_seek_throws_away_what_is_under_way(
    run: Run, redis_url: str, takes_s: int
) -> None:
    log = filled_log(20)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.look()
        sought, under_way_s = len(worker.seeks), 0
        while under_way_s < takes_s:
            worker.now, under_way_s = worker.now + 1, under_way_s + 1
            await worker.look()
            assert worker.now < DEAF_S
            if len(worker.seeks) > sought:
                sought, under_way_s = len(worker.seeks), 0
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_a_partition_that_a_look_and_a_message_find_at_once_is_taken_over_once(run: Run, redis_url: str) -> None:
    """Else the message that was taken is read again, and its product written twice."""
    log = filled_log(6)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        worker.fetch(1)
        accepting = asyncio.create_task(worker.reading.accept(worker.fetched))
        looking = asyncio.create_task(worker.reading.look_after(0))
        (accepted,) = await accepting
        known = worker.partitions[0]
        await looking
        assert worker.partitions[0] is known
        assert known.reading == accepted.offset + 1
        worker.fetched.clear()
        await worker.counter.take(0, [of(accepted)])
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_what_several_do_not_go_on_with_is_taken_over_once(run: Run, redis_url: str) -> None:
    log = filled_log(6)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        found = worker.partitions[0]
        first, second = await asyncio.gather(*(worker.counter.begin(0, instead_of=found) for _ in range(2)))
        assert first is second is not found

    run(scenario)


@pytest.mark.parametrize("moves", [False, True])
def test_what_redis_did_not_take_is_counted_when_it_is_back_and_not_fetched_anew(
    run: Run, redis_url: str, *, moves: bool
) -> None:
    log = filled_log(6)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        for spill in (6, 7):
            log.append(spill_bytes(spill))
        worker.fetch(2)
        first, second = [of(each) for each in await worker.reading.accept(worker.fetched)]
        worker.fetched.clear()
        seeks = len(worker.seeks)
        with Redis.from_url(redis_url) as redis:
            redis.config_set("maxmemory", 1)  # it writes nothing
            try:
                for _ in range(2):
                    with pytest.raises(RedisError):
                        await worker.counter.take(0, [first])
            finally:
                redis.config_set("maxmemory", 0)
        if moves:
            await worker.counter.forget_all()
        for each in (first, second):
            await worker.counter.take(0, [each])
        assert len(worker.seeks) == seeks
        if moves:
            assert not worker.partitions  # it is another worker's now
        else:
            assert worker.partitions[0].state.next == worker.partitions[0].reading == log.end
        await worker.drain()
        check(redis_url, log)

    run(scenario)


def test_what_a_master_took_is_fetched_anew_when_another_without_it_has_its_place_though_more_comes(
    run: Run, redis_url: str
) -> None:
    log = filled_log(6)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            others = {key: redis.dump(key) for key in redis.scan_iter()}
            for spill in (6, 7):
                log.append(spill_bytes(spill))
            await worker.drain()
            log.append(spill_bytes(8))
            worker.fetch(1)
            (last,) = [of(each) for each in await worker.reading.accept(worker.fetched)]
            worker.fetched.clear()
            redis.config_set("maxmemory", 1)  # it writes nothing
            try:
                with pytest.raises(RedisError):
                    await worker.counter.take(0, [last])
            finally:
                redis.config_set("maxmemory", 0)
            redis.flushall()
            for key, value in others.items():
                redis.restore(key, 0, value)
        await worker.counter.take(0, [last])
        for spill in range(9, 30):  # one comes whenever it is looked
            log.append(spill_bytes(spill))
            worker.fetch(50)
            await worker.take(50)
            await worker.look()
        assert worker.partitions[0].state.next == log.end
        check(redis_url, log)

    run(scenario)


def test_offsets_without_a_message_are_no_loss(run: Run, redis_url: str) -> None:
    log = filled_log(20)
    log.messages = [m for m in log.messages if m.offset not in (0, 7, 8, 21)]

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        check(redis_url, log)
        assert losses(redis_url) == []

    run(scenario)


def test_what_kafka_no_longer_has_is_said_and_not_waited_for(run: Run, redis_url: str) -> None:
    log = filled_log(30)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        worker.fetch(5)
        await worker.take(5)
        log.low = 12
        worker = Worker(log, redis_url, 0)
        await worker.drain()
        assert losses(redis_url) == [f"messages 5 to 11 of {TOPIC} were gone when needed"]
        with Redis.from_url(redis_url) as redis:
            assert sorted(reader_of(redis).run(RUN, {}).ledger) == [0, 1, 2, 3, *range(11, 30)]

    run(scenario)


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("lost", first([1, 31, 5], 2))
def test_what_comes_in_place_of_what_kafka_lost_is_counted(run: Run, redis_url: str, lost: int, *, stays: bool) -> None:
    log = filled_log(30)
    del log.messages[-1]

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        log.lose(lost)
        if stays:
            worker.now += 1
            await worker.look()
            worker.position = 0  # as a consumer goes on that is beyond the end
        else:
            worker = Worker(log, redis_url, log.end)
        for spill in range(30, 70):
            log.append(spill_bytes(spill))
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            assert sorted(reader_of(redis).run(RUN, {}).ledger) == list(range(70))
            totals = reader_of(redis).runs()[RUN]
            progress = reader_of(redis).progress()[0]
        assert (totals.received, totals.filled, totals.duplicates) == (70, 70, 0)
        assert progress.next == log.end
        (said,) = losses(redis_url)
        assert f"{TOPIC} lost its messages from {31 - lost} on" in said

    run(scenario)


@pytest.mark.parametrize("spills", [5, 60], ids=["shorter than before", "longer than before"])
@pytest.mark.parametrize("stays", [True, False])
def test_a_topic_that_is_made_anew_is_counted_from_its_begin(
    run: Run, redis_url: str, spills: int, *, stays: bool
) -> None:
    log = filled_log(30)

    async def scenario() -> None:
        worker = Worker(log, redis_url)
        await worker.drain()
        log.make_anew()
        filled_log(spills, run=RUN + 1, log=log)
        log.append(spill_bytes(30))
        if not stays:
            worker = Worker(log, redis_url, 3)
        worker.now += 1
        await worker.look()
        await worker.drain()
        with Redis.from_url(redis_url) as redis:
            assert sorted(reader_of(redis).run(RUN, {}).ledger) == list(range(31))
            assert sorted(reader_of(redis).run(RUN + 1, {}).ledger) == list(range(spills))
            # A part whose messages are in no topic any more is not made again, and not removed.
            redis.delete(f"{PARTITION}:spills:{RUN}")
            for _ in range(3):
                worker.now += AUDIT_S
                await worker.look()
            assert redis.exists(f"{PARTITION}:book:{RUN}")
        assert any("was made anew" in said for said in losses(redis_url))

    run(scenario)


STEPS = st.sampled_from(
    [
        *("spill", "spill", "spill", "duplicate", "conflict", "rejected", "garbage", "other run", "end", "no time"),
        *("fetch", "fetch", "take", "take", "take", "kill", "flush", "set back", "look", "evict", "gap"),
    ]
)


@pytest.mark.timeout(300)  # a minute of a processor, on a machine that may be busy
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 1), st.integers(0, 1000)), min_size=10, max_size=60))
def test_whatever_happens_the_books_are_those_of_the_log(
    run: Run, redis_url: str, steps: list[tuple[str, int, int]]
) -> None:
    async def scenario() -> None:
        log = Log()
        workers = [Worker(log, redis_url), Worker(log, redis_url)]
        saved: dict[bytes, bytes] = {}
        redis = Redis.from_url(redis_url)
        for step, which, number in steps:
            worker = workers[which]
            spill = number % 40
            if step == "spill":
                log.append(spill_bytes(spill))
            elif step == "other run":
                log.append(spill_bytes(spill, RUN + 1 + number % 6))
            elif step == "duplicate" and log.messages:
                log.append(log.messages[number % len(log.messages)].value)
            elif step == "conflict":
                log.append(spill_bytes(spill, version=1))
            elif step == "no time":
                log.append(replace(reconstructed_spill(spill), time_us=0))
            elif step == "end":
                said = {"time_us": number % 3, "source": "fg"[which], "byte": number % 5, "events": 1}
                log.append(RunControl(run=RUN, kind=ControlKind.END, **said))
            elif step == "rejected":
                log.append(reconstructed_spill(spill, detectors={}, rejection=Rejection(step="unpack", reason="bad")))
            elif step == "garbage":
                log.append(bytes([number % 256]))
            elif step == "gap":
                log.messages = [m for m in log.messages if m.offset != log.end] or log.messages
            elif step == "fetch":
                worker.fetch(1 + number % 20)
            elif step == "take":
                await worker.take(1 + number % 20)
            elif step == "kill":
                # The group's committed offset is anywhere up to what the worker had read.
                workers[which] = Worker(log, redis_url, number % (worker.position + 1))
            elif step == "flush":
                redis.flushall()
            elif step == "evict" and (keys := sorted(redis.keys(f"{PARTITION}:*"))):  # type: ignore[type-var]
                redis.delete(keys[number % len(keys)])
            elif step == "set back":
                if number % 2:
                    saved = {key: redis.dump(key) for key in redis.scan_iter()}  # type: ignore[misc]
                else:
                    redis.flushall()
                    for key, value in saved.items():
                        redis.restore(key, 0, value)
            elif step == "look":
                worker.now += number % 5
                await worker.look()
        redis.close()
        for worker in [*workers, workers[0]]:
            for _ in range(3):
                await worker.drain()
                worker.now += AUDIT_S
                await worker.look()
        check(redis_url, log)

    run(scenario)


def test_the_end_of_a_run_is_the_same_in_any_order() -> None:
    ends = [(5, "b", 0), (5, "a", 7), (9, "a", 0), (5, "a", 3)]
    said = []
    for order in (ends, ends[::-1], ends[2:] + ends[:2]):
        part = RunPart()
        for time_us, source, byte in order:
            part.totals.hear(
                RunControl(run=RUN, kind=ControlKind.END, time_us=time_us, source=source, byte=byte, events=0)
            )
        said.append(part.totals.control["end"].rank[:3])
    assert said == [(5, "a", 3)] * 3
