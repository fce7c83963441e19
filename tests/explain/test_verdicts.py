"""Detector or calibration: bad plots made again with the conditions of the run that they are compared with."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from schemas.records import RawSpill
from streams.books.limits import TypeLimits
from streams.books.run import RunBook
from streams.books.shapes import against_run, bad, plot_verdicts
from streams.books.totals import Totals
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.experiments.mice.simulator import SimulatedRun
from streams.explain.verdicts import Answer, Explained, at_once, explain, of_peak, sides
from streams.process import process
from tests.tables import copy_tables, recalibrate

RUN, OTHER = 78, 77
DEAD = "dead_pmt:tof1/0/3/1@0-59"


@cache
def spills(run: int, *faults: str, seed: int = 1) -> tuple[RawSpill, ...]:
    simulated = SimulatedRun(run=900_078, spills=60, seed=seed, mean_triggers=20, detectors=("tof",))
    records = simulated.with_faults(faults).records()
    return tuple(replace(record, run=run) for record in records if isinstance(record, RawSpill))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ConditionsStore:
    """Return one in which the photomultipliers of TOF0 come a nanosecond later in the run than in the other."""
    tables = tmp_path_factory.mktemp("tables")
    ours, theirs = copy_tables(tables / "ours", RUN, RUN), copy_tables(tables / "theirs", OTHER, OTHER)
    recalibrate(ours)
    return ConditionsStore([(each, each.parent) for each in (ours, theirs)])


@cache
def book(records: tuple[RawSpill, ...], store: ConditionsStore) -> RunBook:
    run = records[0].run
    return process(records, store.for_run)[run].run_book()


@pytest.fixture(scope="module")
def other(store: ConditionsStore) -> RunBook:
    return book(spills(OTHER, seed=2), store)


def explained(
    records: tuple[RawSpill, ...], other: RunBook, store: ConditionsStore, last: int = 60
) -> dict[str, Explained]:
    ours, against = book(records, store), against_run(OTHER, other)
    are_bad = [each.plot for each in bad(plot_verdicts(ours, against, TypeLimits()))]
    its = sides(store, RUN, ours.totals, OTHER, other.totals)
    return explain(records[len(records) - last :], are_bad, its, against, TypeLimits())


def test_6_what_other_tables_did_conditions_explain_and_the_kind_is_named(
    store: ConditionsStore, other: RunBook
) -> None:
    found = explained(spills(RUN), other, store)
    assert "ht01" in found
    assert {each.answer for each in found.values()} == {Answer.CONDITIONS}
    words = found["ht01"].words
    assert words.startswith("Conditions explain it: in the last 60 spills ")
    assert words.endswith("% off, 0 % with those of run 77; tof_t0 differs.")


def test_6_a_dead_photomultiplier_is_not_the_conditions_though_they_differ(
    store: ConditionsStore, other: RunBook
) -> None:
    found = explained(spills(RUN, DEAD), other, store)
    assert found["hslabhits10"].answer is Answer.NOT
    assert "42 % off, 42 % with those of run 77; tof_t0 differs" in found["hslabhits10"].why
    assert found["ht01"].answer is Answer.CONDITIONS


def test_6_what_conditions_and_a_fault_do_together_is_told_as_both(store: ConditionsStore, other: RunBook) -> None:
    found = explained(spills(RUN, "shifted_timing:tof0=0.1@0-59"), other, store)
    assert found["ht01"].answer is Answer.PARTLY, found["ht01"]


def test_6_a_plot_that_falls_below_a_limit_and_is_hardly_better_is_not_explained(
    store: ConditionsStore, other: RunBook
) -> None:
    records, limits = spills(RUN, "shifted_timing:tof0=0.3@0-59"), TypeLimits(matters=0.8)
    its = sides(store, RUN, book(records, store).totals, OTHER, other.totals)
    found = explain(records, ["ht01"], its, against_run(OTHER, other), limits)["ht01"]
    assert found.answer is Answer.UNKNOWN
    assert "with those of run 77, which is hardly less" in found.why


def test_6_too_few_spills_tell_nothing(store: ConditionsStore, other: RunBook) -> None:
    found = explained(spills(RUN), other, store, last=20)["ht01"]
    assert found.answer is Answer.UNKNOWN
    assert "not enough data in the last 20 spills (20/21 spills)" in found.why
    found = explained(spills(RUN), other, store, last=0)["ht01"]
    assert found.why == "Kafka has none of its last spills any more"


def test_6_a_plot_that_is_good_in_the_last_spills_is_not_explained_by_them(
    store: ConditionsStore, other: RunBook
) -> None:
    its = sides(store, RUN, book(spills(RUN), store).totals, OTHER, other.totals)
    found = explain(spills(RUN), ["hslabhits10"], its, against_run(OTHER, other), TypeLimits())["hslabhits10"]
    assert found.answer is Answer.UNKNOWN
    assert "it is as in run 77, or they are too few to tell" in found.why


def test_6_equal_conditions_are_told_at_once_and_other_code_with_it() -> None:
    ours, theirs = Totals(conditions={"a"}, code={"2"}), Totals(conditions={"a"}, code={"2"})
    assert at_once(ours, theirs, 77) == Explained(answer=Answer.NOT, why="the same as in run 77")
    found = at_once(ours, replace(theirs, code={"1"}), 77)
    assert found is not None
    assert found.words == "Not the conditions: the same as in run 77; but it was made by version 2, run 77 by 1."
    for others in ({"b"}, {"a", "b"}, set[str]()):
        assert at_once(ours, replace(theirs, conditions=others), 77) is None
    both = Totals(conditions={"a", "b"})
    assert at_once(both, both, 77) is None, "which spill has which?"
    none = Totals(conditions={""})
    assert at_once(none, none, 77) is None


def test_6_a_peak_that_has_moved_within_a_run_of_one_set_of_tables_is_not_the_conditions() -> None:
    assert of_peak(Totals(conditions={"a"})).answer is Answer.NOT
    assert of_peak(Totals(conditions={"a", "b"})).answer is Answer.UNKNOWN


def test_6_conditions_that_there_are_not_or_no_longer_are_said(store: ConditionsStore, other: RunBook) -> None:
    ours = book(spills(RUN), store).totals
    with pytest.raises(UsageError, match="run 79 has no conditions"):
        sides(store, RUN, ours, 79, other.totals)
    with pytest.raises(UsageError, match="run 77 was not all made with the tables that it has now"):
        sides(store, RUN, ours, OTHER, replace(other.totals, conditions={"before"}))


def test_6_a_table_that_cannot_be_read_is_said(tmp_path: Path, other: RunBook) -> None:
    index = copy_tables(tmp_path / "tables", OTHER, RUN)
    (index.parent / "tof_t0.txt").unlink()
    broken = ConditionsStore([(index, index.parent)])
    with pytest.raises(UsageError, match=r"the conditions of run 78 cannot be read: .*tof_t0\.txt"):
        sides(broken, RUN, other.totals, OTHER, other.totals)
