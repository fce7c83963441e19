"""The yield over a run is a few points that follow from its spills alone, and each is what its spills have together."""

import numpy as np
import pytest

from streams.checks.channels import Channels
from streams.checks.yields import MOST_POINTS, Yields


def group(name: str) -> Channels:
    return Channels(name=name, names=["a", "b"], of=lambda made: made)


A, B = group("A"), group("B")


def after(spills: int, *, first: int = 0) -> Yields:
    """Return the yields of a run in which A has 3 hits a trigger and B 1, up to spill 50, then half of it."""
    yields = Yields([A, B])
    for spill in range(first, first + spills):
        less = 1 if spill < 50 else 2
        yields.add(spill, 10, {"A": np.array([20, 10]), "B": np.array([10, 0]) // less})
    return yields


@pytest.mark.parametrize("spills", [1, 7, 60, 61, 119, 500, 10_000])
def test_a_run_of_any_length_has_few_points_and_its_newest_spills_among_them(spills: int) -> None:
    found = after(spills).of({"A"})
    assert len(found.spills) == len(found.hits) <= MOST_POINTS
    assert len(found.spills) >= min(spills, MOST_POINTS // 2)
    assert found.spills[0] == 0
    assert spills - 1 - found.spills[-1] <= 2 * spills // (MOST_POINTS // 2)
    assert set(found.hits) == {3.0}


def test_groups_are_added_and_a_change_stands_where_it_was() -> None:
    found = after(100).of({"A", "B"})
    assert [hits for spill, hits in zip(found.spills, found.hits, strict=True) if spill < 50] == [4.0] * 25
    assert [hits for spill, hits in zip(found.spills, found.hits, strict=True) if spill >= 50] == [3.5] * 25


def test_spills_without_counts_or_triggers_are_gaps_and_a_group_that_is_never_read_out_is_left_out() -> None:
    yields = Yields([A, B])
    yields.add(3, 10, {"A": np.array([20, 10])})
    yields.add(5, 10, {})
    yields.add(6, 0, {"A": np.array([0, 0])})
    yields.add(9, 10, {"A": np.array([0, 0])})
    assert yields.of({"A", "B"}).spills == (3, 5, 6, 9)
    assert yields.of({"A", "B"}).hits == (3.0, None, None, 0.0)
    assert yields.of({"B"}).hits == (None,) * 4
    assert Yields([]).of(set()).hits == ()


def test_the_newest_point_is_shown_when_all_of_its_spills_are_there() -> None:
    assert [len(after(spills).of({"A"}).spills) for spills in (240, 241, 247, 248)] == [60, 30, 30, 31]
