"""The simulated electron-muon ranger: the reconstruction gives back ranges, kinds and decays of its particles."""

import numpy as np
import pytest

from streams.experiments.mice.conditions.emr import PLANE_PITCH_MM
from streams.experiments.mice.plots.emr_quantities import is_muon
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.beam import Kind
from streams.experiments.mice.simulator.emr_particles import EmrTruth
from streams.experiments.mice.tables.emr import Emr, EmrTracks
from streams.plots.batch import Batch
from streams.reconstruct import reconstruct
from tests.catalogue import PLOTS

SPILLS = 60


@pytest.fixture(scope="module")
def made() -> list[tuple[Emr, EmrTruth]]:
    """Return of each spill what the ranger made of it, and what was there."""
    run = SimulatedRun(spills=SPILLS)
    found = []
    for number in range(SPILLS):
        spill = run.spill(number)
        emr, truth = reconstruct(spill.raw, run.conditions).get(Emr), spill.truths["emr"]
        assert emr is not None
        assert isinstance(truth, EmrTruth)
        found.append((emr, truth))
    return found


@pytest.fixture(scope="module")
def tracks(made) -> tuple[EmrTracks, EmrTruth]:
    """Return the tracks of all spills, and of each what was there."""
    truths = [truth.rows(np.searchsorted(truth.trigger, emr.tracks.trigger)) for emr, truth in made]
    return EmrTracks.concat([emr.tracks for emr, _ in made]), EmrTruth.concat(truths)


def test_nearly_every_particle_that_enters_makes_a_track_and_no_other(made) -> None:
    for emr, truth in made:
        assert np.isin(emr.tracks.trigger, truth.trigger).all()
    assert sum(len(emr.tracks) for emr, _ in made) > 0.99 * sum(len(truth) for _, truth in made) > 3000


@pytest.mark.parametrize("kind", [Kind.MUON, Kind.PION])
def test_the_range_of_a_muon_or_pion_is_the_true_one_within_a_plane(tracks, kind) -> None:
    found, truth = tracks
    off = (found.range_mm - truth.range_mm)[truth.kind == kind] / PLANE_PITCH_MM
    assert len(off) > 800
    assert (np.abs(off) < 1).mean() > 0.98
    assert abs(off.mean()) < 0.35
    assert np.median(np.abs(off)) < 0.35


def test_muons_and_pions_are_dense_and_straight_and_electrons_are_neither(tracks) -> None:
    found, truth = tracks
    electron = truth.kind == Kind.ELECTRON
    alike = is_muon(found)
    assert alike[~electron].mean() > 0.95
    assert alike[electron].mean() < 0.02
    assert np.median(found.density[electron]) < 0.75
    assert (found.density[~electron] == 1).mean() > 0.97
    assert np.nanmedian(found.charge_ratio[~electron]) < 0.85


def test_a_decay_that_crosses_planes_of_both_projections_is_matched_and_others_are_not(tracks) -> None:
    found, truth = tracks
    decays = truth.decay_planes >= 2
    assert decays.sum() > 1000
    assert found.has_daughter[decays].mean() > 0.9
    assert found.has_daughter[~decays].mean() < 0.01


def test_the_time_between_mother_and_daughter_is_a_muons_lifetime(made) -> None:
    waits = []
    for emr, truth in made:
        daughters = emr.daughters.rows(emr.daughters.mother >= 0)
        first = np.searchsorted(truth.trigger, daughters.mother)
        waits.append(truth.decay_ns[first])
    waits = np.concatenate(waits)
    assert waits.max() < 12_600
    assert abs(waits.mean() / 2197 - 1) < 0.1


def test_the_match_efficiency_that_is_shown_is_that_of_the_truth(made) -> None:
    run = SimulatedRun(spills=20)
    batch = Batch([reconstruct(run.spill(n).raw, run.conditions) for n in range(20)])
    (shown,) = PLOTS["emr_matched"].fill(batch)
    true = np.concatenate([truth.decay_planes >= 2 for _, truth in made[:20]])
    assert abs(np.mean(shown) - true.mean()) < 0.05


def test_a_spill_without_particles_has_no_hits_in_it() -> None:
    run = SimulatedRun(spills=1).with_faults(["empty_spill"])
    spill = reconstruct(run.spill(0).raw, run.conditions)
    assert not spill.errors
    emr = spill.get(Emr)
    assert emr is not None
    assert not any(map(len, emr.tables().values()))


def test_300_triggers_that_outlast_the_boards_clock_are_all_found() -> None:
    run = SimulatedRun(spills=1, mean_triggers=290)
    spill = run.spill(0)
    emr = reconstruct(spill.raw, run.conditions).get(Emr)
    assert emr is not None
    truth = spill.truths["emr"]
    assert isinstance(truth, EmrTruth)
    assert np.isin(truth.trigger, emr.tracks.trigger).mean() > 0.98
