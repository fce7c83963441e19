"""What a hand-over says of runs is what the page says of them."""

import time
from dataclasses import replace

import pytest
from redis import Redis

from dashboards.data.shift import shift
from ops.topics import ensure_topics
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
