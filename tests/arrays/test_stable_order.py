"""The order is numpy's stable one, whatever the numbers."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from streams.arrays.stable_order import stable_order


@given(nps.arrays(st.sampled_from([np.int64, np.int32, np.uint8]), st.integers(0, 50)))
@example(np.array([2**63 - 1, -(2**63), 0, 2**63 - 1], np.int64))
@example(np.array([], np.int64))
@example(np.array([2**61, 0, 2**61, 1], np.int64))
def test_it_is_the_stable_order(column: np.ndarray) -> None:
    assert stable_order(column).tolist() == np.argsort(column, kind="stable").tolist()


@pytest.mark.parametrize("n", [63, 64, 65, 5000])
def test_equal_numbers_stay_as_they_stand(n: int) -> None:
    column = np.random.default_rng(n).integers(-3, 3, n)
    assert stable_order(column).tolist() == sorted(range(n), key=lambda row: column[row])
