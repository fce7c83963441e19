"""The key numbers of a spill are its own, whatever it is filled with, and add up to the histogram's."""

import struct
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.books import spill_numbers
from streams.books.book import Filled, PlotError, fill
from streams.books.compare import differences
from streams.books.key_number import key_number
from streams.books.run import RunBook
from streams.books.totals import Totals
from streams.plots.batch import Batch
from tests.catalogue import PLOTS
from tests.records import reconstructed_spill

SPILLS = [reconstructed_spill(number) for number in range(12)]
RANGES = {"ht12": (130, 20.0, 29.0)}
KEPT = {name: plot for name, plot in PLOTS.items() if spill_numbers.is_kept(plot)}


def test_they_are_kept_of_all_that_the_shifter_sees() -> None:
    assert KEPT.keys() == {name for name, plot in PLOTS.items() if not plot.expert}


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(12)), cuts=st.lists(st.integers(0, 12), max_size=4))
def test_a_spill_has_the_same_key_numbers_whatever_it_is_filled_with(order: list[int], cuts: list[int]) -> None:
    by_itself = {spill: alone(spill).key_numbers[spill] for spill in range(12)}
    batches: dict[int, bytes] = {}
    for start, stop in pairwise([0, *sorted(cuts), 12]):
        batches |= fill([SPILLS[n] for n in order[start:stop]], RANGES).key_numbers
    assert batches == by_itself


@cache
def together() -> Filled:
    return fill(SPILLS, RANGES)


@cache
def alone(spill: int) -> Filled:
    return fill([SPILLS[spill]], RANGES)


@pytest.mark.parametrize("name", KEPT)
def test_they_are_those_of_the_histogram_that_the_spill_fills_and_add_up_to_that_of_all(name: str) -> None:
    plot, filled = PLOTS[name], together()
    numbers = spill_numbers.of_plot(filled.key_numbers, plot)
    values = {each.spill: each.value for each in numbers}
    for spill in SPILLS:
        number = key_number(plot, alone(spill.spill).book[name], 1)
        assert values.get(spill.spill) == (None if number is None else pytest.approx(number.value, rel=1e-6))
    of_all = key_number(plot, filled.book[name], len(SPILLS))
    assert of_all is not None
    entries = [each.entries for each in numbers]
    mean = np.average([each.value for each in numbers], weights=entries if plot.has_mean else None)
    assert mean == pytest.approx(of_all.value, rel=1e-6)
    assert sum(entries) == filled.book[name].sum(flow=not plot.has_mean)


def spills_of(packed: Mapping[int, bytes], name: str) -> list[int]:
    return [each.spill for each in spill_numbers.of_plot(packed, PLOTS[name])]


def test_a_spill_on_which_a_plot_fails_has_no_key_number_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    good = PLOTS["ht01"].fill

    def fails_on_spill_3(batch: Batch) -> tuple[object, ...]:
        if 3 in batch.spills:
            raise PlotError("no such thing")
        return good(batch)

    monkeypatch.setitem(PLOTS, "ht01", replace(PLOTS["ht01"], fill=fails_on_spill_3))
    found = fill(SPILLS[:6], {}).key_numbers
    assert spills_of(found, "ht01") == [0, 1, 2, 4, 5]
    assert spills_of(found, "hnsp_0") == [0, 1, 2, 3, 4, 5]


def test_what_is_not_known_of_a_spill_is_left_out() -> None:
    found = fill(SPILLS[:3], {}).key_numbers | {1: b""}
    assert spills_of(found, "hnsp_0") == [0, 2]
    assert spills_of({}, "hnsp_0") == []
    assert spills_of(found, next(name for name, plot in PLOTS.items() if plot.expert)) == []


def test_they_take_few_bytes() -> None:
    for packed in fill(SPILLS, {}).key_numbers.values():
        assert spill_numbers.check(packed) == packed
        assert len(packed) <= 600


@pytest.mark.parametrize("rubbish", [b"\x00", b"rubbish", struct.pack("<If", 7, float("nan"))])
def test_what_is_no_key_numbers_is_refused(rubbish: bytes) -> None:
    with pytest.raises(ValueError, match=r"buffer size|no numbers"):
        spill_numbers.check(rubbish)


def test_a_comparison_finds_another_key_number_and_goes_over_those_that_both_have() -> None:
    filled = fill(SPILLS, {})
    here = RunBook(totals=Totals(), ledger={}, book=filled.book, key_numbers=filled.key_numbers)
    assert differences(here, replace(here, key_numbers=dict(filled.key_numbers))) == []
    assert differences(here, replace(here, key_numbers={})) == []
    other = filled.key_numbers | {4: filled.key_numbers[5]}
    assert differences(here, replace(here, key_numbers=other)) == ["spills with other key numbers: 4"]
