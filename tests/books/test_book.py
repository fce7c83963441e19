"""Books add, do not depend on how spills are joined, and survive being written."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import uhi.io.json
import uhi.schema
from boost_histogram.serialization import to_uhi
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.books.book import Book, fill
from streams.books.cells import Cells
from streams.books.compare import differences
from streams.books.run import RunBook, RunPart
from streams.books.totals import Totals
from streams.experiments.mice.tables.tof import Tof
from streams.plots.batch import Batch
from streams.plots.model import Plot
from tests.catalogue import PLOTS
from tests.records import outcome_of, reconstructed_spill
from tests.same_counts import differing


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(12)), cuts=st.lists(st.integers(0, 12), max_size=4))
def test_a_book_depends_on_the_set_of_spills_alone(order: list[int], cuts: list[int]) -> None:
    spills = [reconstructed_spill(n) for n in range(12)]
    whole = fill(spills, {}).book
    parts = Book({})
    edges = [0, *sorted(cuts), 12]
    for start, stop in pairwise(edges):
        parts += fill([spills[n] for n in order[start:stop]], {}).book
    assert not differing(whole, parts)


def test_every_plot_is_filled_from_hits() -> None:
    spills = [reconstructed_spill(n) for n in range(40)]
    tof = spills[0].get(Tof)
    assert tof is not None
    # Of each slab the other photomultiplier's, with a charge.
    charge = np.full(len(tof.digits), 1700)
    others = replace(tof, digits=replace(tof.digits, pmt=1 - tof.digits.pmt, charge_mm=charge))
    filled = fill([*spills, reconstructed_spill(40, tof=others, triggers=spills[0].triggers)], {})
    assert filled.failures == {}
    assert {name for name in PLOTS if not filled.book[name].sum(flow=True)} == set()


def test_a_stored_histogram_comes_back_bit_for_bit() -> None:
    book = fill([reconstructed_spill(n) for n in range(5)], {}).book
    for name in PLOTS:
        back = Cells.unpack(Cells.of(book[name]).pack()).histogram()
        assert back == book[name]
        assert (back.name, back.title) == (name, PLOTS[name].title)
        assert [(a.label, a.unit) for a in back.axes] == [(a.label, a.unit) for a in PLOTS[name].axes]


def test_a_histogram_is_uhi() -> None:
    book = fill([reconstructed_spill(1)], {}).book
    for name in PLOTS:
        uhi.schema.validate({name: json.loads(json.dumps(to_uhi(book[name]), default=uhi.io.json.default))})


@pytest.mark.parametrize("cut", [0, 1, 5, -1])
def test_a_histogram_cut_short_is_refused(cut: int) -> None:
    book = fill([reconstructed_spill(1)], {}).book
    with pytest.raises(ValueError, match=r"histogram|checksum"):
        Cells.unpack(book.cells["ht01"].pack()[:cut])


def test_a_run_has_its_own_ranges() -> None:
    book = fill([reconstructed_spill(1)], {"ht12": (200, 0.0, 20.0)}).book
    assert np.allclose(book["ht12"].axes[0].edges, np.linspace(0, 20, 201))
    assert book["ht01"].axes[0].edges[-1] == 40


def test_a_plot_that_fails_on_one_spill_loses_that_spill_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    good = PLOTS["ht01"]

    def fails_on_spill_3(batch: Batch) -> tuple[object, ...]:
        if 3 in batch.spills:
            raise IndexError("no such thing")
        return good.fill(batch)

    broken = Plot(**{f: getattr(good, f) for f in good.__dataclass_fields__} | {"fill": fails_on_spill_3})
    spills = [reconstructed_spill(n) for n in range(6)]
    without = fill([s for s in spills if s.spill != 3], {}).book
    whole = fill(spills, {}).book
    monkeypatch.setitem(PLOTS, "ht01", broken)
    filled = fill(spills, {})
    book = filled.book
    assert filled.failures == {"plot ht01": {3: "IndexError: no such thing"}}
    assert np.array_equal(book["ht01"].view(flow=True), without["ht01"].view(flow=True))
    assert np.array_equal(book["ht02"].view(flow=True), whole["ht02"].view(flow=True))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda one: one, "its fill gives no tuple of 1 arrays, one an axis"),
        (lambda one: (one, one), "its fill gives no tuple of 1 arrays, one an axis"),
        (lambda one: (one.reshape(-1, 1),), r"its fill gives arrays of the shapes \([0-9]+, 1\)"),
        (lambda one: (one.sum(),), r"its fill gives arrays of the shapes \(\)"),
    ],
    ids=["no tuple", "two for one axis", "a matrix", "a number"],
)
def test_what_is_no_array_an_axis_is_a_failure_of_the_plot_with_why(
    monkeypatch: pytest.MonkeyPatch, given: Callable[[Any], Any], said: str
) -> None:
    good = PLOTS["ht01"].fill
    monkeypatch.setitem(PLOTS, "ht01", replace(PLOTS["ht01"], fill=lambda batch: given(np.asarray(good(batch)[0]))))
    part = RunPart()
    (filled,) = (
        each
        for _, _, each in part.count([outcome_of(reconstructed_spill(n)) for n in range(3)], {}, lambda _us: 0).filled
    )
    assert filled.book["ht01"].sum(flow=True) == 0
    assert part.totals.errors["plot ht01"] == 3
    spill, why = part.totals.first_errors["plot ht01"]
    assert spill == 0
    assert re.fullmatch(f"ValueError: {said}", why)


def share_of(spills: range) -> RunBook:
    part, book, numbers = RunPart(), Book({}), dict[int, bytes]()
    for _, _, filled in part.count([outcome_of(reconstructed_spill(n)) for n in spills], {}, lambda _us: 0).filled:
        book += filled.book
        numbers |= filled.key_numbers
    return RunBook(totals=part.totals, ledger=part.ledger, book=book, key_numbers=numbers)


def test_totals_of_partitions_add_up_to_those_of_the_run() -> None:
    total, whole = Totals(), share_of(range(20)).totals
    for part in range(4):
        total += share_of(range(part, 20, 4)).totals
    assert total.to_json() == whole.to_json()
    assert Totals.from_json(whole.to_json()) == whole


def test_a_comparison_finds_one_bin_one_counter_one_spill() -> None:
    here = share_of(range(5))
    assert differences(here, share_of(range(5))) == []
    there = share_of(range(5))
    there.book.cells["hPMT3"].counts[7] += 1
    there.totals.duplicates += 1
    del there.ledger[2]
    assert [d.split(":")[0] for d in differences(here, there)] == ["duplicates", "spills here alone", "plot hPMT3"]
