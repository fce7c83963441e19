"""Faults of the simulator, what is to be told of each by the counts of the channels, and what is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from schemas.columns import I8
from schemas.records import RawSpill
from streams.books.judgement import Judgement, cause_words, words
from streams.checks.causes import Cause
from streams.checks.channels import pack, unpack
from streams.checks.judge import Judge, Verdict
from streams.checks.peaks import Peak, PeakJudge
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.reconstruct import reconstruct
from streams.settings import ChecksSettings

WATCHED, GROUPS = experiment().all_watched, experiment().groups
PEAKS = tuple(each for each in WATCHED if isinstance(each, Peak))
TRIGGERS = 60
BORNE = ChecksSettings().spills_a_false_alarm
"""Spills in which one false alarm is borne."""
FIRST_OFF = 2
"""Spills by which the first one may be off, beside what is said of it."""
Counts = tuple[int, int, dict[str, I8]]
"""Number, triggers and counts of a spill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fault from spill `at` on, and what is to be told of it."""

    fault: str
    """As it is asked for, with ``@`` for its spills."""
    culprits: tuple[str, ...] = ()
    """How each cause begins that may be told: one a fault."""
    is_told: bool = True
    """Whether something must be told: a channel with few hits needs more spills than there are."""
    spills: int = 80
    """That have it."""

    def asked(self, at: int) -> list[str]:
        """Return the faults as a command line has them."""
        return [each.replace("@", f"@{at}-{at + self.spills - 1}") for each in self.fault.split("+")]


_PLANE = "Tracker upstream station 3 plane w"
CASES = (
    Case(fault="", is_told=False),
    Case(fault="dead_pmt:tof0/0/5/0@", culprits=("TOF0 horizontal slab 5, PMT 0",)),
    Case(fault="dead_pmt:tof1/0/3/1@", culprits=("TOF1 horizontal slab 3, PMT 1",)),
    Case(fault="dead_pmt:tof1/1/0/0@", culprits=("TOF1 vertical slab 0, PMT 0",), is_told=False),
    Case(fault="dead_pmt:tof1/1/3@", culprits=("TOF1 vertical slab 3: 2 of 2 channels silent",)),
    Case(fault="dead_pmt:tof1/0@", culprits=("TOF1 horizontal: ",)),
    Case(fault="dead_pmt:tof2/1@", culprits=("TOF2 vertical: ",)),
    Case(fault="dead_pmt:tof1@", culprits=("TOF1 silent",)),
    Case(fault="dead_pmt:ckov/0/1@", culprits=("CkovA PMT 1",)),
    Case(fault="dead_pmt:ckov@", culprits=("Ckov: 2 of 2 counters silent",)),
    Case(fault="dead_pmt:kl/10/0@", culprits=("KL cell 10, PMT 0",)),
    Case(fault="dead_pmt:kl/0/0@", culprits=("KL cell 0, PMT 0",), is_told=False),
    Case(fault="dead_pmt:kl@", culprits=("KL silent",)),
    Case(fault="dead_pmt:emr/2/30@", culprits=("EMR plane 2, bar 30",)),
    Case(fault="dead_pmt:emr/20/2@", culprits=("EMR plane 20, bar 2",), is_told=False),
    Case(fault="dead_pmt:emr/20@", culprits=("EMR plane 20: ",)),
    Case(fault="dead_pmt:emr@", culprits=("EMR silent",), spills=8),
    Case(fault="dead_pmt:tracker0/1/0/100@", culprits=("Tracker upstream station 1 plane v, channel 100",)),
    Case(fault="dead_pmt:tracker0/3/1/20@", culprits=(f"{_PLANE}, channel 20",), is_told=False),
    Case(fault="dead_pmt:tracker0/3/1@", culprits=(f"{_PLANE}: ",)),
    Case(fault="dead_pmt:tracker1/5@", culprits=("Tracker downstream station 5 silent",)),
    Case(fault="dead_pmt:tracker1@", culprits=("Tracker downstream: 5 of 5 stations silent",), spills=8),
    Case(fault="hot_channel:tof1/0/3/0@", culprits=("TOF1 horizontal slab 3, PMT 0",)),
    Case(fault="hot_channel:tof2/0/9/1@", culprits=("TOF2 horizontal slab 9, PMT 1",)),
    Case(fault="hot_channel:tof1@", culprits=("TOF1 high",)),
    Case(fault="hot_channel:ckov/1@", culprits=("CkovB high",)),
    Case(fault="hot_channel:kl/0/0@", culprits=("KL cell 0, PMT 0",)),
    Case(fault="hot_channel:emr/45/2@", culprits=("EMR plane 45, bar 2",)),
    Case(fault="hot_channel:emr/20@", culprits=("EMR plane 20: ",), spills=20),
    Case(fault="hot_channel:tracker0/3/1/2@", culprits=(f"{_PLANE}, channel 2",)),
    Case(fault="hot_channel:tracker0/3/1@", culprits=(f"{_PLANE}: ",)),
    Case(fault="noisy_plane:tof1/0@", culprits=("TOF1 horizontal: ",)),
    Case(fault="noisy_plane:kl@", culprits=("KL high",)),
    Case(fault="noisy_plane:emr/45@", culprits=("EMR plane 45: ",)),
    Case(fault="noisy_plane:emr@", culprits=("EMR high",), spills=8),
    Case(fault="noisy_plane:tracker1/1@", culprits=("Tracker downstream station 1 high",)),
    Case(
        fault="swapped_cables:tof1/0/2/0,tof1/0/5/0@",
        culprits=("TOF1 horizontal slab 2, PMT 0", "TOF1 horizontal slab 5, PMT 0"),
    ),
    Case(fault="swapped_cables:kl/10/0,kl/3/0@", culprits=("KL cell 10, PMT 0", "KL cell 3, PMT 0")),
    Case(fault="swapped_cables:emr/10/30,emr/40/30@", culprits=("EMR plane 10, bar 30", "EMR plane 40, bar 30")),
    Case(fault="swapped_cables:ckov/0/0,ckov/1/0@", culprits=("CkovA PMT 0", "CkovB PMT 4")),
    # Counts do not tell when something came, unless it moved a peak or left its gate.
    Case(fault="shifted_timing:tof1=30@", culprits=("TOF1: 2 of 2 peaks silent",)),
    Case(fault="shifted_timing:tof1=0.3@", culprits=("TOF1 later by 0.",)),
    Case(fault="shifted_timing:tof0=0.3@", culprits=("Electrons TOF0 → TOF1 moved by -0.",)),
    Case(fault="shifted_timing:tof0/0=10@", culprits=("Electrons TOF0 → TOF1 silent",)),
    Case(fault="shifted_timing:tracker0=50@", is_told=False, spills=8),
    Case(fault="shifted_timing:ckov=60@", culprits=("Ckov: 2 of 2 counters low",)),
    Case(fault="shifted_timing:emr/20=20@", culprits=("EMR plane 20: ",)),
    Case(fault="shifted_timing:emr=-40@", culprits=("EMR silent",), spills=8),
    # The beam, the order of the spills, and boards that cannot be read are no fault of a channel.
    *(
        Case(fault=f"{name}@", is_told=False)
        for name in (
            *("empty_spill", "many_triggers", "counter_wrap", "duplicated_spills", "wrong_clock=3600"),
            *("lost_spills", "reordered_spills", "truncated_spill", "missing_ldc:1", "missing_ldc:2"),
            *("corrupted_word:V1290/1/1", "trigger_mismatch:V1724/0/18", "trigger_mismatch:V1731/1/9"),
            *("corrupted_word:DBB/2/1", "corrupted_word:VLSBMASTER/3/0", "corrupted_word:V830/0/0"),
        )
    ),
    Case(fault="many_triggers@", is_told=False, spills=1),
    Case(fault="dead_pmt:tof1/0/3/1@+many_triggers@", culprits=("TOF1 horizontal slab 3, PMT 1",)),
    Case(fault="dead_pmt:tof1/0/3/1@+hot_channel:tof1/1/0/0@", culprits=("TOF1 horizontal slab 3, PMT 1", "TOF1 vert")),
)


@cache
def _plain(seed: int, number: int) -> Counts | None:
    """Return a spill without faults: the same in a run of any length."""
    run = SimulatedRun(seed=seed, mean_triggers=TRIGGERS)
    return _counted(run, run.spill(number).raw)


def counted(faults: Sequence[str], *, spills: int, seed: int = 1) -> list[Counts]:
    """Return the counts of a run's spills, in the order of their numbers, without those that were lost or rejected."""
    run = SimulatedRun(spills=spills, seed=seed, mean_triggers=TRIGGERS).with_faults(faults)
    if any(fault.kind.on_order for fault in run.faults):
        raws = {raw.spill: raw for raw in run.records() if isinstance(raw, RawSpill)}
        found = [_counted(run, raws[number]) for number in sorted(raws)]
    else:
        harmed = {number for number in range(spills) if any(fault.covers(number) for fault in run.faults)}
        found = [
            _counted(run, run.spill(number).raw) if number in harmed else _plain(seed, number)
            for number in range(spills)
        ]
    return [one for one in found if one is not None]


def _counted(run: SimulatedRun, raw: RawSpill) -> Counts | None:
    spill = reconstruct(raw, run.conditions)
    if spill.rejection is not None:
        return None
    counts = {
        each.digest: each.counts(spill.detectors[name])
        for name, its in experiment().watched.items()
        for each in its
        if name in spill.detectors
    }
    return raw.spill, spill.triggers, unpack(pack(counts), WATCHED)


def judged(spills: Sequence[Counts]) -> list[Verdict]:
    """Return what is wrong with channels and groups of a run."""
    judge = Judge(GROUPS, BORNE)
    for number, triggers, counts in spills:
        judge.add(number, triggers, counts)
    return judge.verdicts


def causes_of(spills: Sequence[Counts]) -> tuple[Cause, ...]:
    """Return what is wrong with a run, each fault with what follows from it."""
    judge, peaks = Judge(GROUPS, BORNE), PeakJudge(PEAKS, BORNE)
    for number, triggers, counts in spills:
        judge.add(number, triggers, counts)
        peaks.add(number, triggers, counts)
    return Judgement(verdicts=(*judge.verdicts, *peaks.verdicts), hits=judge.hits, last=judge.spill).causes


def _is_late(verdict: Verdict, at: int) -> bool:
    begin = verdict.finding.begin
    return not begin.earliest - FIRST_OFF <= at <= begin.latest + FIRST_OFF


def judged_case(case: Case, at: int, seed: int = 1) -> tuple[str, tuple[Cause, ...]]:
    """Return what is wrong with the judgement of a case, if anything, and all causes that were told."""
    asked = case.asked(at) if case.fault else []
    found = causes_of(counted(asked, spills=at + case.spills, seed=seed))
    others = [cause for cause in found if not cause_words(cause).startswith(case.culprits or ("nothing",))]
    if others or len(found) > len(case.culprits):
        return f"too much: {len(found)}, as {cause_words([*others, *found][0])}", found
    late = [cause for cause in found if _is_late(cause.verdict, at)]
    if late:
        return f"first spill: {cause_words(late[0])}", found
    # What follows has its first spill, too; a peak has it when it has moved or emptied enough.
    its = [each for cause in found for each in cause.follows if each.group in {group.name for group in GROUPS}]
    followers = [each for each in its if _is_late(each, at)]
    if len(followers) > 0.05 * len(its):
        return f"first spill of what follows: {words(followers[0])}", found
    return "too little" if case.is_told and not found else "", found
