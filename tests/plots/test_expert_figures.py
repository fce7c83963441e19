"""The experts' figures of TOF, Cherenkov and across detectors: as loops fill them, and where the simulator put them."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import product
from math import hypot, isnan, sqrt

import numpy as np
import pytest

from schemas.records import ReconstructedSpill
from streams.books.book import Book, axes_of, fill
from streams.books.key_number import measures_of
from streams.experiments.mice.plots.peaks import MASSES_MEV
from streams.experiments.mice.plots.tof_quantities import KINDS_NS, LIGHT_NS
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.beam import FRACTIONS, SPOT_MM, TOF01_NS, TOF01_SPREAD_NS, TOF12_PER_TOF01
from streams.experiments.mice.simulator.ckov import MEAN_PHOTO_ELECTRONS
from streams.experiments.mice.simulator.tof import (
    EFFICIENCY,
    MEDIAN_CHARGE,
    PMT_RESOLUTION_NS,
    SECOND_PARTICLE,
    SLAB_RESOLUTION_NS,
    SLAB_WIDTH_MM,
)
from streams.experiments.mice.tables.ckov import Ckov
from streams.experiments.mice.tables.emr import Emr
from streams.experiments.mice.tables.kl import Kl
from streams.experiments.mice.tables.tof import Tof
from streams.experiments.mice.tables.tracker import Tracker
from streams.plots.measures import KeyNumber
from streams.reconstruct import reconstruct
from tests.catalogue import PLOTS

SLABS_OF = (10, 7, 10)
STATION_NS = hypot(PMT_RESOLUTION_NS / sqrt(2), SLAB_RESOLUTION_NS) / sqrt(2)
"""Resolution of a space point's time."""
KINDS = ("electron", "muon", "pion")


@cache
def spills(number: int = 50, mean_triggers: int = 80) -> list[ReconstructedSpill]:
    run = SimulatedRun(run=900_015, spills=number, mean_triggers=mean_triggers)
    return [reconstruct(run.spill(n).raw, run.conditions) for n in range(number)]


@cache
def book() -> Book:
    return fill(spills(), {}).book


def measured(name: str) -> dict[str, KeyNumber]:
    plot = PLOTS[name]
    numbers = measures_of(plot, axes_of(name, {}), book()[name])
    return {measure.label: number for measure, number in zip(plot.measures, numbers, strict=True) if number}


def near(found: KeyNumber, true: float, *, beside: float = 0.0) -> None:
    """Check that a number is the true one within four errors, and what the approximation itself may be off."""
    assert abs(found.value - true) < 4 * found.error + beside, (found, true)


# Twins: one trigger after the other, one hit after the other.


def single_times(spill: ReconstructedSpill) -> Iterator[list[float]]:
    points = spill.get(Tof).space_points
    for trigger in range(spill.triggers):
        times = [[] for _ in range(3)]
        for at, station, time in zip(points.trigger, points.station, points.time_ns, strict=True):
            if at == trigger:
                times[station].append(float(time))
        yield [its[0] if len(its) == 1 else float("nan") for its in times]


def twin(spill: ReconstructedSpill) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield plot and entry."""
    tof, ckov, kl, emr, tracker = (spill.get(kind) for kind in (Tof, Ckov, Kl, Emr, Tracker))
    flights = [times[1] - times[0] for times in single_times(spill)]
    for times in single_times(spill):
        for (start, stop), light_ns in LIGHT_NS.items():
            if not isnan(times[stop] - times[start]):
                yield f"tof_flight{start}{stop}", (times[stop] - times[start] - light_ns,)
    hit = [set() for _ in range(spill.triggers)]
    found = [set() for _ in range(spill.triggers)]
    points = tof.space_points
    for trigger, s, x, y, dt in zip(
        *(getattr(points, n).tolist() for n in ("trigger", "station", "slabx", "slaby", "dt_ns")), strict=True
    ):
        found[trigger].add(s)
        yield f"tof_dt{s}", (x * SLABS_OF[s] + y, dt)
        middle = (SLABS_OF[s] - 1) / 2
        yield f"tof_profile{s}", ((y - middle) * SLAB_WIDTH_MM[s], (x - middle) * SLAB_WIDTH_MM[s])
    names = ("station", "plane", "slab", "pmt", "charge_mm")
    for station, plane, slab, pmt, charge in zip(*(getattr(tof.digits, n).tolist() for n in names), strict=True):
        if charge > 0:
            yield "tof_charge", (station * 40 + plane * 20 + slab * 2 + pmt, charge)
    for stations in found:
        yield "tof_shares", (0,)
        if stations:
            yield "tof_shares", (1,)
        for station in stations:
            yield "tof_shares", (2 + station,)
    for trigger, station in zip(tof.hits.trigger.tolist(), tof.hits.station.tolist(), strict=True):
        hit[trigger].add(station)
    digits = ckov.digits
    for row, trigger in enumerate(digits.trigger.tolist()):
        flight = flights[trigger]
        for counter in range(2):
            has_light = float(digits.photo_electrons[row, counter]) > 1
            if has_light:
                hit[trigger].add(3 + counter)
            if not isnan(flight):
                yield f"ckov_threshold_{'AB'[counter]}", (flight, float(has_light))
        for kind, (low, high) in KINDS_NS.items():
            if low < flight < high:
                for pmt in range(8):
                    yield f"ckov_light_{kind}", (pmt + 1, float(digits.pulse[row, pmt]) / 23)
    charges = Counter()
    for trigger, charge in zip(kl.hits.trigger.tolist(), kl.hits.charge.tolist(), strict=True):
        hit[trigger].add(5)
        charges[trigger] += charge
    for trigger, charge in charges.items():
        if not isnan(flights[trigger]):
            yield "across_kl", (flights[trigger], charge)
    for trigger in emr.hits.trigger.tolist():
        hit[trigger].add(6)
    for trigger, range_mm in zip(emr.tracks.trigger.tolist(), emr.tracks.range_mm.tolist(), strict=True):
        if not isnan(flights[trigger]):
            yield "across_emr", (flights[trigger], range_mm)
    for trigger, number in zip(tracker.space_points.trigger, tracker.space_points.tracker, strict=True):
        hit[trigger].add(7 + int(number))
    for its in hit:
        for pair in product(its, its):
            yield "across_hits", pair


TWINS = sorted(
    name
    for name in PLOTS
    if name.startswith(("tof_flight", "tof_dt", "tof_profile", "ckov_light", "ckov_thr", "across"))
)
TWINS += ["tof_charge", "tof_shares"]


@cache
def entries_of_twins() -> dict[str, Counter[tuple[float, ...]]]:
    found: dict[str, Counter[tuple[float, ...]]] = {name: Counter() for name in TWINS}
    for spill in spills()[:4]:
        for name, entry in twin(spill):
            found[name][tuple(round(value, 9) for value in entry)] += 1
    return found


@pytest.mark.parametrize("name", TWINS)
def test_a_plot_has_the_entries_of_its_twin_from_spills_joined_and_one_by_one(name: str) -> None:
    expected = entries_of_twins()[name]
    assert expected
    few, twins = spills()[:4], Book({})
    twins.fill(name, *(np.array(column) for column in zip(*expected.elements(), strict=True)))
    for batches in ([few], [[one] for one in few]):
        book = Book({})
        for batch in batches:
            book += fill(batch, {}).book
        assert np.array_equal(book[name].view(flow=True), twins[name].view(flow=True))


# Truth.


@pytest.mark.parametrize("pair", LIGHT_NS)
def test_peaks_of_the_time_of_flight_are_where_the_simulator_put_them(pair: tuple[int, int]) -> None:
    longer = {(0, 1): 1.0, (1, 2): TOF12_PER_TOF01, (0, 2): 1 + TOF12_PER_TOF01}[pair]
    found = measured("tof_flight{}{}".format(*pair))
    near(found["Electron peak less L/c"], 0)
    for kind, place, spread, share in zip(KINDS, TOF01_NS, TOF01_SPREAD_NS, FRACTIONS, strict=True):
        near(found[f"{kind.capitalize()} time of flight"], longer * place)
        near(found[f"{kind.capitalize()} peak's width"], hypot(longer * spread, sqrt(2) * STATION_NS), beside=0.003)
        if pair == (0, 1):  # fewer of the heavier ones reach TOF2
            near(found[f"{kind.capitalize()} share"], share, beside=0.005)
        if kind != "electron":
            slower = place / TOF01_NS[0]
            near(found[f"{kind.capitalize()} momentum"], MASSES_MEV[kind] / sqrt(slower**2 - 1))


@pytest.mark.parametrize("station", range(3))
def test_planes_profiles_charges_and_shares_of_a_station_are_as_simulated(station: int) -> None:
    dt = measured(f"tof_dt{station}")
    near(dt["Mean difference"], 0)
    near(dt["Width of the difference"], 2 * STATION_NS, beside=0.004)
    profile = measured(f"tof_profile{station}")
    # A second particle comes anywhere in the station, but not in that which triggers.
    second, half = (SECOND_PARTICLE if station != 1 else 0.0), SLABS_OF[station] * SLAB_WIDTH_MM[station] / 2
    variance = (1 - second) * SPOT_MM[station] ** 2 + second * half**2 / 3 + SLAB_WIDTH_MM[station] ** 2 / 12
    for letter in "xy":
        near(profile[f"Mean {letter}"], 0)
        near(profile[f"Spread in {letter}"], sqrt(variance), beside=1.5)
    near(measured("tof_charge")[f"TOF{station} mean charge"], MEDIAN_CHARGE[station] * np.exp(0.3**2 / 2), beside=60)
    shares = measured("tof_shares")
    near(shares["Share with a trigger pixel"], EFFICIENCY[1] ** 4, beside=0.004)
    if station == 0:
        near(shares["Share with a space point in TOF0"], (EFFICIENCY[0] * EFFICIENCY[1]) ** 4, beside=0.006)


def test_a_slab_whose_t0_is_off_is_the_pair_farthest_from_0() -> None:
    plot, counts = PLOTS["tof_dt0"], book()["tof_dt0"].view().copy()
    (farthest,) = (measure for measure in plot.measures if "farthest" in measure.label)
    usual = farthest.of(counts, plot.axes)
    assert usual is not None
    assert abs(usual.value) < 5 * usual.error
    # Slabs 4 and 5 of plane 0 and 1: 0.2 ns, eight bins, late.
    counts[45] = np.roll(counts[45], 8)
    off = farthest.of(counts, plot.axes)
    assert off is not None
    assert 0.1 < off.value < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_light_of_each_kind_is_what_the_simulator_gave_it(kind: str) -> None:
    found = measured(f"ckov_light_{kind}s")
    for pmt in range(8):
        true = MEAN_PHOTO_ELECTRONS[pmt // 4][KINDS.index(kind)] / 4
        # Noise of a count here and there is light, too.
        near(found[f"Light in {pmt + 1}"], true, beside=0.15)


def test_electrons_are_above_the_threshold_of_both_counters_and_pions_below_that_of_a() -> None:
    shares = [measured(f"ckov_threshold_{letter}") for letter in "AB"]
    assert shares[0]["Share of electrons with light"].value > 0.99
    assert shares[1]["Share of electrons with light"].value > 0.99
    assert shares[0]["Share of pions with light"].value < 0.05
    assert shares[0]["Share of muons with light"].value < shares[1]["Share of muons with light"].value


def test_of_those_in_tof1_as_many_are_in_tof2_as_reach_it() -> None:
    found = measured("across_hits")
    near(found["TOF1 of those in TOF0"], 1, beside=0.002)
    reach = sum(share * of for share, of in zip(FRACTIONS, (0.97, 0.92, 0.75), strict=True))
    near(found["TOF2 of those in TOF1"], reach, beside=0.01)


def test_slower_particles_come_less_deep_into_the_ranger_and_electrons_differ_most_in_the_calorimeter() -> None:
    depth, charge = book()["across_emr"], book()["across_kl"]
    for histogram in (depth, charge):
        assert histogram.sum() > 500
    centres = depth.axes[0].centers
    mean_depth = {
        kind: np.average(depth.axes[1].centers, weights=depth.view()[(centres > low) & (centres < high)].sum(axis=0))
        for kind, (low, high) in KINDS_NS.items()
    }
    assert mean_depth["muons"] > mean_depth["pions"]
