"""What makes two accounts of a run another, and what does not."""

from dataclasses import replace

from streams.books.compare import differences
from streams.books.run import RunBook
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process

RUN = SimulatedRun(spills=2, mean_triggers=2, detectors=("tof",))


def account() -> RunBook:
    return process(RUN.records(), ConditionsStore([]).for_run)[RUN.run].run_book()


def test_a_book_that_another_version_filled_with_the_same_is_the_same() -> None:
    here, there = account(), account()
    there.totals.code = {"another version"}
    assert differences(here, there) == []


def test_other_conditions_are_told_though_they_made_the_same() -> None:
    here, there = account(), account()
    there.totals.conditions = {"another hash"}
    assert [each.partition(":")[0] for each in differences(here, there)] == ["conditions"]
    assert differences(here, replace(here)) == []
