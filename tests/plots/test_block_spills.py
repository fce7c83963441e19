"""From bins of a plot to its spills: what is named really filled them, and what is no entry of a trigger names none."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import Table
from schemas.records import ReconstructedSpill
from streams.books.block_spills import MOST_SPILLS, MOST_TRIGGERS, BlockSearch, BlockSpill
from streams.books.book import axes_of, counts_of
from streams.checks.shapes import Block
from streams.experiments.mice.tables.tof import Tof, TofSlabHits
from tests.catalogue import PLOTS
from tests.records import reconstructed_spill

SPILLS = [reconstructed_spill(n) for n in range(6)]
SLABS = "hslabhits10"
OF_TRIGGERS = [name for name in PLOTS if not name.startswith(("hnsp_", "raw_dbb", "emr_range_sec", "emr_decay"))]


def block(first: tuple[int, ...], last: tuple[int, ...], *, share: float = 0.5, expected: float = 0.1) -> Block:
    return Block(first=first, last=last, share=share, expected=expected, evidence=99.0)


def whole(plot: str) -> Block:
    """Return all bins of a plot, with what is below and above."""
    bins = tuple(axis.bins for axis in axes_of(plot, {}))
    return block((-1,) * len(bins), bins)


def found(plot: str, its: Block, spills: Sequence[ReconstructedSpill] = SPILLS) -> tuple[BlockSpill, ...]:
    search = BlockSearch(plot, its, {})
    for spill in spills:
        search.look(spill)
    assert search.looked == len(spills)
    return search.found()


def tof_of(spill: ReconstructedSpill) -> Tof:
    tof = spill.get(Tof)
    assert tof is not None
    return tof


def slab_hits(spill: ReconstructedSpill, first: int, last: int) -> list[int]:
    """Return the trigger of each hit in these slabs of TOF1's first plane."""
    hits = tof_of(spill).hits
    its = (hits.station == 1) & (hits.plane == 0) & (hits.slab >= first) & (hits.slab <= last)
    return sorted(hits.trigger[its].tolist())


def with_hits(spill: ReconstructedSpill, hits: TofSlabHits) -> ReconstructedSpill:
    return replace(spill, detectors=spill.detectors | {"tof": replace(tof_of(spill), hits=hits)})


def without_slab(slab: int, spill: ReconstructedSpill) -> ReconstructedSpill:
    hits = tof_of(spill).hits
    return with_hits(spill, hits.rows(hits.slab != slab))


def test_the_spills_with_most_entries_in_the_bins_come_first_each_with_its_first_triggers() -> None:
    hits = {spill.spill: slab_hits(spill, 2, 4) for spill in SPILLS}
    order = sorted((number for number in hits if hits[number]), key=lambda number: (-len(hits[number]), number))
    its = found(SLABS, block((2,), (4,)))
    assert [each.spill for each in its] == order[:MOST_SPILLS]
    for each in its:
        triggers = sorted(set(hits[each.spill]))
        assert each.inside == len(hits[each.spill])
        assert each.entries == counts_of(SLABS, SPILLS[each.spill], {}).sum()
        assert each.triggers == tuple(triggers[:MOST_TRIGGERS])
        assert each.has_more == (len(triggers) > MOST_TRIGGERS)


def test_spills_that_did_not_fill_the_bins_are_not_named() -> None:
    spills = [SPILLS[0], *(without_slab(3, spill) for spill in SPILLS[1:])]
    assert [each.spill for each in found(SLABS, block((3,), (3,)), spills)] == [0]


def test_what_is_above_the_axis_is_found_too() -> None:
    hits = tof_of(SPILLS[0]).hits
    bins = axes_of(SLABS, {})[0].bins
    beyond = with_hits(SPILLS[0], replace(hits, slab=np.full(len(hits), bins + 3)))
    at = (hits.station == 1) & (hits.plane == 0)
    (its,) = found(SLABS, block((bins,), (bins,)), [*SPILLS[1:], beyond])
    assert (its.spill, its.inside, its.inside) == (0, at.sum(), its.entries)
    assert its.triggers == tuple(np.unique(hits.trigger[at])[:MOST_TRIGGERS].tolist())
    assert found(SLABS, block((-1,), (-1,)), [*SPILLS[1:], beyond]) == ()


def test_an_entry_that_is_of_a_whole_spill_names_no_trigger() -> None:
    its = found("hnsp_spill_tof1", whole("hnsp_spill_tof1"))
    assert len(its) == MOST_SPILLS
    assert {(each.inside, each.triggers) for each in its} == {(1, ())}


def test_of_a_spill_of_one_trigger_what_is_of_the_spill_names_none_either() -> None:
    spill = next(spill for n in range(100) if (spill := reconstructed_spill(n)).triggers == 1)
    (its,) = found("raw_dbb_hits", whole("raw_dbb_hits"), [spill])
    assert its.triggers == ()


def test_bins_that_lack_entries_name_the_spills_that_have_none_there_though_many_elsewhere() -> None:
    spills = [without_slab(3, spill) for spill in SPILLS]
    entries = {spill.spill: int(counts_of(SLABS, spill, {}).sum()) for spill in spills}
    lacking = block((3,), (3,), share=0.0, expected=0.1)
    its = found(SLABS, lacking, spills)
    order = sorted((number for number in entries if entries[number]), key=lambda number: (-entries[number], number))
    assert [(each.spill, each.inside, each.triggers) for each in its] == [(n, 0, ()) for n in order[:MOST_SPILLS]]
    assert [each.entries for each in its] == [entries[number] for number in order[:MOST_SPILLS]]
    full = [spill for spill in SPILLS if slab_hits(spill, 3, 3)]
    assert found(SLABS, lacking, full) == ()


def test_a_spill_without_the_detector_is_passed_over() -> None:
    assert found(SLABS, whole(SLABS), [reconstructed_spill(0, tof=None)]) == ()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_named_really_filled_the_bins(data: st.DataObject) -> None:
    plot = data.draw(st.sampled_from(OF_TRIGGERS))
    ends = [
        sorted(data.draw(st.tuples(*[st.integers(-1, axis.bins)] * 2), label=axis.label)) for axis in axes_of(plot, {})
    ]
    first, last = (tuple(end) for end in zip(*ends, strict=True))
    inside = tuple(slice(low + 1, high + 2) for low, high in zip(first, last, strict=True))
    spills = {spill.spill: spill for spill in SPILLS}
    its = found(plot, block(first, last))
    filled = {number: int(counts_of(plot, spill, {})[inside].sum()) for number, spill in spills.items()}
    assert sorted((each.inside for each in its), reverse=True) == sorted(filter(None, filled.values()))[::-1][:3]
    for each in its:
        assert each.inside == filled[each.spill]
        _each_trigger_filled(plot, inside, spills[each.spill], each)


@pytest.mark.parametrize("plot", OF_TRIGGERS)
def test_triggers_that_are_named_filled_the_first_and_the_last_bins(plot: str) -> None:
    bins = tuple(axis.bins for axis in axes_of(plot, {}))
    for first, last in (((-1,) * len(bins), (0,) * len(bins)), (tuple(n - 1 for n in bins), bins)):
        for each in found(plot, block(first, last)):
            inside = tuple(slice(low + 1, high + 2) for low, high in zip(first, last, strict=True))
            _each_trigger_filled(plot, inside, SPILLS[each.spill], each)


def _each_trigger_filled(plot: str, inside: tuple[slice, ...], spill: ReconstructedSpill, its: BlockSpill) -> None:
    for trigger in its.triggers:
        assert counts_of(plot, _without(spill, trigger), {})[inside].sum() < its.inside


def _without(spill: ReconstructedSpill, trigger: int) -> ReconstructedSpill:
    """Return a spill in which a trigger never was: emptied, it would still be one in which nothing was seen."""
    return replace(
        spill,
        triggers=spill.triggers - 1,
        detectors={
            name: replace(
                detector, **{name: _table_without(table, trigger) for name, table in detector.tables().items()}
            )
            for name, detector in spill.detectors.items()
        },
    )


def _table_without(table: Table, trigger: int) -> Table:
    of = getattr(table, "trigger", None)
    if of is None:
        return table
    kept = of[of != trigger]
    return replace(table.rows(of != trigger), trigger=kept - (kept > trigger))


@pytest.mark.parametrize("plot", ["emr_occupancy_xz", "emr_occupancy_yz"])
def test_entries_of_no_trigger_beside_those_of_triggers_hide_none_of_these(plot: str) -> None:
    assert any(each.triggers for each in found(plot, whole(plot)))
