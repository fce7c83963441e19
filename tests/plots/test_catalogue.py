"""The catalogue: every plot of the old system, with its bins, and with words for the shifter."""

from itertools import product

import numpy as np
import pytest

from streams.books.book import Book
from streams.experiments.mice.plots.tof_quantities import flight_time_ns, single_times_ns
from streams.experiments.mice.tables.ckov import CkovDigits
from streams.experiments.mice.tables.tof import Tof
from streams.plots.batch import Batch
from streams.plots.daq import TRENDS as DAQ_TRENDS
from streams.plots.spillfacts import SpillFacts
from tests.catalogue import DETECTORS, PLOTS, TRENDS
from tests.records import reconstructed_spill

SLABS = (10, -0.5, 9.5)
V1290, V1724, V1731 = (256, -0.5, 255.5), (192, -0.5, 191.5), (128, -0.5, 127.5)
"""All channels of a kind of board, by geo and channel."""
EXPECTED: dict[str, tuple[tuple[int, float, float], ...]] = {
    "ht01": ((200, 20, 40),),
    "ht12": ((200, 25, 45),),
    "ht02": ((300, 50, 80),),
    **{f"sp{letter}{s}": (SLABS,) for letter in "xy" for s in range(3)},
    **{f"hnsp_{s}": ((4, -0.5, 3.5),) for s in range(3)},
    **{f"hnsp_spill_tof{s}": ((60, -0.5, 59.5),) for s in range(3)},
    **{f"hnsp_vs_spill_tof{s}": ((5000, -0.5, 4999.5),) for s in range(3)},
    **{f"hslabhits{s}{p}": (SLABS,) for s in range(3) for p in range(2)},
    **{f"hpmthits{s}{p}{m}": (SLABS,) for s in range(3) for p in range(2) for m in range(2)},
    "hspxy_0": (SLABS, SLABS),
    "hspxy_1": ((7, -0.5, 6.5), (7, -0.5, 6.5)),
    "hspxy_2": (SLABS, SLABS),
    **{f"tof_{c}": ((100, 0, 50), (200, 15, 35)) for c in "AB"},
    "htof": ((100, 10, 40),),
    **{f"hPMT{n}": ((550, -50, 500),) for n in range(1, 9)},
    **{f"harr_time{n}": ((200, 0, 200),) for n in range(1, 9)},
    "h1": ((100, 0, 5000),),
    "h2": ((100, 0, 5000),),
    "h3": ((21, -0.5, 20.5),),
    "h4": ((21, -0.5, 20.5), (2, -0.5, 1.5)),
    **{f"emr_occupancy_{letter}z": ((48, -0.5, 47.5), (60, -0.5, 59.5)) for letter in "xy"},
    "emr_beam_profile": ((59, -500, 500), (59, -500, 500)),
    "emr_depth": ((48, 0, 48),),
    **{f"emr_range_{which}": ((48, 0, 840),) for which in ("primary", "secondary")},
    **{f"emr_charge_{which}": ((100, 0, 10_000),) for which in ("ma", "sa")},
    "emr_charge_ratio": ((40, 0, 2),),
    "emr_chi2_density": ((20, 0, 1.0001), (30, 0, 3)),
    **{f"emr_{question}": ((2, -0.5, 1.5),) for question in ("matched", "muons")},
    **{f"DC_Tk{t}{s}{p}": ((215, 0, 215),) for t in "UD" for s in range(1, 6) for p in range(3)},
    **{f"Ch_Sum{t}": ((647, -5.5, 641.5),) for t in "UD"},
    **dict.fromkeys(("SP_TkU", "SP_TkD"), ((5, 0.5, 5.5),)),
    **{f"Tr{t}pStSp{kind}": ((5, 0.5, 5.5),) for t in (1, 2) for kind in ("", "_2", "_3")},
    "SP_Type": ((3, 1, 4),),
    **{f"Ef_Tk{t}{s}": ((3, 1, 4),) for t in "UD" for s in range(1, 6)},
    **{
        f"SP_Pos_Tk{t}{s}_{kind}": ((50, -200, 200), (50, -200, 200))
        for t in "UD"
        for s in range(1, 6)
        for kind in ("trip", "doub")
    },
    "raw_v1290_hits": (V1290,),
    "raw_v1290_time": (V1290, (64, 0, 1 << 21)),
    "raw_v1724_pedestal": (V1724, (100, 8000, 10_000)),
    "raw_v1724_charge_mm": (V1724, (100, 0, 5000)),
    "raw_v1724_position_min": (V1724, (64, 0, 256)),
    "raw_v1731_pedestal": (V1731, (64, 128, 160)),
    "raw_v1731_charge_mm": (V1731, (80, 0, 160)),
    "raw_v1731_position_min": (V1731, (64, 0, 256)),
    **{f"raw_vlsb_{counts}": ((64, -0.5, 63.5), (128, 0, 256)) for counts in ("adc", "tdc")},
    "raw_vlsb_adc_tdc": ((128, 0, 256), (128, 0, 256)),
    "raw_dbb_hits": ((64, -0.5, 63.5), (64, -0.5, 63.5)),
}


def test_no_plot_of_the_old_system_is_missing() -> None:
    there = {name: tuple((a.bins, a.low, a.high) for a in p.axes) for name, p in PLOTS.items()}
    assert {name: there.get(name) for name in EXPECTED} == EXPECTED


@pytest.mark.parametrize("name", PLOTS)
def test_every_bin_that_whole_numbers_fill_holds_as_many_of_them(name: str) -> None:
    values = PLOTS[name].fill(Batch([reconstructed_spill(n) for n in range(3)]))
    for axis, of_axis in zip(PLOTS[name].axes, values, strict=True):
        if np.asarray(of_axis).dtype.kind not in "iub":
            continue
        width = (axis.high - axis.low) / axis.bins
        inside = np.arange(np.ceil(axis.low), np.ceil(axis.high))
        held = np.bincount(np.floor((inside - axis.low) / width).astype(int), minlength=axis.bins)
        assert set(held.tolist()) == {round(width)}, axis


@pytest.mark.parametrize("name", PLOTS)
def test_every_whole_number_on_an_axis_of_whole_edges_falls_into_its_own_bin(name: str) -> None:
    for at, axis in enumerate(PLOTS[name].axes):
        if not axis.has_whole_edges:
            continue
        low, width = int(axis.low), int((axis.high - axis.low) / axis.bins)
        numbers = np.arange(low, int(axis.high))
        book, others = Book({}), [np.full(len(numbers), other.low + 0.5) for other in PLOTS[name].axes]
        book.fill(name, *(numbers if at == each else values for each, values in enumerate(others)))
        counts = book[name].view(flow=False).sum(axis=tuple(each for each in range(len(others)) if each != at))
        assert counts.tolist() == np.bincount((numbers - low) // width).tolist(), axis


def test_a_drift_of_a_pedestal_by_20_counts_moves_it_to_another_bin() -> None:
    for board, counts in (("v1724", 20), ("v1731", 0.5)):
        axis = PLOTS[f"raw_{board}_pedestal"].axes[1]
        assert (axis.high - axis.low) / axis.bins <= counts


@pytest.mark.parametrize("name", [*PLOTS, *TRENDS])
def test_a_plot_has_all_its_words(name: str) -> None:
    plot = PLOTS.get(name) or TRENDS[name]
    assert plot.name == name
    assert plot.detector in DETECTORS
    assert plot.title
    assert plot.keywords
    for text in (plot.words.shows, plot.words.normal, plot.words.action):
        assert text.endswith(".")
    assert plot.words.call


@pytest.mark.parametrize("name", DETECTORS)
def test_the_shifter_has_at_most_12_plots_a_detector(name: str) -> None:
    detector = DETECTORS[name]
    entries = {entry.name: entry for entry in (*detector.plots, *detector.trends)}
    assert all(entry.detector == name for entry in entries.values())
    assert sum(not entry.expert for entry in entries.values()) <= 12
    assert all(not entries[shown].expert for shown in detector.overview)


def test_a_time_of_flight_needs_exactly_one_space_point_in_each_station() -> None:
    spill = reconstructed_spill(1)
    tof = spill.get(Tof)
    assert tof is not None
    points = tof.space_points
    twice = points.rows(np.append(np.arange(len(points)), 0))  # trigger 0 crosses TOF0 twice
    assert len(flight_time_ns(Batch([spill]), 0, 1)) == spill.triggers
    doubled = reconstructed_spill(1, tof=Tof(digits=tof.digits, hits=tof.hits, space_points=twice))
    assert len(flight_time_ns(Batch([doubled]), 0, 1)) == spill.triggers - 1
    assert len(flight_time_ns(Batch([doubled]), 1, 2)) == spill.triggers


def test_photomultiplier_hits_show_the_digits_of_each_so_that_a_silent_one_stands_out() -> None:
    spill = reconstructed_spill(1)
    tof = spill.get(Tof)
    assert tof is not None
    silent = (tof.digits.station == 0) & (tof.digits.plane == 1) & (tof.digits.pmt == 0)
    assert silent.any()
    for digits in (tof.digits, tof.digits.rows(~silent)):
        batch = Batch([reconstructed_spill(1, tof=Tof(digits=digits, hits=tof.hits, space_points=tof.space_points))])
        for station, plane, pmt in product(range(3), range(2), range(2)):
            here = (digits.station == station) & (digits.plane == plane) & (digits.pmt == pmt)
            (slabs,) = PLOTS[f"hpmthits{station}{plane}{pmt}"].fill(batch)
            assert sorted(slabs) == sorted(digits.slab[here])


def test_a_spill_without_a_detector_shifts_nothing() -> None:
    whole = [reconstructed_spill(n) for n in range(3)]
    without = reconstructed_spill(1, tof=None)
    batch = Batch([whole[0], without, whole[2]])
    both = Batch([whole[0], whole[2]])
    assert np.array_equal(flight_time_ns(batch, 0, 1), flight_time_ns(both, 0, 1))
    for station in range(3):
        (counts,), (of_both,) = (PLOTS[f"hnsp_{station}"].fill(each) for each in (batch, both))
        assert np.array_equal(counts, of_both)
    assert np.isnan(batch.once(single_times_ns)[batch.first[1] : batch.first[2]]).all()
    assert batch.spills[batch.having("tof")].tolist() == [0, 2]
    light = batch.join(CkovDigits)
    assert len(light) == sum(s.triggers for s in whole)
    assert light.trigger.max() == batch.triggers - 1


def test_trends_know_of_gaps_and_of_the_time_between_spills() -> None:
    facts = SpillFacts(
        spill=[0, 1, 4],
        missed=[0, 0, 2],
        produced_ms=[0, 0, 0],
        time_us=[0, 2_000_000, 4_000_000],
        triggers=[10, 20, 30],
        size=[1000, 2000, 3000],
        scalers=np.zeros((3, 32), int),
        delay_s=[0.25, 0.5, np.nan],
        resident_mb=[200, 201, np.nan],
    )
    values = {trend.name: np.asarray(trend.value(facts), float) for trend in DAQ_TRENDS}
    assert values["daq_triggers"].tolist() == [10, 20, 30]
    assert values["daq_rate"][1:].tolist() == [10, 15]
    assert np.isnan(values["daq_rate"][0])
    assert values["daq_missed"].tolist() == [0, 0, 2]
    assert values["daq_size"].tolist() == [1, 2, 3]
    assert values["daq_delay"][:2].tolist() == [0.25, 0.5]
    assert values["daq_memory"][:2].tolist() == [200, 201]
    assert np.isnan([values["daq_delay"][2], values["daq_memory"][2]]).all()
