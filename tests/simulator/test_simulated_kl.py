"""The simulated calorimeter: the reconstruction gives back the light that was put into its cells."""

import numpy as np
import pytest

from streams.conditions.store import ConditionsStore
from streams.experiments.mice.conditions.kl import CELLS
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.beam import Kind, Particles
from streams.experiments.mice.simulator.kl import KlTruth
from streams.experiments.mice.simulator.waveforms import NOISE
from streams.experiments.mice.tables.kl import Kl
from streams.reconstruct import reconstruct

SPILLS = 60
GAINS = (0.8, 1.25)


@pytest.fixture(scope="module")
def spills() -> list[tuple[Kl, KlTruth, Particles]]:
    """Return of each spill what the calorimeter made of it, and what was there."""
    run = SimulatedRun(spills=SPILLS, detectors=("kl",))
    conditions = ConditionsStore([]).for_run(run.run)
    found = []
    for number in range(SPILLS):
        spill = run.spill(number)
        kl, truth = reconstruct(spill.raw, conditions).get(Kl), spill.truths["kl"]
        assert kl is not None
        assert isinstance(truth, KlTruth)
        found.append((kl, truth, spill.particles))
    return found


def test_every_cell_well_above_the_threshold_is_found_and_no_other(spills) -> None:
    found, bright = 0, 0
    for kl, truth, _ in spills:
        there = truth.trigger * CELLS + truth.cell
        hits = kl.hits.trigger * CELLS + kl.hits.cell
        assert np.isin(hits, there).all()
        well_above = truth.charge > 250
        bright += well_above.sum()
        found += np.isin(there[well_above], hits).sum()
    assert bright > 3000
    assert found == bright


def test_the_charge_of_a_cell_is_the_true_one_within_the_noise(spills) -> None:
    residuals = []
    for kl, truth, _ in spills:
        place = np.searchsorted(truth.trigger * CELLS + truth.cell, kl.hits.trigger * CELLS + kl.hits.cell)
        true = truth.charge[place]
        residuals.append((kl.hits.charge - true)[true < 3000])  # the largest pulses are cut off
    residuals = np.concatenate(residuals)
    # Maximum minus minimum takes the noise's extremes; gain and truncation do the rest.
    assert residuals.min() > -2 * NOISE / GAINS[0] - 2
    assert residuals.max() < 2 * NOISE / GAINS[0] + 2
    assert abs(residuals.mean()) < 2 * NOISE
    assert residuals.std() < NOISE


def test_muons_and_pions_leave_one_to_three_cells_and_electrons_shower(spills) -> None:
    cells = {kind: [] for kind in Kind}
    for _, truth, particles in spills:
        counts = np.bincount(truth.trigger, minlength=len(particles))[particles.in_station[:, 2]]
        kinds = particles.kind[particles.in_station[:, 2]]
        for kind in Kind:
            cells[kind] += counts[kinds == kind].tolist()
    for kind in (Kind.MUON, Kind.PION):
        assert set(cells[kind]) <= {1, 2, 3}
    assert set(cells[Kind.ELECTRON]) <= {3, 4, 5}
    assert np.mean(cells[Kind.ELECTRON]) > 4.8


def test_the_median_charge_is_that_of_run_2873(spills) -> None:
    charges = np.concatenate([kl.digits.charge_mm for kl, _, _ in spills])
    assert np.median(charges) == pytest.approx(1140, rel=0.05)


def test_a_particle_that_does_not_reach_tof2_leaves_no_light(spills) -> None:
    for kl, _, particles in spills:
        assert particles.in_station[kl.digits.trigger, 2].all()


def profile(*faults: str) -> np.ndarray:
    """Return (21, 2) digits of each photomultiplier in a few spills with these faults."""
    run = SimulatedRun(spills=3).with_faults(faults)
    counts = np.zeros((CELLS, 2), int)
    for number in range(3):
        kl = reconstruct(run.spill(number).raw, run.conditions).get(Kl)
        assert kl is not None
        np.add.at(counts, (kl.digits.cell, kl.digits.pmt), 1)
    return counts


def test_faults_of_photomultipliers_show_in_the_map_of_digits_and_in_no_other_field() -> None:
    good, triggers = profile(), profile("hot_channel:kl/0/1")[0, 1]
    assert good[10].min() > 20
    for faults, changed in (
        (("dead_pmt:kl/10/0",), {(10, 0): 0}),
        (("dead_pmt:kl/10",), {(10, 0): 0, (10, 1): 0}),
        (("hot_channel:kl/10/1",), {(10, 1): triggers}),
        (("swapped_cables:kl/10/0,kl/0/0",), {(10, 0): good[0, 0], (0, 0): good[10, 0]}),
    ):
        expected = good.copy()
        for place, count in changed.items():
            expected[place] = count
        assert profile(*faults).tolist() == expected.tolist()


def test_a_spill_without_particles_has_no_light() -> None:
    assert profile("empty_spill").sum() == 0
