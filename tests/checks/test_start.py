"""What is silent or hot from the begin of a run, against another run; and what is as there."""

from collections.abc import Sequence

import numpy as np

from schemas.columns import F8, I8
from streams.books.judgement import words
from streams.checks.channels import Channels
from streams.checks.counts import SETTLING
from streams.checks.judge import Judge, Verdict
from streams.checks.start import Known
from tests.checks.faults import BORNE

TRIGGERS = 60
RATES: F8 = np.array([90.0, 60.0, 30.0, 12.0, 6.0, 3.0, 1.0, 0.5, 0.0])
"""Hits a spill of each channel."""
OTHER = Channels(name="Another", names=["one"], of=lambda _: np.zeros(0, np.int64))
GROUP = Channels(name="Group", names=[f"channel {n}" for n in range(len(RATES))], of=lambda _: np.zeros(0, np.int64))


def known(seed: int = 1, rates: F8 = RATES, spills: int = 300) -> dict[str, Known]:
    counts = np.random.default_rng([seed, 1]).poisson(rates * spills)
    return {
        "Group": Known(counts=counts, triggers=TRIGGERS * spills),
        "Another": Known(counts=np.array([TRIGGERS * spills]), triggers=TRIGGERS * spills),
    }


def judged(spills: Sequence[tuple[int, I8]], against: dict[str, Known]) -> list[Verdict]:
    judge = Judge((GROUP, OTHER), BORNE, against)
    for number, (triggers, counts) in enumerate(spills):
        judge.add(number, triggers, {"Group": counts, "Another": np.array([triggers])})
    return sorted(judge.verdicts, key=lambda each: each.finding.begin.first)


def run(spills: int, *factors: tuple[int, F8], seed: int = 2) -> list[tuple[int, I8]]:
    """Return triggers and counts of spills whose rates are so many times as usual, from each of some spills on."""
    rng, found = np.random.default_rng([seed, 2]), []
    for number in range(spills):
        triggers = int(max(rng.normal(TRIGGERS, 0.3 * TRIGGERS), 1))
        factor = [each for since, each in factors if number >= since][-1]
        found.append((triggers, rng.poisson(RATES * factor * triggers / TRIGGERS)))
    return found


def but(channel: int, factor: float) -> F8:
    found = np.ones(len(RATES))
    found[channel] = factor
    return found


SAME = np.ones(len(RATES))


def test_a_channel_that_is_dead_from_the_begin_is_told_by_what_another_run_had() -> None:
    for channel in (0, 1, 5, 6):
        (verdict,) = judged(run(200, (0, but(channel, 0.0))), known())
        assert (verdict.channel, verdict.finding.begin.first) == (f"channel {channel}", 0)
        assert words(verdict) == f"Group channel {channel} silent from the begin on"
    assert judged(run(200, (0, but(1, 0.0))), {}) == [], "without another run nobody knows"


def test_nothing_is_told_while_the_run_settles() -> None:
    dead = run(SETTLING + 1, (0, but(0, 0.0)))
    assert judged(dead[:-1], known()) == []
    assert len(judged(dead, known())) == 1


def test_a_hot_channel_is_told_and_takes_no_other_with_it() -> None:
    for channel, factor in ((1, 20.0), (8, 0.0), (5, 8.0)):
        its = run(400, (0, but(channel, factor)))
        if channel == 8:
            its = [(triggers, counts + np.eye(len(RATES), dtype=np.int64)[8] * 500) for triggers, counts in its]
        (verdict,) = judged(its, known())
        assert words(verdict).startswith(f"Group channel {channel} hot ")


def test_what_is_repaired_is_over_and_is_not_hot() -> None:
    (verdict,) = judged(run(1500, (0, but(1, 0.0)), (600, SAME)), known())
    assert verdict.ended is not None
    assert 600 <= verdict.ended <= 602
    assert words(verdict) == f"Group channel 1 silent from the begin on until {verdict.ended}"


def test_what_is_repaired_and_dies_is_told_again() -> None:
    first, second = judged(run(1500, (0, but(1, 0.0)), (300, SAME), (1200, but(1, 0.0))), known())
    assert first.finding.from_the_begin
    assert first.ended is not None
    assert not second.finding.from_the_begin
    assert second.finding.begin.first in range(1199, 1202)


def test_shares_that_differ_by_less_than_twice_from_another_run_are_no_fault() -> None:
    rng = np.random.default_rng(5)
    for seed in range(10):
        factor = rng.uniform(0.6, 1.6, len(RATES))
        assert judged(run(400, (0, factor), seed=seed), known(seed)) == []


def test_a_run_as_the_other_has_no_fault_however_few_spills_that_had() -> None:
    for seed in range(20):
        assert judged(run(300, (0, SAME), seed=seed), known(seed, spills=100)) == []


def test_a_group_that_is_silent_from_the_begin_is_one_fault() -> None:
    (verdict,) = judged(run(100, (0, np.zeros(len(RATES)))), known())
    assert (verdict.group, verdict.channel) == ("Group", "")
    assert words(verdict) == "Group silent from the begin on"


def test_a_burst_in_one_spill_is_over_with_it() -> None:
    its = run(300, (0, SAME))
    for at in (10, 30):
        its[at] = (its[at][0], its[at][1] * 50)
        its[at + 1] = (its[at + 1][0], its[at + 1][1] + 5000 * np.eye(len(RATES), dtype=np.int64)[7])
    assert judged(its, known()) == []


def test_a_large_first_spill_gives_all_their_shares() -> None:
    """Each was taken to have as many as the others, so that the first spill showed nearly all of them to be odd."""
    judge = Judge((GROUP, OTHER), BORNE)
    judge.add(0, TRIGGERS, {"Group": (50 * RATES).astype(np.int64), "Another": np.array([TRIGGERS])})
    noisy = RATES.astype(np.int64) + 5000 * np.eye(len(RATES), dtype=np.int64)[7]
    judge.add(1, TRIGGERS, {"Group": noisy, "Another": np.array([TRIGGERS])})
    assert judge._shares[0].whole < 2 * noisy.sum()
