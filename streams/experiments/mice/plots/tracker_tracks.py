"""Plots of the trackers' straight tracks, for the expert."""

import numpy as np
import numpy.typing as npt

from schemas.columns import F8, I8
from streams.experiments.mice.conditions.tracker import APART_MM, STATION_Z_MM, STATIONS
from streams.experiments.mice.plots.tracker_quantities import EXPERT, SIDES, STATION, WHERE
from streams.experiments.mice.tables.tracker import TrackerTracks
from streams.plots.axis import YES_OR_NO
from streams.plots.batch import Batch
from streams.plots.measures import at, mean, of_spot, rms, share
from streams.plots.model import Axis, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_BEAM = "Beam operator, then " + EXPERT
_OTHERS = 3
"""Points in other stations that a track must have for a station to be judged by it."""
_INSIDE_MM = 140.0
"""From the axis: a track that crosses a station there crosses its active area."""
_MRAD = 1000.0


def by_tracker(batch: Batch) -> tuple[TrackerTracks, TrackerTracks]:
    """Return the tracks of each tracker."""
    tracks = batch.join(TrackerTracks)
    return tracks.rows(tracks.tracker == 0), tracks.rows(tracks.tracker == 1)


def in_both(batch: Batch) -> tuple[TrackerTracks, TrackerTracks]:
    """Return the tracks of triggers that have one in each tracker."""
    up, down = batch.once(by_tracker)
    _, of_up, of_down = np.intersect1d(up.trigger, down.trigger, assume_unique=True, return_indices=True)
    return up.rows(of_up), down.rows(of_down)


def judged_stations(tracks: TrackerTracks) -> tuple[I8, I8]:
    """Return (n,) stations, from 1, that tracks of enough other points cross, and whether each has its point there."""
    used = ~np.isnan(tracks.off_mm[:, :, 0])
    z = STATION_Z_MM[tracks.tracker]
    x = tracks.x_mm[:, np.newaxis] + tracks.slope_x[:, np.newaxis] * z
    y = tracks.y_mm[:, np.newaxis] + tracks.slope_y[:, np.newaxis] * z
    others = used.sum(axis=1)[:, np.newaxis] - used
    judged = (others >= _OTHERS) & (np.hypot(x, y) <= _INSIDE_MM)
    return np.nonzero(judged)[1] + 1, used[judged].astype(np.int64)


def residuals_mm(tracks: TrackerTracks) -> tuple[I8, F8]:
    """Return (n,) stations and (n, 2) how far their points are from the lines through the others, of tracks of all."""
    off = tracks.off_mm[~np.isnan(tracks.off_mm[:, :, 0]).any(axis=1)].astype(np.float64)
    return np.tile(np.arange(1, STATIONS + 1), len(off)), off.reshape(-1, 2)


def _chi2(tracker: int) -> Plot:
    return Plot(
        name=f"Trk_Chi2_Tk{SIDES[tracker]}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: χ² of straight tracks",
        axes=(Axis(label="χ² per degree of freedom", bins=50, low=0, high=10),),
        fill=lambda batch: (batch.once(by_tracker)[tracker].chi2,),
        expert=True,
        canvas="SciFi_Tracks",
        keywords=("SciFi", "Tracks", "chi2"),
        words=Words(
            shows="How well a straight line goes through the space points of three to five stations, at most one line "
            "a particle trigger.",
            normal="Without a field a peak below 1 with a short tail.",
            action="A long tail without a field: a station is out of line, see the residuals; or there is a field, in "
            "which tracks are no lines.",
            call=EXPERT,
        ),
        measures=(mean("Mean χ² per degree of freedom"),),
    )


def _residuals(tracker: int, axis: int) -> Plot:
    letter = "xy"[axis]

    def fill(batch: Batch) -> _Values:
        station, off = residuals_mm(batch.once(by_tracker)[tracker])
        return station, off[:, axis]

    return Plot(
        name=f"Trk_Res{letter.upper()}_Tk{SIDES[tracker]}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: residuals in {letter} by station",
        axes=(STATION, Axis(label=f"Point less line in {letter}", unit="mm", bins=60, low=-3, high=3)),
        fill=fill,
        expert=True,
        canvas="SciFi_Residuals",
        keywords=("SciFi", "Tracks", "Residuals", "Alignment"),
        words=Words(
            shows=f"How far each station's space point is in {letter} from the straight line through those of the four "
            "others, of tracks with all five.",
            normal="A narrow peak at 0 in each, wider at both ends, which the others have to reach out to.",
            action="A peak beside 0: the station moved, or its alignment is not this run's. A second peak: cables of a "
            "plane are swapped.",
            call=EXPERT,
        ),
        measures=(
            *(at(mean("", "mm"), f"Mean in station {s + 1}", s) for s in range(STATIONS)),
            *(at(rms("", "mm"), f"Spread in station {s + 1}", s) for s in range(STATIONS)),
        ),
    )


def _efficiency(tracker: int) -> Plot:
    return Plot(
        name=f"Trk_Eff_Tk{SIDES[tracker]}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: points of tracks by station",
        axes=(STATION, YES_OR_NO),
        fill=lambda batch: judged_stations(batch.once(by_tracker)[tracker]),
        expert=True,
        canvas="SciFi_Tracks",
        keywords=("SciFi", "Tracks", "Efficiency"),
        words=Words(
            shows=f"Whether a station has a space point on a track that points of {_OTHERS} others or more make, and "
            f"that crosses it within {_INSIDE_MM:.0f} mm of the axis.",
            normal="Nearly all yes: 97 to 100 %.",
            action="One station lower: look at the digits and the light of its planes.",
            call=EXPERT,
        ),
        measures=tuple(at(share("", matters=0.03), f"Efficiency of station {s + 1}", s) for s in range(STATIONS)),
    )


def _spot(tracker: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        tracks = batch.once(by_tracker)[tracker]
        return tracks.x_mm, tracks.y_mm

    return Plot(
        name=f"Trk_Spot_Tk{SIDES[tracker]}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: where tracks cross station 1",
        axes=tuple(Axis(label=letter, unit="mm", bins=80, low=-200, high=200) for letter in "xy"),
        fill=fill,
        expert=True,
        canvas="SciFi_Tracks",
        keywords=("SciFi", "Tracks", "Beam", "Spot"),
        words=Words(
            shows="Where straight tracks cross the station next to the other tracker, x to the left seen along the "
            "beam.",
            normal="One round spot near the middle.",
            action="The spot moved: ask the beam operator for the last change of a magnet; if the residuals moved too, "
            "the tracker's alignment.",
            call=_BEAM,
        ),
        measures=of_spot("Mean {}", "Spread in {}", "mm"),
    )


def _angles(tracker: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        tracks = batch.once(by_tracker)[tracker]
        return tracks.slope_x * _MRAD, tracks.slope_y * _MRAD

    return Plot(
        name=f"Trk_Angle_Tk{SIDES[tracker]}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: angles of tracks",
        axes=tuple(Axis(label=f"Angle in {letter}", unit="mrad", bins=80, low=-100, high=100) for letter in "xy"),
        fill=fill,
        expert=True,
        canvas="SciFi_Tracks",
        keywords=("SciFi", "Tracks", "Beam", "Angles"),
        words=Words(
            shows="Slopes of straight tracks against the axis.",
            normal="One round spot about 0.",
            action="The spot moved: ask the beam operator for the last change of a magnet.",
            call=_BEAM,
        ),
        measures=of_spot("Mean angle in {}", "Spread of the angle in {}", "mrad"),
    )


def _came_through(batch: Batch) -> _Values:
    up, down = batch.once(by_tracker)
    return (np.isin(up.trigger, down.trigger).astype(np.int64),)


def _jumps_mm(batch: Batch) -> _Values:
    up, down = batch.once(in_both)
    return down.x_mm - up.x_mm - APART_MM * up.slope_x, down.y_mm - up.y_mm - APART_MM * up.slope_y


def _kinks_mrad(batch: Batch) -> _Values:
    up, down = batch.once(in_both)
    return (down.slope_x - up.slope_x) * _MRAD, (down.slope_y - up.slope_y) * _MRAD


_MATCHED = ("SciFi", "Tracks", "Matched")

MATCHED_PLOTS = (
    Plot(
        name="Trk_Through",
        detector="tracker",
        title="Trackers: upstream tracks with one downstream",
        axes=(YES_OR_NO,),
        fill=_came_through,
        expert=True,
        canvas="SciFi_Matched",
        keywords=_MATCHED,
        words=Words(
            shows="Whether a particle trigger with a straight track upstream has one downstream too.",
            normal="Level from run to run with the same beam and absorber.",
            action="Falling: look at the efficiency downstream; if it is as before, ask the beam operator.",
            call=_BEAM,
        ),
        measures=(share("Share that comes through"),),
    ),
    Plot(
        name="Trk_Jump",
        detector="tracker",
        title="Trackers: downstream track less upstream one, position",
        axes=tuple(Axis(label=f"Distance in {letter}", unit="mm", bins=80, low=-100, high=100) for letter in "xy"),
        fill=_jumps_mm,
        expert=True,
        canvas="SciFi_Matched",
        keywords=_MATCHED,
        words=Words(
            shows="Where a track crosses station 1 downstream, from where the one upstream would go straight on to.",
            normal="One round spot about 0, as wide as the absorber scatters.",
            action="The spot beside 0 without a field: the trackers are out of line with each other. Mirrored or "
            "spread all over: cabling of another run is used.",
            call=EXPERT,
        ),
        measures=of_spot("Mean distance in {}", "Spread of the distance in {}", "mm"),
    ),
    Plot(
        name="Trk_Kink",
        detector="tracker",
        title="Trackers: downstream track less upstream one, angle",
        axes=tuple(Axis(label=f"Kink in {letter}", unit="mrad", bins=80, low=-100, high=100) for letter in "xy"),
        fill=_kinks_mrad,
        expert=True,
        canvas="SciFi_Matched",
        keywords=_MATCHED,
        words=Words(
            shows="Angle between a particle's straight tracks in both trackers.",
            normal="One round spot about 0, as wide as the absorber scatters: the wider, the more of it there is.",
            action="The spot beside 0 without a field: the trackers are turned against each other.",
            call=EXPERT,
        ),
        measures=of_spot("Mean kink in {}", "Spread of the kink in {}", "mrad"),
    ),
)

TRACK_PLOTS = (
    *(plot(tracker) for plot in (_chi2, _efficiency, _spot, _angles) for tracker in (0, 1)),
    *(_residuals(tracker, axis) for tracker in (0, 1) for axis in (0, 1)),
    *MATCHED_PLOTS,
)
