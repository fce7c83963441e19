"""Measures of a plot's counts: right on average, with errors that are right, and none where the counts cannot tell."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from streams.plots.measures import KeyNumber, Measure, at, lifetime, mean, rms, share
from streams.plots.model import Axis

TIMES = 200
"""Sets of entries whose pulls are looked at."""
NS = Axis(label="Time", unit="ns", bins=110, low=0, high=11_000)
YES_OR_NO = Axis(label="No or yes", bins=2, low=-0.5, high=1.5)


def measured(measure: Measure, values: np.ndarray, axis: Axis) -> KeyNumber | None:
    counts, _ = np.histogram(values, bins=axis.bins, range=(axis.low, axis.high))
    return measure.of(counts, (axis,))


CASES: dict[str, tuple[Measure, Axis, Callable[[np.random.Generator], np.ndarray], float]] = {
    "mean": (mean("Mean"), NS, lambda rng: rng.normal(4000, 300, 500), 4000),
    "mean between two places": (mean("Mean", within=(0, 6000)), NS, lambda rng: rng.uniform(0, 11_000, 500), 3000),
    "spread of a peak": (rms("Width"), NS, lambda rng: rng.normal(4000, 600, 500), 600),
    "spread of no peak": (rms("Width"), NS, lambda rng: rng.uniform(0, 11_000, 300), 11_000 / 12**0.5),
    "share": (share("Share"), YES_OR_NO, lambda rng: (rng.random(300) < 0.93).astype(float), 0.93),
    "lifetime": (lifetime("Lifetime", "ns", within=(500, 11_000)), NS, lambda rng: rng.exponential(2197, 400), 2197),
    "lifetime as long as its axis": (
        lifetime("Lifetime", "ns", within=(0, 11_000)),
        NS,
        lambda rng: rng.exponential(5000, 4000),
        5000,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_pulls_have_mean_0_and_width_1(name: str) -> None:
    measure, axis, entries, true = CASES[name]
    numbers = [measured(measure, entries(np.random.default_rng([5, n])), axis) for n in range(TIMES)]
    pulls = np.array([(number.value - true) / number.error for number in numbers if number is not None])
    assert len(pulls) == TIMES
    assert abs(pulls.mean()) < 0.2
    assert abs(pulls.std() - 1) < 0.2


EVERY = (mean("Mean"), rms("Width"), share("Share"), lifetime("Lifetime", "ns", within=(500, 11_000)))


@pytest.mark.parametrize("filled", [{}, {0: 1}, {1: 10**15}, {50: 3}, {108: 500, 109: 500}, {0: 10**6, 109: 1}])
def test_of_few_or_strange_counts_there_is_a_number_with_an_error_or_none(filled: dict[int, int]) -> None:
    counts = np.zeros(NS.bins, np.int64)
    for place, count in filled.items():
        counts[place] = count
    for measure in EVERY:
        number = measure.of(counts, (NS,))
        assert number is None or np.isfinite([number.value, number.error]).all(), measure
        assert number is None or filled


def test_of_all_or_none_the_error_is_not_0() -> None:
    for counts, value in (([0, 9], 1.0), ([9, 0], 0.0)):
        number = share("Share").of(np.array(counts), (YES_OR_NO,))
        assert number is not None
        assert number.value == value
        assert 0.05 < number.error < 0.1


def test_a_value_is_written_as_exactly_as_it_is_known() -> None:
    written = [str(KeyNumber(value=v, error=e)) for v, e in ((2299.61, 348.2), (0.99387, 0.00847), (28.0, 0.0))]
    assert written == ["2300 ± 348", "0.9939 ± 0.0085", "28.000 ± 0.000"]


def test_a_measure_may_be_of_one_bin_of_the_first_axis() -> None:
    counts, axes = np.array([[1, 3], [2, 2]]), (Axis(label="Station", bins=2, low=0.5, high=2.5), YES_OR_NO)
    shares: Sequence[Measure] = [at(share("Share"), f"Station {n + 1}", n) for n in range(2)]
    assert [(each.label, each.of(counts, axes).value) for each in shares] == [("Station 1", 0.75), ("Station 2", 0.5)]
