"""Each fault is seen where a shifter looks for it, and nowhere else."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from schemas.records import TIME, RawSpill
from streams.books.run import spill_facts
from streams.conditions.store import ConditionsStore
from streams.experiment import experiment
from streams.experiments.mice.plots.tof_quantities import single_times_ns
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.boards import dbb_words
from streams.experiments.mice.simulator.faults.kinds import KINDS
from streams.plots.batch import Batch
from streams.process import RunResult, process
from streams.reconstruct import reconstruct
from tests.catalogue import DETECTORS as CATALOGUE
from tests.catalogue import PLOTS, TRENDS
from tests.plots.test_catalogue import EXPECTED
from tests.same_counts import differing

SPILLS, FEW, TRIGGERS = 30, 10, 20
"""Spills of a run in which each fault is seen in all plots that it can change, and of one for faults of some spills."""
STORE = ConditionsStore([])
TOF_RAW = {
    "raw_v1290_hits",
    "raw_v1290_time",
    "raw_v1724_pedestal",
    "raw_v1724_charge_mm",
    "raw_v1724_position_min",
}
CKOV_RAW = {"raw_v1731_pedestal", "raw_v1731_charge_mm", "raw_v1731_position_min"}
FROM_TOF0 = {"ht01", "ht02", "htof", "tof_A", "tof_B"} | {
    "kl_charge_kind",
    "emr_charge_kind",
}
"""Plots of times that TOF0 begins."""


EMR_TRACKS = {f"emr_{what}" for what in ("charge_ma", "charge_ratio", "chi2_density", "range_primary")} | {
    "emr_charge_kind",
    "emr_momentum",
}
"""What is made of the bars that are hit."""
EMR_DAUGHTERS = {"emr_matched", "emr_muons", "emr_range_secondary", "emr_decay"}
EMR_PLANES = {"emr_charge_sa", "emr_depth"}
"""What is made of the planes' own photomultipliers."""


def points_of(station: int) -> set[str]:
    """Return the plots of a station's space points."""
    counts = {f"hnsp_{station}", f"hnsp_spill_tof{station}", f"hnsp_vs_spill_tof{station}"}
    return counts | {f"hspxy_{station}", f"spx{station}", f"spy{station}"}


def hits_of(station: int, plane: int, *pmts: int) -> set[str]:
    """Return the plots of a plane's slab hits, and of the digits of some of its photomultipliers, else of both."""
    place = f"{station}{plane}"
    return {f"hslabhits{place}", *(f"hpmthits{place}{pmt}" for pmt in pmts or (0, 1))}


def upstream(station: int) -> set[str]:
    """Return the plots that a change of one plane's light shows in, its digits aside."""
    stations = {"SP_TkU", "Tr1pStSp", "Tr1pStSp_2", "Tr1pStSp_3", "SP_Type", "Ch_SumU"}
    of_station = {f"Ef_TkU{station}", f"SP_Pos_TkU{station}_trip", f"SP_Pos_TkU{station}_doub"}
    tracks = {f"Trk_{what}_TkU" for what in ("Chi2", "Eff", "Spot", "Angle", "ResX", "ResY")}
    whole = {"Npe_TkU", "Occ_TkU", "Trk_Jump", "Trk_Kink"}
    return stations | of_station | tracks | whole | {"raw_vlsb_adc", "raw_vlsb_tdc", "raw_vlsb_adc_tdc"}


def simulated(*faults: str, spills: int = SPILLS) -> SimulatedRun:
    return SimulatedRun(spills=spills, mean_triggers=TRIGGERS).with_faults(faults)


@cache
def result(*faults: str, spills: int = SPILLS) -> RunResult:
    """Return the first run, with these faults."""
    run = simulated(*faults, spills=spills)
    return process(run.records(), STORE.for_run)[run.run]


def counts(plot: str, *faults: str, spills: int = SPILLS) -> np.ndarray:
    return result(*faults, spills=spills).book[plot].view(flow=False)


def made_of(detectors: set[str]) -> set[str]:
    """Return the plots that are filled from tables of some of these detectors."""
    return {name for name, plot in PLOTS.items() if experiment().needs(plot) & detectors}


def changed(*faults: str, spills: int = SPILLS) -> set[str]:
    """Return the plots that are not bit for bit as without the faults."""
    return differing(result(spills=spills).book, result(*faults, spills=spills).book)


CASES: list[tuple[str, set[str]]] = [
    ("dead_pmt:tof0/0/4/0", FROM_TOF0 | points_of(0) | hits_of(0, 0, 0) | TOF_RAW),
    ("dead_pmt:tof2/1/5", {"ht12", "ht02"} | points_of(2) | hits_of(2, 1) | TOF_RAW),
    ("dead_pmt:ckov/0/1", {"tof_A", "hPMT2", "harr_time2"} | CKOV_RAW),
    ("hot_channel:tof0/0/2", FROM_TOF0 | points_of(0) | hits_of(0, 0) | TOF_RAW),
    ("hot_channel:ckov/1/1", {"tof_B", "hPMT6", "harr_time6"} | CKOV_RAW),
    ("noisy_plane:tof2/1", {"ht12", "ht02"} | points_of(2) | hits_of(2, 1) | TOF_RAW),
    ("swapped_cables:tof0/0/4/0,tof0/0/5/0", FROM_TOF0 | points_of(0) | hits_of(0, 0, 0) | TOF_RAW),
    ("dead_pmt:tracker0/2/1", {"DC_TkU21"} | upstream(2)),
    # Of the triplets it makes and breaks none.
    ("hot_channel:tracker0/2/1/90", {"DC_TkU21"} | upstream(2) - {"Tr1pStSp_3"}),
    ("noisy_plane:tracker0/2/1", {"DC_TkU21"} | upstream(2)),
    # ADC and TDC go together wherever they are connected.
    (
        "swapped_cables:tracker0/2/1/90,tracker0/2/0/110",
        {"DC_TkU20", "DC_TkU21"} | upstream(2) - {"raw_vlsb_adc_tdc", "Trk_Spot_TkU"},
    ),
    ("shifted_timing:tracker1=30", {"raw_vlsb_tdc", "raw_vlsb_adc_tdc"}),
    ("dead_pmt:emr/5/30", EMR_TRACKS | {"emr_occupancy_yz", "raw_dbb_hits"}),
    ("dead_pmt:emr/5/0", EMR_PLANES | CKOV_RAW),
    ("dead_pmt:emr/5", EMR_TRACKS | EMR_PLANES | {"emr_muons", "emr_occupancy_yz", "raw_dbb_hits"} | CKOV_RAW),
    (
        "hot_channel:emr/5/12",
        EMR_TRACKS | EMR_DAUGHTERS | {"emr_charge_sa", "emr_occupancy_yz", "raw_dbb_hits"},
    ),
    (
        "noisy_plane:emr/5",
        EMR_TRACKS | EMR_DAUGHTERS | EMR_PLANES | {"emr_occupancy_yz", "raw_dbb_hits"} | CKOV_RAW,
    ),
    ("swapped_cables:emr/5/30,emr/5/10", EMR_TRACKS | EMR_DAUGHTERS | {"emr_occupancy_yz", "raw_dbb_hits"}),
    (
        "shifted_timing:emr/5=40",
        EMR_TRACKS | EMR_DAUGHTERS | {"emr_charge_sa", "emr_occupancy_xz", "emr_occupancy_yz"},
    ),
    ("shifted_timing:tof0=2.5", FROM_TOF0 | {"raw_v1290_time"}),
    ("shifted_timing:tof2=-1", {"ht12", "ht02", "raw_v1290_time"}),
    ("counter_wrap", {"raw_v1290_time"}),
    ("duplicated_spills@3-9", set()),
    ("reordered_spills@4-9", set()),
    ("wrong_clock=3600@7", set()),
    ("run_without_end", set()),
]
LISTED = EXPECTED.keys() | {name for _, seen in CASES for name in seen}
"""Plots of which it is listed what changes them; of the others only what they are made of."""


@pytest.mark.parametrize(("fault", "seen"), CASES)
def test_a_fault_changes_its_own_plots_and_no_others(fault: str, seen: set[str]) -> None:
    # A pulse that comes while others of its counter are far away takes them out of the charge, not of its arrival.
    others = {f"hPMT{n}" for n in range(5, 9)} if fault.startswith("hot_channel:ckov/1") else set()
    spills = SPILLS if seen else FEW
    assert changed(fault, spills=spills) & LISTED - others == seen - others
    assert changed(fault, spills=spills) - LISTED <= made_of({PLOTS[name].detector for name in seen})
    totals = result(fault, spills=spills).part.totals
    assert totals.errors == totals.rejected == {}
    assert totals.filled == spills


def test_a_dead_photomultiplier_empties_its_slab_and_its_own_hits_and_not_those_of_the_other_end() -> None:
    assert np.array_equal(counts("hpmthits001"), counts("hpmthits001", "dead_pmt:tof0/0/4/0"))
    for name in hits_of(0, 0, 0):
        before, after = counts(name), counts(name, "dead_pmt:tof0/0/4/0")
        assert after[4] == 0 < before[4]
        assert np.array_equal(np.delete(after, 4), np.delete(before, 4))
    assert counts("hspxy_0", "dead_pmt:tof0/0/4/0")[:, 4].sum() == 0
    charge = counts("hPMT2", "dead_pmt:ckov/0/1")
    assert charge[50] == charge.sum() == result().part.totals.triggers
    assert counts("harr_time2", "dead_pmt:ckov/0/1").sum() == 0


def test_a_hot_slab_is_hit_in_every_trigger_and_a_hot_photomultiplier_is_seen_in_the_raw_hits() -> None:
    triggers = result().part.totals.triggers
    assert counts("hslabhits00", "hot_channel:tof0/0/2")[2] == triggers
    assert np.array_equal(
        np.delete(counts("hslabhits00", "hot_channel:tof0/0/2"), 2), np.delete(counts("hslabhits00"), 2)
    )
    more = counts("raw_v1290_hits", "hot_channel:tof0/0/2/1") - counts("raw_v1290_hits")
    assert more.max() == more.sum() == triggers
    seen = changed("hot_channel:tof0/0/2/1")
    assert seen & LISTED <= TOF_RAW | points_of(0) | FROM_TOF0 | {"hpmthits001"}
    assert seen - LISTED <= made_of({"tof"})
    assert counts("harr_time6", "hot_channel:ckov/1/1")[20:80].sum() > 0.95 * triggers


def test_a_dead_bar_of_the_ranger_is_a_gap_and_a_hot_one_a_spike_in_the_occupancy() -> None:
    before, dead, hot = (
        counts("emr_occupancy_yz", *faults) for faults in ((), ("dead_pmt:emr/5/30",), ("hot_channel:emr/5/12",))
    )
    bar = tuple(np.argwhere(dead != before).T)
    assert dead[bar].sum() == 0 < before[bar].sum()
    assert len(bar[0]) == 1
    assert len(np.argwhere(hot != before)) == 1
    assert (hot - before).max() > 0.9 * result().part.totals.triggers
    raw = counts("raw_dbb_hits") - counts("raw_dbb_hits", "dead_pmt:emr/5/30")
    assert np.count_nonzero(raw) == 1
    assert np.count_nonzero(raw[5]) == 1


def test_a_plane_of_the_ranger_that_comes_late_is_lost_to_its_occupancy() -> None:
    before, late = (counts("emr_occupancy_yz", *faults) for faults in ((), ("shifted_timing:emr/5=40",)))
    lost = before - late
    assert lost.sum() == before.sum() - late.sum() > 0
    assert np.array_equal(counts("raw_dbb_hits"), counts("raw_dbb_hits", "shifted_timing:emr/5=40"))


@pytest.mark.parametrize("fault", ["hot_channel:emr/20", "noisy_plane:emr/20"])
def test_a_board_of_the_ranger_that_is_full_tells_of_the_first_hits_alone(fault: str) -> None:
    run = simulated("many_triggers", fault, fault.replace("noisy_plane", "hot_channel"))
    spill = reconstruct(run.spill(1).raw, run.conditions)
    assert "triggers recorded where the spill has 300 particle triggers, in DBB 20" in spill.errors["emr"]
    assert {*spill.errors} == {"emr"}
    with pytest.raises(ValueError, match="8191 edges at most, not 8192"):
        dbb_words(0, 0, 1, np.zeros(8192, np.int32), np.zeros(8192, np.bool_), np.zeros(8192, np.int64))


def test_a_board_of_the_ranger_with_a_trigger_less_is_an_error_of_the_ranger_alone() -> None:
    fault = "trigger_mismatch:DBB/2/5@5-6"
    found = result(fault, spills=FEW).part
    assert (found.totals.errors, found.totals.rejected, found.totals.filled) == ({"emr": 2}, {}, FEW)
    assert changed(fault, spills=FEW) == made_of({"emr"})
    run = simulated(fault)
    said = reconstruct(run.spill(5).raw, run.conditions).errors["emr"]
    triggers = len(run.spill(5).particles)
    assert f"trigger count {triggers - 1} where the spill has {triggers} particle triggers" in said


def test_a_noisy_plane_is_noisy_where_no_beam_is() -> None:
    more = counts("hslabhits21", "noisy_plane:tof2/1") - counts("hslabhits21")
    assert (more >= 0).all()
    assert more.min() > 0
    digits = [result(*faults).part.totals.detectors["tof"]["digits"] for faults in ((), ("noisy_plane:tof2/1",))]
    # 20 photomultipliers, each in a fifth of the triggers.
    assert digits[1] - digits[0] == pytest.approx(4 * result().part.totals.triggers, rel=0.1)


def test_swapped_cables_leave_no_whole_slab_where_one_particle_went() -> None:
    swapped = "swapped_cables:tof0/0/4/0,tof0/0/5/0"
    before, after = counts("hslabhits00"), counts("hslabhits00", swapped)
    assert (after[4:6] < before[4:6] / 2).all()
    assert np.array_equal(np.delete(after, [4, 5]), np.delete(before, [4, 5]))
    raw = counts("raw_v1290_hits") - counts("raw_v1290_hits", swapped)
    assert raw.sum() == 0
    assert np.count_nonzero(raw) == 2


def test_cables_that_are_swapped_at_both_ends_of_two_slabs_exchange_the_slabs() -> None:
    both = ("swapped_cables:tof0/0/2/0,tof0/0/7/0", "swapped_cables:tof0/0/2/1,tof0/0/7/1")
    back = [f"{fault}@0-{FEW - 1}" for fault in both]
    before, after, twice = (counts("hslabhits00", *faults, spills=FEW) for faults in ((), both, (*both, *back)))
    assert (after[2], after[7]) == (before[7], before[2]) != (before[2], before[7])
    assert np.array_equal(twice, before)


@cache
def flights(*faults: str) -> np.ndarray:
    """Return (n, 2) times of flight to TOF1 and on to TOF2."""
    run = simulated(*faults, spills=FEW)
    times = Batch([reconstruct(run.spill(n).raw, run.conditions) for n in range(FEW)]).once(single_times_ns)
    return np.diff(times, axis=1)


@pytest.mark.parametrize(("station", "asked", "moved"), [(0, 2.5, (-2.5, 0)), (2, -1.05, (0, -1.05))])
def test_shifted_timing_moves_the_peak_by_what_was_asked(station: int, asked: float, moved: tuple[float, ...]) -> None:
    before, after = flights(), flights(f"shifted_timing:tof{station}={asked}")
    assert np.array_equal(np.isnan(before), np.isnan(after))
    assert np.nanmax(np.abs(after - before - moved)) < 1e-9


def test_shifted_timing_moves_the_arrival_times_of_the_cherenkov_counters() -> None:
    before, after = (counts("harr_time1", *faults, spills=FEW) for faults in ((), ("shifted_timing:ckov=4",)))
    assert np.array_equal(after[34:80], before[30:76])
    assert before[30:76].sum() > 0


def test_shifted_timing_of_the_trigger_station_leaves_no_pixel_that_triggered() -> None:
    assert result("shifted_timing:tof1=2.5").part.totals.detectors["tof"]["space_points"] == 0
    assert changed("shifted_timing:tof1=2.5") & set().union(*(hits_of(1, p) for p in range(2))) == set()


def test_a_wrap_of_the_counters_lies_within_every_trigger() -> None:
    run, wrapped = simulated(), simulated("counter_wrap")
    before, after = (reconstruct(r.spill(3).raw, run.conditions).detectors["tof"].tables() for r in (run, wrapped))
    for name in ("hits", "space_points"):
        assert before[name].equal(after[name])
    digits = after["digits"]
    assert (digits.leading_time > digits.request_time + 2**20).mean() > 0.9
    assert np.array_equal(np.unique(digits.request_time), [500])


@pytest.mark.parametrize(
    ("fault", "said", "detectors"),
    [
        ("trigger_mismatch:v1290/1/2@5-6", "V1290 of LDC 1, geo 2: trigger mismatch: ", {"tof"}),
        ("trigger_mismatch:V1724/0/18@5-6", "V1724 of LDC 0, geo 18: trigger mismatch", {"tof"}),
        ("trigger_mismatch:V1731/1/9@5-6", "V1731 of LDC 1, geo 9: trigger mismatch", {"ckov"}),
        ("corrupted_word:V1290/1/4@5-6", "unexpected word 0xffffffff", {"tof"}),
        ("corrupted_word:V1724/1/0@5-6", "unexpected word 0xffffffff", {"tof"}),
        ("corrupted_word:V1731/1/9@5-6", "unexpected word 0xffffffff", {"ckov"}),
        ("corrupted_word:V830/0/0@5-6", "trigger count 65535", {"scalers"}),
        ("corrupted_word:DBB/2/47@5-6", "unexpected word 0xffffffff where a header should be", {"emr"}),
        ("missing_ldc:0@5-6", "LDC 0 lacks in an event: it has [1, 2, 3, 4]", {"tof", "kl", "scalers"}),
        ("missing_ldc:1@5-6", "LDC 1 lacks in an event: it has [0, 2, 3, 4]", {"tof", "ckov"}),
        ("missing_ldc:3@5-6", "LDC 3 lacks in an event: it has [0, 1, 2, 4]", {"tracker"}),
    ],
)
def test_a_board_that_cannot_be_read_is_an_error_of_those_that_read_it_and_of_nobody_else(
    fault: str, said: str, detectors: set[str]
) -> None:
    found = result(fault, spills=FEW)
    assert (found.part.totals.rejected, found.part.totals.filled) == ({}, FEW)
    assert found.part.totals.errors == dict.fromkeys([*detectors, "raw"], 2)
    for name in (*detectors, "raw"):
        spill, why = found.part.totals.first_errors[name]
        assert spill == 5
        assert said in why
    assert trend("daq_triggers", fault).tolist() == trend("daq_triggers").tolist()
    assert {name for name in changed(fault, spills=FEW) if not name.startswith("raw_")} <= made_of(detectors)
    for name in detectors:
        # Of the detectors themselves nothing but the two spills is missing; a plot of the Cherenkov counters is TOF's.
        for plot in (plot for plot in CATALOGUE[name].plots if plot.name != "htof" or "tof" in detectors):
            with_fault, without = (counts(plot.name, one, spills=FEW) for one in (fault, "lost_spills@5-6"))
            assert np.array_equal(with_fault, without)


def test_a_spill_that_is_cut_is_rejected_with_its_reason_and_is_in_no_plot() -> None:
    fault = "truncated_spill@5-6"
    found = result(fault, spills=FEW)
    assert found.part.totals.rejected == {"unpack": 2}
    assert len(found.rejections) == 2
    assert all("bytes where" in rejection for rejection in found.rejections)
    assert (found.part.totals.filled, found.part.totals.errors) == (FEW - 2, {})
    assert found.part.ledger.keys() == set(range(FEW)) - {5, 6}
    # Nothing but the two spills is missing: the plots are those of a run without them.
    assert changed(fault, spills=FEW) == changed("lost_spills@5-6", spills=FEW)
    for name in PLOTS:
        assert np.array_equal(counts(name, fault, spills=FEW), counts(name, "lost_spills@5-6", spills=FEW))


def trend(name: str, *faults: str) -> np.ndarray:
    return np.asarray(TRENDS[name].value(spill_facts(result(*faults, spills=FEW).part.ledger)), np.float64)


def test_lost_spills_are_missed_where_they_were() -> None:
    found = result("lost_spills@5-6", spills=FEW).part
    assert (found.totals.received, found.totals.filled, found.totals.duplicates) == (FEW - 2, FEW - 2, 0)
    missed = trend("daq_missed", "lost_spills@5-6")
    assert (missed[5], missed.sum()) == (2, 2)


def test_duplicates_and_spills_out_of_order_are_counted_and_change_nothing_else() -> None:
    names = ("duplicated_spills@3-9", "reordered_spills@4-9")
    plain, *parts = (result(*faults, spills=FEW).part for faults in ((), *((name,) for name in names)))
    doubled, mixed = (part.totals for part in parts)
    assert (doubled.received, doubled.filled, doubled.duplicates, doubled.out_of_order) == (FEW + 7, FEW, 7, 0)
    assert (mixed.received, mixed.filled, mixed.duplicates, mixed.out_of_order) == (FEW, FEW, 0, 5)
    for part in parts:
        assert part.ledger == plain.ledger
        assert part.totals.detectors == plain.totals.detectors


def test_a_wrong_clock_is_seen_in_the_rate_and_in_the_times_of_its_spills() -> None:
    moved = [entry.time_us for entry in result("wrong_clock=3600@7", spills=FEW).part.ledger.values()]
    right = [entry.time_us for entry in result(spills=FEW).part.ledger.values()]
    assert [after - before for after, before in zip(moved, right, strict=True)] == [
        3_600_000_000 if spill == 7 else 0 for spill in range(FEW)
    ]
    rate, before = trend("daq_rate", "wrong_clock=3600@7"), trend("daq_rate")
    assert rate[7] < before[7] / 1000
    assert np.isnan(rate[8])
    assert np.array_equal(np.delete(rate, [0, 7, 8]), np.delete(before, [0, 7, 8]))


@pytest.mark.parametrize("fault", ["wrong_clock=1e9@7", "wrong_clock=-1e9@7"])
def test_a_clock_in_another_year_is_an_error_of_its_spill_alone(fault: str) -> None:
    found, right = result(fault, spills=FEW), result(spills=FEW).part.ledger
    times = {spill: entry.time_us for spill, entry in found.part.ledger.items()}
    assert times == {spill: right[6 if spill == 7 else spill].time_us for spill in range(FEW)}
    assert (found.part.totals.errors, found.part.totals.filled) == ({TIME: 1}, FEW)
    spill, why = found.part.totals.first_errors[TIME]
    assert spill == 7
    assert why.startswith("its own, ")


def test_an_empty_spill_has_no_trigger_and_no_entry() -> None:
    found = result("empty_spill@5-6", spills=FEW)
    assert found.part.totals.rejected == found.part.totals.errors == {}
    assert trend("daq_triggers", "empty_spill@5-6")[5:7].tolist() == [0, 0]
    for name in PLOTS:
        empty, lost = (counts(name, fault, spills=FEW) for fault in ("empty_spill@5-6", "lost_spills@5-6"))
        assert np.array_equal(empty, lost)


def test_300_triggers_are_read_and_lie_in_the_overflow_of_space_points_per_spill() -> None:
    found = result("many_triggers@5", spills=FEW)
    assert found.part.totals.rejected == found.part.totals.errors == {}
    assert trend("daq_triggers", "many_triggers@5")[5] == 300
    books = (result(*faults, spills=FEW).book for faults in ((), ("many_triggers@5",)))
    before, after = (book["hnsp_spill_tof1"].view(flow=True) for book in books)
    assert (before[-1], after[-1]) == (0, 1)


def test_the_run_changes_in_mid_file_and_both_runs_are_whole() -> None:
    run = simulated("change_of_run@4", spills=FEW)
    found = process(run.records(), STORE.for_run)
    assert {number: r.part.totals.filled for number, r in found.items()} == {900001: 4, 900002: 6}
    assert all(r.part.totals.ended for r in found.values())
    assert found[900002].part.ledger.keys() == set(range(6))
    spills = [r for r in run.records() if isinstance(r, RawSpill)]
    assert spills == sorted(spills, key=lambda r: r.time_us)
    assert [r.payload for r in spills[:4]] == [r.payload for r in simulated(spills=4).records() if type(r) is RawSpill]


def test_a_run_without_its_end_has_no_end() -> None:
    assert result(spills=FEW).part.totals.ended
    assert not result("run_without_end", spills=FEW).part.totals.ended
    runs = process(simulated("run_without_end", "change_of_run@4", spills=FEW).records(), STORE.for_run)
    assert [r.part.totals.ended for r in runs.values()] == [False, False]
    assert ["start" in r.part.totals.control for r in runs.values()] == [True, True]


PER_SPILL: list[Callable[[str], str]] = [
    lambda spills, name=name: f"{name}{spills}"
    for name in (
        "dead_pmt:tof1/0/3/1",
        "hot_channel:ckov",
        "noisy_plane:tof0",
        "swapped_cables:tof0/0/4/0,tof2/0/5/0",
        "shifted_timing:tof1/0=1",
        "counter_wrap",
        "trigger_mismatch:V1290/1/1",
        "corrupted_word:V1290/1/1",
        "missing_ldc:0",
        "wrong_clock=-5",
        "truncated_spill",
        "empty_spill",
        "many_triggers",
    )
]


@cache
def plain(number: int) -> RawSpill:
    return simulated().spill(number).raw


@pytest.mark.parametrize("fault", PER_SPILL, ids=lambda fault: fault(""))
def test_a_fault_on_some_spills_leaves_the_bytes_of_the_others(fault: Callable[[str], str]) -> None:
    faulty, again = (simulated(fault("@2-3")) for _ in range(2))
    for number in (1, 2, 3, 4):
        spill = faulty.spill(number)
        assert (spill.raw == plain(number)) == (number in (1, 4))
        assert spill.raw == again.spill(number).raw
        assert spill.faults == ((fault("@2-3"),) if number in (2, 3) else ())


def test_every_fault_is_tested_here() -> None:
    tested = {fault("").partition(":")[0].partition("=")[0] for fault in PER_SPILL}
    assert tested | {"change_of_run", "run_without_end", "lost_spills", "reordered_spills", "duplicated_spills"} == {
        *KINDS
    }


def test_without_faults_the_records_are_those_of_the_plain_run() -> None:
    assert list(simulated(spills=3).records()) == list(SimulatedRun(spills=3, mean_triggers=TRIGGERS).records())
