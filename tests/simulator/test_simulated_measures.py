"""What plots of a simulated run measure is what the simulator put there, within the errors that they state."""

from math import sqrt

import numpy as np
import pytest

from streams.books.book import Book, fill
from streams.books.key_number import measures_of
from streams.experiments.mice.plots.muon_range import momentum_mev_c
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.emr_particles import LIFETIME_NS
from streams.experiments.mice.simulator.tracker import EFFICIENCY, LIGHT, SCATTERING, SLOPE, SPOT_MM
from streams.plots.measures import KeyNumber
from streams.reconstruct import reconstruct
from tests.catalogue import PLOTS

SPILLS, TOGETHER = 80, 20
ALLOWED = 4
"""Errors that a measure may be off: of two dozen in one run none is farther by chance."""


@pytest.fixture(scope="module")
def book() -> Book:
    run = SimulatedRun(spills=SPILLS, mean_triggers=100, detectors=("tof", "kl", "emr", "tracker"))
    found = Book({})
    for first in range(0, SPILLS, TOGETHER):
        raw = [run.spill(number).raw for number in range(first, first + TOGETHER)]
        found += fill([reconstruct(one, run.conditions) for one in raw], {}).book
    return found


def measured(book: Book, plot: str) -> list[KeyNumber]:
    numbers = measures_of(PLOTS[plot], PLOTS[plot].axes, book[plot])
    assert len(numbers) == len([number for number in numbers if number is not None])
    return [number for number in numbers if number is not None]


def pull(number: KeyNumber, true: float) -> float:
    return (number.value - true) / number.error


def test_the_lifetime_of_stopped_muons_is_theirs(book: Book) -> None:
    (lifetime,) = measured(book, "emr_decay")
    assert lifetime.error < 0.04 * LIFETIME_NS
    assert abs(pull(lifetime, LIFETIME_NS)) < ALLOWED


@pytest.mark.parametrize(("tracker", "side"), [(0, "U"), (1, "D")])
def test_the_efficiency_of_each_station_is_its_own(book: Book, tracker: int, side: str) -> None:
    for number, true in zip(measured(book, f"Trk_Eff_Tk{side}"), EFFICIENCY[tracker], strict=True):
        # A thousandth of the stations that give light have no point.
        assert abs(number.value - true) < ALLOWED * number.error + 0.001
        assert number.error < 0.005


def test_spot_and_angles_are_the_beam_s_and_the_kink_is_the_absorber_s(book: Book) -> None:
    for plot, spread in (("Trk_Spot_TkU", SPOT_MM), ("Trk_Angle_TkU", 1000 * SLOPE), ("Trk_Kink", 1000 * SCATTERING)):
        mean_x, mean_y, spread_x, spread_y = measured(book, plot)
        assert max(abs(pull(mean_x, 0)), abs(pull(mean_y, 0))) < ALLOWED
        for number in (spread_x, spread_y):
            # What leaves the active area takes some of the widest.
            assert -0.03 * spread < number.value - spread < ALLOWED * number.error


@pytest.mark.parametrize("side", "UD")
def test_stations_are_in_line_and_as_wide_as_their_fibres(book: Book, side: str) -> None:
    for axis in "XY":
        numbers = measured(book, f"Trk_Res{axis}_Tk{side}")
        assert max(abs(pull(number, 0)) for number in numbers[:5]) < ALLOWED
        assert all(0.3 < number.value < 0.55 for number in numbers[5:])


def test_the_light_is_that_of_a_particle_in_every_station(book: Book) -> None:
    for number in measured(book, "Npe_TkU"):
        # Less than 4 photo-electrons are taken for noise, and more light than the ADC has is cut off.
        assert number.value == pytest.approx(LIGHT, rel=0.04)


def test_electrons_leave_more_in_the_calorimeter_and_muons_most_in_the_ranger(book: Book) -> None:
    electron, muon, pion = measured(book, "kl_charge_kind")
    assert electron.value > 2.5 * muon.value
    assert abs(muon.value - pion.value) < ALLOWED * sqrt(muon.error**2 + pion.error**2)
    electron, muon, pion = measured(book, "emr_charge_kind")
    assert muon.value > 1.5 * max(electron.value, pion.value)


def test_the_momentum_is_that_of_the_ranges(book: Book) -> None:
    mean, _ = measured(book, "emr_momentum")
    of_ranges = book["emr_range_primary"]
    momenta = momentum_mev_c(of_ranges.axes[0].centers)
    assert mean.value == pytest.approx(np.average(momenta, weights=of_ranges.view()), rel=0.05)
