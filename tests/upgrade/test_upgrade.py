"""Every part of a run that c7218c2 left is carried over, rebuilt or named, whoever is killed meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from ops.upgrade.found import Found, Verdict
from schemas.records import NO_RUN
from streams.books.compare import differences
from streams.books.decided import Copy
from streams.books.layout import Loss
from streams.books.made import Books, Made
from streams.books.products import Product, Products
from streams.books.reader import BookReader
from streams.books.store import CheckpointRefusedError, CheckpointStore
from streams.books.stored import PartitionState, StoredPart
from streams.errors import SpilldeckError
from streams.experiments.mice.plots.since_v1 import OTHER_SINCE_V1
from streams.settings import Settings
from tests.lanes import first
from tests.upgrade.conftest import Upgrade
from tests.upgrade.left import (
    AFTER_FIRST,
    ENDS,
    EXPECTED,
    FIRST,
    LEFT_PLOTS,
    ORDER,
    RAW,
    SECOND,
    SESSIONS,
    Log,
    as_before,
    check,
    continued,
    dump,
    later_spills,
    ranges,
    work,
)

pytestmark = pytest.mark.servers

ALL = {(run, partition) for run in (FIRST, SECOND) for partition in (0, 1)} | {(NO_RUN, 1)}
WRITES = {"EVALSHA", "SADD", "HSET", "DEL", "UNLINK", "SPOP"}


def verdicts(found: Sequence[Found], session: str = "live") -> dict[tuple[int | None, int], Verdict]:
    """Return what became of a session's parts, by run and partition."""
    return {(one.run, one.partition): one.verdict for one in found if one.session == session}


def without(*more: str) -> str:
    """Return the words for the plots that a part is carried over without."""
    named = ", ".join(sorted({*more, *LEFT_PLOTS & OTHER_SINCE_V1}))
    return f"without plots that there are no more, or not as they were: {named}"


def with_store(settings: Settings, ask: Callable[[CheckpointStore], Any], session: str = "live") -> Any:
    """Return what the store of the new version answers."""

    async def go() -> Any:
        client = AsyncRedis.from_url(settings.redis.url.get_secret_value())
        try:
            return await ask(CheckpointStore(client, settings.redis.key_prefix, session))
        finally:
            await client.aclose()

    return asyncio.run(go())


def state_of(settings: Settings, partition: int, session: str = "live") -> PartitionState:
    return with_store(settings, lambda store: store.load_state(partition), session)


def part_of(settings: Settings, partition: int, run: int, session: str = "live") -> StoredPart | None:
    return with_store(settings, lambda store: store.parts.load(partition, run, ranges(run)), session)


def key(settings: Settings, name: str) -> str:
    return f"{settings.redis.key_prefix}:{name}"


def strays(settings: Settings, redis: Redis) -> set[str]:
    """Return the keys of the first run that are none of its parts."""
    found = set()
    for partition in (0, 1):
        part = part_of(settings, partition, FIRST)
        known = {key(settings, f"v2:{{live:{partition}}}:{name}:{FIRST}") for name in ("run", "handling")}
        there = redis.scan_iter(match=key(settings, f"v2:{{live:{partition}}}:*:{FIRST}*"))
        its = {name.decode() for name in there if b":aside:" not in name}
        found |= its - known - (part.stamps.keys() if part is not None else set())
    return found


def keep(settings: Settings, redis: Redis, what: str) -> None:
    """Keep of what was left the keys of these partitions alone: a test that asks no more is done sooner."""
    wanted = {name for pattern in what.split() for name in redis.scan_iter(match=key(settings, pattern))}
    others = set(redis.scan_iter(match=key(settings, "{*"))) - wanted
    redis.delete(*others)


def check_all(settings: Settings, redis: Redis) -> None:
    for session in SESSIONS:
        for run in EXPECTED[session]:
            check(settings, redis, session, run)


@pytest.mark.parametrize("log", [Log(lows=ENDS), Log(id="another", messages=[[], []])], ids=["emptied", "made anew"])
def test_what_kafka_no_longer_has_is_carried_over_bin_for_bin(
    settings: Settings, redis: Redis, upgrade: Upgrade, log: Log
) -> None:
    found = upgrade(log)
    assert {one.verdict for one in found} == {Verdict.CARRIED}
    assert verdicts(found).keys() == ALL
    check_all(settings, redis)
    for run, partition in ALL:  # workers can go on with each
        part = part_of(settings, partition, run)
        assert part is not None
        assert (part.upto, part.log) == (log.lows[partition], log.id)
    for partition in (0, 1):
        assert state_of(settings, partition).next == log.lows[partition]


def test_the_old_keys_stay_as_they_are(settings: Settings, redis: Redis, upgrade: Upgrade) -> None:
    before = dump(redis, settings.redis.key_prefix, old=True)
    upgrade(Log(lows=ENDS))
    assert dump(redis, settings.redis.key_prefix, old=True) == before


def test_saying_what_it_would_do_writes_nothing(settings: Settings, redis: Redis, upgrade: Upgrade) -> None:
    said = upgrade(Log(lows=(1, 1)), do=False)
    assert dump(redis, settings.redis.key_prefix, old=False) == {}
    assert upgrade(Log(lows=(1, 1))) == said


def test_done_again_it_finds_all_there_and_writes_nothing(settings: Settings, redis: Redis, upgrade: Upgrade) -> None:
    log = Log(lows=ENDS)
    upgrade(log)
    before = dump(redis, settings.redis.key_prefix, old=False)
    assert {one.verdict for one in upgrade(log)} == {Verdict.THERE}
    log.lows = [low + 5 for low in ENDS]
    assert {one.verdict for one in upgrade(log)} == {Verdict.THERE}
    log.id, log.lows, log.messages = "another", [0, 0], [[], []]
    assert {one.verdict for one in upgrade(log)} == {Verdict.THERE}
    assert dump(redis, settings.redis.key_prefix, old=False) == before


def test_a_run_that_kafka_has_whole_is_left_to_the_workers(settings: Settings, redis: Redis, upgrade: Upgrade) -> None:
    keep(settings, redis, "{live:*}:*")
    log = Log(lows=(0, 1))  # the begin of the first run is gone in one partition
    assert verdicts(upgrade(log)) == {
        (FIRST, 0): Verdict.REBUILT,
        (FIRST, 1): Verdict.CARRIED,
        (SECOND, 0): Verdict.REBUILT,
        (SECOND, 1): Verdict.REBUILT,
        (NO_RUN, 1): Verdict.REBUILT,
    }
    assert state_of(settings, 0) == PartitionState()
    state = state_of(settings, 1)
    assert (state.next, state.repairs) == (1, {})  # what was counted is told by the part, and the rest is to be
    part = part_of(settings, 1, FIRST)
    assert part is not None
    assert (part.upto, part.log) == (ENDS[1], log.id)


def test_a_run_of_a_log_that_is_gone_is_not_taken_for_one_that_kafka_has(
    settings: Settings, redis: Redis, upgrade: Upgrade
) -> None:
    # The topic was made anew under the older version: the second run came then, at the offsets of the first.
    log = Log(messages=[messages[after:] for messages, after in zip(RAW, AFTER_FIRST, strict=True)])
    for partition, (messages, after) in enumerate(zip(log.messages, AFTER_FIRST, strict=True)):
        tail = [[after + at, at, one.at_ms] for at, one in enumerate(messages)]
        state = {"raw": f"[[0,{len(messages)}]]", "tail": str(tail)}
        redis.hset(key(settings, f"{{live:{partition}}}:state"), mapping=state)
        runs = key(settings, f"{{live:{partition}}}:runs")
        totals = redis.hget(runs, str(SECOND))
        assert totals is not None
        old = b'"first_raw":{"%d":%d}' % (partition, after)
        assert old in totals
        redis.hset(runs, str(SECOND), totals.replace(old, b'"first_raw":{"%d":0}' % partition))
    found = verdicts(upgrade(log))
    assert {found[FIRST, 0], found[FIRST, 1]} == {Verdict.CARRIED}
    assert {found[SECOND, 0], found[SECOND, 1]} == {Verdict.REBUILT}
    check(settings, redis, "live", FIRST)
    assert verdicts(upgrade(log))[FIRST, 0] is Verdict.THERE


def test_what_came_in_place_of_what_kafka_lost_is_still_to_be_counted(
    settings: Settings, redis: Redis, upgrade: Upgrade
) -> None:
    keep(settings, redis, "{live:*}:*")
    first, second = later_spills()
    log = Log(lows=(1, 1))
    log.messages = [[*RAW[0][:7], *first, *first, *first, *first], [*([second[0]] * 20)]]
    upgrade(log)
    parts = [part_of(settings, partition, FIRST) for partition in (0, 1)]
    # Of the first partition, up to the last message that Kafka still has; of the other one, nothing.
    assert [part.upto for part in parts if part is not None] == [7, 1]
    check(settings, redis, "live", FIRST)
    work(settings, log)
    assert BookReader.of(redis, settings).runs()[FIRST].filled == 11 + 2


def test_what_comes_in_place_of_what_kafka_loses_afterwards_is_counted(
    settings: Settings, redis: Redis, upgrade: Upgrade
) -> None:
    keep(settings, redis, "{live:*}:*")
    log = Log(lows=(4, 4))
    upgrade(log)
    work(settings, log)
    log.messages[0][7:] = later_spills()[0]
    log.leader += 1
    work(settings, log)
    assert 12 in BookReader.of(redis, settings).run(FIRST, ranges(FIRST)).ledger


def test_what_was_missed_is_counted_once(settings: Settings, redis: Redis, upgrade: Upgrade) -> None:
    log = Log(lows=(1, 1))
    found = upgrade(log)
    (first, _) = (one for one in found if (one.session, one.run) == ("night", FIRST))
    assert (first.verdict, first.why) == (Verdict.CARRIED, f"with messages that were missed: 2; {without()}")
    # What the other session counted of the same messages, none of which it missed.
    check(settings, redis, "night", FIRST, EXPECTED["live"][FIRST], without=(*ORDER, "handling"))
    assert {state_of(settings, p, "night").lost for p in (0, 1)} == {()}
    assert log.rejected == []


def test_what_was_missed_and_is_rejected_is_kept(settings: Settings, redis: Redis, upgrade: Upgrade) -> None:
    log = Log(lows=(1, 1))
    log.messages[0][3] = log.messages[1][4]  # the spill that cannot be unpacked
    upgrade(log)
    (kept,) = log.rejected
    assert (kept.run, kept.step, kept.partition, kept.offset) == (FIRST, "unpack", 0, 3)
    totals = BookReader.of(redis, settings, "night").runs()[FIRST]
    assert totals.rejected == {"unpack": 2, "conflict": 1}
    assert totals.filled + totals.all_rejected == totals.received - totals.duplicates


def test_what_was_missed_and_is_gone_is_said(settings: Settings, redis: Redis, upgrade: Upgrade) -> None:
    state = key(settings, "{night:1}:state")
    redis.hset(state, "lost", '[[1700000000,"something before"]]')
    upgrade(Log(lows=[end + 2 for end in ENDS], messages=[[*messages, *messages] for messages in RAW]))
    now_s = 1_800_000_000
    assert state_of(settings, 1, "night").lost == (
        Loss(1_700_000_000, "something before"),
        Loss(now_s, "messages 15 to 16 of spills.raw were gone when needed"),
        Loss(now_s, "messages 6 to 6 of spills.raw were gone when needed"),
    )


class KilledError(Exception):
    pass


class Mortal(AsyncRedis):
    """A client that dies before it writes once more than it may."""

    writes = 0
    may_write = 0

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] in WRITES:
            if self.writes >= self.may_write:
                raise KilledError
            self.writes += 1
        return await super().execute_command(*args, **options)


@pytest.fixture
def one_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all write under one name, so that what they write can be compared byte by byte."""

    class _One:
        hex = "0" * 8

    monkeypatch.setattr("ops.upgrade.partition.uuid.uuid4", _One)


def test_killed_between_any_two_writes_and_done_again_it_gives_the_same(
    settings: Settings, redis: Redis, upgrade: Upgrade, one_writer: None
) -> None:
    prefix, log = settings.redis.key_prefix, Log(lows=(4, 4))
    keep(settings, redis, "{live:1}:* {night:1}:* {replay-again:1}:*")

    def begin_again() -> None:
        """Have nothing but what a worker has begun to count of what Kafka still has."""
        for name in redis.scan_iter(match=f"{prefix}:v2:*"):
            redis.delete(name)
        work(settings, log, upto=(4, 9))

    begin_again()
    upgrade(log)
    wanted = dump(redis, prefix, old=False)
    may_write = 0
    while True:
        begin_again()
        mortal = Mortal.from_url(settings.redis.url.get_secret_value())
        mortal.may_write = may_write
        try:
            upgrade(log, client=mortal)
            break
        except KilledError:
            upgrade(log)
        assert dump(redis, prefix, old=False) == wanted, may_write
        may_write += 1
    assert may_write > 10


@pytest.mark.parametrize("lows", first([(3, 6), (14, 14), (0, 6), tuple(ENDS)], 2), ids=str)
@pytest.mark.parametrize("is_started_before", [True, False])
def test_workers_go_on_with_it_whenever_they_are_started(
    settings: Settings, redis: Redis, upgrade: Upgrade, lows: tuple[int, int], is_started_before: bool
) -> None:
    keep(settings, redis, "{live:*}:*")
    log = Log()
    log.messages = [[*left, *later] for left, later in zip(RAW, later_spills(), strict=True)]
    upgrade(Log(lows=ENDS))  # all as it was counted
    wanted = continued(settings, redis, log, [max(low, end) for low, end in zip(lows, ENDS, strict=True)])
    for name in redis.scan_iter(match=key(settings, "v2:*")):
        redis.delete(name)
    log.lows = lows
    if is_started_before:
        work(settings, log, upto=[end + 1 for end in ENDS])
    upgrade(log)
    assert strays(settings, redis) == set()
    work(settings, log)
    reader = BookReader.of(redis, settings)
    assert differences(as_before(wanted), as_before(reader.run(FIRST, ranges(FIRST)))) == []
    if max(lows) < min(AFTER_FIRST):
        check(settings, redis, "live", SECOND, without=("handling",))
        check(settings, redis, "live", NO_RUN)
    else:
        assert reader.run(SECOND, {}).ledger.keys() == {0, 1, 2, 3}
    assert all(not its.repairs and its.next == len(log.messages[p]) for p, its in reader.progress().items())
    assert not list(redis.scan_iter(match=key(settings, "v2:*:aside:*")))
    assert set(verdicts(upgrade(log)).values()) == {Verdict.THERE}


def test_what_workers_lack_since_kafka_lost_it_is_carried_over(
    settings: Settings, redis: Redis, upgrade: Upgrade
) -> None:
    keep(settings, redis, "{live:*}:*")
    log = Log()
    assert verdicts(upgrade(log))[FIRST, 1] is Verdict.REBUILT
    work(settings, log, upto=(0, 3))
    log.lows = [0, 6]  # retention has overtaken the workers
    work(settings, log)
    assert verdicts(upgrade(log, do=False))[FIRST, 1] is Verdict.CARRIED
    upgrade(log)
    work(settings, log)
    check(settings, redis, "live", FIRST, without=("handling",))


def test_what_workers_have_counted_and_redis_has_lost_is_carried_over(
    settings: Settings, redis: Redis, upgrade: Upgrade
) -> None:
    keep(settings, redis, "{live:*}:*")
    log = Log()
    work(settings, log)
    for name in redis.scan_iter(match=key(settings, f"v2:{{live:0}}:*:{FIRST}*")):
        redis.delete(name)
    redis.hdel(key(settings, "v2:{live:0}:index"), str(FIRST))
    assert verdicts(upgrade(log)) == dict.fromkeys(ALL, Verdict.THERE) | {(FIRST, 0): Verdict.CARRIED}
    check(settings, redis, "live", FIRST, without=("handling",))


def test_what_only_workers_have_is_not_replaced(settings: Settings, redis: Redis, upgrade: Upgrade) -> None:
    keep(settings, redis, "{live:*}:*")
    log = Log(lows=(4, 4))
    log.messages = [[*left, *later] for left, later in zip(RAW, later_spills(), strict=True)]
    work(settings, log)
    log.lows = [len(messages) for messages in log.messages]
    before = part_of(settings, 1, FIRST)
    found = [one for one in upgrade(log) if (one.session, one.run, one.partition) == ("live", FIRST, 1)]
    assert [(one.verdict, one.why) for one in found] == [
        (Verdict.LEFT, "workers have counted its messages 15 to 15 since, which Kafka no longer has")
    ]
    after = part_of(settings, 1, FIRST)
    assert before is not None
    assert after is not None
    assert after.part.totals == before.part.totals


def test_it_tries_again_when_a_worker_writes_meanwhile(
    settings: Settings, redis: Redis, upgrade: Upgrade, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(settings, redis, "{live:*}:*")
    log = Log(lows=(4, 4))
    work(settings, log, upto=(6, 6))
    write, steps = CheckpointStore.checkpoint, iter(range(7, 10))

    async def late(self: CheckpointStore, partition: int, fence: str, *what: Any) -> PartitionState:
        if fence.startswith("worker") and (step := next(steps, None)):
            await asyncio.to_thread(work, settings, log, (step, step))
        return await write(self, partition, fence, *what)

    def only_ours(self: CheckpointStore, partition: int, fence: str, state: PartitionState, runs: Any) -> Any:
        is_ours = not state.fence.startswith("worker")
        return late(self, partition, fence, state, runs) if is_ours else write(self, partition, fence, state, runs)

    monkeypatch.setattr(CheckpointStore, "checkpoint", only_ours)
    upgrade(log)
    assert next(steps, None) is None
    work(settings, log)
    check(settings, redis, "live", FIRST, without=("handling",))


def test_a_worker_that_writes_all_the_while_is_named(
    settings: Settings, redis: Redis, upgrade: Upgrade, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(settings, redis, "{live:*}:*")

    async def refused(*_: Any) -> PartitionState:
        raise CheckpointRefusedError

    # Where nobody has begun, it begins as a worker does, which tries for ever.
    log = Log(lows=(4, 4))
    work(settings, log)
    monkeypatch.setattr(CheckpointStore, "checkpoint", refused)
    monkeypatch.setattr("ops.upgrade.partition.TRIES", 3)
    with pytest.raises(SpilldeckError, match="partition 0 of live changes all the while"):
        upgrade(log)


def _truncated(redis: Redis, name: str) -> None:
    fields = redis.hgetall(name)
    redis.hset(name, mapping={field: value[:-3] for field, value in fields.items()})


def _of_another_type(redis: Redis, name: str) -> None:
    redis.delete(name)
    redis.set(name, "rubbish")


@pytest.mark.parametrize(
    ("name", "harm", "why"),
    [
        ("book:900401", Redis.delete, "{live:1}:book:900401 has 0 entries of the plot"),
        ("book:900401", _truncated, "{live:1}:book:900401 cannot be read: ValueError"),
        ("spills:900401", Redis.delete, "it has 0 spills, and 5 were filled"),
        ("spills:900401", _truncated, "{live:1}:spills:900401 cannot be read: error"),
        ("key-numbers:900401", _truncated, "{live:1}:key-numbers:900401 cannot be read: ValueError"),
        ("windows:900401", _of_another_type, "{live:1}:windows:900401 has another type"),
        ("window:900401:1423848240", _truncated, "{live:1}:window:900401:1423848240 cannot be read: ValueError"),
        ("handling:900401", _truncated, "{live:1}:handling:900401 cannot be read: error"),
        ("runs", _truncated, "run 900401 in"),
        ("runs", _of_another_type, "{live:1}:runs has another type"),
        ("state", Redis.delete, "{live:1}:state cannot be read: KeyError"),
        ("state", _truncated, "{live:1}:state cannot be read: ValueError"),
    ],
)
def test_what_cannot_be_read_is_named_and_left(
    settings: Settings, redis: Redis, upgrade: Upgrade, name: str, harm: Callable[[Redis, str], Any], why: str
) -> None:
    keep(settings, redis, "{live:*}:*")
    harm(redis, key(settings, f"{{live:1}}:{name}"))
    before = dump(redis, settings.redis.key_prefix, old=True)
    left = [one for one in upgrade(Log(lows=ENDS)) if one.verdict is Verdict.LEFT]
    assert {(one.session, one.partition) for one in left} == {("live", 1)}
    assert FIRST in {one.run for one in left} or [one.run for one in left] == [None]
    assert all(why in one.why or one.run != FIRST for one in left)
    assert part_of(settings, 1, FIRST) is None
    assert part_of(settings, 0, FIRST) is not None
    assert dump(redis, settings.redis.key_prefix, old=True) == before


def test_a_run_whose_plots_have_other_axes_now_is_named_and_left(
    settings: Settings, redis: Redis, upgrade: Upgrade, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(settings, redis, "{live:*}:*")
    monkeypatch.setattr(
        "ops.upgrade.partition.plot_ranges",
        lambda run, _: {"ht01": (10, 0.0, 1.0)} if run == FIRST else {},
    )
    found = [one for one in upgrade(Log(lows=ENDS)) if one.session == "live"]
    left = {one.run: one.why for one in found if one.verdict is Verdict.LEFT}
    assert left.keys() == {FIRST}
    assert "has other axes than the run's conditions give it today" in left[FIRST]


def test_a_plot_that_there_is_no_more_is_left_out_and_named(settings: Settings, redis: Redis, upgrade: Upgrade) -> None:
    keep(settings, redis, "{live:*}:*")
    book = key(settings, "{live:0}:book:900402")
    redis.hset(book, "gone", next(iter(redis.hgetall(book).values())))
    (one,) = (one for one in upgrade(Log(lows=ENDS)) if (one.session, one.run, one.partition) == ("live", SECOND, 0))
    assert (one.verdict, one.why) == (Verdict.CARRIED, without("gone"))
    check(settings, redis, "live", SECOND)


def test_a_run_of_before_key_numbers_were_kept_can_be_gone_on_with(
    settings: Settings, redis: Redis, upgrade: Upgrade
) -> None:
    for partition in (0, 1):
        redis.delete(key(settings, f"{{live:{partition}}}:key-numbers:{FIRST}"))
    log = Log(lows=ENDS)
    upgrade(log)
    again = BookReader.of(redis, settings, "replay-again").run(FIRST, ranges(FIRST))
    assert differences(BookReader.of(redis, settings).run(FIRST, ranges(FIRST)), again) == []
    log.messages = [[*left, *later] for left, later in zip(RAW, later_spills(), strict=True)]
    work(settings, log)
    numbers = BookReader.of(redis, settings).run(FIRST, ranges(FIRST)).key_numbers
    assert {spill for spill, its in numbers.items() if its} == {12, 13}
    assert numbers.keys() > {12, 13}
    for partition in (0, 1):
        assert part_of(settings, partition, FIRST) is not None


def test_promotions_replays_and_products_are_those_of_before(
    settings: Settings, redis: Redis, upgrade: Upgrade
) -> None:
    prefix = settings.redis.key_prefix
    upgrade(Log(lows=ENDS))
    former = Copy(redis, prefix).held().former
    assert former.promoted == {FIRST: "replay-again"}
    shown = BookReader(redis, prefix, "live", lambda: former.promoted)
    assert (
        differences(shown.run(FIRST, ranges(FIRST)), BookReader.of(redis, settings, "replay-again").run(FIRST, {}))
        == []
    )
    assert shown.places()[FIRST].filled == EXPECTED["replay-again"][FIRST]["totals"]["filled"]
    again, half = sorted(former.plans.values(), key=lambda plan: plan.began_s)
    assert [(plan.name, Made(redis, prefix).of([plan])[plan.session]) for plan in (again, half)] == [
        ("again", Books.WHOLE),
        ("half", Books.BEGUN),
    ]
    progress = BookReader.of(redis, settings, "replay-half").progress()
    assert half.read(progress) == 2
    assert half.left(progress) == [0, 1]
    written = Products(redis, prefix, "live").all()
    assert written[FIRST][Product.ARCHIVE].names == ("00900401.000",)


def test_the_run_that_is_taken_is_the_newest_one_after_a_late_spill_of_an_old_one(
    settings: Settings, redis: Redis, upgrade: Upgrade
) -> None:
    keep(settings, redis, "{live:*}:*")
    log = Log(lows=AFTER_FIRST)
    log.messages = [[*left, *later] for left, later in zip(RAW, later_spills(), strict=True)]
    upgrade(log)
    work(settings, log)
    places = BookReader.of(redis, settings).places()
    assert 0 < places[FIRST].first_ms < places[SECOND].first_ms
