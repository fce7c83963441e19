"""The page judges the runs that somebody looks at, a part at a time, and again what has changed since."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dashboards.data import judging
from dashboards.data.automatic import Automatic
from dashboards.data.books import Books
from dashboards.data.judging import Judgements, Judges
from dashboards.data.one_run import NOTHING, OneRun
from streams.books.judgement import judged
from streams.books.part_reader import UnreadableRunError
from streams.books.reader import BookReader
from streams.books.run import RunBook, spill_facts
from tests.books.test_judgement import SPILLS, book, earlier

RUN, OTHER = 900_020, 900_021


class Reader:
    """Reads the hits by channel of the run above, and counts of how many spills."""

    def __init__(self) -> None:
        self.read = 0
        self.is_broken = False

    def channel_counts(self, _run: int, spills: Sequence[int]) -> dict[int, bytes]:
        if self.is_broken:
            raise UnreadableRunError("run 900020 in partition 0 cannot be read")
        self.read += len(spills)
        return {spill: book().channel_counts[spill] for spill in spills}


def books(its: RunBook, *, current: int = RUN, version: str = "1", settled: int | None = None) -> Books:
    """Return what was read of Redis: a run, and one that is not there."""
    spills = spill_facts(its.ledger)
    one: OneRun = replace(NOTHING, book=its, spills=spills, version=version, settled=settled)
    return Books(current=current, read={(RUN, None): one, (OTHER, None): NOTHING})


def first(spills: int) -> RunBook:
    """Return the run as it was when it had so many spills."""
    return replace(book(), ledger={spill: book().ledger[spill] for spill in range(spills)})


def until_done(judges: Judges, now: Books, last: Judgements) -> Judgements:
    """Look until nothing is left."""
    while True:
        last = judges.look(now, last)
        if not any(each.left for each in last.values()):
            return last


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def judges(reader: Reader) -> Judges:
    return Judges(lambda _session: cast("BookReader", reader))


def test_a_run_is_judged_as_it_grows_and_each_spill_is_read_once(judges: Judges, reader: Reader) -> None:
    known: Judgements = {}
    for spills in (30, 80, SPILLS):
        known = until_done(judges, books(first(spills)), known)
        assert known[RUN, None].spills == spills
        assert (RUN, None) in known
        assert (OTHER, None) not in known
    assert known[RUN, None] == judged(book())
    assert reader.read == SPILLS
    assert judges.look(books(first(SPILLS)), known) is known, "nothing has changed"


def test_much_is_judged_a_part_at_a_time(judges: Judges, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "AT_ONCE_S", 0.0)
    known = judges.look(books(book()), {})
    assert (known[RUN, None].spills, known[RUN, None].left, reader.read) == (0, SPILLS, 0)
    monkeypatch.undo()
    assert until_done(judges, books(book()), known)[RUN, None] == judged(book())


def test_what_came_late_while_others_are_on_their_way_is_left_and_the_rest_goes_on(
    judges: Judges, reader: Reader
) -> None:
    without = replace(book(), ledger={spill: its for spill, its in book().ledger.items() if spill != 50})
    known = until_done(judges, books(without, settled=50), {})
    assert (known[RUN, None].spills, known[RUN, None].last) == (SPILLS - 1, SPILLS - 1)
    assert known[RUN, None].is_whole
    known = judges.look(books(book(), settled=54), known)
    assert (known[RUN, None].left, known[RUN, None].late, reader.read) == (1, 1, SPILLS - 1)
    assert not known[RUN, None].is_whole
    assert until_done(judges, books(book()), known)[RUN, None] == judged(book())


def test_of_a_run_that_is_over_what_is_known_is_kept_and_no_more(judges: Judges, reader: Reader) -> None:
    over: dict[str, Any] = {"current": OTHER}
    known = until_done(judges, books(book(), **over), {})
    assert not judges._judging
    assert judges.look(books(book(), **over), known) is known
    assert reader.read == SPILLS
    # What came late is judged in its place.
    known = until_done(judges, books(first(SPILLS - 1), **over, version="2"), known)
    assert known[RUN, None].spills == SPILLS - 1
    assert until_done(judges, books(book(), **over, version="3"), known)[RUN, None] == judged(book())


def test_what_cannot_be_read_is_said_and_judged_when_it_can_be(judges: Judges, reader: Reader) -> None:
    reader.is_broken = True
    known = judges.look(books(book()), {})
    assert "cannot be read" in known[RUN, None].problem
    reader.is_broken = False
    assert until_done(judges, books(book()), known)[RUN, None] == judged(book())


def test_a_run_is_judged_against_the_one_that_it_is_compared_with_and_again_when_that_has_changed(
    judges: Judges, reader: Reader
) -> None:
    own = books(first(80))
    one, other = own.read[RUN, None], replace(NOTHING, book=earlier(), version="2")
    with_other = replace(own, read={(RUN, None): one, (OTHER, None): other}, automatic={RUN: Automatic(run=OTHER)})
    known = until_done(judges, with_other, {})
    assert known[RUN, None] == judged(first(80), earlier())
    read = reader.read
    assert until_done(judges, with_other, known) is known
    assert reader.read == read
    later = replace(with_other, read=dict(with_other.read) | {(OTHER, None): replace(other, version="3")})
    until_done(judges, later, known)
    assert reader.read > read


def test_what_is_wrong_stays_known_while_all_is_judged_again(
    judges: Judges, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = books(book())
    known = until_done(judges, own, {})
    before = known[RUN, None]
    assert before.bad
    other = replace(NOTHING, book=earlier(), version="2")
    again = replace(own, read=dict(own.read) | {(OTHER, None): other}, automatic={RUN: Automatic(run=OTHER)})
    # Time for one part in each look.
    ticks = count()
    monkeypatch.setattr(judging, "time", SimpleNamespace(monotonic=lambda: next(ticks) * 0.4 * judging.AT_ONCE_S))
    read, looks = reader.read, 0
    while (known := judges.look(again, known))[RUN, None].left:
        assert replace(known[RUN, None], left=0, is_whole=True) == before
        assert not known[RUN, None].is_whole
        looks += 1
    assert (looks > 1, reader.read - read) == (True, SPILLS + len(earlier().ledger))
    assert known[RUN, None] == judged(book(), earlier())
