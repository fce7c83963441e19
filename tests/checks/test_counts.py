"""What has changed is told by its column, its size and its first spill; and nothing else is."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from schemas.columns import F8
from streams.checks.counts import CHANNEL, SETTLING, CountTest, Finding
from streams.checks.cusum import threshold
from tests.lanes import first

LIMIT = threshold(10_000, len(CHANNEL), 11_250)
AT = 300
"""Spill with which a change begins."""


def told(
    rates: Sequence[float],
    change: Callable[[int, F8], None] = lambda _spill, _rates: None,
    *,
    spills: int = 600,
    seed: int = 1,
) -> CountTest:
    """Return the test of a detector's channels that have these mean counts, where a change is made of them."""
    rng, test = np.random.default_rng(seed), CountTest(len(rates), LIMIT, is_share=True)
    for spill in range(spills):
        now = np.array(rates, float) * max(0.1, 1 + 0.3 * rng.standard_normal())
        change(spill, now)
        test.add(spill, rng.poisson(now))
    return test


def times(channel: int, factor: float, until: int = 10**9) -> Callable[[int, F8], None]:
    """Return a change of one channel, from `AT` on."""

    def change(spill: int, rates: F8) -> None:
        if AT <= spill < until:
            rates[channel] *= factor

    return change


def only(test: CountTest) -> Finding:
    """Return the one thing that was told."""
    (finding,) = [*test.findings.values(), *(each for each, _ in test.past)]
    return finding


@pytest.mark.parametrize("seed", first(range(5), 2))
@pytest.mark.parametrize(
    ("rate", "factor", "name", "within"),
    [(5, 0, "silent", 12), (1, 0, "silent", 45), (6, 0.5, "weak", 60), (1, 3, "hot", 60), (2, 30, "hot", 2)],
)
def test_a_channel_that_changes_is_named_with_its_first_spill(
    rate: float, factor: float, name: str, within: int, seed: int
) -> None:
    finding = only(told([rate] * 60, times(7, factor), seed=seed))
    assert (finding.column, finding.change.name) == (7, name)
    assert AT <= finding.told < AT + within
    assert abs(finding.begin.first - AT) <= 9
    assert finding.begin.earliest <= AT + 5
    assert finding.begin.latest >= AT - 5
    assert finding.factor == pytest.approx(factor, rel=0.5)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("factor", [0, 3])
def test_one_that_changes_before_much_is_known_is_told_since_its_first_spill(factor: float, seed: int) -> None:
    at = SETTLING - 1

    def change(spill: int, rates: F8) -> None:
        rates[3] *= factor if spill >= at else 1

    finding = only(told([20] * 12, change, spills=120, seed=seed))
    assert abs(finding.begin.first - at) <= 1, "a sum that began before is none of the change"
    assert finding.begin.latest - finding.begin.earliest <= 2
    assert finding.factor == pytest.approx(factor, rel=0.3, abs=0.1)


@pytest.mark.parametrize("channels", [3, 4, 8])
@pytest.mark.parametrize("factor", [0, 0.3, 5, 1000])
def test_a_channel_with_a_large_share_makes_no_other_look_changed(channels: int, factor: float) -> None:
    test = told([40] * channels, times(1, factor))
    assert [*test.findings] == [1]
    assert abs(test.findings[1].begin.first - AT) <= 2


def test_of_two_channels_nobody_knows_which_has_changed() -> None:
    """One of them is told, with the spill."""
    for factor in (0, 0.3, 5):
        finding = only(told([40, 40], times(1, factor)))
        assert abs(finding.begin.first - AT) <= 2
    assert told([40, 40]).findings == told([40]).findings == {}


def test_half_of_a_detector_is_named_channel_by_channel() -> None:
    def change(spill: int, rates: F8) -> None:
        rates[:20] *= spill < AT

    test = told([3] * 40, change)
    assert {*test.findings} == {*range(20)}
    assert all(abs(each.begin.first - AT) <= 1 for each in test.findings.values())


def test_the_beam_may_come_and_go() -> None:
    def change(spill: int, rates: F8) -> None:
        rates *= 0 if spill % 50 > 40 else (0.2 if AT <= spill < AT + 100 else 1)

    test = told([4] * 100, change)
    assert (test.findings, test.past) == ({}, [])


def test_what_comes_in_clusters_is_not_taken_for_a_change() -> None:
    rng, test = np.random.default_rng(2), CountTest(60, LIMIT, is_share=True)
    for spill in range(1500):
        test.add(spill, 6 * rng.poisson(np.full(60, 1.0)))
    assert (test.findings, test.past) == ({}, [])


@pytest.mark.parametrize(("size", "channels", "every"), [(20, 16, 100), (200, 1, 150)])
def test_a_burst_of_noise_in_one_spill_is_no_change(size: int, channels: int, every: int) -> None:
    rng, test = np.random.default_rng(4), CountTest(60, LIMIT, is_share=True)
    for spill in range(1500):
        counts = rng.poisson(np.full(60, 1.0))
        if spill % every == every - 1:
            counts[:channels] += rng.poisson(size, channels)
        test.add(spill, counts)
    assert (test.findings, test.past) == ({}, [])


def test_counts_that_scatter_more_than_by_chance_are_learned_as_they_are() -> None:
    for seed in range(3):
        rng, test = np.random.default_rng(seed), CountTest(60, LIMIT, is_share=True)
        for spill in range(1000):
            test.add(spill, rng.poisson(rng.gamma(0.05, 2, 60)))
        assert (test.findings, test.past) == ({}, [])


def test_one_good_spill_ends_nothing() -> None:
    finding = only(told([50] * 60, lambda spill, rates: rates.__setitem__(7, 50 * (spill < AT or spill == AT + 50))))
    assert (finding.column, finding.change.name, finding.begin.first) == (7, "silent", AT)


def test_noise_in_most_channels_makes_the_others_no_weaker() -> None:
    """As the triggers tell: the shares alone would."""
    found = {}
    for by_triggers in (True, False):
        rng, test = np.random.default_rng(5), CountTest(60, LIMIT, is_share=True)
        for spill in range(AT + 50):
            rates = np.repeat([5.0, 0.1], [10, 50]) + (10.0 if spill >= AT else 0.0)
            test.add(spill, rng.poisson(rates), whole=55.0 if by_triggers else None)
        found[by_triggers] = [each for each in test.findings.values() if each.change.factor < 1]
    assert found[True] == []
    assert len(found[False]) > 5


def test_nothing_is_told_of_eight_hours_without_a_change() -> None:
    test = told([0.01] * 100 + [0.3] * 100 + [8] * 20, spills=11_250)
    assert (test.findings, test.past) == ({}, [])


def test_a_smaller_threshold_than_the_budget_gives_tells_what_is_not() -> None:
    rng, test = np.random.default_rng(1), CountTest(220, np.log(100), is_share=True)
    for spill in range(1000):
        test.add(spill, rng.poisson(np.full(220, 1.0)))
    assert len(test.past) + len(test.findings) > 5


def test_what_is_over_is_known_with_its_end() -> None:
    test = told([5] * 60, times(7, 0, until=AT + 50))
    ((finding, ended),) = test.past
    assert test.findings == {}
    assert finding.column == 7
    assert AT + 50 <= ended <= AT + 60
    # It is believed again, and told again.
    again = told([5] * 60, lambda spill, rates: rates.__setitem__(7, rates[7] * (spill % 100 < 60 or spill < AT)))
    assert len(again.past) >= 2


def test_nothing_is_told_before_a_run_has_settled() -> None:
    test = told([5] * 60, lambda spill, rates: rates.__setitem__(7, rates[7] * (spill < 10)), spills=SETTLING)
    assert (test.findings, test.past) == ({}, [])


def test_a_yield_is_told_where_each_channel_keeps_its_share() -> None:
    rng, test = np.random.default_rng(3), CountTest(5, LIMIT, is_share=False)
    for spill in range(3000):
        triggers = rng.poisson(60)
        rates = np.full(5, 1.0 * triggers)
        rates[2] *= 0.95 if spill > 2000 else 1
        # One was not read in some spills.
        exposure = np.full(5, float(triggers))
        exposure[4] = 0 if spill % 3 else triggers
        test.add(spill, rng.poisson(rates) * (exposure > 0), exposure)
    finding = only(test)
    assert (finding.column, finding.change.name) == (2, "low")
    assert finding.begin.earliest <= 2001 <= finding.begin.latest


def test_of_cumulative_counts_a_change_is_told_later() -> None:
    """Law 2: what is judged is disjoint."""
    rates, rng = np.full(60, 5.0), np.random.default_rng(1)
    cumulative, test = np.zeros(60, np.int64), CountTest(60, LIMIT, is_share=True)
    for spill in range(AT + 12):
        rates[7] = 5.0 * (spill < AT)
        cumulative += rng.poisson(rates)
        test.add(spill, cumulative)
    assert 7 not in test.findings
    assert 7 in told([5] * 60, times(7, 0), spills=AT + 12).findings
