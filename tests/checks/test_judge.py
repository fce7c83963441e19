"""A run is judged by its counts alone: what is wrong with it is named, and everybody who asks gets the same."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from streams.checks.channels import Channels
from streams.checks.judge import Judge
from tests.checks.faults import BORNE, CASES, GROUPS, Case, Counts, counted, judged, judged_case

AT = 40
LAST = 59


@cache
def spills(*faults: str) -> list[Counts]:
    """Return number, triggers and counts of the spills of a simulated run."""
    return counted(faults, spills=LAST + 1)


def test_a_run_in_order_has_nothing() -> None:
    assert judged(spills()) == []


def test_where_no_channel_is_watched_nothing_is_wrong() -> None:
    judge = Judge([], BORNE)
    for number in range(3):
        judge.add(number, 10, {})
    assert judge.verdicts == []


@pytest.mark.parametrize(
    ("fault", "group", "channel", "change"),
    [
        (f"dead_pmt:tof1/0/3/1@{AT}-{LAST}", "TOF1", "horizontal slab 3, PMT 1", "silent"),
        (f"dead_pmt:kl/10/0@{AT}-{LAST}", "KL", "cell 10, PMT 0", "silent"),
        (f"dead_pmt:ckov/1/2@{AT}-{LAST}", "CkovB", "PMT 6", "silent"),
        (f"dead_pmt:ckov/1@{AT}-{LAST}", "CkovB", "", "silent"),
        (f"hot_channel:tof1/0/3/0@{AT}-{LAST}", "TOF1", "horizontal slab 3, PMT 0", "hot"),
        (f"dead_pmt:emr/20/30@{AT}-{LAST}", "EMR", "plane 20, bar 30", "silent"),
    ],
)
def test_what_is_broken_in_the_simulator_is_named_and_nothing_else(
    fault: str, group: str, channel: str, change: str
) -> None:
    (found,) = judged(spills(fault))
    assert (found.group, found.channel, found.finding.change.name) == (group, channel, change)
    assert abs(found.finding.begin.first - AT) <= 2
    assert found.ended is None


@pytest.mark.parametrize(
    "case",
    [
        replace(case, spills=min(case.spills, LAST + 1 - AT))
        for case in CASES
        if case.fault
        in ("noisy_plane:tof1/0@", "hot_channel:tof1@", "many_triggers@", "empty_spill@", "corrupted_word:V1290/1/1@")
    ],
    ids=lambda case: case.fault,
)
def test_of_no_fault_too_much_or_too_little_is_told(case: Case) -> None:
    """`python -m tests.bench.judgement --faults` has all of them."""
    problem, _ = judged_case(case, AT)
    assert problem == ""


def test_of_swapped_cables_both_ends_are_named() -> None:
    found = judged(spills(f"swapped_cables:tof1/0/2/0,tof1/0/5/0@{AT}-{LAST}"))
    assert {each.channel for each in found} == {"horizontal slab 2, PMT 0", "horizontal slab 5, PMT 0"}


def test_a_detector_that_was_not_read_in_some_spills_is_judged_by_the_others() -> None:
    others = [(n, t, {} if n % 3 == 0 else c) for n, t, c in spills(f"dead_pmt:tof1/0/3/1@{AT}-{LAST}")]
    (found,) = judged(others)
    assert found.channel == "horizontal slab 3, PMT 1"


def test_spills_are_judged_in_the_order_of_their_numbers() -> None:
    judge = Judge(GROUPS, BORNE)
    judge.add(5, 60, {})
    with pytest.raises(ValueError, match="spill 5 does not come after spill 5"):
        judge.add(5, 60, {})


def test_in_another_order_the_first_spill_would_be_another() -> None:
    its = spills(f"dead_pmt:tof1/0/3/1@{AT}-{LAST}")
    mixed = np.random.default_rng(1).permutation(len(its))
    counts = [(n, *its[int(at)][1:]) for n, at in enumerate(mixed)]
    assert [each.finding.begin.first for each in judged(counts)] != [AT]


def test_the_same_spills_give_the_same_verdicts_to_the_last_bit() -> None:
    its = spills(f"hot_channel:tof1/0/3/0@{AT}-{LAST}")
    assert judged(its) == judged(its)


def test_channels_and_groups_have_a_quarter_of_the_budget_each() -> None:
    few = Channels(name="A", names=["0", "1"], of=lambda hits: hits)
    of_channels, of_groups = Judge([few], false_alarm=100).limits
    assert of_channels == pytest.approx(np.log(2 * 5 * 400))
    assert of_groups == pytest.approx(np.log(5 * 400))
