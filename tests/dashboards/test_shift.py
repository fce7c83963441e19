"""What a hand-over says of runs is what the page says of them."""

import time
from dataclasses import replace

import pytest
from redis import Redis

from dashboards.data.shift import shift
from ops.topics import ensure_topics
from streams.books.checklists import Answer, Line
from streams.books.decided import decide
from streams.books.noting import checklist_action
from streams.books.run import RunBook
from streams.settings import Settings
from tests.dashboards.views import RUN, run_book
from tests.stored import checkpoint

pytestmark = pytest.mark.servers

SILENT_MS = 120_000


def came(book: RunBook, ago_ms: int) -> RunBook:
    """Return a run of which the last message came so long ago."""
    at_ms = time.time_ns() // 1_000_000 - ago_ms
    return replace(book, totals=replace(book.totals, first_ms=at_ms - 1000, produced_ms=at_ms))


def test_nobody_knows_that_the_current_run_is_over_because_no_spill_comes(settings: Settings, redis: Redis) -> None:
    ensure_topics(settings)
    checkpoint(settings, {RUN: came(run_book(4), SILENT_MS)}, next=4)
    (its,) = shift(settings, redis, 8).runs
    assert its.state == "silent, without an end"
    checkpoint(settings, {RUN + 1: came(run_book(4, run=RUN + 1), 0)}, next=8)
    before, now = shift(settings, redis, 8).runs
    assert (before.run, before.state) == (RUN, "ended without its end")
    assert (now.run, now.state) == (RUN + 1, "running")


def test_27_what_fell_due_in_the_shift_and_was_not_sent_is_known(settings: Settings, redis: Redis) -> None:
    ensure_topics(settings)
    hour_ms = 3_600_000

    def lasted(number: int, first_h: float, last_h: float) -> RunBook:
        its = came(run_book(4, run=number), round(last_h * hour_ms))
        began_ms = its.totals.produced_ms + round((last_h - first_h) * hour_ms)
        return replace(its, totals=replace(its.totals, first_ms=began_ms))

    runs = {RUN: lasted(RUN, 12.5, 7), RUN + 1: lasted(RUN + 1, 6.5, 0)}
    checkpoint(settings, runs, next=4)
    found = shift(settings, redis, 8)
    now_us = found.until_us
    hours = [(each.run, round((now_us - each.at_us) / 3.6e9, 1), each.is_end) for each in found.undone]
    # Of the one before two times fell due before the shift.
    assert hours == [(RUN, 7.0, True), *((RUN + 1, at, False) for at in (4.5, 2.5, 0.5))]
    assert (found.undone[0].is_end, found.checklists) == (True, ())
    duty = found.undone[2]
    its = (Line("spills", "Spills come", Answer.YES, ""),)
    decide(settings, redis, checklist_action(duty, 3, its, act_id="check-0001", origin="a test"))
    again = shift(settings, redis, 8)
    assert duty not in again.undone
    assert len(again.undone) == len(found.undone) - 1
    assert [each.id for each in again.checklists] == ["check-0001"]
