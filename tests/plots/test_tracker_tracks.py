"""The plots of the trackers' light and tracks: what fills each, against loops over rows."""

import math
from collections import Counter

import numpy as np
import pytest

from streams.experiments.mice.tables.tracker import Tracker
from streams.plots.batch import Batch
from tests.catalogue import PLOTS
from tests.records import reconstructed_spill

Z = ((0, -200, -450, -750, -1100), (0, 200, 450, 750, 1100))
SPILLS = [reconstructed_spill(n) for n in range(4)]
BATCH = Batch([*SPILLS, reconstructed_spill(4, tracker=None)])
MADE = [made for spill in SPILLS if (made := spill.get(Tracker)) is not None]


def rows(table: str, *names: str) -> list[tuple]:
    """Return the rows of all spills' tables, with the number of the spill."""
    found = []
    for number, made in enumerate(MADE):
        columns = (getattr(getattr(made, table), name).tolist() for name in names)
        found += [(number, *row) for row in zip(*columns, strict=True)]
    return found


TRACKS = rows("tracks", "trigger", "tracker", "x_mm", "y_mm", "slope_x", "slope_y", "chi2", "off_mm")


def filled(name: str) -> list[tuple]:
    """Return the entries of a plot."""
    return sorted(zip(*(np.asarray(values).tolist() for values in PLOTS[name].fill(BATCH)), strict=True))


def near(found: list[tuple], wanted: list[tuple]) -> None:
    assert len(found) == len(wanted) > 0
    np.testing.assert_allclose(found, sorted(wanted), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("tracker", "side"), [(0, "U"), (1, "D")])
def test_clusters_and_digits_fill_the_plane_that_they_are_of(tracker: int, side: str) -> None:
    clusters = rows("hits", "tracker", "station", "plane", "npe")
    near(filled(f"Npe_Tk{side}"), [(3 * s - 3 + p, npe) for _, t, s, p, npe in clusters if t == tracker])
    digits = rows("digits", "tracker", "station", "plane", "channel")
    assert filled(f"Occ_Tk{side}") == sorted((c, 3 * s - 3 + p) for _, t, s, p, c in digits if t == tracker)


@pytest.mark.parametrize(("tracker", "side"), [(0, "U"), (1, "D")])
def test_tracks_fill_chi2_spot_and_angles(tracker: int, side: str) -> None:
    mine = [track for track in TRACKS if track[2] == tracker]
    near(filled(f"Trk_Chi2_Tk{side}"), [(track[7],) for track in mine])
    near(filled(f"Trk_Spot_Tk{side}"), [track[3:5] for track in mine])
    near(filled(f"Trk_Angle_Tk{side}"), [(1000 * track[5], 1000 * track[6]) for track in mine])


@pytest.mark.parametrize(("tracker", "side"), [(0, "U"), (1, "D")])
def test_a_station_is_judged_by_three_others_on_a_track_that_crosses_it(tracker: int, side: str) -> None:
    judged, residuals = Counter(), []
    for _, _, its, x, y, slope_x, slope_y, _, off in TRACKS:
        there = [not math.isnan(each[0]) for each in off]
        if its != tracker:
            continue
        for station in range(5):
            z = Z[tracker][station]
            if sum(there) - there[station] >= 3 and math.hypot(x + slope_x * z, y + slope_y * z) <= 140:
                judged[station + 1, int(there[station])] += 1
        if all(there):
            residuals += [(station + 1, *off[station]) for station in range(5)]
    assert Counter(filled(f"Trk_Eff_Tk{side}")) == judged
    assert len(judged) == 10
    near(filled(f"Trk_ResX_Tk{side}"), [(station, x) for station, x, _ in residuals])
    near(filled(f"Trk_ResY_Tk{side}"), [(station, y) for station, _, y in residuals])


def test_tracks_of_one_trigger_in_both_trackers_are_matched_and_no_others() -> None:
    up, down = ({track[:2]: track[3:7] for track in TRACKS if track[2] == tracker} for tracker in (0, 1))
    both = [(up[key], down[key]) for key in up.keys() & down.keys()]
    near(filled("Trk_Jump"), [tuple(d[a] - u[a] - 2733 * u[2 + a] for a in (0, 1)) for u, d in both])
    near(filled("Trk_Kink"), [tuple(1000 * (d[2 + a] - u[2 + a]) for a in (0, 1)) for u, d in both])
    one = MADE[0].tracks
    lost = one.rows((one.tracker == 0) | (one.trigger % 3 > 0))
    made = Tracker(**MADE[0].tables() | {"tracks": lost})
    (through,) = PLOTS["Trk_Through"].fill(Batch([reconstructed_spill(0, tracker=made)]))
    triggers = SPILLS[0].triggers
    assert Counter(through.tolist()) == Counter(int(trigger % 3 > 0) for trigger in range(triggers))
