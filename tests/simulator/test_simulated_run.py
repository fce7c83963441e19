"""The simulated beam line: real bytes, and physics that the reconstruction gives back."""

from itertools import pairwise

import numpy as np
import pytest

from schemas.records import RawSpill, ReconstructedSpill, RunControl
from streams.books.book import new_histogram
from streams.conditions.store import ConditionsStore, table_text
from streams.daq.sources import read_source
from streams.experiments.mice.conditions.read import SIMULATED
from streams.experiments.mice.plots.tof_quantities import single_times_ns
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.beam import TOF01_NS, TOF12_PER_TOF01, Kind
from streams.experiments.mice.simulator.ckov import MEAN_PHOTO_ELECTRONS
from streams.experiments.mice.simulator.tables import tables
from streams.experiments.mice.tables.ckov import CkovDigits
from streams.experiments.mice.tables.tof import Tof
from streams.plots.batch import Batch
from streams.reconstruct import reconstruct
from tests.catalogue import PLOTS

SPILLS = 200


def test_the_tables_that_ship_are_those_of_the_simulator() -> None:
    assert {path.name: table_text(path, path.read_bytes()) for path in SIMULATED.iterdir()} == tables()


def test_the_same_seed_gives_the_same_bytes_and_another_others() -> None:
    first, again, other = (SimulatedRun(spills=2, seed=seed) for seed in (5, 5, 6))
    assert list(first.records()) == list(again.records())
    assert first.spill(0).raw.payload != other.spill(0).raw.payload


def test_a_spill_does_not_depend_on_the_others() -> None:
    assert SimulatedRun(spills=50).spill(7).raw == SimulatedRun(spills=10).spill(7).raw


def test_a_file_of_a_run_is_read_back_record_by_record(tmp_path) -> None:
    records = list(SimulatedRun(spills=5).records())
    file = tmp_path / "simulated.000"
    file.write_bytes(b"".join(record.payload for record in records))
    found = list(read_source(file))
    assert [(type(r), r.run, r.time_us, r.byte, r.events, r.payload) for r in found] == [
        (type(r), r.run, r.time_us, r.byte, r.events, r.payload) for r in records
    ]
    assert [r.spill for r in found if isinstance(r, RawSpill)] == list(range(5))
    assert [type(r) for r in (found[0], found[-1])] == [RunControl, RunControl]
    assert all(after.byte == before.byte + len(before.payload) for before, after in pairwise(found))


@pytest.fixture(scope="module")
def reconstructed() -> list[tuple[ReconstructedSpill, object]]:
    """Return the spills of a run with the truth of each."""
    run = SimulatedRun(spills=SPILLS, detectors=("tof", "ckov", "scalers"))
    conditions = ConditionsStore([]).for_run(run.run)
    spills = [run.spill(number) for number in range(SPILLS)]
    return [(reconstruct(spill.raw, conditions), spill.particles) for spill in spills]


def test_nothing_is_rejected_and_no_detector_fails(reconstructed) -> None:
    for spill, truth in reconstructed:
        assert spill.rejection is None
        assert spill.errors == {}
        assert spill.triggers == len(truth)


@pytest.mark.parametrize("kind", list(Kind), ids=lambda k: k.name.lower())
def test_the_peaks_of_the_times_of_flight_are_where_they_were_put(reconstructed, kind: Kind) -> None:
    batch = Batch([spill for spill, _ in reconstructed])
    kinds = np.concatenate([truth.kind for _, truth in reconstructed])
    times = batch.once(single_times_ns)[kinds == kind]
    for start, stop, put in ((0, 1, TOF01_NS[kind]), (1, 2, TOF01_NS[kind] * TOF12_PER_TOF01)):
        flight = times[:, stop] - times[:, start]
        near = flight[np.abs(flight - put) < 0.5]
        assert abs(near.mean() - put) < 0.02
        assert 0.06 < near.std() < 0.2
        # A second particle in the station, or one that missed it, leaves no single space point.
        assert len(near) > 0.6 * len(flight)


def test_the_two_planes_agree_as_in_a_well_calibrated_run(reconstructed) -> None:
    dt_ns = np.concatenate([spill.get(Tof).space_points.dt_ns for spill, _ in reconstructed])
    core = dt_ns[np.abs(dt_ns) < 0.4]
    assert abs(core.mean()) < 0.01
    assert core.std() == pytest.approx(0.13, abs=0.02)


def test_a_channel_keeps_its_pedestal_so_that_a_drift_by_20_counts_shows(reconstructed) -> None:
    channel, pedestal = PLOTS["raw_v1724_pedestal"].fill(Batch([spill for spill, _ in reconstructed]))
    edges = new_histogram("raw_v1724_pedestal", {}).axes[1].edges
    before, drifted = np.digitize(pedestal, edges), np.digitize(pedestal + 20, edges)
    assert (drifted - before).tolist() == [1] * len(pedestal)
    # As it is defined, it is higher by the pulse that reaches into the samples that it is made of.
    spreads = [pedestal[channel == each].std() for each in np.unique(channel)]
    assert np.median(spreads) < 120


def test_the_counters_see_the_light_of_each_kind(reconstructed) -> None:
    batch = Batch([spill for spill, _ in reconstructed])
    kinds = np.concatenate([truth.kind for _, truth in reconstructed])
    for counter, means in enumerate(MEAN_PHOTO_ELECTRONS):
        for kind, mean in zip(Kind, means, strict=True):
            seen = batch.join(CkovDigits).photo_electrons[kinds == kind, counter].mean()
            assert seen == pytest.approx(mean, rel=0.1, abs=0.4)


def test_an_electron_is_earlier_by_the_truth_of_its_trigger(reconstructed) -> None:
    spill, truth = reconstructed[0]
    times = Batch([spill]).once(single_times_ns)
    flight = times[:, 1] - times[:, 0]
    seen = ~np.isnan(flight)
    assert np.median(np.abs(flight[seen] - truth.tof01_ns[seen])) < 0.1
