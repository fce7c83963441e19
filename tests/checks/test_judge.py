"""A run is judged by its counts alone: what is wrong with it is named, and everybody who asks gets the same."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from schemas.columns import I8
from streams.checks.channels import Channels, pack, unpack
from streams.checks.judge import Judge, Verdict
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.reconstruct import reconstruct

GROUPS = tuple(group for its in experiment().channels.values() for group in its)
AT = 40
LAST = 69


@cache
def spills(*faults: str) -> list[tuple[int, int, dict[str, I8]]]:
    """Return number, triggers and counts of the spills of a simulated run."""
    run = SimulatedRun(spills=LAST + 1, mean_triggers=60).with_faults(faults)
    found = []
    for number in range(run.spills):
        spill = reconstruct(run.spill(number).raw, run.conditions, "")
        counts = {
            group.digest: group.counts(spill.detectors[name])
            for name, its in experiment().channels.items()
            for group in its
            if name in spill.detectors
        }
        found.append((number, spill.triggers, unpack(pack(counts), GROUPS)))
    return found


def verdicts(judged: Sequence[tuple[int, int, dict[str, I8]]]) -> list[Verdict]:
    """Return what is wrong with a run."""
    judge = Judge(GROUPS)
    for number, triggers, counts in judged:
        judge.add(number, triggers, counts)
    return judge.verdicts


def test_a_run_in_order_has_nothing() -> None:
    assert verdicts(spills()) == []


def test_where_no_channel_is_watched_nothing_is_wrong() -> None:
    judge = Judge([])
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
    (found,) = verdicts(spills(fault))
    assert (found.group, found.channel, found.finding.change.name) == (group, channel, change)
    assert abs(found.finding.begin.first - AT) <= 2
    assert found.ended is None


def test_of_swapped_cables_both_ends_are_named() -> None:
    found = verdicts(spills(f"swapped_cables:tof1/0/2/0,tof1/0/5/0@{AT}-{LAST}"))
    assert {each.channel for each in found} == {"horizontal slab 2, PMT 0", "horizontal slab 5, PMT 0"}


def test_a_detector_that_was_not_read_in_some_spills_is_judged_by_the_others() -> None:
    judged = [(n, t, {} if n % 3 == 0 else c) for n, t, c in spills(f"dead_pmt:tof1/0/3/1@{AT}-{LAST}")]
    (found,) = verdicts(judged)
    assert found.channel == "horizontal slab 3, PMT 1"


def test_spills_are_judged_in_the_order_of_their_numbers() -> None:
    judge = Judge(GROUPS)
    judge.add(5, 60, {})
    with pytest.raises(ValueError, match="spill 5 does not come after spill 5"):
        judge.add(5, 60, {})


def test_in_another_order_the_first_spill_would_be_another() -> None:
    judged = spills(f"dead_pmt:tof1/0/3/1@{AT}-{LAST}")
    mixed = np.random.default_rng(1).permutation(len(judged))
    counts = [(n, *judged[int(at)][1:]) for n, at in enumerate(mixed)]
    assert [each.finding.begin.first for each in verdicts(counts)] != [AT]


def test_the_same_spills_give_the_same_verdicts_to_the_last_bit() -> None:
    judged = spills(f"hot_channel:tof1/0/3/0@{AT}-{LAST}")
    assert verdicts(judged) == verdicts(judged)


def test_groups_have_half_of_the_budget() -> None:
    few = Channels(name="A", names=["0", "1"], of=lambda hits: hits)
    of_channels, of_groups = Judge([few], false_alarm=100).limits
    assert of_channels == pytest.approx(np.log(2 * 5 * 200))
    assert of_groups == pytest.approx(np.log(5 * 200))
