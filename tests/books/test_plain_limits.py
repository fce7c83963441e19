"""Plain limits on a run's counters: what is told, of which detector, and what is too few to be told."""

from collections import Counter
from typing import Any

import pytest

from streams.books.limits import PlotLimits, TypeLimits, changed_limits, in_force
from streams.books.plain_limits import too_many
from streams.books.totals import Totals


def totals(**changes: Any) -> Totals:
    values: dict[str, Any] = {"received": 400, "filled": 400, "last_spill": 399}
    return Totals(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "detector", "words"),
    [
        (
            {"filled": 370, "rejected": Counter(unpack=30), "refused": [*range(30)]},
            "",
            "30 of 400 spills (7.5 %) rejected",
        ),
        ({"filled": 360}, "", "40 of 400 spills (10 %) missing"),
        ({"errors": Counter(tof=30)}, "tof", "30 of 400 spills (7.5 %) with errors of tof"),
        (
            {"errors": Counter({"tof calibration": 400})},
            "tof",
            "400 of 400 spills (100 %) with errors of tof calibration",
        ),
        ({"errors": Counter({"plot ht01": 40})}, "tof", "40 of 400 spills (10 %) with errors of plot ht01"),
        ({"absent": Counter(emr=21)}, "emr", "21 of 400 spills (5.25 %) without emr"),
    ],
)
def test_what_too_many_spills_have_is_told_of_its_detector(changes: dict[str, Any], detector: str, words: str) -> None:
    (found,) = too_many(totals(**changes))
    assert (found.detector, found.words) == (detector, words)


def test_the_first_error_says_where_and_why() -> None:
    (found,) = too_many(totals(errors=Counter(tof=40), first_errors={"tof": (12, "board 3 is cut")}))
    assert found.words.endswith("with errors of tof: first in spill 12, board 3 is cut")


def test_few_are_not_told() -> None:
    assert too_many(totals(errors=Counter(tof=20), absent=Counter(emr=20))) == []
    assert too_many(Totals(received=4, filled=4, last_spill=3, errors=Counter(tof=2))) == [], "two of four are no share"
    assert too_many(Totals()) == []


def test_a_detector_that_is_not_in_the_run_is_no_fault() -> None:
    assert too_many(totals(absent=Counter(kl=400))) == []


def test_spills_on_their_way_are_not_missing() -> None:
    assert too_many(totals(filled=360), missing=0) == []


def test_the_most_come_first_within_limits_of_ones_own() -> None:
    its = totals(errors=Counter(tof=12, kl=50))
    assert [each.detector for each in too_many(its, 2.0)] == ["kl", "tof"]
    assert [each.detector for each in too_many(its)] == ["kl"]


def test_limits_that_are_others_than_before_are_named_with_both_values() -> None:
    before = in_force(TypeLimits(plots={"ht01": PlotLimits(matters=0.2)}), 11_250)
    now = in_force(TypeLimits(matters=0.1, only_warns=True, plots={"hslabhits10": PlotLimits(judged=False)}), 5000)
    assert changed_limits(now, before) == [
        "checks.spills_a_false_alarm 5000, before 11250",
        "hslabhits10.judged no, before as its type",
        "ht01.matters as its type, before 0.2",
        "matters 0.1, before 0.05",
        "only_warns yes, before no",
    ]
    assert changed_limits(now, now) == []
