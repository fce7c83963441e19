"""The simulated trackers: the reconstruction gives back the tracks that were put through them."""

import numpy as np
import pytest

from streams.experiments.mice.plots.tracker_quantities import kuno_sums
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.beam import Particles
from streams.experiments.mice.simulator.tracker import LIGHT, TrackerTruth
from streams.experiments.mice.tables.tracker import Tracker
from streams.plots.batch import Batch
from streams.reconstruct import reconstruct

SPILLS = 40
TRIPLET_MM = 1.0
"""A triplet is within this of the track: three fibre channels of 1.5 mm resolve some 0.4 mm in each coordinate."""


@pytest.fixture(scope="module")
def spills() -> list[tuple[Tracker, TrackerTruth, Particles]]:
    """Return of each spill what the trackers made of it, and what was there."""
    run = SimulatedRun(spills=SPILLS)
    found = []
    for number in range(SPILLS):
        spill = run.spill(number)
        tracker, truth = reconstruct(spill.raw, run.conditions).get(Tracker), spill.truths["tracker"]
        assert tracker is not None
        assert isinstance(truth, TrackerTruth)
        found.append((tracker, truth, spill.particles))
    return found


def key(rows) -> np.ndarray:
    return (rows.trigger.astype(int) * 2 + rows.tracker) * 5 + rows.station - 1


def residuals(spills, kind: int) -> np.ndarray:
    """Return how far space points of a kind are from the track in their station, in mm."""
    found = []
    for tracker, truth, _ in spills:
        points = tracker.space_points.rows(tracker.space_points.kind == kind)
        place = np.searchsorted(key(truth), key(points))
        place = np.minimum(place, len(truth) - 1)
        of_a_track = key(truth)[place] == key(points)
        off = np.hypot(points.x_mm - truth.x_mm[place], points.y_mm - truth.y_mm[place])
        found.append(off[of_a_track])
    return np.concatenate(found)


def test_the_truth_is_in_the_order_of_triggers_trackers_and_stations(spills) -> None:
    for _, truth, particles in spills:
        assert (np.diff(key(truth)) > 0).all()
        assert particles.in_station[truth.trigger[truth.tracker == 1], 2].all()


def test_99_of_100_triplets_are_within_a_millimetre_of_the_track(spills) -> None:
    off = residuals(spills, 3)
    assert len(off) > 20_000
    assert (off < TRIPLET_MM).mean() > 0.99
    assert np.median(off) < 0.5


def test_half_of_the_duplets_of_a_track_are_within_a_millimetre_and_four_fifths_within_two(spills) -> None:
    off = residuals(spills, 2)
    assert len(off) > 300
    assert np.median(off) < 1
    assert (off < 2).mean() > 0.8


def test_97_of_100_stations_that_a_track_crosses_have_its_triplet_and_nearly_all_a_point(spills) -> None:
    crossed, triplets, points = 0, 0, 0
    by_station = np.zeros((2, 10))
    for tracker, truth, _ in spills:
        there = tracker.space_points
        has_triplet = np.isin(key(truth), key(there.rows(there.kind == 3)))
        crossed += len(truth)
        triplets += has_triplet.sum()
        points += np.isin(key(truth), key(there)).sum()
        by_station += [np.bincount(key(truth)[some] % 10, minlength=10) for some in (has_triplet, slice(None))]
    assert triplets / crossed > 0.97
    assert points / crossed > 0.999
    assert (by_station[0] / by_station[1] > 0.93).all()


def test_where_no_track_is_there_are_hardly_any_triplets(spills) -> None:
    triplets = 0
    for tracker, truth, _ in spills:
        points = tracker.space_points.rows(tracker.space_points.kind == 3)
        triplets += (~np.isin(key(points), key(truth))).sum()
    assert triplets < 0.001 * len(residuals(spills, 3))


def test_nearly_every_particle_through_three_stations_has_its_track_and_no_other_has_one(spills) -> None:
    through, with_track = 0, 0
    for tracker, truth, _ in spills:
        place = truth.trigger.astype(int) * 2 + truth.tracker
        enough = np.flatnonzero(np.bincount(place) >= 3)
        tracks = tracker.tracks.trigger.astype(int) * 2 + tracker.tracks.tracker
        assert np.isin(tracks, np.unique(place)).all()
        through += len(enough)
        with_track += np.isin(enough, tracks).sum()
    assert through > 3000
    assert with_track / through > 0.99


def test_a_track_lies_where_the_particle_went_and_its_chi2_is_near_one_a_degree_of_freedom(spills) -> None:
    off, chi2 = [], []
    for tracker, truth, _ in spills:
        first = truth.rows(truth.station == 1)
        tracks = tracker.tracks.rows((~np.isnan(tracker.tracks.off_mm[:, :, 0])).all(axis=1))
        place = np.searchsorted(key(first) // 5, tracks.trigger.astype(int) * 2 + tracks.tracker)
        off += [tracks.x_mm - first.x_mm[place], tracks.y_mm - first.y_mm[place]]
        chi2.append(tracks.chi2)
    off, chi2 = np.concatenate(off), np.concatenate(chi2)
    assert abs(off.mean()) < 0.02
    assert np.sqrt(np.mean(off**2)) < 0.35
    # Below one: two channels that share a particle's light tell more than one.
    assert 0.6 < np.mean(chi2[chi2 < 10]) < 1


def test_the_light_of_a_cluster_is_that_of_a_particle(spills) -> None:
    npe = np.concatenate([tracker.hits.npe for tracker, _, _ in spills])
    assert np.median(npe[npe > 4]) == pytest.approx(LIGHT, abs=1)


def test_sums_of_channels_are_where_kuno_puts_them() -> None:
    run = SimulatedRun(spills=SPILLS)
    batch = Batch([reconstruct(run.spill(number).raw, run.conditions) for number in range(SPILLS)])
    upstream, _ = kuno_sums(batch)
    summed = upstream[(upstream != -1) & (upstream != 641)]
    assert (np.abs(summed - 318.5) <= 1.5).mean() > 0.99
    assert summed.mean() == pytest.approx(318.5, abs=0.05)
    # Of the last station downstream the clusters' sums, since the plot joins the stations of a tracker.
    for number, expected in ((9, 320.0), (8, 318.5)):
        sums = [one for spill in batch._spills for one in cluster_sums(spill.get(Tracker), number)]
        assert np.mean(sums) == pytest.approx(expected, abs=0.1)


def cluster_sums(tracker: Tracker, station: int) -> np.ndarray:
    """Return the sums of channels where a station has one cluster in each plane."""
    place = key(tracker.hits)
    here = place % 10 == station
    count = np.bincount(place[here] // 10 * 3 + tracker.hits.plane[here])
    count = np.append(count, np.zeros(-len(count) % 3, int)).reshape(-1, 3)
    sums = np.bincount(place[here] // 10, tracker.hits.channel[here], len(count))
    sums = sums[(count == 1).all(axis=1)]
    return sums[np.abs(sums - 319) < 4]


def test_faults_of_other_detectors_leave_the_trackers_as_they_were() -> None:
    plain = SimulatedRun(spills=2)
    faulty = plain.with_faults(["dead_pmt:tof0", "counter_wrap"])
    one, other = (reconstruct(run.spill(1).raw, run.conditions).detectors["tracker"] for run in (plain, faulty))
    assert all(table.equal(other.tables()[name]) for name, table in one.tables().items())


def digits(*faults: str) -> np.ndarray:
    """Return (5, 3, 214) digits of the upstream tracker in a few spills with these faults."""
    run = SimulatedRun(spills=4).with_faults(faults)
    counts = np.zeros((5, 3, 214), int)
    for number in range(4):
        found = reconstruct(run.spill(number).raw, run.conditions).get(Tracker).digits
        found = found.rows(found.tracker == 0)
        np.add.at(counts, (found.station - 1, found.plane, found.channel), 1)
    return counts


def test_faults_of_channels_show_in_the_digits_of_their_plane() -> None:
    good = digits()
    assert good[2, 1, 100:108].min() > 0
    for fault, channels in (("dead_pmt:tracker0/3/1/105", slice(105, 106)), ("dead_pmt:tracker0/3/1", slice(None))):
        expected = good.copy()
        expected[2, 1, channels] = 0
        assert np.array_equal(digits(fault), expected)
    hot, triggers = (
        digits("hot_channel:tracker0/3/1/5"),
        sum(len(SimulatedRun().spill(n).particles) for n in range(4)),
    )
    assert hot[2, 1, 5] == triggers
    assert (np.delete(hot - good, 5, axis=2)[2] == 0).all()
    noisy = digits("noisy_plane:tracker0/3/1")[2, 1]
    assert np.median(noisy) == pytest.approx(0.2 * triggers, rel=0.2)


@pytest.mark.parametrize("fault", ["empty_spill", "many_triggers"])
def test_no_particle_and_300_are_read(fault: str) -> None:
    run = SimulatedRun(spills=1).with_faults([fault])
    made = reconstruct(run.spill(0).raw, run.conditions)
    assert (made.rejection, made.errors) == (None, {})
    points = made.get(Tracker).space_points
    assert len(points) == 0 if fault == "empty_spill" else points.trigger.max() > 290
