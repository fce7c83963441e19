"""The fast reconstruction of the calorimeter against the slow one, the real spill, and what is easily got wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import Table
from schemas.records import MISSING
from streams.conditions.store import ConditionsStore
from streams.errors import DetectorError
from streams.experiments.mice.boards import V1724, V1731
from streams.experiments.mice.conditions.kl import KlPmts
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.reco.kl import reconstruct_kl
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.spill_json import document
from streams.experiments.mice.tables.kl import Kl
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.hits import BoardEvents, FadcHits, RawHits, TdcHits
from streams.experiments.mice.unpack.spill_json import unpack_json
from tests.conftest import PROJECT
from tests.reco import twin_kl


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    found = ConditionsStore([]).for_run(900001)
    assert found is not None
    return found


def rows(table: Table, *names: str) -> list[tuple[int, ...]]:
    return list(zip(*(getattr(table, name).tolist() for name in names), strict=True))


def compare(hits: RawHits, conditions: Conditions) -> Kl:
    """Compare with the slow twin, row by row."""
    assert conditions.kl_pmts is not None
    fast = reconstruct_kl(hits, conditions)
    slow = twin_kl.digits(hits, conditions.kl_pmts)
    assert rows(fast.digits, "trigger", "cell", "pmt", "charge_mm", "charge_pm", "position_max") == slow
    assert rows(fast.hits, "trigger", "cell", "charge", "charge_product") == twin_kl.cell_hits(slow)
    return fast


def raw(*hits: tuple[int, int, int], triggers: int = 3, equipment: int = V1724) -> RawHits:
    """Return raw hits, (trigger, channel, charge_mm) each, of the board that reads the first four cells."""
    trigger, channel, charge = (np.array(values, np.int32) for values in zip(*hits, strict=True))
    n = len(hits)
    fadc = FadcHits(
        equipment=np.full(n, equipment, np.uint8),
        ldc=np.zeros(n, np.uint8),
        geo=np.full(n, 12, np.uint8),
        channel=channel.astype(np.uint8),
        trigger=trigger,
        pedestal=np.full(n, 8500.0),
        charge_mm=charge,
        charge_pm=charge - 3,
        pulse_area=charge,
        position_min=np.zeros(n, np.int32),
        position_max=np.full(n, 43, np.int32),
        arrival_time=np.zeros(n, np.int32),
    )
    return RawHits(triggers=triggers, boards=BoardEvents.empty(), tdc=TdcHits.empty(), fadc=fadc)


def with_gain(conditions: Conditions, gain: float) -> Conditions:
    pmts = conditions.kl_pmts
    assert pmts is not None
    return replace(conditions, kl_pmts=KlPmts(fadc=pmts.fadc, gain=np.full(42, gain)))


@settings(max_examples=40, deadline=None)
@given(spill=st.integers(0, 1000), seed=st.integers(0, 2**32 - 1))
def test_the_fast_reconstruction_is_the_slow_one(conditions: Conditions, spill: int, seed: int) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=6).spill(spill).raw.payload)
    rng = np.random.default_rng(seed)
    # Lose hits, repeat some with other charges, move some to other triggers and channels.
    fadc = hits.fadc.rows(rng.integers(0, len(hits.fadc), len(hits.fadc)))
    fadc = replace(
        fadc,
        charge_mm=np.where(rng.random(len(fadc)) < 0.1, rng.integers(0, 20_000, len(fadc)), fadc.charge_mm),
        trigger=np.where(rng.random(len(fadc)) < 0.1, rng.integers(0, hits.triggers, len(fadc)), fadc.trigger),
        channel=np.where(rng.random(len(fadc)) < 0.1, rng.integers(0, 8, len(fadc)), fadc.channel).astype(np.uint8),
    )
    compare(replace(hits, fadc=fadc), conditions)


def test_a_simulated_spill_has_digits_and_cell_hits(conditions: Conditions) -> None:
    fast = compare(unpack_date(SimulatedRun(mean_triggers=12).spill(3).raw.payload), conditions)
    assert len(fast.digits) > len(fast.hits) > 5


def test_a_spill_as_json_gives_the_same_digits_and_hits(conditions: Conditions) -> None:
    raw_spill = SimulatedRun(mean_triggers=12).spill(4).raw
    hits = unpack_date(raw_spill.payload)
    written = json.dumps(document(hits, raw_spill, conditions.detectors)).encode()
    from_date, from_json = reconstruct_kl(hits, conditions), reconstruct_kl(unpack_json(written), conditions)
    assert len(from_date.digits)
    assert from_date.digits.equal(from_json.digits)
    assert from_date.hits.equal(from_json.hits)


def test_run_2873_has_72_digits_and_the_cell_hits_of_the_slow_reconstruction(shared: Path) -> None:
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    conditions = ConditionsStore([(index, shared / "data" / "mice-conditions")]).for_run(2873)
    assert conditions is not None
    fast = compare(unpack_json((shared / "data/02873-spill0.json").read_bytes()), conditions)
    assert len(fast.digits) == 72
    assert len(fast.hits) == 36
    # 1486 and 1224 counts, of gains 1.24 and 1.05: the gains bring the two ends of a cell together.
    assert rows(fast.digits, "trigger", "cell", "pmt", "charge_mm")[:2] == [(0, 9, 0, 1198), (0, 9, 1, 1165)]
    assert rows(fast.hits, "trigger", "cell", "charge", "charge_product")[0] == (0, 9, 1181, 1181)


def test_charges_are_truncated_and_the_product_is_of_whole_numbers(conditions: Conditions) -> None:
    found = reconstruct_kl(raw((1, 2, 1001), (1, 3, 500)), with_gain(conditions, 1.5))
    assert rows(found.digits, "cell", "pmt", "charge_mm", "charge_pm") == [(1, 0, 667, 665), (1, 1, 333, 331)]
    assert rows(found.hits, "trigger", "cell", "charge", "charge_product") == [(1, 1, 500, 444)]
    without = raw((1, 2, 1001))
    unknown = replace(without, fadc=replace(without.fadc, charge_pm=np.array([MISSING])))
    assert compare(unknown, with_gain(conditions, 1.5)).digits.charge_pm.tolist() == [MISSING]


def test_a_cell_of_which_one_end_saw_nothing_has_no_hit(conditions: Conditions) -> None:
    found = compare(raw((0, 0, 900), (0, 3, 800), (1, 1, 700), (2, 4, 300), (2, 5, 0)), with_gain(conditions, 1))
    assert rows(found.hits, "trigger", "cell", "charge", "charge_product") == [(2, 2, 150, 0)]
    none = compare(raw((2, 4, 0), (2, 5, 0)), with_gain(conditions, 1))
    assert rows(none.hits, "charge", "charge_product") == [(0, 0)]


def test_of_several_hits_of_a_photomultiplier_the_first_makes_the_cell_hit(conditions: Conditions) -> None:
    found = compare(raw((1, 0, 900), (0, 7, 5), (1, 0, 100), (1, 1, 900)), with_gain(conditions, 1))
    assert found.digits.trigger.tolist() == [0, 1, 1, 1]
    assert found.hits.charge.tolist() == [900]


def test_other_boards_at_the_same_address_are_not_the_calorimeter(conditions: Conditions) -> None:
    assert not len(reconstruct_kl(raw((0, 0, 900), equipment=V1731), conditions).digits)
    assert not len(reconstruct_kl(replace(raw((0, 0, 1)), fadc=FadcHits.empty()), conditions).hits)


def test_the_largest_charges_do_not_overflow(conditions: Conditions) -> None:
    most = 2**31 - 1
    found = reconstruct_kl(raw((0, 0, most), (0, 1, most)), with_gain(conditions, 1))
    assert rows(found.hits, "charge", "charge_product") == [(most, most)]


@pytest.mark.parametrize(("charge", "gain"), [(MISSING, 1.0), (-(2**31), 1.0), (2**31 - 1, 0.5), (5, 1e-300)])
def test_a_charge_that_cannot_be_is_named_with_its_place(conditions: Conditions, charge: int, gain: float) -> None:
    with pytest.raises(DetectorError, match=r"a charge of .* ADC counts in cell 3, photomultiplier 1, .* trigger 2"):
        reconstruct_kl(raw((0, 0, 0), (2, 7, charge)), with_gain(conditions, gain))


def test_without_tables_the_missing_ones_are_named(conditions: Conditions) -> None:
    with pytest.raises(DetectorError, match="kl_channels or kl_gains"):
        reconstruct_kl(raw((0, 0, 900)), replace(conditions, kl_pmts=None))
