"""The fast reconstruction of the trackers against the slow one, and what is easily got wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import Table
from streams.conditions.store import ConditionsStore
from streams.errors import DetectorError
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.conditions.tracker import TrackerChannels
from streams.experiments.mice.reco.tracker import make_digits, reconstruct_tracker
from streams.experiments.mice.reco.tracker_clusters import MAX_SEEDS, make_clusters
from streams.experiments.mice.reco.tracker_space_points import make_space_points
from streams.experiments.mice.reco.tracker_tracks import make_tracks
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.spill_json import document
from streams.experiments.mice.tables.tracker import (
    Tracker,
    TrackerClusters,
    TrackerDigits,
    TrackerSpacePoints,
    TrackerTracks,
)
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.hits import RawHits, VlsbHits
from streams.experiments.mice.unpack.spill_json import unpack_json
from tests.conftest import PROJECT
from tests.reco import twin_tracker as twin

DIGIT = ("trigger", "tracker", "station", "plane", "channel", "npe")
POINT = ("trigger", "tracker", "station", "kind", "x_mm", "y_mm", "npe", "chi2")
TRACK = ("trigger", "tracker", "x_mm", "y_mm", "slope_x", "slope_y", "chi2")


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    found = ConditionsStore([]).for_run(900001)
    assert found is not None
    return found


def rows(table: Table, *names: str) -> list[tuple]:
    return list(zip(*(getattr(table, name).tolist() for name in names), strict=True))


def near(a: list[tuple], b: list[tuple]) -> bool:
    return len(a) == len(b) and all(np.allclose(x, y, rtol=0, atol=1e-9) for x, y in zip(a, b, strict=True))


def channels_of(conditions: Conditions) -> TrackerChannels:
    assert conditions.tracker is not None
    return conditions.tracker


def compare_after_digits(digits: TrackerDigits) -> Tracker:
    """Compare clusters and space points with those of the slow twin, row by row."""
    clusters = make_clusters(digits)
    slow = twin.clusters(rows(digits, *DIGIT))
    assert rows(clusters, *DIGIT) == slow
    points = make_space_points(clusters)
    assert near(rows(points, *POINT), twin.space_points(slow))
    return Tracker(digits=digits, hits=clusters, space_points=points, tracks=compare_tracks(points))


def compare_tracks(points: TrackerSpacePoints) -> TrackerTracks:
    """Compare the tracks of space points with those of the slow twin, row by row."""
    tracks, slow = make_tracks(points), twin.tracks(rows(points, *POINT))
    assert near(rows(tracks, *TRACK), [track[:-1] for track in slow])
    off = np.array([track[-1] for track in slow]).reshape(-1, 5, 2)
    np.testing.assert_allclose(tracks.off_mm, off, rtol=1e-5, atol=1e-5)
    return tracks


def compare(hits: RawHits, conditions: Conditions) -> Tracker:
    """Compare with the slow twin, row by row."""
    fast = reconstruct_tracker(hits, conditions)
    assert rows(fast.digits, *DIGIT) == twin.digits(hits.vlsb, channels_of(conditions))
    again = compare_after_digits(fast.digits)
    assert fast.hits.equal(again.hits)
    assert fast.space_points.equal(again.space_points)
    assert fast.tracks.equal(again.tracks)
    return fast


def digits(*found: tuple[int, int, int, int, int, float]) -> TrackerDigits:
    """Return digits, (trigger, tracker, station, plane, channel, npe) each."""
    columns = zip(*sorted(found), strict=True) if found else ((),) * len(DIGIT)
    values = dict(zip(DIGIT, (np.array(column) for column in columns), strict=True))
    whole = {name: values[name].astype(np.int32 if name == "trigger" else np.uint8) for name in DIGIT[:-1]}
    light = values["npe"].astype(np.float64)
    counts = np.zeros(len(light), np.uint8)
    return TrackerDigits(**whole, npe=light, adc=counts, tdc=counts)


@settings(max_examples=40, deadline=None)
@given(spill=st.integers(0, 1000), seed=st.integers(0, 2**32 - 1))
def test_the_fast_reconstruction_is_the_slow_one(conditions: Conditions, spill: int, seed: int) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=6).spill(spill).raw.payload)
    rng = np.random.default_rng(seed)
    # Lose hits, give some other light or none, move some to neighbouring channels and other triggers.
    vlsb = hits.vlsb.rows(rng.random(len(hits.vlsb)) < rng.choice([0.7, 1.0]))
    some = rng.random((3, len(vlsb))) < 0.1
    vlsb = replace(
        vlsb,
        adc=np.where(some[0], rng.integers(0, 256, len(vlsb)), vlsb.adc).astype(np.uint8),
        channel=np.where(some[1], vlsb.channel ^ 1, vlsb.channel).astype(np.uint8),
        trigger=np.where(some[2], rng.integers(0, hits.triggers, len(vlsb)), vlsb.trigger),
    )
    key = (vlsb.bank.astype(int) * 1000 + vlsb.trigger) * 128 + vlsb.channel
    compare(replace(hits, vlsb=vlsb.rows(np.unique(key, return_index=True)[1])), conditions)


CHANNELS = st.integers(95, 118)
CROWDED = st.dictionaries(
    st.tuples(st.integers(0, 1), st.sampled_from([0, 1]), st.sampled_from([1, 5]), st.integers(0, 2), CHANNELS),
    # Few values, so that many are equal.
    st.sampled_from([0.5, 1.5, 2.5, 3.0, 7.25]),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(CROWDED)
def test_crowded_stations_are_the_slow_ones(found: dict[tuple, float]) -> None:
    compare_after_digits(digits(*((*place, npe) for place, npe in found.items())))


def test_a_simulated_spill_of_300_triggers_has_points_in_all_stations(conditions: Conditions) -> None:
    run = SimulatedRun(mean_triggers=8).with_faults(["many_triggers@3"])
    fast = compare(unpack_date(run.spill(3).raw.payload), conditions)
    places = {(tracker, station) for tracker in (0, 1) for station in range(1, 6)}
    assert set(rows(fast.space_points, "tracker", "station")) == places
    assert fast.space_points.trigger.max() > 290


def test_a_spill_as_json_gives_the_same_digits_clusters_and_points(conditions: Conditions) -> None:
    raw_spill = SimulatedRun(mean_triggers=12).spill(4).raw
    hits = unpack_date(raw_spill.payload)
    written = json.dumps(document(hits, raw_spill, conditions.detectors)).encode()
    from_date, from_json = reconstruct_tracker(hits, conditions), reconstruct_tracker(unpack_json(written), conditions)
    assert len(from_date.space_points)
    for name, table in from_date.tables().items():
        assert table.equal(from_json.tables()[name])


def test_run_2873_was_before_the_trackers_and_has_no_digits(shared: Path) -> None:
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    conditions = ConditionsStore([(index, shared / "data" / "mice-conditions")]).for_run(6008)
    assert conditions is not None
    fast = compare(unpack_json((shared / "data/02873-spill0.json").read_bytes()), conditions)
    assert {name: len(table) for name, table in fast.tables().items()} == dict.fromkeys(
        ("digits", "hits", "space_points", "tracks"), 0
    )


def first_channel(adc: int) -> VlsbHits:
    """Return one hit of the first channel of the first bank."""
    others = dict.fromkeys(("ldc", "bank", "channel", "trigger", "tdc", "discriminator"), np.zeros(1, np.uint8))
    return VlsbHits(**others, adc=np.array([adc], np.uint8))


def light(conditions: Conditions, adc: int) -> TrackerDigits:
    """Return the digits of a channel with a pedestal of 20 counts and a gain of 10, cabled to channel 0."""
    channels = replace(
        channels_of(conditions),
        pedestal=np.full((64, 128), 20.0),
        gain=np.full((64, 128), 10.0),
        good=np.ones((64, 128), np.bool_),
    )
    one = {name: [0] for name in ("ldc", "bank", "channel", "trigger", "tdc", "discriminator")}
    return make_digits(
        VlsbHits(**{name: np.array(v, np.uint8) for name, v in (one | {"adc": [adc]}).items()}), channels
    )


def test_a_digit_has_more_than_two_photo_electrons(conditions: Conditions) -> None:
    assert len(light(conditions, 40)) == 0
    assert light(conditions, 41).npe.tolist() == [2.1]


@pytest.mark.parametrize("lacking", ["gain", "good", "fibres"])
def test_a_channel_without_calibration_or_cable_and_a_bad_one_gives_no_digit(
    conditions: Conditions, lacking: str
) -> None:
    values = getattr(channels_of(conditions), lacking).copy()
    values[0, 0] = -1 if lacking == "fibres" else 0
    channels = replace(channels_of(conditions), **{lacking: values})
    assert len(make_digits(first_channel(255), channels)) == 0


def test_a_seed_takes_the_neighbour_with_the_least_light() -> None:
    found = compare_after_digits(digits((0, 0, 1, 0, 10, 5.0), (0, 0, 1, 0, 11, 9.0), (0, 0, 1, 0, 12, 4.0)))
    assert rows(found.hits, "channel", "npe") == [(11.5, 13.0), (10.0, 5.0)]


def test_channels_of_different_planes_are_no_neighbours() -> None:
    found = compare_after_digits(digits((0, 0, 1, 0, 213, 5.0), (0, 0, 1, 1, 0, 9.0), (1, 0, 1, 0, 212, 9.0)))
    assert found.hits.channel.tolist() == [213.0, 0.0, 212.0]


def test_an_event_of_more_than_100_seeds_is_skipped() -> None:
    full = [(0, n % 2, 1 + n % 5, n % 3, 2 * n, 5.0) for n in range(MAX_SEEDS)]
    assert len(compare_after_digits(digits(*full, (1, 0, 1, 0, 7, 5.0))).hits) == MAX_SEEDS + 1
    assert len(compare_after_digits(digits(*full, (0, 0, 1, 0, 7, 5.0), (1, 0, 1, 0, 7, 5.0))).hits) == 1


@pytest.mark.parametrize(("tracker", "station", "expected"), [(0, 5, 318.5), (1, 4, 318.5), (1, 5, 320.0)])
def test_kuno_s_conjecture_allows_less_than_3_channels_either_way(tracker: int, station: int, expected: float) -> None:
    for off, kind in ((-3.0, 2), (-2.5, 3), (0, 3), (2.5, 3), (3.0, 2)):
        total = expected + off
        u = total - 213
        clusters = TrackerClusters(
            trigger=np.zeros(3, np.int32),
            tracker=np.full(3, tracker, np.uint8),
            station=np.full(3, station, np.uint8),
            plane=np.arange(3, dtype=np.uint8),
            channel=np.array([106.0, 107.0, u]),
            npe=np.array([9.0, 8.0, 7.0]),
        )
        (point,) = rows(make_space_points(clusters), "kind", "chi2")
        distance_mm = 1.4945 * off
        assert point == (kind, pytest.approx(distance_mm**2 / 0.064 if kind == 3 else 0))


def test_points_of_straight_tracks_lie_where_they_were_put_in_both_trackers(shared: Path) -> None:
    """Both trackers of the experiment's own simulation, each coordinate: one mirrored plane is tens of mm off."""
    off: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    for event in json.loads((shared / "data/fixtures/tracker-straight-truth.json").read_text()):
        made = compare_after_digits(digits(*((0, *(digit[name] for name in DIGIT[1:])) for digit in event["digits"])))
        muons = [hit for hit in event["truth"] if hit["particle"] == -13]
        for tracker, station, kind, x, y in rows(made.space_points, *POINT[1:6]):
            there = [hit for hit in muons if (hit["tracker"], hit["station"]) == (tracker, station)]
            if kind == 3 and there:
                off[tracker].append((x - np.mean([h["x_mm"] for h in there]), y - np.mean([h["y_mm"] for h in there])))
    assert [len(each) for each in off.values()] == [20, 5]
    for each in off.values():
        assert (np.sqrt(np.mean(np.square(each), axis=0)) < 1.0).all()


def test_a_duplet_beyond_the_active_radius_is_none() -> None:
    # Channel 0 of u lies 158 mm from the axis. The point of its fibre that w's channel 157 crosses is near, the point
    # that channel 106 crosses is 182 mm away.
    inside, outside = (compare_after_digits(digits((0, 0, 1, 2, 0, 5.0), (0, 0, 1, 1, w, 5.0))) for w in (157, 106))
    assert inside.space_points.kind.tolist() == [2]
    assert len(outside.space_points) == 0


def points(*found: tuple[int, int, int, float, float]) -> TrackerSpacePoints:
    """Return triplets, (trigger, tracker, station, x, y) each."""
    trigger, tracker, station, x, y = (np.array(column) for column in zip(*sorted(found), strict=True))
    n = len(x)
    return TrackerSpacePoints(
        trigger=trigger.astype(np.int32),
        tracker=tracker.astype(np.uint8),
        station=station.astype(np.uint8),
        kind=np.full(n, 3, np.uint8),
        x_mm=x.astype(np.float64),
        y_mm=y.astype(np.float64),
        npe=np.full(n, 30.0),
        chi2=np.zeros(n),
    )


def straight(
    trigger: int, tracker: int, *stations: int, slope: float = 0.02
) -> list[tuple[int, int, int, float, float]]:
    """Return the points of a straight track."""
    z = (2 * tracker - 1) * np.array([0, 200, 450, 750, 1100])
    return [(trigger, tracker, s, 5 + slope * z[s - 1], -7 - 2 * slope * z[s - 1]) for s in stations]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 5), st.floats(-20, 20), st.floats(-20, 20)),
        min_size=1,
        max_size=40,
    )
)
def test_tracks_of_any_points_are_the_slow_ones(found: list[tuple[int, int, int, float, float]]) -> None:
    compare_tracks(points(*found))


def test_a_track_of_known_points_has_their_line_and_no_residuals_in_either_tracker() -> None:
    found = compare_tracks(points(*straight(0, 0, 1, 2, 3, 4, 5), *straight(2, 1, 1, 3, 5)))
    wanted = [(0, 0, 5, -7, 0.02, -0.04, 0), (2, 1, 5, -7, 0.02, -0.04, 0)]
    assert near(rows(found, *TRACK), wanted)
    assert np.isnan(found.off_mm).all(axis=2).sum(axis=1).tolist() == [0, 2]
    assert np.nanmax(np.abs(found.off_mm)) < 1e-6


def test_a_point_off_the_road_is_left_out_and_one_beside_the_track_is_not_taken() -> None:
    # Three of five stations agree, and one of these has a second point.
    strays = [(0, 0, 2, 60.0, 60.0), (0, 0, 4, -60.0, 9.0), (0, 0, 3, 30.0, 0.0)]
    found = compare_tracks(points(*straight(0, 0, 1, 3, 5), *strays))
    assert near(rows(found, *TRACK), [(0, 0, 5, -7, 0.02, -0.04, 0)])
    assert np.isnan(found.off_mm[0, :, 0]).tolist() == [False, True, False, True, False]


def test_two_stations_or_a_tracker_full_of_noise_have_no_track() -> None:
    noise = [(0, 1, s, float(x), 9.0 * x) for s in range(1, 6) for x in range(3)]
    assert len(compare_tracks(points(*straight(0, 0, 1, 5), *noise))) == 0


def test_a_spill_without_light_has_nothing(conditions: Conditions) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=6).spill(1).raw.payload)
    found = compare(replace(hits, vlsb=VlsbHits.empty()), conditions)
    assert not any(map(len, found.tables().values()))


def test_without_tables_the_missing_ones_are_named(conditions: Conditions) -> None:
    hits = unpack_date(SimulatedRun(mean_triggers=2).spill(1).raw.payload)
    with pytest.raises(DetectorError, match="scifi_mapping or scifi_calibration"):
        reconstruct_tracker(hits, replace(conditions, tracker=None))
