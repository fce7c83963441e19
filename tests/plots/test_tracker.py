"""The trackers' plots: what fills each."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.experiments.mice.plots.tracker_light import LIGHT_PLOTS
from streams.experiments.mice.plots.tracker_quantities import MAX_DIGITS, kuno_sums
from streams.experiments.mice.plots.tracker_tracks import TRACK_PLOTS
from streams.experiments.mice.tables.tracker import (
    Tracker,
    TrackerClusters,
    TrackerDigits,
    TrackerSpacePoints,
    TrackerTracks,
)
from streams.plots.batch import Batch
from tests.catalogue import DETECTORS, PLOTS
from tests.records import reconstructed_spill

Place = tuple[int, int, int, int, int]
"""Trigger, tracker, station, plane, channel."""


def spill_of(found: set[Place], triggers: int, number: int = 0):
    columns = zip(*sorted(found), strict=True) if found else ((),) * 5
    names = ("trigger", "tracker", "station", "plane", "channel")
    places = {n: np.array(c, np.int32 if n == "trigger" else np.uint8) for n, c in zip(names, columns, strict=True)}
    n = len(found)
    digits = TrackerDigits(**places, npe=np.full(n, 9.0), adc=np.zeros(n, np.uint8), tdc=np.zeros(n, np.uint8))
    others = (TrackerClusters.empty(), TrackerSpacePoints.empty(), TrackerTracks.empty())
    made = Tracker(digits=digits, **dict(zip(("hits", "space_points", "tracks"), others, strict=True)))
    return reconstructed_spill(number, triggers=triggers, tracker=made, tof=None, ckov=None, kl=None, raw=None)


def slow_sums(found: set[Place], triggers: int, tracker: int) -> list[int]:
    """Return the sums as loops over digits make them."""
    out = []
    for trigger in range(triggers):
        if sum(place[0] == trigger for place in found) > 100:
            continue
        for station in range(1, 6):
            there = [place[3:] for place in found if place[:3] == (trigger, tracker, station)]
            planes = [[channel for plane, channel in there if plane == p] for p in range(3)]
            if len(there) < 3 or (len(there) == 3 and not all(planes)):
                out.append(-1)
            elif len(there) == 3:
                out.append(sum(channel for _, channel in there))
            else:
                out += [s for s in map(sum, product(*planes)) if 317 < s < 320] or [641]
    return sorted(out)


PLACES = st.sets(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.sampled_from([1, 5]), st.integers(0, 2), st.integers(104, 108)),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(one=PLACES, other=PLACES)
def test_sums_of_channels_are_those_of_loops_over_digits(one, other):
    batch = Batch([spill_of(one, 3, 0), reconstructed_spill(1, tracker=None), spill_of(other, 4, 2)])
    for tracker, sums in enumerate(kuno_sums(batch)):
        assert sorted(sums.tolist()) == sorted(slow_sums(one, 3, tracker) + slow_sums(other, 4, tracker))


def test_the_sum_of_three_planes_is_shown_wherever_it_lies():
    upstream, _ = kuno_sums(Batch([spill_of({(0, 0, 3, 0, 0), (0, 0, 3, 1, 1), (0, 0, 3, 2, 2)}, 1)]))
    assert sorted(upstream.tolist()) == [-1, -1, -1, -1, 3]
    assert PLOTS["Ch_SumD"].fill(Batch([spill_of(set(), 2)]))[0].tolist() == [-1] * 10


def test_events_of_noise_have_no_sums():
    noise = {(0, 0, 1, n % 3, n // 3) for n in range(MAX_DIGITS + 1)}
    assert [len(sums) for sums in kuno_sums(Batch([spill_of(noise, 2)]))] == [5, 5]


def rows(table, *names):
    return zip(*(getattr(table, name).tolist() for name in names), strict=True)


def filled(name, batch):
    return [np.asarray(values).tolist() for values in PLOTS[name].fill(batch)]


def test_digits_and_space_points_fill_the_plots_of_their_place():
    spills = [reconstructed_spill(n) for n in range(20)]
    batch = Batch([*spills, reconstructed_spill(20, tracker=None)])
    made = [spill.get(Tracker) for spill in spills]
    digits = [row for t in made for row in rows(t.digits, "tracker", "station", "plane", "channel")]
    points = [row for t in made for row in rows(t.space_points, "tracker", "station", "kind", "x_mm", "y_mm")]
    for tracker, side in enumerate("UD"):
        mine = [row[1:] for row in points if row[0] == tracker]
        assert filled(f"SP_Tk{side}", batch) == filled(f"Tr{tracker + 1}pStSp", batch) == [[row[0] for row in mine]]
        for kind in (2, 3):
            assert filled(f"Tr{tracker + 1}pStSp_{kind}", batch) == [[row[0] for row in mine if row[1] == kind]]
        for station in range(1, 6):
            here = [row[1:] for row in mine if row[0] == station]
            assert filled(f"Ef_Tk{side}{station}", batch) == [sorted(row[0] for row in here)]
            for kind, name in ((2, "doub"), (3, "trip")):
                positions = [row[1:] for row in here if row[0] == kind]
                assert filled(f"SP_Pos_Tk{side}{station}_{name}", batch) == [[p[a] for p in positions] for a in (0, 1)]
            for plane in range(3):
                channels = [c for *place, c in digits if place == [tracker, station, plane]]
                assert filled(f"DC_Tk{side}{station}{plane}", batch) == [channels]
    assert filled("SP_Type", batch) == [[row[2] for row in points]]


def test_they_stand_on_the_old_canvases():
    others = {plot.name for plot in (*LIGHT_PLOTS, *TRACK_PLOTS)}
    canvases = {plot.canvas: plot.keywords for plot in DETECTORS["tracker"].plots if plot.name not in others}
    assert canvases == {
        "SciFi_DigitUS": ("SciFi", "Digits", "Plane", "Channel", "US"),
        "SciFi_DigitDS": ("SciFi", "Digits", "Plane", "Channel", "DS"),
        "SciFi_Spacepoints": ("SciFi", "Spacepoints"),
        "SciFi_Spacepoints_2D_US_trip": ("SciFi", "Spacepoints", "US", "Triplets"),
        "SciFi_Spacepoints_2D_US_doub": ("SciFi", "Spacepoints", "US", "Doublets"),
        "SciFi_Spacepoints_2D_DS_Trip": ("SciFi", "Spacepoints", "DS", "Triplets"),
        "SciFi_Spacepoints_2D_DS_Doub": ("SciFi", "Spacepoints", "DS", "Doublets"),
        "KunoCanv": ("SciFi", "Spacepoints", "Kuno"),
    }


def test_each_station_number_has_a_bin_of_its_own():
    for name in ("SP_TkU", "SP_TkD", "Tr1pStSp", "Tr2pStSp_2"):
        assert PLOTS[name].axes[0].centres.tolist() == [1, 2, 3, 4, 5]
