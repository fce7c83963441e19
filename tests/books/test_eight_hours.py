"""A shift of eight hours with six faults, as it would be told: six alarms, and next to nothing else."""

from dataclasses import dataclass

import numpy as np
import pytest

from streams.books.alarming import Seen, due
from streams.books.alarms import Alarm, to_tell
from streams.books.decisions import Decisions
from streams.books.handover import markdown, report
from streams.books.judgement import Judgement
from streams.checks.judge import Judge
from streams.settings import load_settings
from tests.bench.judgement import BORNE, EIGHT_HOURS, beam, groups, rates
from tests.books.test_alarming import written
from tests.books.test_alarms import acknowledged, told
from tests.books.test_decisions import fold
from tests.books.test_handover import shift as of_shift

RUN = 900_031
LOOKED_EACH, ACKNOWLEDGED_AFTER = 4, 40
"""Spills between two looks of a watcher; and until somebody acknowledges what was told."""
SPILL_US = 2_560_000


@dataclass(frozen=True, slots=True)
class Planted:
    """What goes wrong with channels of a group."""

    group: str
    channels: range | None
    """None is all of them."""
    factor: float
    first: int
    until: int
    words: str
    """How its alarm begins."""


FAULTS = (
    Planted("TOF1", range(7, 8), 0.0, 1500, 2600, "TOF1 horizontal slab 3, PMT 1 silent"),
    Planted("KL", range(20, 21), 2.0, 3000, EIGHT_HOURS, "KL cell 10, PMT 0 hot"),
    Planted("EMR", range(240, 300), 0.0, 4200, EIGHT_HOURS, "EMR plane 4: "),
    Planted(
        "Tracker upstream station 3",
        range(312, 313),
        0.0,
        5200,
        EIGHT_HOURS,
        "Tracker upstream station 3 plane w, channel 98 silent",
    ),
    Planted("TOF2", range(9, 10), 0.5, 6500, EIGHT_HOURS, "TOF2 horizontal slab 4, PMT 1 weak"),
    Planted("CkovA", None, 0.9, 8000, EIGHT_HOURS, "CkovA"),
)


@pytest.mark.nightly
@pytest.mark.timeout(2700)  # a quarter of an hour on a machine that may be busy
@pytest.mark.parametrize("seed", [1, 2])
def test_six_faults_are_six_alarms_with_the_right_culprits_and_each_is_told_once(seed: int) -> None:
    known, tellings = shift(seed)
    ours: dict[str, Alarm] = {}
    others = []
    for alarm in known.alarms:
        fault = next((each for each in FAULTS if alarm.new.words.startswith(each.words)), None)
        is_of_it = fault is not None and abs(alarm.new.since - fault.first) <= 150
        if fault is not None and is_of_it and fault.words not in ours:
            ours[fault.words] = alarm
        else:
            others.append(alarm.new.words)
    assert ours.keys() == {fault.words for fault in FAULTS}, [alarm.new.words for alarm in known.alarms]
    assert len(others) <= 1, others
    assert [tellings.count(alarm.id) for alarm in known.alarms] == [1] * len(known.alarms)
    repaired = ours[FAULTS[0].words]
    assert repaired.cleared is not None
    assert repaired.cleared.reason.startswith("as before again after spill 26")
    until_us = EIGHT_HOURS * SPILL_US
    handed_over = markdown(report(of_shift(since_us=0, until_us=until_us, alarms=known.alarms)))
    assert all(fault.words in handed_over for fault in FAULTS)
    assert all(alarm.is_active for words, alarm in ours.items() if words != FAULTS[0].words)


def shift(seed: int) -> tuple[Decisions, list[str]]:
    """Return what is known of the alarms at a shift's end, and the ids of those that were told, one after the other."""
    rng, judge, known, tellings = np.random.default_rng(seed), Judge(groups(), BORNE), Decisions(), list[str]()
    repeat_us, at_us = round(load_settings().alarms.repeat_s * 1e6), 0
    waiting: dict[str, int] = {}
    for spill, triggers in beam(rng, EIGHT_HOURS):
        judge.add(spill, triggers, {name: rng.poisson(rate * triggers) for name, rate in now(spill).items()})
        at_us = spill * SPILL_US
        if spill % LOOKED_EACH:
            continue
        judgement = Judgement(
            spills=spill + 1, counted=spill + 1, last=spill, verdicts=tuple(judge.verdicts), hits=judge.hits
        )
        seen = Seen(session="live", run=RUN, is_over=False, judgement=judgement)
        known = fold(*written(due(seen, known.alarms, at_us)), known=known)
        if new := to_tell(known.alarms, at_us, repeat_us):
            tellings += [alarm.id for alarm in new]
            waiting |= {alarm.id: spill for alarm in new}
            known = fold(told(*new, at_us=at_us), known=known)
        for alarm_id in [each for each, since in waiting.items() if spill - since >= ACKNOWLEDGED_AFTER]:
            del waiting[alarm_id]
            known = fold(acknowledged(next(each.new for each in known.alarms if each.id == alarm_id)), known=known)
    return known, tellings


def now(spill: int) -> dict[str, np.ndarray]:
    """Return of each group the hits of each channel in a particle trigger, with what is wrong then."""
    found = dict(rates())
    for fault in FAULTS:
        if fault.first <= spill < fault.until:
            its = found[fault.group].copy()
            its[slice(None) if fault.channels is None else fault.channels] *= fault.factor
            found[fault.group] = its
    return found
