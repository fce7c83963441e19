"""How faults are asked for, and what is said when it is done wrongly."""

import pytest

from streams.errors import UsageError
from streams.experiments.mice.simulator import SimulatedRun

RUN = SimulatedRun(spills=9, mean_triggers=4)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("dead_pmts:tof0", "no fault 'dead_pmts'; NAME[:PLACE][=VALUE][@FIRST[-LAST]] with the names change_of_run, "),
        ("", "it is none"),
        ("dead_pmt:tof0@a", "it is none"),
        ("dead_pmt", "it needs a place: dead_pmt:DETECTOR[/NUMBER...][@FIRST[-LAST]]"),
        ("dead_pmt:", "it needs a place"),
        ("dead_pmt:tof3", "there is no detector 'tof3': there are tof0/plane/slab/pmt, "),
        ("dead_pmt:tof1/0/7", "tof1/0 has no slab '7': there are 0, 1, 2, 3, 4, 5, 6"),
        ("dead_pmt:tof1/-1", "tof1 has no plane '-1': there are 0, 1"),
        ("dead_pmt:tof1/0/6/1/0", "too many numbers: tof1/plane/slab/pmt"),
        ("dead_pmt:tof1=3", "it takes no value"),
        ("swapped_cables:tof1/0/6/1", "it needs two places"),
        ("swapped_cables:tof1/0/6,tof1/0/5", "two single parts"),
        ("swapped_cables:tof1/0/6/1,tof1/0/6/1", "two single parts"),
        ("swapped_cables:tof1/0/6/1,ckov/0/1", "other kinds of boards"),
        ("shifted_timing:tof1", "its value must be a number, the delay; tof0 in ns, "),
        (
            "shifted_timing:kl/3=2",
            "no plot has times of this detector; there are tof0, tof1, tof2, ckov, emr, tracker0, ",
        ),
        ("dead_pmt:emr/5/60", "emr/5 has no bar '60': there are 0, 1, 2, "),
        ("shifted_timing:tof1=nan", "its value must be a number"),
        ("wrong_clock=1e10", "its value must be a number, the seconds"),
        ("missing_ldc:9", "there is no LDC 9: there are 0, 1, 2, 3, 4"),
        ("trigger_mismatch:V1290/0/1", "there is no board V1290/0/1: there are V1290/1/1, "),
        ("trigger_mismatch:VLSB/3/0", "there is no board VLSB/3/0"),
        ("corrupted_word:VLSB/3/0", "there is no board VLSB/3/0"),
        ("dead_pmt:tracker1/0", "tracker1 has no station '0': there are 1, 2, 3, 4, 5"),
        ("trigger_mismatch:V830/0/0", "there is no board V830/0/0"),
        ("counter_wrap:tof0", "it takes no place"),
        ("counter_wrap@9", "spills 9 to 9 are no range of the run's, 0 to 8"),
        ("counter_wrap@5-4", "spills 5 to 4 are no range"),
        ("lost_spills", "it needs spills: lost_spills@FIRST[-LAST]"),
        ("lost_spills@0-3", "spill 0 is the first of its run"),
        ("reordered_spills@3", "it needs spills: reordered_spills@FIRST-LAST"),
        ("change_of_run", "it needs spills: change_of_run@FIRST"),
        ("change_of_run@2-3", "it takes one spill"),
        ("change_of_run@0", "the run begins with spill 0"),
        ("run_without_end@3", "takes no range"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_what_can(asked: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        RUN.with_faults(["counter_wrap", asked])
    assert said in str(error.value)
    assert str(error.value).startswith(f"fault {asked!r}: ")


def test_faults_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UsageError, match="spill 4 is the first of its run"):
        RUN.with_faults(["lost_spills@3-5", "change_of_run@4"])
    with pytest.raises(UsageError, match="the run changes twice at spill 4"):
        RUN.with_faults(["change_of_run@4", "change_of_run@4"])
    with pytest.raises(UsageError, match="the last simulated run is 999999"):
        SimulatedRun(run=999_999, spills=9).with_faults(["change_of_run@4"])


def test_faults_act_in_the_order_of_their_table_however_they_are_asked_for() -> None:
    asked = ["truncated_spill@2", "dead_pmt:tof0/0/1/0", "lost_spills@4", "corrupted_word:v1724/1/0@2"]
    one, other = (list(RUN.with_faults(texts).records()) for texts in (asked, asked[::-1]))
    assert one == other


@pytest.mark.parametrize(
    "swap", ["tof0/0/4/0,tof2/0/5/0", "ckov/0/1,ckov/1/3", "emr/3/7,emr/40/20", "emr/3/0,emr/40/0"]
)
def test_boards_that_are_taken_apart_twice_to_no_effect_have_the_bytes_that_they_had(swap: str) -> None:
    swapped_back = RUN.with_faults([f"swapped_cables:{swap}", f"swapped_cables:{swap}@0-8"])
    for number in range(3):
        assert swapped_back.spill(number).raw == RUN.spill(number).raw
