"""The run that is compared with if nobody chooses."""

from collections import Counter
from dataclasses import replace
from typing import Any, cast

import pytest

from dashboards.data.automatic import ENOUGH_SPILLS, ENOUGH_TRIGGERS, Automatic, Chooser
from dashboards.data.books import automatic_of
from schemas.records import ControlKind
from streams.books.decisions import Decisions, Pin
from streams.books.flags import Verdict
from streams.books.layout import Place
from streams.books.proposals import Proposal, Proposed
from streams.books.reader import BookReader
from streams.books.totals import Control, Totals
from streams.errors import UsageError

END = {ControlKind.END.value: Control(time_us=1, events=0, run_type="")}


def totals(**changes: Any) -> Totals:
    spills = changes.get("filled", 200)
    return Totals(
        **{"received": 200, "filled": spills, "triggers": 5000, "last_spill": spills - 1, "control": END} | changes
    )


def chooser(runs: dict[int, Totals], read: list[int] | None = None) -> tuple[Chooser, dict[int, Place]]:
    def of(run: int) -> Totals | None:
        if read is not None:
            read.append(run)
        return runs[run] if runs[run].received else None

    return Chooser(of), {run: Place.of(its, 0, "") for run, its in runs.items()}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"control": {}}, "has not ended"),
        ({"filled": ENOUGH_SPILLS - 1}, "99 spills"),
        ({"triggers": ENOUGH_TRIGGERS - 1}, "999 triggers"),
        ({"filled": 120, "rejected": Counter(unpack=80)}, "of 200 spills 80 rejected"),
        ({"last_spill": 299}, "of 300 spills 100 missing"),
        ({"errors": Counter(tof=11, ckov=2)}, "of 200 spills 11 with errors of tof"),
        ({"absent": Counter(emr=11, kl=200)}, "of 200 spills 11 without emr"),
        ({"received": 0}, "cannot be read"),
    ],
)
def test_13_a_run_that_is_not_good_is_passed_over_and_why_is_told(changes: dict[str, Any], why: str) -> None:
    choose, places = chooser({1: totals(), 2: totals(**changes)})
    found = choose.choose([2, 1], places)
    assert found.run == 1
    assert found.passed_over == {2: why}
    assert choose.choose([2], places).run is None


def test_13_the_good_runs_before_the_newest_say_how_runs_scatter_five_in_all() -> None:
    runs = {run: totals(errors=Counter(tof=100)) if run in {3, 6} else totals() for run in range(1, 10)}
    choose, places = chooser(runs)
    found = choose.choose([*range(9, 0, -1)], places)
    assert (found.run, found.earlier) == (9, (8, 7, 5, 4))
    assert found.passed_over == {}, "what is passed over later is none that would be the reference"
    assert choose.choose([3, 2, 1], places).earlier == (1,)


def test_13_a_run_that_the_checks_or_somebody_called_bad_before_this_one_began_is_no_reference() -> None:
    its = {1: totals(), 2: totals(), 3: totals()}
    said = Proposal(
        session="live", produced_ms=0, reference=None, flags=(Proposed(Verdict.BAD, "dead"),), at_us=5_000_000
    )
    decisions = Decisions(proposed={2: said})
    choose = Chooser(its.get, lambda: decisions)
    places = {run: Place.of(one, 0, "") for run, one in its.items()}
    assert choose.choose([2, 1], places).passed_over == {2: "the checks: dead"}
    assert choose.choose([2, 1], places, began_ms=5_000).run == 1
    assert choose.choose([2, 1], places, began_ms=4_999).run == 2, "it was not known then"


def test_13_a_few_rejected_missing_or_wrong_spills_leave_a_run_good() -> None:
    few = totals(filled=190, last_spill=199, rejected=Counter(unpack=5), refused=[*range(5)], errors=Counter(tof=10))
    choose, places = chooser({1: totals(), 2: few})
    assert choose.choose([2, 1], places).run == 2


def test_13_runs_are_read_again_only_when_they_have_changed() -> None:
    read: list[int] = []
    runs = {1: totals(), 2: totals(errors=Counter(tof=100)), 3: totals(control={})}
    choose, places = chooser(runs, read)
    for _ in range(2):
        assert choose.choose([3, 2, 1], places).run == 1
    assert read == [2, 1]
    runs[2] = totals(triggers=6000)
    assert choose.choose([3, 2, 1], places | {2: Place.of(runs[2], 0, "")}).run == 2


def test_13_a_run_that_somebody_pinned_comes_before_the_newest_good_one_for_those_that_came_later() -> None:
    pinned = Decisions(pins={"physics": (Pin(at_us=5_000_000, run=1),)})
    for produced_ms, of_type, run, earlier, is_pinned in (
        (6_000, "physics", 1, (), True),
        (4_000, "physics", 2, (1,), False),
        (6_000, "cosmics", None, (), False),
    ):
        its = {1: totals(), 2: totals(), 3: totals(produced_ms=produced_ms)}
        places = {each: Place.of(one, 0, "") for each, one in its.items()}
        places = {each: replace(place, run_type="physics" if each < 3 else of_type) for each, place in places.items()}
        reader = cast("BookReader", FewRuns(its, places))
        assert automatic_of(reader, 3, pinned) == Automatic(run=run, earlier=earlier, is_pinned=is_pinned), (
            produced_ms,
            of_type,
        )
    assert automatic_of(reader, 1, pinned).run is None, "not with itself"


def test_where_a_run_that_was_pinned_is_gone_no_other_takes_its_place() -> None:
    its = {2: totals(), 3: totals(produced_ms=6_000)}
    places = {each: replace(Place.of(one, 0, ""), run_type="physics") for each, one in its.items()}
    pinned = Decisions(pins={"physics": (Pin(at_us=5_000_000, run=1),)})
    with pytest.raises(UsageError, match="run 1, which is pinned for the runs of this type, is not stored any more"):
        automatic_of(cast("BookReader", FewRuns(its, places)), 3, pinned)


class FewRuns:
    """Stands for what reads them from Redis."""

    def __init__(self, its: dict[int, Totals], places: dict[int, Place]) -> None:
        self._its, self._places = its, places
        self.came_ms: dict[int, int] = {run: run for run in its}

    def progress(self) -> dict[int, Any]:
        return {}

    def places(self) -> dict[int, Place]:
        return self._places

    def runs(self, wanted: list[int]) -> dict[int, Totals]:
        return {run: self._its[run] for run in wanted}


def test_13_a_run_that_ended_when_this_one_had_begun_is_passed_over_whenever_somebody_looks() -> None:
    choose, places = chooser({1: totals(ended_ms=10), 2: totals(ended_ms=30)})
    found = choose.choose([2, 1], places, began_ms=20)
    assert found == Automatic(run=1, passed_over={2: "ended when this one had begun"})
    assert choose.choose([2, 1], places, began_ms=30).run == 2
    assert choose.choose([2, 1], places).run == 2
