"""Peaks of the time of flight: where they were put, with errors that are right, and none where there is none."""

from functools import cache

import numpy as np
import pytest

from streams.experiments.mice.plots.peaks import Peak, flight_measures, peaks
from streams.plots.model import Axis

TIMES = 200
LIGHT_NS = 25.6
AXIS = Axis(label="Time less that of light", unit="ns", bins=320, low=-2, high=14)
TRUE = {"electron": (25.6, 0.10, 0.15), "muon": (28.2, 0.13, 0.55), "pion": (30.1, 0.14, 0.29)}
"""Place, width, share; the rest is anywhere."""


def counts_of(rng: np.random.Generator, entries: int, *, late_ns: float = 0.0) -> np.ndarray:
    place, width, share = map(np.array, zip(*TRUE.values(), strict=True))
    kind = rng.choice(4, entries, p=[*share, 1 - share.sum()])
    time = rng.normal(np.append(place + late_ns, 0)[kind], np.append(width, 1)[kind])
    late = np.where(kind == 3, rng.uniform(AXIS.low, AXIS.high, entries), time - LIGHT_NS)
    return np.histogram(late, AXIS.bins, (AXIS.low, AXIS.high))[0]


@cache
def found() -> list[dict[str, Peak]]:
    return [peaks(counts_of(np.random.default_rng([7, n]), 1000), AXIS, LIGHT_NS) for n in range(TIMES)]


@pytest.mark.parametrize("number", ["place", "width", "share"])
@pytest.mark.parametrize("kind", TRUE)
def test_pulls_of_200_runs_have_mean_0_and_width_1(kind: str, number: str) -> None:
    true = TRUE[kind][("place", "width", "share").index(number)]
    numbers = [getattr(each[kind], number) for each in found()]
    pulls = np.array([(each.value - true) / each.error for each in numbers])
    assert abs(pulls.mean()) < 0.2
    assert abs(pulls.std() - 1) < 0.2


def test_the_width_of_few_entries_is_theirs_in_the_mean_square() -> None:
    rng, true = np.random.default_rng(1), 0.12
    draws = (np.histogram(rng.normal(0, true, 12), AXIS.bins, (AXIS.low, AXIS.high))[0] for _ in range(TIMES))
    widths = [each["electron"].width for each in (peaks(counts, AXIS, LIGHT_NS) for counts in draws)]
    assert np.sqrt(np.mean([width.value**2 for width in widths if width is not None])) == pytest.approx(true, rel=0.03)


def test_momenta_follow_from_the_places_whatever_the_electrons_say_of_the_zero() -> None:
    for late_ns in (0.0, 0.3):
        counts = counts_of(np.random.default_rng(3), 20_000, late_ns=late_ns)
        numbers = {measure.label: measure.of(counts, (AXIS,)) for measure in flight_measures(LIGHT_NS)}
        expected = {
            "Electron peak less L/c": late_ns,
            "Muon momentum": 105.658 / np.sqrt((28.2 / 25.6) ** 2 - 1),
            "Pion momentum": 139.570 / np.sqrt((30.1 / 25.6) ** 2 - 1),
        }
        for label, true in expected.items():
            number = numbers[label]
            assert number is not None
            assert abs(number.value - true) < 4 * number.error, label
            assert number.error < 1, label


STRANGE: list[dict[int, int]] = [
    {},
    {0: 5},
    {56: 3},
    {50: 10**15},
    {0: 10**6, 319: 10**6},
    dict.fromkeys(range(320), 1),
    {91: 20, 92: 1},
    {40: 4, 92: 7},
]


@pytest.mark.parametrize("filled", STRANGE)
def test_of_few_or_strange_counts_there_are_numbers_with_errors_or_none(filled: dict[int, int]) -> None:
    counts = np.zeros(AXIS.bins, np.int64)
    for place, count in filled.items():
        counts[place] = count
    for measure in flight_measures(LIGHT_NS):
        number = measure.of(counts, (AXIS,))
        assert number is None or np.isfinite([number.value, number.error]).all(), measure.label
        assert number is None or number.error >= 0


def test_a_beam_of_electrons_alone_has_no_other_peak() -> None:
    counts = np.histogram(np.random.default_rng(1).normal(0, 0.1, 500), AXIS.bins, (AXIS.low, AXIS.high))[0]
    assert [*peaks(counts, AXIS, LIGHT_NS)] == ["electron"]
