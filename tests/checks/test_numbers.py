"""Numbers against good runs: how far apart, how sure, and that what differs from good run to good run is no change."""

import numpy as np
import pytest

from streams.checks.numbers import Number, apart


def number(value: float, error: float = 0.01) -> Number:
    return Number(value, error)


def test_against_one_run_errors_are_those_of_both() -> None:
    found = apart(number(1.3, 0.03), [number(1.0, 0.04)])
    assert found.by == pytest.approx(0.3)
    assert found.errors == pytest.approx(0.3 / 0.05)
    assert found.expected.value == 1.0


def test_good_runs_that_differ_leave_as_large_a_change_untold_and_those_that_agree_do_not() -> None:
    agreeing = [number(1.0), number(1.01), number(0.99), number(1.0)]
    differing = [number(1.0), number(1.3), number(0.7), number(1.1)]
    assert apart(number(1.3), agreeing).errors > 15
    assert apart(number(1.3), differing).errors < 2


def test_the_newest_counts_most() -> None:
    rising = [number(1.3), number(1.2), number(1.1), number(1.0)]
    assert apart(number(1.4), rising).expected.value > apart(number(1.4), rising[::-1]).expected.value
    assert apart(number(1.4), rising).evidence < apart(number(1.4), rising[::-1]).evidence


def test_runs_with_no_error_are_taken_as_they_scatter() -> None:
    assert apart(number(2.0, 0.0), [number(1.0, 0.0)]).evidence == 0, "nothing tells how sure it is"
    assert apart(number(2.0, 0.0), [number(1.0, 0.0), number(3.0, 0.0)]).errors < 1


def test_chance_and_scatter_are_taken_for_a_change_no_more_often_than_is_stated() -> None:
    """Of 2,000 runs that differ by three times their errors, against five: five errors are hardly ever passed."""
    rng = np.random.default_rng(8)
    told = 0
    for _ in range(2000):
        now, *before = (number(each) for each in rng.normal(5.0, np.hypot(0.01, 0.03), 6))
        told += apart(now, before).errors > np.sqrt(2 * 20)
    assert told <= 6
