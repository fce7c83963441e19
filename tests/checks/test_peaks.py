"""A peak is watched by the counts of each spill alone: how far it moved, and whether anything is left of it."""

import numpy as np
import pytest

from streams.checks.channels import pack, unpack
from streams.checks.counts import Finding
from streams.checks.means import Moved
from streams.checks.peaks import Peak, PeakJudge
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.channels import TOF_PEAKS
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from tests.checks.faults import BORNE
from tests.records import reconstructed_spill

PEAK = Peak(name="Electrons", unit="ns", low=24.6, high=26.6, bins=100, matters=0.05, of=lambda values: values)
AT = 100


def judged(by: float, share: float = 1.0, spills: int = 160, seed: int = 1) -> PeakJudge:
    """Return what is known of a peak that moves, and loses entries, at a spill."""
    rng, judge = np.random.default_rng(seed), PeakJudge([PEAK], BORNE)
    for spill in range(spills):
        is_other = spill >= AT
        values = rng.normal(25.6 + by * is_other, 0.15, rng.poisson(50 * (share if is_other else 1)))
        judge.add(spill, 60, unpack(pack({PEAK.digest: PEAK.counts(values)}), [PEAK]))
    return judge


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by", [0.1, -0.1, 0.4])
def test_a_peak_that_moved_is_told_with_how_far(by: float, seed: int) -> None:
    (verdict,) = judged(by, seed=seed).verdicts
    found = verdict.finding
    assert isinstance(found, Moved)
    assert (verdict.group, verdict.channel, verdict.unit, verdict.ended) == (PEAK.name, "", PEAK.unit, None)
    assert AT <= found.told < AT + 20
    assert abs(found.begin.first - AT) <= 2
    assert found.by == pytest.approx(by, abs=0.05)


def test_a_peak_that_is_gone_is_told_as_silent() -> None:
    for by, share in ((5.0, 1.0), (0.0, 0.0)):
        found = judged(by, share).verdicts[0].finding
        assert len(judged(by, share).verdicts) == 1
        assert isinstance(found, Finding)
        assert (found.change.name, found.begin.first) == ("silent", AT)


def test_nothing_is_told_of_a_peak_that_stays_or_is_not_read() -> None:
    assert judged(0.0, spills=2000).verdicts == []
    judge = PeakJudge([PEAK], BORNE)
    for spill in range(60):
        judge.add(spill, 60, {})
    assert judge.verdicts == []
    PeakJudge([], BORNE).add(0, 60, {})


def test_what_lies_beside_the_window_and_at_its_ends_is_counted_where_it_belongs() -> None:
    edges = np.array([24.6, np.nextafter(26.6, 0), 26.6, 24.5, np.nan])
    counts = PEAK.counts(edges)
    assert (counts[0], counts[-1], counts.sum()) == (1, 1, 2)
    entries, total, squares = PEAK.sums(counts)
    assert (entries, total) == (2, pytest.approx(24.61 + 26.59))
    assert squares == pytest.approx(24.61**2 + 26.59**2)


def test_electrons_of_the_time_of_flight_are_found_in_a_spill() -> None:
    made = reconstructed_spill().detectors["tof"]
    empty = type(made)(**{name: type(table).empty() for name, table in made.tables().items()})
    assert all(peak.counts(made).shape == (peak.bins,) for peak in TOF_PEAKS)
    assert not any(peak.counts(empty).any() for peak in TOF_PEAKS)


def test_a_station_whose_timing_is_shifted_has_moved_the_peaks_on_both_sides_of_it() -> None:
    run = SimulatedRun(run=900_020, spills=60, mean_triggers=60).with_faults(["shifted_timing:tof1=0.2@35-59"])
    (cause,) = process(run.records(), ConditionsStore([]).for_run)[900_020].to_json()["judgement"]["causes"]
    assert cause["words"].startswith("TOF1 later by 0.")
    assert cause["by"] == pytest.approx(0.2, abs=0.05)
    assert {each["group"]: each["first"] for each in cause["follows"]} == {peak.name: 35 for peak in TOF_PEAKS}
    assert [each["by"] for each in cause["follows"]] == [pytest.approx(0.2, abs=0.05), pytest.approx(-0.2, abs=0.05)]
