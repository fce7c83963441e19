"""A peak that moves is told with how far, and since which spill; one that does not is not."""

import numpy as np
import pytest

from streams.checks.cusum import threshold
from streams.checks.means import MeanTest
from tests.lanes import first

LIMIT = threshold(10_000, 5, 11_250)
AT = 400


def told(by: float, *, spills: int = 900, seed: int = 1, until: int = 10**9) -> MeanTest:
    """Return the test of two peaks, 0.5 wide, of which the second moves at a spill."""
    rng, test = np.random.default_rng(seed), MeanTest(np.array([0.05, 0.05]), LIMIT)
    for spill in range(spills):
        entries = rng.poisson(50 * max(0.1, 1 + 0.3 * rng.standard_normal()), 2)
        moved = by if AT <= spill < until else 0.0
        values = [rng.normal(30, 0.5, entries[0]), rng.normal(40 + moved, 0.5, entries[1])]
        test.add(spill, entries, *(np.array([power.sum() for power in (v**n for v in values)]) for n in (1, 2)))
    return test


@pytest.mark.parametrize("seed", first(range(4), 2))
@pytest.mark.parametrize(("by", "within"), [(0.1, 60), (-0.1, 60), (0.5, 15)])
def test_a_peak_that_moved_is_told_with_how_far_and_since_when(by: float, within: int, seed: int) -> None:
    test = told(by, seed=seed)
    (finding,) = test.findings.values()
    assert finding.column == 1
    assert AT <= finding.told < AT + within
    assert finding.begin.earliest - 2 <= AT <= finding.begin.latest + 2
    assert abs(finding.by - by) < 4 * finding.error
    assert finding.error < 0.05


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("at", [20, 22, 40])
def test_one_that_moves_by_much_before_much_is_known_is_told_as_far_as_it_moved(at: int, seed: int) -> None:
    rng, test = np.random.default_rng(seed), MeanTest(np.array([0.05]), LIMIT)
    for spill in range(120):
        values = rng.normal(25.5 - 0.5 * (spill >= at), 0.12, rng.poisson(7))
        test.add(spill, np.array([len(values)]), *(np.array([(values**n).sum()]) for n in (1, 2)))
    (finding,) = test.findings.values()
    assert finding.told <= at + 5
    assert finding.begin.first == at, "a sum that began before is none of the change"
    assert abs(finding.by + 0.5) < 4 * finding.error


def test_what_has_not_moved_is_not_told() -> None:
    test = told(0, spills=4000)
    assert (test.findings, test.past) == ({}, [])


def test_a_peak_that_went_back_is_over() -> None:
    test = told(0.3, until=AT + 60)
    assert test.findings == {}
    ((finding, ended),) = test.past
    assert finding.by == pytest.approx(0.3, abs=0.1)
    assert AT + 60 <= ended <= AT + 160


def test_what_was_wrong_is_not_learned_and_a_peak_is_told_again() -> None:
    rng, test = np.random.default_rng(2), MeanTest(np.array([0.05]), LIMIT)
    told_at = []
    for spill in range(1300):
        place = 40.3 if AT <= spill < AT + 60 or spill >= 1200 else 40.0
        values = rng.normal(place, 0.5, 50)
        sums = (np.array([(values**n).sum()]) for n in (1, 2))
        told_at += [each.begin.first for each in test.add(spill, np.array([50]), *sums)]
    assert told_at == [pytest.approx(AT, abs=2), pytest.approx(1200, abs=2)]
    assert test.findings[0].by == pytest.approx(0.3, abs=0.1)


def test_peaks_without_entries_are_not_judged() -> None:
    test = MeanTest(np.array([0.05, 0.05]), LIMIT)
    for spill in range(100):
        test.add(spill, np.array([0, 1]), np.array([0.0, 3.0]), np.array([0.0, 9.0]))
    assert test.findings == {}
