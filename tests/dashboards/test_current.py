"""The run that is being taken is the one that began to come last, whatever its spills say; and what is on its way."""

import json
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer

from dashboards.choices import Choices
from dashboards.data import Data
from ops.topics import ensure_topics
from schemas.records import NO_RUN, ActionKind, ControlKind, RawSpill, RunControl
from streams.books.actions import new_action
from streams.books.book import Book
from streams.books.connect import connect
from streams.books.decided import decide
from streams.books.lag import behind
from streams.books.made import Made
from streams.books.plan import Origin, Plan
from streams.books.progress import Progress
from streams.books.run import RunBook, RunPart
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import Settings, load_settings
from streams.topics import Topics
from streams.transform import Message, outcome
from tests.dashboards.conftest import until
from tests.dashboards.views import CONDITIONS, RUN
from tests.kafka import reached
from tests.records import raw_spill
from tests.stored import checkpoint
from tests.wire import encode

Record = RawSpill | RunControl
EARLIER, LATER = RUN + 1, RUN
"""Numbered against their order, which decides nothing."""
YEAR_2083_US = 3_600_000_000_000_000


def part(*came: tuple[int, Record], partition: int = 0, first: int = 0) -> RunBook:
    """Return what a partition's messages make of a run: when each came, Unix milliseconds, and what it is.

    They lie there from the offset `first` on.
    """
    counted, book, numbers = RunPart(), Book({}), dict[int, bytes]()
    for offset, (produced_ms, record) in enumerate(came, start=first):
        message = Message(partition=partition, offset=offset, start=offset, produced_ms=produced_ms, value=b"")
        found = counted.count([outcome(message, record, CONDITIONS)], {}, lambda _: 0)
        for _, _, filled in found.filled:
            book += filled.book
            numbers |= filled.key_numbers
    return RunBook(totals=counted.totals, ledger=counted.ledger, book=book, key_numbers=numbers)


def spill(run: int, number: int = 0) -> RawSpill:
    return SimulatedRun(run=run, mean_triggers=2, detectors=("tof",)).spill(number).raw


def control(run: int, kind: ControlKind, time_us: int) -> RunControl:
    return RunControl(run=run, kind=kind, time_us=time_us, source="f", byte=0, events=2)


@pytest.mark.servers
def test_a_run_of_which_every_spill_is_rejected_and_no_start_came_is_current(quick: Settings, data: Data) -> None:
    end_us = spill(EARLIER).time_us + 1
    checkpoint(quick, {EARLIER: part((10, spill(EARLIER)), (11, control(EARLIER, ControlKind.END, end_us)))}, next=2)
    until(data, lambda v: v.run == EARLIER and v.daq.text.startswith("Run ended"))
    rejected = part((20, raw_spill(run=LATER, spill=0)), (21, raw_spill(run=LATER, spill=1)))
    assert rejected.totals.all_rejected == 2
    checkpoint(quick, {LATER: rejected}, next=4)
    view = until(data, lambda v: v.run == LATER)
    assert not view.daq.text.startswith("Run ended")
    assert (view.current, [each.run for each in view.runs.newest_first()]) == (LATER, [LATER, EARLIER])


@pytest.mark.servers
def test_a_spill_whose_clock_is_far_ahead_does_not_keep_its_run_current(quick: Settings, data: Data) -> None:
    ahead = replace(spill(EARLIER), time_us=YEAR_2083_US)
    checkpoint(quick, {EARLIER: part((10, ahead))}, next=1)
    until(data, lambda v: v.run == EARLIER)
    checkpoint(quick, {LATER: part((20, spill(LATER)))}, next=2)
    until(data, lambda v: v.run == LATER)


@pytest.mark.servers
@pytest.mark.parametrize("is_ended", [True, False])
def test_a_producers_clock_that_was_set_back_hides_no_run(quick: Settings, data: Data, is_ended: bool) -> None:
    hour_ms = 3_600_000
    end = [(hour_ms + 11, control(EARLIER, ControlKind.END, 1))] if is_ended else []
    checkpoint(quick, {EARLIER: part((hour_ms + 10, spill(EARLIER)), *end)}, next=2)
    until(data, lambda v: v.run == EARLIER)
    checkpoint(quick, {LATER: part((20, spill(LATER)), first=2)}, next=3)
    until(data, lambda v: v.run == LATER)
    checkpoint(quick, {LATER + 5: part((30, spill(LATER + 5)), first=3)}, next=4)
    view = until(data, lambda v: v.run == LATER + 5)
    assert [each.run for each in view.runs.newest_first()] == [LATER + 5, LATER, EARLIER]


@pytest.mark.servers
def test_of_two_runs_at_once_the_one_that_goes_on_is_shown_when_the_other_has_ended(
    quick: Settings, data: Data
) -> None:
    checkpoint(quick, {EARLIER: part((10, spill(EARLIER, 0)))}, next=1)
    ended = part((20, spill(LATER)), (21, control(LATER, ControlKind.END, 1)), first=1)
    checkpoint(quick, {LATER: ended}, next=3)
    until(data, lambda v: v.run == LATER and v.daq.text.startswith("Run ended"))
    later = part((10, spill(EARLIER, 0)), (30, spill(EARLIER, 1)))
    later.totals.last_raw = {0: 3}
    checkpoint(quick, {EARLIER: later}, next=4)
    view = until(data, lambda v: v.run == EARLIER)
    assert not view.daq.text.startswith("Run ended")


@pytest.mark.servers
def test_a_run_began_when_the_first_of_its_partitions_had_it(quick: Settings, data: Data) -> None:
    # The earlier run has its first message of the second partition only after the later one has.
    checkpoint(quick, {EARLIER: part((10, spill(EARLIER, 0))), LATER: part((20, spill(LATER, 0)))}, next=2)
    second = {
        EARLIER: part((30, spill(EARLIER, 1)), partition=1),
        LATER: part((25, spill(LATER, 1)), partition=1),
    }
    checkpoint(quick, second, partition=1, next=2)
    view = until(data, lambda v: v.book.totals.filled == 2)
    assert view.run == LATER
    # Nor does it matter which partition is counted first.
    third = {LATER: part((40, spill(LATER, 2)), partition=2)}
    checkpoint(quick, third, partition=2, next=1)
    assert until(data, lambda v: v.book.totals.filled == 3).run == LATER
    fourth = {EARLIER: part((50, spill(EARLIER, 3)), partition=3)}
    checkpoint(quick, fourth, partition=3, next=1)
    chosen = Choices(run=EARLIER)
    until(data, lambda _: data.view(chosen).book.totals.filled == 3)
    assert data.view().run == LATER


@pytest.mark.servers
@pytest.mark.parametrize("again", ["the same", "more"])
def test_a_run_that_is_produced_again_later_does_not_take_over(quick: Settings, data: Data, again: str) -> None:
    came = [(10, spill(EARLIER, 0))]
    checkpoint(quick, {EARLIER: part(*came), LATER: part((20, spill(LATER)))}, next=2)
    until(data, lambda v: v.run == LATER)
    late = spill(EARLIER, 0 if again == "the same" else 5)
    checkpoint(quick, {EARLIER: part(*came, (30, late))}, next=3)
    chosen = Choices(run=EARLIER)
    until(data, lambda _: data.view(chosen).book.totals.received == 2)
    assert data.view().run == LATER


@pytest.mark.servers
def test_a_promoted_replay_stands_where_its_run_came(quick: Settings, data: Data) -> None:
    checkpoint(quick, {EARLIER: part((10, spill(EARLIER))), LATER: part((20, spill(LATER)))}, next=2)
    until(data, lambda v: v.run == LATER)
    ensure_topics(quick)
    with connect(quick) as redis:
        for session, produced_ms in (("replay-late", 90), ("replay-of-a-file", 0)):
            plan = Plan(session=session, runs=(EARLIER, LATER), origin=Origin.RAW, spans=((0, 2),), began_s=1.0)
            decide(quick, redis, new_action(ActionKind.PLAN_REPLAY, session, after=plan.to_json(), origin="a test"))
            made, own = Made(redis, quick.redis.key_prefix), load_settings(redis=quick.redis, session=session)
            made.begin(plan)
            checkpoint(own, {EARLIER: part((produced_ms, spill(EARLIER))), LATER: part((produced_ms, spill(LATER)))})
            made.finish(plan, [0])
            for run in (EARLIER, LATER):
                after = json.dumps({run: session})
                decide(quick, redis, new_action(ActionKind.PROMOTE, session, after=after, origin="a test"))
                told, chosen = f"The plots of run {run} are those of {session}", Choices(run=run)
                until(data, lambda _, c=chosen, t=told: any(t in each for each in data.view(c).notes))
                view = data.view()
                assert [each.run for each in view.runs.newest_first()] == [LATER, EARLIER]


@pytest.mark.servers
def test_plots_against_the_spill_have_the_entries_of_spills_beyond_their_axis(quick: Settings, data: Data) -> None:
    beyond = part((10, spill(RUN, 4999)), (11, spill(RUN, 5001)))
    checkpoint(quick, {RUN: beyond}, next=2)
    view = until(data, lambda v: v.run == RUN and v.beyond_axis)
    for station in range(3):
        found = dict(zip(*view.beyond_axis[f"hnsp_vs_spill_tof{station}"], strict=True))
        counts = beyond.book[f"hnsp_vs_spill_tof{station}"].view(flow=True)
        assert found == {4999: counts[5000], 5001: counts[5001]}
        assert sum(found.values()) > 0


def at(next_offset: int, **changes: Any) -> Progress:
    return Progress(next=next_offset, fence="", produced_ms=0, lost=(), **changes)


def test_what_is_not_in_the_books_is_behind_wherever_it_is() -> None:
    spans = ((0, 10), (4, 8), (5, 5))
    assert behind(spans, {}) == 14  # a partition that nobody has begun with lacks all
    assert behind(spans, {0: at(10), 1: at(8), 2: at(5)}) == 0
    # The last ones may be in the books: the hole before them is what counts.
    assert behind(spans, {0: at(2), 1: at(8)}) == 8
    assert behind(spans, {0: at(10), 1: at(0)}) == 4  # what retention took is not waited for
    assert behind(spans, {0: at(12), 1: at(9), 7: at(3)}) == 0


@pytest.mark.servers
def test_a_hole_at_the_beginning_is_not_all_spills_processed(quick: Settings, data: Data) -> None:
    ensure_topics(quick)
    topic, producer = Topics.of(quick).raw, Producer(reached(quick))
    for number in range(6):
        producer.produce(topic, encode(spill(RUN, number)), partition=0)
    producer.flush()
    # All but the first two are in the books.
    counted = part(*((10 + number, spill(RUN, number)) for number in range(2, 6)))
    checkpoint(quick, {RUN: counted}, next=0)
    view = until(data, lambda v: v.run and v.behind == 6)
    assert view.pipeline.text == "Processing 6 spills"
    # So does a worker begin on an emptied Redis: with the newest run, and older ones are made again behind it.
    checkpoint(quick, {RUN: counted}, next=6, repairs={RUN - 1: 0, RUN - 2: 0, NO_RUN: 0})
    view = until(data, lambda v: not v.behind)
    assert view.pipeline.text == "Making 2 runs again from Kafka"
    checkpoint(quick, {RUN: counted}, next=6, repairs={})
    until(data, lambda v: v.pipeline.text == "All spills processed")
