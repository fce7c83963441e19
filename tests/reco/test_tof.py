"""The fast reconstruction of the stations against the slow one, and what is easily got wrong."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import I4
from streams.conditions.store import ConditionsStore
from streams.errors import DetectorError
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.reco.ckov import reconstruct_ckov
from streams.experiments.mice.reco.tof import reconstruct_tof
from streams.experiments.mice.reco.tof_hits import tdc_difference
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.tables.tof import Tof
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.hits import RawHits
from tests.reco import twin


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    found = ConditionsStore([]).for_run(900001)
    assert found is not None
    return found


def compare(hits: RawHits, conditions: Conditions) -> Tof:
    """Compare with the slow twin, row by row."""
    fast = reconstruct_tof(hits, conditions)
    slow = twin.digits(hits, conditions)
    d, s, p = fast.digits, fast.hits, fast.space_points
    columns = (d.trigger, d.station, d.plane, d.slab, d.pmt, d.leading_time, d.request_time, d.charge_mm)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == slow
    slow_hits = twin.slab_hits(slow)
    columns = (s.trigger, s.station, s.plane, s.slab, s.raw_time0_ns, s.raw_time1_ns, s.charge0, s.charge1)
    assert twin.near(list(zip(*columns, strict=True)), slow_hits)
    columns = (p.trigger, p.station, p.slabx, p.slaby, p.time_ns, p.dt_ns)
    slow_points = twin.space_points(hits.triggers, slow_hits, conditions.tof_calibration)
    assert twin.near(list(zip(*columns, strict=True)), slow_points)
    return fast


@settings(max_examples=25, deadline=None)
@given(spill=st.integers(0, 1000), seed=st.integers(0, 2**32 - 1))
def test_the_fast_reconstruction_is_the_slow_one(conditions: Conditions, spill: int, seed: int) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=4).spill(spill).raw.payload)
    rng = np.random.default_rng(seed)
    # Lose hits, repeat some at other times, take leading edges away, calibrate some photomultipliers not.
    tdc = hits.tdc.rows(rng.integers(0, len(hits.tdc), len(hits.tdc)))
    tdc = tdc.rows(np.argsort(tdc.trigger, kind="stable"))
    leading = np.where(rng.random(len(tdc)) < 0.05, twin.NOT_THERE, tdc.leading_time + rng.integers(0, 30, len(tdc)))
    fadc = hits.fadc.rows(rng.random(len(hits.fadc)) < 0.9)
    calibration = conditions.tof_calibration
    assert calibration is not None
    pmts = replace(calibration.pmts, t0_ps=np.where(rng.random(120) < 0.05, 0.0, calibration.pmts.t0_ps))
    compare(
        replace(hits, tdc=replace(tdc, leading_time=leading), fadc=fadc),
        replace(conditions, tof_calibration=replace(calibration, pmts=pmts)),
    )


def test_a_simulated_spill_has_space_points_in_all_stations(conditions: Conditions) -> None:
    fast = compare(unpack_date(SimulatedRun(mean_triggers=12).spill(3).raw.payload), conditions)
    assert set(fast.space_points.station.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("shift", [0, 1, 2**20, 2**21 - 1])
def test_times_do_not_depend_on_where_the_counter_wraps(conditions: Conditions, shift: int) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=6).spill(5).raw.payload)
    shifted = replace(hits, tdc=replace(hits.tdc, leading_time=(hits.tdc.leading_time + shift) % 2**21))
    before, after = reconstruct_tof(hits, conditions), reconstruct_tof(shifted, conditions)
    assert before.hits.equal(after.hits)
    assert before.space_points.equal(after.space_points)


def test_a_difference_of_times_is_taken_modulo_the_period() -> None:
    def counts(*values: int) -> I4:
        return np.array(values, np.int32)

    a, b = counts(5, 2**21 - 5, 2**20, 0), counts(2**21 - 5, 5, 0, 2**20)
    assert tdc_difference(a, b).tolist() == [10, -10, -(2**20), -(2**20)]


def test_a_run_without_calibration_has_hits_and_no_space_points(conditions: Conditions) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=6).spill(1).raw.payload)
    fast = reconstruct_tof(hits, replace(conditions, tof_calibration=None))
    assert len(fast.hits)
    assert not len(fast.space_points)


def test_without_cabling_the_missing_table_is_named(conditions: Conditions) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=2).spill(1).raw.payload)
    with pytest.raises(DetectorError, match="tof_channels"):
        reconstruct_tof(hits, replace(conditions, tof_cabling=None))
    with pytest.raises(DetectorError, match="daq_channels"):
        reconstruct_ckov(hits, replace(conditions, ckov_channels=()))


def test_a_trigger_without_a_photomultiplier_of_the_counters_is_named(conditions: Conditions) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=40).spill(1).raw.payload)
    gone = (hits.fadc.equipment == 121) & (hits.fadc.trigger == 2) & (hits.fadc.channel == 5)
    with pytest.raises(DetectorError, match=r"particle trigger 2 .* channel 5"):
        reconstruct_ckov(replace(hits, fadc=hits.fadc.rows(~gone)), conditions)


def test_the_counters_are_as_a_loop_over_photomultipliers_makes_them(conditions: Conditions) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=40).spill(2).raw.payload)
    rng = np.random.default_rng(1)
    fadc = replace(
        hits.fadc,
        position_min=rng.integers(0, 120, len(hits.fadc)),
        pulse_area=rng.integers(-20, 400, len(hits.fadc)) * (rng.random(len(hits.fadc)) < 0.7),
    )
    digits = reconstruct_ckov(replace(hits, fadc=fadc), conditions).digits
    for trigger in range(hits.triggers):
        for counter in range(2):
            pulse, position = [], []
            for pmt in range(4 * counter, 4 * counter + 4):
                ldc, geo, channel = conditions.ckov_channels[pmt]
                (row,) = np.flatnonzero(
                    (fadc.equipment == 121)
                    & (fadc.trigger == trigger)
                    & (fadc.ldc == ldc)
                    & (fadc.geo == geo)
                    & (fadc.channel == channel)
                )
                inside = 19 < fadc.position_min[row] <= 80 and fadc.pulse_area[row] >= 0
                pulse.append(int(fadc.pulse_area[row]) if inside else 0)
                position.append(int(fadc.position_min[row]) if inside else 300)
            zeros = pulse.count(0)
            if zeros < 3:
                largest = position[pulse.index(max(pulse))]
                pulse = [0 if abs(at - largest) > 40 else q for q, at in zip(pulse, position, strict=True)]
            assert digits.pulse[trigger, 4 * counter : 4 * counter + 4].tolist() == pulse
            assert digits.coincidences[trigger, counter] == 4 - zeros
            assert digits.total_charge[trigger, counter] == sum(pulse)
            assert digits.photo_electrons[trigger, counter] == pytest.approx(sum(pulse) / 23)
