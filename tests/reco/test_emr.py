"""The fast reconstruction of the electron-muon ranger against the slow one, and what is easily got wrong."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import Table
from schemas.records import MISSING, ReconstructedSpill
from streams.conditions.store import ConditionsStore
from streams.errors import DetectorError
from streams.experiments.mice.boards import V1731
from streams.experiments.mice.conditions.emr import BAR_NUMBERS, TRIGGER_BAR
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.reco.emr import reconstruct_emr
from streams.experiments.mice.reco.emr_hits import BarHits, secondaries
from streams.experiments.mice.reco.emr_tracks import charge_of
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.spill_json import document
from streams.experiments.mice.tables.emr import Emr
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.hits import BoardEvents, DbbHits, DbbSpills, FadcHits, RawHits, TdcHits
from streams.experiments.mice.unpack.spill_json import unpack_json
from tests.conftest import PROJECT
from tests.reco import twin_emr
from tests.records import reconstructed_spill
from tests.wire import decode, encode


@cache
def simulated() -> Conditions:
    """Return the simulated conditions; no fixture, as hypothesis would print all of them."""
    found = ConditionsStore([]).for_run(900001)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    return simulated()


def rows(table: Table, *names: str) -> list[tuple[float, ...]]:
    return list(zip(*(getattr(table, name).tolist() for name in names), strict=True))


def near(fast: list[tuple[float, ...]], slow: list[tuple[float, ...]]) -> None:
    assert len(fast) == len(slow)
    if fast:
        np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-6)


def compare(hits: RawHits, conditions: Conditions) -> Emr:
    """Compare with the slow twin, row by row."""
    cabling = conditions.emr_cabling
    fast = reconstruct_emr(hits, conditions)
    bars = twin_emr.bars(hits, cabling)
    mine, later, planes = twin_emr.primaries(bars), twin_emr.secondaries(bars), twin_emr.planes(hits, cabling)
    assert rows(fast.hits, "trigger", "plane", "bar", "tot", "delta_t") == mine
    assert rows(fast.secondary_hits, "candidate", "plane", "bar", "tot", "time") == later
    assert rows(fast.planes, "trigger", "plane", "charge", "delta_t") == planes

    tracks, daughters = twin_emr.tracks(mine, mother=True), twin_emr.tracks(later, mother=False)
    mother_of = twin_emr.mothers(bars, later, tracks, daughters)
    points = [(trigger, *point) for trigger, track in tracks.items() for point in track["points"]]
    near(rows(fast.space_points, "trigger", "plane", "x_mm", "y_mm", "charge"), points)
    slow = []
    for trigger, track in tracks.items():
        lit = [(p, q) for t, p, q, _ in planes if t == trigger and p <= track["last"] and q > 10]
        n = len({p for p, _ in lit})
        deep = track["last"] + 1
        whole = (trigger, track["last"], n, n / deep, track["planes"] / deep, track["range"])
        sums = (track["charge"], sum(q for _, q in lit), track["ratio"], track["chi2"])
        slow.append((*whole, *sums, trigger in [mother for mother, _ in mother_of.values()]))
    names = ("trigger", "last_plane", "hit_planes", "density", "density_ma", "range_mm")
    near(rows(fast.tracks, *names, "charge_ma", "charge_sa", "charge_ratio", "chi2", "has_daughter"), slow)
    slow = [
        (
            *(candidate, *mother_of.get(candidate, (MISSING, MISSING)), track["first"], track["last"], track["planes"]),
            *(track["range"], track["charge"], track["ratio"], track["chi2"]),
        )
        for candidate, track in daughters.items()
    ]
    names = ("candidate", "mother", "wait", "first_plane", "last_plane", "hit_planes")
    near(rows(fast.daughters, *names, "range_mm", "charge_ma", "charge_ratio", "chi2"), slow)
    return fast


def changed(table: DbbHits, rng: np.random.Generator, keep: np.ndarray) -> DbbHits:
    """Lose, repeat and change hits, all but those to keep."""
    picked = np.sort(np.concatenate([np.flatnonzero(keep), rng.choice(np.flatnonzero(~keep), (~keep).sum())]))
    kept, table = keep[picked], table.rows(picked)

    def some(share: float) -> np.ndarray:
        return (rng.random(len(table)) < share) & ~kept

    n = len(table)
    shift = np.where(some(0.1), rng.integers(-60, 60, n), 0)
    leading = np.clip(table.leading_time + shift, 0, (1 << 22) - 1)
    trailing = np.where(some(0.05), leading + rng.integers(-5, 300, n), table.trailing_time)
    return replace(
        table,
        leading_time=np.where(some(0.05), MISSING, leading).astype(np.int32),
        trailing_time=np.where(some(0.05), MISSING, trailing & 0x3FFFFF).astype(np.int32),
    )


@settings(max_examples=40, deadline=None)
@given(spill=st.integers(0, 1000), seed=st.integers(0, 2**32 - 1))
def test_the_fast_reconstruction_is_the_slow_one(spill: int, seed: int) -> None:
    conditions = simulated()
    hits = unpack_date(SimulatedRun(mean_triggers=6).spill(spill).raw.payload)
    rng = np.random.default_rng(seed)
    dbb = hits.dbb_hits
    is_trigger = conditions.emr_cabling.dbb[dbb.ldc, dbb.geo, dbb.channel] % BAR_NUMBERS == TRIGGER_BAR
    fadc = hits.fadc.rows(rng.random(len(hits.fadc)) < 0.9)
    area = np.where(rng.random(len(fadc)) < 0.2, rng.integers(-50, 50, len(fadc)), fadc.pulse_area)
    if (~is_trigger).any():
        dbb = changed(dbb, rng, is_trigger)
    compare(replace(hits, dbb_hits=dbb, fadc=replace(fadc, pulse_area=area.astype(np.int32))), conditions)


def test_a_simulated_spill_has_tracks_and_daughters(conditions: Conditions) -> None:
    found = compare(unpack_date(SimulatedRun(mean_triggers=20).spill(3).raw.payload), conditions)
    assert len(found.tracks) > len(found.daughters) > 2
    assert found.tracks.has_daughter.sum() == len(set(found.daughters.mother.tolist()) - {MISSING}) > 2


def test_a_spill_as_json_gives_the_same_tables(conditions: Conditions) -> None:
    raw_spill = SimulatedRun(mean_triggers=8).spill(4).raw
    hits = unpack_date(raw_spill.payload)
    written = json.dumps(document(hits, raw_spill, conditions.detectors)).encode()
    from_date, from_json = reconstruct_emr(hits, conditions), reconstruct_emr(unpack_json(written), conditions)
    for name, table in from_date.tables().items():
        assert len(table)
        assert table.equal(from_json.tables()[name])


def test_run_2873_was_taken_without_it(shared: Path) -> None:
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    conditions = ConditionsStore([(index, shared / "data" / "mice-conditions")]).for_run(2873)
    assert conditions is not None
    found = reconstruct_emr(unpack_json((shared / "data/02873-spill0.json").read_bytes()), conditions)
    assert not any(map(len, found.tables().values()))


def raw(
    conditions: Conditions,
    *hits: tuple[int, int, int, int],
    triggers: tuple[int, ...] = (1000, 3000),
    told: int | None = None,
    charges: dict[tuple[int, int], int] | None = None,
) -> RawHits:
    """Return raw hits of the simulated cabling: (plane, bar, leading, trailing) each, charges by (trigger, plane)."""
    cabling = conditions.emr_cabling
    assert cabling is not None
    planes = sorted({hit[0] for hit in hits} | {0})
    everything = [(plane, TRIGGER_BAR, time, time + 20) for plane in planes for time in triggers]
    everything = sorted([*everything, *hits], key=lambda hit: hit[0])
    found = []
    for plane, bar, leading, trailing in everything:
        (place,) = np.argwhere(cabling.dbb == plane * BAR_NUMBERS + bar)
        found.append((*place.tolist(), leading, trailing))
    ldc, geo, channel, leading, trailing = np.array(found, int).reshape(-1, 5).T
    boards = DbbSpills(
        ldc=np.full(len(planes), 2),
        geo=np.array(planes),
        spill_number=np.zeros(len(planes), int),
        spill_width=np.zeros(len(planes), int),
        trigger_count=np.full(len(planes), len(triggers) if told is None else told),
        hit_count=np.zeros(len(planes), int),
    )
    return RawHits(
        triggers=len(triggers),
        boards=BoardEvents.empty(),
        tdc=TdcHits.empty(),
        fadc=fadc(conditions, charges or {}),
        dbb_spills=boards,
        dbb_hits=DbbHits(ldc=ldc, geo=geo, channel=channel, leading_time=leading, trailing_time=trailing),
    )


def fadc(conditions: Conditions, charges: dict[tuple[int, int], int]) -> FadcHits:
    cabling = conditions.emr_cabling
    assert cabling is not None
    places = np.array([np.argwhere(cabling.fadc == plane)[0] for _, plane in charges], int).reshape(-1, 3)
    n = len(charges)
    return FadcHits(
        equipment=np.full(n, V1731, np.uint8),
        **dict(zip(("ldc", "geo", "channel"), places.T, strict=True)),
        trigger=np.array([trigger for trigger, _ in charges], np.int32),
        pulse_area=np.array([*charges.values()], np.int32),
        pedestal=np.full(n, 144.0),
        **{
            name: np.full(n, 5, np.int32)
            for name in ("charge_mm", "charge_pm", "position_min", "position_max", "arrival_time")
        },
    )


def test_the_window_of_a_trigger_is_open_at_both_ends(conditions: Conditions) -> None:
    times = [1000 + delta for delta in (-240, -239, -211, -210)]
    found = compare(raw(conditions, *((0, 7, time, time + 10) for time in times)), conditions)
    assert rows(found.hits, "trigger", "plane", "bar", "tot", "delta_t") == [(0, 0, 7, 10, 1), (0, 0, 7, 10, 29)]


def test_a_secondary_needs_a_tot_above_4_and_company_within_40_counts(conditions: Conditions) -> None:
    def group(first: int, *after: int, tot: int = 5) -> list[tuple[int, int, int, int]]:
        return [(0, 3 + n, first + dt, first + dt + tot) for n, dt in enumerate((0, *after))]

    def candidates(*hits: tuple[int, int, int, int]) -> list[tuple[float, ...]]:
        return rows(compare(raw(conditions, *hits), conditions).secondary_hits, "candidate", "time")

    assert candidates(*group(1500, 40)) == [(0, 1500), (0, 1540)]
    assert candidates(*group(1500, 41)) == []
    assert candidates(*group(1500, 10, tot=4)) == []
    # The first of a group counts, not the one before.
    assert candidates(*group(1500, 30, 60, 70)) == [(0, 1500), (0, 1530), (1, 1560), (1, 1570)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 600), max_size=60))
def test_groups_of_any_times_are_those_of_a_loop(times: list[int]) -> None:
    n, time = len(times), np.array(times, np.int32)
    whole = {name: np.zeros(n, np.int32) for name in ("plane", "bar", "delta_t")}
    hits = BarHits(**whole, tot=np.full(n, 9, np.int32), time=time, trigger=np.full(n, -1, np.int32))
    slow = twin_emr.secondaries([(0, 0, 9, t, -1, 0) for t in times])
    assert rows(secondaries(hits), "candidate", "time") == [(hit[0], hit[4]) for hit in slow]


def test_the_clock_may_begin_anew_within_a_spill(conditions: Conditions) -> None:
    hits = [(0, 7, (1 << 22) - 100, (1 << 22) - 90), (1, 8, (1 << 22) - 100, 5)]
    found = compare(raw(conditions, *hits, triggers=(5000, 120)), conditions)
    assert rows(found.hits, "trigger", "plane", "tot") == [(1, 0, 10), (1, 1, 105)]


def test_the_test_channel_and_hits_that_lack_an_edge_are_none_and_others_may_end_before_they_begin(
    conditions: Conditions,
) -> None:
    hits = [(0, 0, 780, 790), (0, 5, 780, MISSING), (0, 6, MISSING, 790), (0, 7, 780, 779), (0, 8, 780, 780)]
    found = compare(raw(conditions, *hits), conditions)
    assert rows(found.hits, "bar", "tot") == [(7, -1), (8, 0)]


def test_of_triggers_nearer_than_can_be_a_hit_is_the_first_ones(conditions: Conditions) -> None:
    found = compare(raw(conditions, (0, 7, 780, 790), triggers=(1010, 1000, 1000, 1010)), conditions)
    assert rows(found.hits, "trigger", "delta_t") == [(1, 20)]


def test_cross_talk_is_what_is_not_in_the_brightest_run_of_neighbours(conditions: Conditions) -> None:
    plane = [(0, 10, 780, 789), (0, 11, 780, 789), (0, 20, 780, 790), (0, 40, 780, 783), (0, 41, 780, 783)]
    found = compare(raw(conditions, *plane, (1, 30, 780, 790)), conditions)
    assert len(found.hits) == 6
    near(rows(found.space_points, "plane", "x_mm", "y_mm"), [(0, -340, 0), (0, -323, 0), (1, -331.5, 0)])


def test_hits_in_one_projection_alone_make_no_track(conditions: Conditions) -> None:
    found = compare(raw(conditions, (0, 7, 780, 790), (2, 7, 780, 790), (4, 7, 2780, 2790)), conditions)
    assert (len(found.hits), len(found.space_points), len(found.tracks)) == (3, 0, 0)


def test_a_track_of_known_bars_has_range_density_and_charge_of_its_planes(conditions: Conditions) -> None:
    # One bar further every second plane, in x alone: a slope of 17 mm in 35 mm.
    hits = [(plane, 30 + (plane // 2 if plane % 2 == 0 else 0), 780, 795) for plane in range(10)]
    charges = {(0, plane): 100 + plane for plane in range(12)} | {(0, 3): 10, (1, 4): 500}
    found = compare(raw(conditions, *hits, charges=charges), conditions)
    (track,) = rows(found.tracks, "last_plane", "hit_planes", "density", "range_mm", "charge_sa", "chi2")
    assert track[:3] == (9, 9, 0.9)
    assert track[3] == pytest.approx(9.5 * 17.5 * (1 + (17 / 35) ** 2) ** 0.5)
    assert track[4] == 1000 + 45 - 103
    assert track[5] == pytest.approx(0, abs=1e-20)
    # Eight early points, two late ones, the same charge in each.
    assert found.tracks.charge_ratio[0] == pytest.approx(0.8)
    assert found.tracks.density_ma[0] == 1


@pytest.mark.parametrize(("tot", "charge"), [(10, 48), (20, 155), (27, 301), (0, 2.7), (-73, 2.7)])
def test_a_time_over_threshold_is_the_charge_that_the_experiment_has_for_it(tot: int, charge: float) -> None:
    assert charge_of(np.array([tot])) == pytest.approx(charge, rel=0.01)


def test_at_the_ends_of_a_track_the_other_coordinate_goes_on_straight(conditions: Conditions) -> None:
    # x goes one bar further with each even plane; y is that of the middle bar.
    hits = [(plane, 30 + plane // 2 * (plane % 2 == 0), 780, 795) for plane in (1, 2, 4, 6, 7, 9)]
    found = compare(raw(conditions, *hits), conditions)
    x = dict(zip(found.space_points.plane.tolist(), found.space_points.x_mm.tolist(), strict=True))
    assert x == pytest.approx({plane: 17.0 * plane / 2 for plane in (1, 2, 4, 6, 7, 9)})


def test_the_mother_is_the_last_that_the_daughter_is_near_enough_to_in_time_and_space(conditions: Conditions) -> None:
    def track(bar: int, time: int, first: int = 0) -> list[tuple[int, int, int, int]]:
        return [(plane, bar, time, time + 15) for plane in range(first, first + 6)]

    # A particle at bar 30, and another at bar 50 that comes before the first one decays.
    at_30, at_50 = track(30, 780), track(50, 2780)
    wanted = {4000: (0, 3220), 5700: (0, 4920), 5790: (MISSING, MISSING), 2900: (0, 2120)}
    for time, mother in wanted.items():
        found = compare(raw(conditions, *at_30, *at_50, *track(31, time, 6)), conditions)
        assert rows(found.daughters, "mother", "wait") == [mother]
    found = compare(raw(conditions, *at_30, *at_50, *track(49, 4000, 6)), conditions)
    assert rows(found.daughters, "mother", "wait") == [(1, 1220)]
    assert found.tracks.has_daughter.tolist() == [False, True]


def test_each_trigger_of_the_experiment_s_own_spill_gives_one_plane_hit(shared: Path) -> None:
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    conditions = ConditionsStore([(index, shared / "data" / "mice-conditions")]).for_run(6008)
    assert conditions is not None
    found = compare(unpack_json((shared / "data/fixtures/emr-plane-hits.json").read_bytes()), conditions)
    assert rows(found.hits, "trigger", "plane", "tot", "delta_t") == [(0, 47, 8, 9), (1, 47, 5, 10), (2, 47, -73, 12)]
    assert rows(found.planes, "trigger", "plane", "charge") == [(1, 47, 36), (2, 47, 36)]


def test_a_board_with_another_number_of_triggers_fails_the_detector(conditions: Conditions) -> None:
    good = raw(conditions, (5, 7, 780, 790))
    with pytest.raises(DetectorError, match=r"trigger count 3 where the spill has 2 .*, in DBB 0 of LDC 2"):
        reconstruct_emr(raw(conditions, (5, 7, 780, 790), told=3), conditions)
    with pytest.raises(DetectorError, match="trigger count 2 where the spill has 1 particle triggers"):
        reconstruct_emr(replace(good, triggers=1), conditions)
    lost = good.dbb_hits.rows(np.arange(len(good.dbb_hits)) > 0)
    with pytest.raises(DetectorError, match=r"1 triggers recorded where the spill has 2 .*, in DBB 0 of LDC 2"):
        reconstruct_emr(replace(good, dbb_hits=lost), conditions)


@pytest.mark.parametrize("triggers", [1023, 1024, 1030])
def test_the_count_of_triggers_of_a_board_begins_anew_after_10_bits(conditions: Conditions, triggers: int) -> None:
    times = tuple(range(1000, 1000 + 500 * triggers, 500))
    hits = raw(conditions, (5, 7, times[-1] - 220, times[-1] - 210), triggers=times, told=triggers % 1024)
    assert reconstruct_emr(hits, conditions).hits.trigger.tolist() == [triggers - 1]
    with pytest.raises(DetectorError, match="trigger count 7 where the spill has"):
        reconstruct_emr(raw(conditions, triggers=times, told=7), conditions)


def test_boards_of_another_detector_are_not_its_own(conditions: Conditions) -> None:
    good = raw(conditions, (5, 7, 780, 790))
    other = replace(good.dbb_spills, ldc=np.full(2, 3), trigger_count=np.full(2, 9))
    strange = replace(good.dbb_hits, ldc=np.full(len(good.dbb_hits), 3))
    found = reconstruct_emr(replace(good, dbb_spills=other, dbb_hits=strange), conditions)
    assert not any(map(len, found.tables().values()))


def test_without_the_table_it_is_named(conditions: Conditions) -> None:
    with pytest.raises(DetectorError, match="emr_channels"):
        reconstruct_emr(raw(conditions), replace(conditions, emr_cabling=None))


_TIMES = st.integers(0, 2000) | st.integers(0, (1 << 22) - 1) | st.just(MISSING)
_PLACES = st.tuples(st.integers(0, 3), st.integers(0, 63))


@settings(max_examples=100, deadline=None)
@given(
    hits=st.lists(st.tuples(_PLACES, _TIMES, _TIMES), max_size=40),
    triggers=st.lists(st.integers(0, 2500), max_size=4),
    charges=st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 47)), st.integers(-(2**31), 2**31 - 1)),
)
def test_hits_of_any_numbers_are_reconstructed_as_by_the_slow_one(hits, triggers, charges) -> None:
    conditions = simulated()
    any_hits = [(plane, bar, *times) for (plane, bar), *times in hits if bar < 60]
    charges = {place: charge for place, charge in charges.items() if place[0] < len(triggers)}
    found = compare(raw(conditions, *any_hits, triggers=tuple(triggers), charges=charges), conditions)
    spill = reconstructed_spill(triggers=max(len(triggers), 20), emr=found)
    again = decode(encode(spill))
    assert isinstance(again, ReconstructedSpill)
    emr = again.get(Emr)
    assert emr is not None
    assert all(table.equal(emr.tables()[name]) for name, table in found.tables().items())
