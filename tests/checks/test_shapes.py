"""Shapes against a reference: what is told, what is not, and how seldom chance is taken for a change."""

from collections.abc import Iterator
from itertools import accumulate, islice

import numpy as np
import pytest

from schemas.columns import I8
from streams.checks.shapes import ENOUGH, FACTORS, Counts, Limits, Shape, Standard, blocks, scatter_of, shape_of

LIMITS = Limits(evidence=20.0)


def counts(*its: int) -> I8:
    """Return counts with empty flow bins."""
    return np.array([0, *its, 0], np.int64)


def shape(ours: I8, *theirs: I8, limits: Limits = LIMITS, a_trigger: float = 1.0) -> Shape:
    return shape_of(Counts(ours, a_trigger), Standard.of([Counts(each, a_trigger) for each in theirs]), limits)


def peak(rng: np.random.Generator, entries: int, *, middle: float = 0.0, width: float = 1.0, bins: int = 100) -> I8:
    found, _ = np.histogram(rng.normal(middle, width, entries), bins=bins, range=(-5, 5))
    return counts(*found.tolist())


def test_a_bin_that_is_empty_is_told_with_the_share_that_lies_elsewhere() -> None:
    found = shape(counts(500, 500, 0, 500), counts(1000, 1000, 1000, 1000))
    assert found.is_bad(LIMITS)
    assert found.elsewhere == pytest.approx(0.25, abs=0.01)
    assert found.worst is not None
    assert (found.worst.first, found.worst.last) == ((2,), (2,))
    assert found.worst.share == 0
    assert found.worst.expected == pytest.approx(0.25, abs=0.001)


def test_the_same_shape_is_no_change_however_many_entries_either_has() -> None:
    its = counts(400, 300, 200, 100)
    for times, other in ((1, 1), (100, 1), (1, 100), (10_000, 3)):
        assert not shape(its * times, its * other).is_bad(LIMITS)


def test_what_is_below_and_above_the_axis_is_part_of_the_shape() -> None:
    reference = np.array([0, 500, 500, 0])
    found = shape(np.array([300, 250, 250, 0]), reference)
    assert found.is_bad(LIMITS)
    assert found.worst is not None
    assert found.worst.first == (-1,)


def test_a_peak_that_has_moved_by_half_its_width_is_told_though_no_bin_of_it_has_many_entries() -> None:
    rng = np.random.default_rng(1)
    reference, moved = peak(rng, 3000, bins=1000), peak(rng, 3000, middle=0.5, bins=1000)
    assert shape(moved, reference).is_bad(LIMITS)
    fine = Limits(evidence=20.0, matters=0.5)
    assert not shape(moved, reference, limits=fine).is_bad(fine), "half of the entries do not lie elsewhere"


def test_a_difference_that_is_sure_and_small_does_not_matter() -> None:
    reference = counts(500_000, 500_000, 10_000)
    found = shape(counts(500_000, 500_000, 20_000), reference)
    assert found.evidence > LIMITS.evidence
    assert 0 < found.elsewhere < LIMITS.matters
    assert not found.is_bad(LIMITS)


def test_what_differs_within_the_tolerance_is_never_told() -> None:
    reference = counts(500_000, 500_000)
    assert not shape(counts(525_000, 475_000), reference).evidence > LIMITS.evidence


@pytest.mark.parametrize(("ours", "theirs"), [(ENOUGH - 1, 10_000), (10_000, ENOUGH - 1), (0, 0)])
def test_few_entries_on_either_side_tell_nothing(ours: int, theirs: int) -> None:
    found = shape(counts(ours, 0), counts(0, theirs))
    assert not found.is_enough
    assert not found.is_bad(LIMITS)


def test_many_entries_of_one_trigger_count_as_one() -> None:
    """A muon crosses all planes of the EMR: its bars are no independent entries."""
    rng = np.random.default_rng(2)
    ours, theirs = (counts(*(60 * rng.multinomial(300, np.full(16, 1 / 16))).tolist()) for _ in range(2))
    assert shape(ours, theirs).evidence > LIMITS.evidence, "taken one by one they tell what is not there"
    found = shape(ours, theirs, a_trigger=60.0)
    assert found.entries == found.reference == 300
    assert found.evidence < LIMITS.evidence


def test_two_axes_are_looked_at_in_blocks_along_both() -> None:
    rng = np.random.default_rng(3)
    reference = rng.poisson(2.0, (52, 52))
    ours = rng.poisson(2.0, (52, 52))
    ours[20:30, 20:30] = 0
    found = shape(ours, reference)
    assert found.evidence > LIMITS.evidence
    assert found.worst is not None
    assert all(15 <= first <= last <= 32 for first, last in zip(found.worst.first, found.worst.last, strict=True))


def test_blocks_are_counted_as_they_are_looked_at() -> None:
    assert blocks((2,)) == 2
    assert blocks((7,)) == 7 + 4 + 2
    assert blocks((5, 3)) == 15 + 6 + 2


def test_chance_is_taken_for_a_change_no_more_often_than_is_stated_however_often_somebody_looks() -> None:
    """Of 300 runs, looked at 30 times each, with a threshold of one in 20: at most as many, and not none."""
    columns = blocks((12,)) * len(FACTORS)
    share = np.array([0, 5, 10, 20, 15, 15, 10, 10, 5, 5, 5, 0]) / 100

    def runs_told(limit: float) -> Iterator[int]:
        """Yield 1 for a run that is told, else 0."""
        rng, within = np.random.default_rng(4), Limits(evidence=limit, matters=1e-6, tolerance=1e-3)
        for _ in range(300):
            reference, ours = rng.multinomial(1000, share), np.zeros(12, np.int64)
            steps = (rng.multinomial(50, share) for _ in range(30))
            looks = (shape(so_far, reference, limits=within) for so_far in accumulate(steps, initial=ours))
            yield int(any(look.is_bad(within) for look in islice(looks, 1, None)))

    too_often = accumulate(runs_told(np.log(20.0)))
    assert any(told > 300 / 20 for told in too_often), "without the number of columns chance is told too often"
    assert sum(runs_told(np.log(20.0 * columns))) <= 300 / 20


def runs_that_scatter(rng: np.random.Generator, runs: int, entries: int, scatter: float) -> list[I8]:
    """Return runs of a flat plot whose first bin, of a tenth of the entries, is more or less full from run to run."""
    first = 0.1 * (1 + scatter * rng.standard_normal(runs))
    shares = (np.array([each, *[(1 - each) / 9] * 9]) for each in first)
    return [counts(*rng.multinomial(entries, its).tolist()) for its in shares]


def test_a_bin_that_differs_from_good_run_to_good_run_is_not_told_and_as_large_a_change_of_another_is() -> None:
    rng = np.random.default_rng(5)
    good = runs_that_scatter(rng, 5, 20_000, 0.25)
    for first, is_told in ((0.15, False), (0.1, True)):
        second = 0.25 - first
        ours = counts(*(20_000 * np.array([first, second, *[0.75 / 8] * 8])).astype(int).tolist())
        within = Limits(evidence=20.0, matters=0.02)
        assert shape(ours, good[0], limits=within).is_bad(within), "of one run nobody knows how it differs from others"
        assert shape(ours, *good, limits=within).is_bad(within) == is_told, first


def test_scatter_is_what_is_beyond_chance() -> None:
    rng = np.random.default_rng(6)
    for scatter in (0.0, 0.2):
        runs = np.array(runs_that_scatter(rng, 200, 5_000, scatter), np.float64)[:, 1:-1]
        found = scatter_of(runs, runs.sum(axis=1))
        assert found[0] == pytest.approx(scatter, abs=0.03)
        assert (found[1:] < 0.05).all()
    one = np.array([[5.0, 3.0]])
    assert (scatter_of(one, one.sum(axis=1)) == 0).all()


def test_newer_runs_count_more_so_that_a_slow_drift_is_followed() -> None:
    """The first bin falls by 8 % of itself from run to run: after six of them nothing has happened in the newest."""
    shares = 0.4 * 0.92 ** np.arange(6)
    good = [counts(*np.rint(50_000 * np.array([its, 1 - its])).astype(int).tolist()) for its in shares]
    *before, now = good
    assert shape(now, good[0]).evidence > LIMITS.evidence, "against the run six before it has changed"
    assert shape(now, *before[::-1]).evidence < LIMITS.evidence
    assert shape(now, *before).evidence > shape(now, *before[::-1]).evidence, "the newest counts most"


def test_a_run_without_entries_says_nothing_of_scatter() -> None:
    reference, ours = counts(500, 500, 500), counts(900, 300, 300)
    assert shape(ours, reference, counts(0, 0, 0)) == shape(ours, reference)
