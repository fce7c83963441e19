"""Windows cover a run without a gap or an overlap, are few, and follow from the newest spill alone."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.books.windows import Window, window_at

WINDOW_S = 60


def windows(first: int, newest: int, kept: int) -> list[Window]:
    """Return the windows of a run that has spills in each short window."""
    times = range(first * WINDOW_S, (newest + 1) * WINDOW_S, WINDOW_S)
    found = (window_at(time_s, newest * WINDOW_S, window_s=WINDOW_S, kept=kept) for time_s in times)
    return list(dict.fromkeys(found))


@given(first=st.integers(0, 10_000), length=st.integers(0, 500), kept=st.integers(1, 20))
def test_windows_follow_on_each_other_and_are_few(first: int, length: int, kept: int) -> None:
    newest = first + length
    found = windows(first, newest, kept)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert found[0].start <= first * WINDOW_S
    assert found[-1].end == (newest + 1) * WINDOW_S
    assert all(window.length == WINDOW_S for window in found[-kept:])
    lengths = [window.length for window in found]
    assert lengths == sorted(lengths, reverse=True)
    assert all(lengths.count(each) <= kept + 4 for each in lengths)


@given(
    time=st.integers(0, 5_000),
    newest=st.integers(0, 5_000),
    later=st.integers(0, 5_000),
    kept=st.integers(1, 20),
    fewer=st.integers(0, 19),
)
def test_a_window_is_only_ever_joined_to_a_longer_one_that_has_all_of_it(
    time: int, newest: int, later: int, kept: int, fewer: int
) -> None:
    before = window_at(time * 60, newest * 60, window_s=WINDOW_S, kept=kept)
    after = window_at(time * 60, (newest + later) * 60, window_s=WINDOW_S, kept=max(1, kept - fewer))
    assert after.start <= before.start <= time * 60 < before.end <= after.end
    # All of it goes where its begin goes.
    assert window_at(before.start, (newest + later) * 60, window_s=WINDOW_S, kept=max(1, kept - fewer)) == after


def test_a_run_of_eight_hours_has_some_thirty_windows_and_some_eight_when_it_is_over() -> None:
    assert len(windows(28_333_333, 28_333_333 + 480, 12)) in range(30, 50)
    assert len(windows(28_333_333, 28_333_333 + 480, 1)) in range(6, 14)
