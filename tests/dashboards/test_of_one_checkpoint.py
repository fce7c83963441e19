"""What is read of a run in several steps is of one checkpoint, or it is said that it is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from redis import Redis

from dashboards.choices import LATELY
from dashboards.data.judged_run import StoredRuns
from dashboards.data.one_run import OneRun, RunReader, Standing, Wanted, Whose
from ops.topics import ensure_topics
from streams.books.changed import without
from streams.books.kept_run import KeptRuns
from streams.books.reader import TRIES, BookReader
from streams.books.windows import Window
from streams.conditions.store import ConditionsStore
from streams.experiment import experiment
from streams.settings import LIVE, Settings
from tests.dashboards.views import RUN, run_book
from tests.stored import checkpoint

pytestmark = pytest.mark.servers

SPILLS = 4
"""That are stored at first."""


@contextmanager
def counted_meanwhile(settings: Settings, monkeypatch: pytest.MonkeyPatch, times: int) -> Iterator[None]:
    """Have a spill counted, so many times, whenever the windows of a run are about to be read."""
    spills, left = count(SPILLS), count(times, -1)
    window_s = run_book(1).ledger[0].time_us // 1_000_000
    read = BookReader.windows

    def store() -> None:
        book = run_book(next(spills))
        window = Window(window_s - 60, 86_400)
        histograms = {name: book.book[name] for name in experiment().plots}
        checkpoint(settings, {RUN: book}, windows={window: (len(book.ledger), histograms)}, next=len(book.ledger))

    def windows(reader: BookReader, run: int) -> dict[Window, int]:
        if next(left) > 0:
            store()
        return read(reader, run)

    store()
    monkeypatch.setattr(BookReader, "windows", windows)
    yield


def read(settings: Settings, redis: Redis) -> OneRun:
    reader = BookReader.of(redis, settings)
    standing = Standing(place=reader.places()[RUN])
    whose = Whose(run=RUN, session=None, reader=reader, standing=standing)
    return RunReader(reader, ConditionsStore([]), KeptRuns(None, LIVE)).read(whose, [Wanted(part=LATELY)], None)


def test_a_part_is_of_the_whole_though_spills_are_counted_while_both_are_read(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted_meanwhile(settings, monkeypatch, TRIES - 1):
        one = read(settings, redis)
    part = one.parts[LATELY]
    assert part.is_of_whole
    assert len(one.book.ledger) == SPILLS + TRIES - 1
    rest = without(one.book.book, part.book)
    assert part.book["hnsp_1"].sum(flow=True) > 0
    assert {name: int(abs(rest(name).view(flow=True)).sum()) for name in experiment().plots} == dict.fromkeys(
        experiment().plots, 0
    )


def test_where_spills_come_without_end_it_is_said_that_a_part_is_of_another_checkpoint(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted_meanwhile(settings, monkeypatch, TRIES):
        one = read(settings, redis)
    assert not one.parts[LATELY].is_of_whole
    assert len(one.book.ledger) == SPILLS + TRIES - 1, "the part has one spill more than the whole"


@pytest.mark.parametrize(("times", "is_known"), [(TRIES - 1, True), (TRIES, False)])
def test_so_is_the_last_minute_that_a_command_judges(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch, times: int, is_known: bool
) -> None:
    ensure_topics(settings)
    with counted_meanwhile(settings, monkeypatch, times):
        found = StoredRuns(settings, redis).read(RUN)
    assert len(found.book.ledger) == SPILLS + TRIES - 1
    assert (found.late is not None) == is_known
    if found.late is not None:
        assert found.late.triggers == found.book.totals.triggers
        assert found.late.book["hnsp_1"] == found.book.book["hnsp_1"]
