"""Combinations of rows of groups."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.arrays import combinations as module
from streams.arrays.combinations import combinations


@given(st.lists(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), min_size=3, max_size=3), max_size=6))
def test_every_combination_comes_once_and_in_order(groups) -> None:
    lists = np.array(groups, np.int64).reshape(-1, 3, 2)
    found = [tuple(row) for piece in combinations(lists[..., 0], lists[..., 1]) for row in piece.tolist()]
    assert found == [row for group in groups for row in product(*(range(at, at + n) for at, n in group))]


def test_a_piece_is_small_unless_a_group_is_large(monkeypatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 10)
    counts = np.array([[3, 2], [2, 2], [5, 5], [1, 1], [1, 1]])
    pieces = list(combinations(np.zeros_like(counts), counts))
    assert sum(map(len, pieces)) == 6 + 4 + 25 + 1 + 1
    assert max(map(len, pieces)) <= 10 + 25
    assert len(pieces) > 2
