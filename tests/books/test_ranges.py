"""A set kept as ranges is a set."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.books.ranges import Ranges


@given(st.lists(st.integers(0, 60)))
def test_ranges_hold_what_a_set_holds_in_as_few_ranges_as_can_be(numbers: list[int]) -> None:
    ranges, plain = Ranges(), set[int]()
    for number in numbers:
        assert ranges.add(number) is (number not in plain)
        plain.add(number)
    assert [n for n in range(-1, 62) if n in ranges] == sorted(plain)
    missing = [n for n in range(62) if n not in plain]
    assert ranges.first_missing() == missing[0]
    assert [ranges.stop_of(n) for n in range(61)] == [
        next(m for m in missing if m > n) if n in plain else None for n in range(61)
    ]
    pairs = list(ranges)
    assert [n for start, stop in pairs for n in range(start, stop)] == sorted(plain)
    assert all(stop < start for (_, stop), (start, _) in pairwise(pairs))
    assert list(Ranges(pairs)) == pairs
    assert ranges.end == max(plain, default=-1) + 1


@given(st.sets(st.integers(0, 60)), st.integers(0, 62))
def test_what_ranges_have_and_lack_below_a_number(plain: set[int], number: int) -> None:
    ranges = Ranges()
    for each in plain:
        ranges.add(each)

    def held(found: Ranges) -> list[int]:
        assert list(Ranges(found)) == list(found)  # sorted, and apart
        return [n for n in range(64) if n in found]

    assert held(ranges.below(number)) == sorted(n for n in plain if n < number)
    assert held(ranges.gaps_below(number)) == sorted(set(range(number)) - plain)
    if number:
        assert held(ranges.filled_below(number)) == sorted(set(range(number)) | plain)


@pytest.mark.parametrize("pairs", [[(1, 1)], [(3, 2)], [(0, 2), (2, 3)], [(5, 6), (0, 1)]])
def test_ranges_that_are_none_are_refused(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="range"):
        Ranges(pairs)
