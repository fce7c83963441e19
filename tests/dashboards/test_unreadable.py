"""One run that the store holds rubbish of harms no other, is named, and comes back when it is mended."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from dashboards.choices import Choices
from dashboards.data import Data, View
from dashboards.data.automatic import ENOUGH_SPILLS, ENOUGH_TRIGGERS
from dashboards.make import which_spills, why_empty
from dashboards.pages.strip import state, strip
from dashboards.pages.tiles import tiles
from schemas.records import ControlKind
from streams.books import layout
from streams.books.compare import differences
from streams.books.run import RunBook
from streams.books.totals import FORMAT, Control, Totals
from streams.books.windows import Window
from streams.freshness import Level
from streams.settings import Settings
from tests.catalogue import PLOTS
from tests.dashboards.conftest import until
from tests.dashboards.views import RUN, run_book, text_of
from tests.lanes import again
from tests.stored import checkpoint, retire

pytestmark = pytest.mark.servers

OTHER = RUN - 1
WINDOW = Window(60, 60)


def keys_of(settings: Settings, partition: int = 0) -> layout.Keys:
    return layout.Keys(settings.redis.key_prefix, settings.session, partition)


def came_at(run: int, first_ms: int, spills: int = 8) -> Any:
    """Return a run whose first message came then."""
    book = run_book(spills, run=run)
    return replace(book, totals=replace(book.totals, first_ms=first_ms))


def good(book: RunBook) -> RunBook:
    """Return a run as it must be to be compared with."""
    end = Control(time_us=1, events=0, run_type="")
    many = {"filled": ENOUGH_SPILLS, "triggers": ENOUGH_TRIGGERS, "last_spill": ENOUGH_SPILLS - 1, "errors": Counter()}
    return replace(book, totals=replace(book.totals, control={ControlKind.END.value: end}, **many))


def store_two_runs(settings: Settings) -> None:
    """Store a run and the current one, with a window each."""
    for run, first_ms in ((OTHER, 1), (RUN, 2)):
        plots = {"ht01": run_book(5).book["ht01"]}
        checkpoint(settings, {run: came_at(run, first_ms)}, windows={WINDOW: (8, plots)}, next=8 * first_ms)


def totals_of(**changes: object) -> Callable[[Redis, layout.Keys], None]:
    def write(redis: Redis, keys: layout.Keys) -> None:
        redis.hset(keys.run(RUN), "totals", layout.pack_json(Totals(received=1).to_json() | changes))

    return write


def field(name: str, value: bytes, key: Callable[[layout.Keys], str]) -> Callable[[Redis, layout.Keys], None]:
    def write(redis: Redis, keys: layout.Keys) -> None:
        redis.hset(key(keys), name, value)

    return write


def one_bit(key: Callable[[layout.Keys], str], name: str) -> Callable[[Redis, layout.Keys], None]:
    """Return what turns a bit of a value."""

    def write(redis: Redis, keys: layout.Keys) -> None:
        value = bytearray(redis.hget(key(keys), name) or b"")
        value[len(value) // 2] ^= 8
        redis.hset(key(keys), name, bytes(value))

    return write


def gone(key: Callable[[layout.Keys], str]) -> Callable[[Redis, layout.Keys], None]:
    return lambda redis, keys: redis.delete(key(keys))


def string(key: Callable[[layout.Keys], str]) -> Callable[[Redis, layout.Keys], None]:
    return lambda redis, keys: redis.set(key(keys), "a string")


def of_run(name: str) -> Callable[[layout.Keys], str]:
    return lambda keys: getattr(keys, name)(RUN)


def numbers(view: View) -> dict[str, str]:
    """Return what the strip says: name → value."""
    return {each.children[0].children: each.children[1].children for each in strip(view)[0].children[:8]}


DAMAGES = {
    "totals are rubbish": field("totals", b"{}", of_run("run")),
    "totals are nested without end": field("totals", layout.seal(b"[" * 5000), of_run("run")),
    "totals have no counters": field("totals", layout.seal(b"[]"), of_run("run")),
    "a bit of the totals is turned": one_bit(of_run("run"), "totals"),
    "the stamps are rubbish": field("unit", b"\xff\xfe", of_run("run")),
    "totals are of a newer version": totals_of(format=FORMAT + 1),
    "totals have a time of no calendar": totals_of(last_us=-(10**18)),
    "totals have a number that is none": totals_of(first_us=float("inf")),
    "the totals are gone": gone(of_run("run")),
    "the totals are a string": string(of_run("run")),
    "a spill is rubbish": field("7", b"short", of_run("spills")),
    "a bit of a spill is turned": one_bit(of_run("spills"), "3"),
    "the spills are gone": gone(of_run("spills")),
    "a histogram is rubbish": field("ht01", b"no histogram", of_run("book")),
    "a bit of a histogram is turned": one_bit(of_run("book"), "ht01"),
    "the book is a string": string(of_run("book")),
}
TELLING = {
    "totals are rubbish",
    "totals are of a newer version",
    "the totals are gone",
    "a spill is rubbish",
    "a histogram is rubbish",
    "the book is a string",
}
"""Of each part of a run one, and each way in which that cannot be read: how bytes are refused, tests/books shows."""


@pytest.mark.parametrize("damage", [each if each in TELLING else pytest.param(each, marks=again) for each in DAMAGES])
def test_a_run_that_cannot_be_read_is_told_and_another_is_shown(
    quick: Settings, redis: Redis, data: Data, damage: str
) -> None:
    store_two_runs(quick)
    shown = until(data, lambda v: v.run == RUN)
    keys = keys_of(quick)
    DAMAGES[damage](redis, keys)
    checkpoint(quick, {OTHER: came_at(OTHER, 1, spills=9)}, next=17)
    checkpoint(quick, {RUN: came_at(RUN, 2, spills=1)}, partition=1, next=1)
    view = until(data, lambda v: any(f"Run {RUN} in partition 0 cannot be read" in w for w in v.warnings))
    # What was shown of it stays, and says so.
    assert differences(view.book, shown.book) == []
    assert state(view) == "cannot be read"
    assert not view.is_old
    assert view.pipeline.level is not Level.UNKNOWN
    other = data.view(Choices(run=OTHER))
    assert other.book.totals.filled == 9
    assert not any(str(RUN) in warning for warning in other.warnings)
    assert [each.run for each in view.runs.newest_first()] == [RUN, OTHER]
    if damage != "totals are of a newer version":  # nobody here could make that again
        assert redis.smembers(keys.repair) == {b"%d" % RUN}
    # A worker sets aside what is there, and makes it again.
    redis.delete(*keys.of_run(RUN))
    checkpoint(quick, {RUN: came_at(RUN, 2, spills=7)}, next=18)
    view = until(data, lambda v: not v.is_unreadable)
    assert (view.book.totals.filled, len(view.book.ledger)) == (8, 7)
    assert not any("cannot be read" in w for w in view.warnings)


def test_a_page_that_is_opened_on_a_run_that_cannot_be_read_says_so(quick: Settings, redis: Redis) -> None:
    store_two_runs(quick)
    redis.hset(keys_of(quick).book(RUN), "ht01", b"no histogram")
    with Data(quick) as data:
        view = until(data, lambda v: v.run == RUN)
        assert view.is_unreadable
        assert view.book.totals == Totals()
        assert which_spills(view) == f"Run {RUN} · cannot be read"
        assert why_empty(PLOTS["ht01"], view) == f"run {RUN} cannot be read"
        assert any(f"Run {RUN} in partition 0 cannot be read" in w for w in view.warnings)
        # Compared with it, another run is shown all the same.
        compared = data.view(Choices(run=OTHER, reference=RUN))
        assert compared.book.totals.filled == 8
        assert any(f"Run {RUN} in partition 0 cannot be read" in w for w in compared.warnings)


def test_a_run_that_has_left_is_shown_by_its_totals_and_nothing_is_compared_with_it(
    quick: Settings, redis: Redis, data: Data
) -> None:
    store_two_runs(quick)
    until(data, lambda v: v.run == RUN)
    retire(quick, OTHER)
    until(data, lambda _: data.view(Choices(run=OTHER)).is_retired)
    view = data.view(Choices(run=OTHER))
    assert state(view) == "left Redis"
    assert view.book.totals == came_at(OTHER, 1).totals
    assert numbers(view)["Spills"] == "8"
    assert which_spills(view) == f"Run {OTHER} · left Redis"
    assert why_empty(PLOTS["ht01"], view) == f"the plots of run {OTHER} have left Redis"
    assert all(text_of(each).endswith("Left Redis") for each in tiles(view, "/"))
    # Nothing is wrong with it.
    assert not any(str(OTHER) in each for each in view.warnings)
    assert [note.partition(" as old")[0] for note in view.notes] == [f"The plots of run {OTHER} have left Redis,"]
    compared = data.view(Choices(run=RUN, reference=OTHER))
    assert compared.reference is None
    assert compared.notes == view.notes
    assert not redis.exists(keys_of(quick).repair)


def test_of_a_run_that_nobody_could_ever_read_no_number_is_shown(quick: Settings, redis: Redis) -> None:
    store_two_runs(quick)
    redis.hset(keys_of(quick).book(RUN), "ht01", b"no histogram")
    with Data(quick) as data:
        view = until(data, lambda v: v.run == RUN)
        said = numbers(view)
        assert (said["Run"], said["State"]) == (str(RUN), "cannot be read")
        assert not {"Spills", "Last spill", "Triggers"} & said.keys()
        assert data.view(Choices(run=OTHER, reference=RUN)).reference is None


@pytest.mark.parametrize("handling", [field("3", b"rubbish", of_run("handling")), string(of_run("handling"))])
def test_rubbish_in_place_of_how_spills_were_handled_takes_nothing_else_away(
    quick: Settings, redis: Redis, data: Data, handling: Callable[[Redis, layout.Keys], None]
) -> None:
    store_two_runs(quick)
    handling(redis, keys_of(quick))
    view = until(data, lambda v: v.run == RUN)
    assert differences(view.book, came_at(RUN, 2)) == []
    assert not view.is_unreadable


@pytest.mark.parametrize("key", ["windows", "window", "key_numbers"])
def test_a_part_of_a_run_that_cannot_be_read_takes_nothing_else_of_it_away(
    quick: Settings, redis: Redis, data: Data, key: str
) -> None:
    store_two_runs(quick)
    keys = keys_of(quick)
    name = {"windows": keys.windows(RUN), "window": keys.window(RUN, WINDOW), "key_numbers": keys.key_numbers(RUN)}[key]
    redis.hset(name, {"windows": layout.pack_window(WINDOW), "window": "ht01", "key_numbers": "3"}[key], b"rubbish")
    until(data, lambda v: v.run == RUN)
    view = data.view(Choices(run=RUN, window=WINDOW.start), "ht01")
    assert differences(view.book, came_at(RUN, 2)) == []
    assert not view.is_unreadable
    assert any(f"Run {RUN} in partition 0 cannot be read" in w for w in view.warnings)


def test_a_run_is_followed_over_those_before_it_that_can_be_read(quick: Settings, redis: Redis, data: Data) -> None:
    store_two_runs(quick)
    third = RUN - 2
    checkpoint(quick, {third: came_at(third, 3)}, next=24)
    keys = keys_of(quick)
    redis.hset(keys.run(OTHER), "totals", b"rubbish")
    until(data, lambda v: v.run == third)
    view = data.view(Choices(run=third), "ht01")
    assert [point.at for point in view.history.runs] == [RUN, third]
    assert differences(view.book, run_book(run=third)) == []
    assert any(f"Run {OTHER} in partition 0 cannot be read" in w for w in view.warnings)
    redis.hset(keys.book(RUN), "ht12", b"rubbish")
    followed = data.view(Choices(run=third), "ht12")
    assert [point.at for point in followed.history.runs] == [third]
    # Each is told once, and to those who look at what it would be in.
    assert sum(f"Run {OTHER} in partition 0 cannot be read" in w for w in followed.warnings) == 1
    assert sum(f"Run {RUN} in partition 0 cannot be read" in w for w in followed.warnings) == 1
    assert not any("cannot be read" in w for w in data.view(Choices(run=third)).warnings)


def test_a_run_that_cannot_be_read_is_not_compared_with_by_itself(quick: Settings, redis: Redis) -> None:
    for number, run in enumerate((RUN - 2, OTHER, RUN), start=1):
        checkpoint(quick, {run: good(came_at(run, number))}, next=8 * number)
    redis.hset(keys_of(quick).book(OTHER), "ht01", b"no histogram")
    with Data(quick) as data:
        view = until(data, lambda v: v.reference and v.reference.run == RUN - 2)
        assert view.automatic.run == RUN - 2
        assert not any("cannot be read" in w for w in view.warnings)
        # When a worker has made it again, it is: what a run is compared with is the same whenever somebody looks.
        checkpoint(quick, {}, next=24, repairs={OTHER: 8})
        until(data, lambda v: v.pipeline.text.startswith("Making 1 run again"))
        last = good(came_at(RUN + 1, 4))
        checkpoint(quick, {OTHER: good(came_at(OTHER, 2)), RUN + 1: last}, next=32, repairs={})
        view = until(data, lambda v: v.run == RUN + 1 and v.automatic.run)
        assert view.automatic.run == RUN
        until(data, lambda _: data.view(Choices(run=RUN)).automatic.run == OTHER)


@pytest.mark.parametrize("place", [b"{}", b"rubbish", layout.seal(b"[]"), layout.seal(b'{"log": 5}')])
def test_a_run_of_which_the_list_has_rubbish_is_listed_by_its_totals(
    quick: Settings, redis: Redis, place: bytes
) -> None:
    store_two_runs(quick)
    redis.hset(keys_of(quick).index, str(RUN), place)
    redis.hset(keys_of(quick).index, "nine", place)
    with Data(quick) as data:
        view = until(data, lambda v: v.run)
        assert [each.run for each in view.runs.newest_first()] == [RUN, OTHER]
        assert differences(view.book, came_at(RUN, 2)) == []
        assert not any("cannot be read" in w for w in view.warnings)
        # When a worker has made the list again, without a checkpoint, the page follows.
        redis.hdel(keys_of(quick).index, "nine")
        checkpoint(quick, {OTHER: came_at(OTHER, 5)}, next=17)
        until(data, lambda v: v.run == OTHER)


def test_a_run_of_which_list_and_totals_are_rubbish_is_named(quick: Settings, redis: Redis) -> None:
    store_two_runs(quick)
    keys = keys_of(quick)
    redis.hset(keys.index, str(RUN), b"rubbish")
    redis.hset(keys.run(RUN), "totals", b"rubbish")
    with Data(quick) as data:
        view = until(data, lambda v: v.run)
        assert view.run == OTHER
        assert view.book.totals.filled == 8
        assert any(f"Run {RUN} in partition 0 cannot be read" in w for w in view.warnings)


@pytest.mark.parametrize("damage", ["rubbish", "a string", "gone"])
def test_a_partition_of_which_nobody_knows_how_far_it_is_leaves_the_runs_as_they_are(
    quick: Settings, redis: Redis, data: Data, damage: str
) -> None:
    store_two_runs(quick)
    checkpoint(quick, {RUN: came_at(RUN, 2, spills=4)}, partition=1, next=5)
    until(data, lambda v: v.book.totals.filled == 12)
    state_key = keys_of(quick).state
    if damage == "rubbish":
        redis.hset(state_key, "state", b"rubbish")
    else:
        redis.delete(state_key)
    if damage == "a string":
        redis.set(state_key, "a string")
    checkpoint(quick, {RUN: came_at(RUN, 2, spills=5)}, partition=1, next=6)
    view = until(data, lambda v: v.book.totals.filled == 13)
    assert not view.is_old
    assert len(list(view.runs.newest_first())) == 2


def test_runs_that_are_made_again_are_told_until_they_are_whole(quick: Settings, redis: Redis, data: Data) -> None:
    store_two_runs(quick)
    until(data, lambda v: v.run == RUN)
    keys, chosen = keys_of(quick), Choices(run=OTHER)

    def seen(true: Callable[[View], Any]) -> View:
        until(data, lambda _: true(data.view(chosen)))
        return data.view(chosen)

    assert seen(lambda v: v.book.totals.filled == 8).warnings == data.view().warnings
    # As a worker does: it sets all of it aside, and the list of runs says what it was until it is whole again.
    place = redis.hget(keys.index, str(OTHER))
    redis.delete(*keys.of_run(OTHER))
    checkpoint(quick, {}, next=16, repairs={OTHER: 0})
    view = seen(lambda v: v.book.totals.filled == 0)
    told = f"Run {OTHER} is being made again from Kafka (partition 0): its plots lack some spills"
    assert told in view.warnings
    assert not view.is_unreadable
    assert told not in data.view().warnings
    assert data.view().pipeline.text == "Making 1 run again from Kafka"
    assert data.view().pipeline.level is Level.WARNING
    checkpoint(quick, {OTHER: came_at(OTHER, 1, spills=3)}, next=16, repairs={OTHER: 5})
    redis.hset(keys.index, str(OTHER), place or b"")
    assert told in seen(lambda v: v.book.totals.filled == 3).warnings
    checkpoint(quick, {OTHER: came_at(OTHER, 1)}, next=16, repairs={})
    view = seen(lambda v: v.book.totals.filled == 8)
    assert told not in seen(lambda v: told not in v.warnings).warnings
    assert differences(view.book, came_at(OTHER, 1)) == []
    assert data.view().pipeline.text != "Making 1 run again from Kafka"


def test_spills_that_lie_in_two_partitions_are_told(quick: Settings, data: Data) -> None:
    for partition in (0, 1):
        checkpoint(quick, {RUN: run_book(3)}, partition=partition, next=3)
    told = f"Counted twice, as in two partitions: 3 spills of run {RUN}"
    view = until(data, lambda v: told in v.warnings)
    assert (view.book.totals.filled, len(view.book.ledger)) == (6, 3)


def test_workers_that_differ_in_code_or_tables_are_told(quick: Settings, data: Data) -> None:
    def told(view: View) -> list[str]:
        return [each for each in (*view.notes, *view.warnings) if "were made with several" in each]

    ours = run_book(3)
    checkpoint(quick, {RUN: ours}, next=3)
    assert told(until(data, lambda v: v.book.totals.filled == 3)) == []
    other = run_book(6)
    totals = replace(other.totals, code={"0.0.9"}, conditions={""})
    spills = {spill: entry for spill, entry in other.ledger.items() if spill >= 3}
    checkpoint(quick, {RUN: replace(other, totals=totals, ledger=spills)}, partition=1, next=3)
    view = until(data, lambda v: len(told(v)) == 2)
    code, tables = told(view)
    assert code in view.notes, "whoever moves workers to another release wants it so"
    assert tables in view.warnings
    assert code.startswith(f"Spills of run {RUN} were made with several versions of the code: 0.0.9, ")
    assert {*tables.rpartition(": ")[2].split(", ")} == {"none", *ours.totals.conditions}
