"""The page of what changed: its words, and which spills it compares."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from dashboards.choices import LAST_MINUTE, LATELY, Beside, Choices
from dashboards.data import Data, Part, Reference, View
from dashboards.data.books import Books
from dashboards.data.hits import Hits
from dashboards.data.one_run import lately
from dashboards.pages.changed import what_changed
from schemas.records import RawSpill
from streams.books.run import RunBook, spill_facts
from streams.books.windows import Window
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from tests.dashboards.conftest import until
from tests.dashboards.views import CONDITIONS, EMPTY, RUN, run_book, text_of, view
from tests.stored import checkpoint

MINUTE, SPILLS = 60, 40


def windows(*lengths: int) -> list[Window]:
    """Return windows of so many minutes, one after the other."""
    starts = [1_700_000_040 + MINUTE * sum(lengths[:at]) for at in range(len(lengths))]
    return [Window(start, MINUTE * length) for start, length in zip(starts, lengths, strict=True)]


@pytest.mark.parametrize(
    ("lengths", "taken"),
    [
        ((), 0),
        ((1,), 1),
        ((1, 1), 1),
        ((1, 1, 1), 1),
        ((4, 1, 5, 1), 1),
        ((4, 4, 1, 1, 1, 1, 1, 1), 6),
        ((64, 16, 16, 4, 4, 1, 1, 1, 1, 1), 7),
        ((16, 1), 1),
    ],
)
def test_of_late_are_the_windows_of_ten_minutes_that_lie_in_the_second_half(lengths: Sequence[int], taken: int) -> None:
    there = windows(*lengths)
    assert lately(there) == there[len(there) - taken :]


def part_of(book: RunBook, since: int) -> Part:
    """Return the newest spills of a run as a part of it, of one window."""
    times = [book.ledger[spill].time_us for spill in sorted(book.ledger)]
    return Part(since_us=times[since], until_us=times[-1] + 1, windows=(Window(times[since] // 1_000_000, 60),))


def seen(choices: Choices = Choices(), **changes: Any) -> str:  # noqa: B008 - frozen
    return text_of(what_changed(view(**{"book": run_book(), "windows": (Window(1, 60),)} | changes), choices))


def test_what_cannot_be_told_is_said_and_is_not_taken_for_good() -> None:
    assert seen(book=EMPTY) == "There is no run yet."
    assert seen(is_loading=True) == f"Run {RUN} is being read."
    assert seen() == f"Run {RUN} is being read."
    assert seen(is_frozen=True) == "This window is not kept."
    assert seen(book=EMPTY, run=RUN, beside=Part()) == f"Run {RUN} has no spills yet."
    assert seen(beside=Part()) == "This window is not kept."
    torn = Part(windows=(Window(1, 60),), is_of_whole=False)
    assert seen(beside=torn).startswith("Spills come faster than the run can be read with a part of it")
    assert seen(beside=Part(unreadable="run 7 cannot be read")) == "run 7 cannot be read. Nobody knows what changed."
    assert "no run to compare with" in seen(Choices(against_reference=True), beside=part_of(run_book(), 4))


def test_a_run_of_one_window_has_nothing_to_compare_with() -> None:
    whole = replace(part_of(run_book(), 0), book=run_book().book)
    said = seen(beside=whole, beside_spills=spill_facts(run_book().ledger))
    assert said.startswith(
        "Not enough data: 0 of 20 spills to compare with. Spills 0–7 (of late, 8 of the run’s 8 spills"
    )


def test_what_came_before_must_be_enough_to_compare_with_however_much_came_of_late() -> None:
    book = run_book(SPILLS)
    for since, is_enough in ((19, False), (20, True)):
        late = spill_facts(book.ledger).rows(slice(since, None))
        said = seen(book=book, beside=part_of(book, since), beside_spills=late)
        assert said.startswith("Not enough data") is not is_enough
        assert f"(of late, {SPILLS - since} of the run’s {SPILLS} spills, " in said


def test_which_spills_are_compared_is_said_and_what_is_too_few() -> None:
    book = run_book(SPILLS)
    spills = spill_facts(book.ledger)
    said = seen(book=book, beside=part_of(book, 30), beside_spills=spills.rows(slice(30, None)))
    assert said.startswith("Nothing moved by more than chance.")
    assert "Spills 30–39 (of late, 10 of the run’s 40 spills, " in said
    assert "against the rest of the run, spills 0–29." in said
    assert "/200" in said
    # A window in the middle has spills before and after it.
    middle = replace(part_of(book, 20), until_us=book.ledger[25].time_us)
    said = seen(Choices(window=1), book=book, beside=middle, beside_spills=spills.rows(slice(20, 25)))
    assert "Spills 20–24 (this window, " in said
    assert "spills 0–19 and 25–39." in said


def test_what_is_not_known_of_the_channels_is_said() -> None:
    book = run_book(SPILLS)
    late = spill_facts(book.ledger).rows(slice(30, None))
    beside = {"book": book, "beside": part_of(book, 30), "beside_spills": late}
    assert "Hits by channel of 1,200 spills are still to be read." in seen(hits=Hits(left=1200), **beside)
    assert "Hits by channel cannot be read: run 7 is none." in seen(hits=Hits(problem="run 7 is none"), **beside)


def test_the_whole_run_is_compared_with_a_reference_when_somebody_asks() -> None:
    other = run_book(run=RUN - 1)
    reference = Reference.of_run(RUN - 1, None, other, spill_facts(other.ledger), chosen=True)
    asked = Choices(against_reference=True)
    said = seen(asked, beside=part_of(run_book(), 4), reference=reference)
    assert f"Run {RUN}, spills 0–7, against run {RUN - 1}." in said


@pytest.mark.servers
def test_hits_are_read_once_and_stay_when_windows_are_joined(quick: Settings, data: Data) -> None:
    records = [r for r in SimulatedRun(run=RUN, spills=60, mean_triggers=20).records() if isinstance(r, RawSpill)]
    book = process(records, CONDITIONS)[RUN].run_book()
    newest = book.totals.last_us // 60_000_000 * MINUTE
    kept = [Window(newest - MINUTE * before, MINUTE) for before in (3, 2, 1, 0)]
    checkpoint(quick, {RUN: book}, windows=dict.fromkeys(kept, (1, {})), next=8)

    def lately_of(found: Data) -> View:
        return found.view(Choices(), beside=Beside.LATELY)

    until(data, lambda _: (hits := lately_of(data).hits) is not None and not hits.left)
    first = lately_of(data)
    assert first.hits is not None
    assert first.hits.spills == len(book.ledger)
    assert first.beside is not None
    both = first.hits.within(first.beside.windows), first.hits.without(first.beside.windows)
    assert all(side["TOF1"].sum() > 0 for side in both)
    joined = {Window(newest - 3 * MINUTE, 3 * MINUTE): (3, {}), kept[-1]: (1, {})}
    changed = replace(book, totals=replace(book.totals, duplicates=1, received=book.totals.received + 1))
    checkpoint(quick, {RUN: changed}, windows=joined, next=9)
    until(data, lambda _: len(lately_of(data).windows) == 2)
    second = lately_of(data).hits
    assert second is not None
    assert set(second.by_window) == set(joined)
    assert second.without([])["TOF1"].tolist() == first.hits.without([])["TOF1"].tolist()
    # A page of plots needs none of it.
    assert "beside -2" not in data.view().version


def test_the_last_minute_is_beside_the_whole_of_the_current_run_alone() -> None:
    books = Books(current=RUN)
    for choices, part in ((Choices(), LAST_MINUTE), (Choices(run=RUN), LAST_MINUTE), (Choices(run=RUN - 1), None)):
        assert books.part_beside(choices, Beside.LAST_MINUTE) == part
        assert books.part_beside(choices, Beside.LATELY) == LATELY
    assert books.part_beside(Choices(window=7), Beside.LAST_MINUTE) is None
    assert books.part_beside(Choices(window=7), Beside.LATELY) == 7
    assert books.part_beside(Choices(run=RUN, session="replay-x"), Beside.LAST_MINUTE) is None
