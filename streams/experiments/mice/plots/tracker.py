"""Plots of the scintillating-fibre trackers: U is tracker 0, upstream, D tracker 1, downstream."""

import numpy as np
import numpy.typing as npt

from streams.experiments.mice.conditions.tracker import PLANES, STATIONS
from streams.experiments.mice.plots.tracker_light import LIGHT_PLOTS
from streams.experiments.mice.plots.tracker_quantities import (
    DUPLET,
    EXPERT,
    NO_TRIPLE,
    NOT_THREE_PLANES,
    SIDES,
    STATION,
    TRIPLET,
    WHERE,
    channels_by_plane,
    kuno_sums,
    points_by_station,
)
from streams.experiments.mice.plots.tracker_tracks import TRACK_PLOTS
from streams.experiments.mice.tables.tracker import TrackerSpacePoints
from streams.plots.batch import Batch
from streams.plots.model import Axis, DetectorPlots, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_STATIONS = range(1, STATIONS + 1)
_KIND = Axis(label="Kind: 2 duplet, 3 triplet", bins=3, low=1, high=4, names=("1", "duplet", "triplet"))
_PLURAL = {TRIPLET: "triplets", DUPLET: "duplets"}


def _digits(tracker: int, station: int, plane: int) -> Plot:
    side = SIDES[tracker]
    return Plot(
        name=f"DC_Tk{side}{station}{plane}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: digits of station {station}, plane {'vwu'[plane]}",
        axes=(Axis(label="Channel", bins=215, low=0, high=215),),
        fill=lambda batch: (batch.once(channels_by_plane)[tracker, station, plane],),
        expert=True,
        canvas=f"SciFi_Digit{side}S",
        keywords=("SciFi", "Digits", "Plane", "Channel", f"{side}S"),
        words=Words(
            shows="Channel of every digit: more than two photo-electrons.",
            normal="A smooth hump of the beam over a low flat floor; some channels are known to be bad and empty.",
            action="128 neighbouring channels or every fourth one empty: a bank or a board of the read-out. One spike: "
            "a noisy channel; note it for the list of bad channels.",
            call=EXPERT,
        ),
    )


def _kuno(tracker: int) -> Plot:
    return Plot(
        name=f"Ch_Sum{SIDES[tracker]}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: sum of channels (Kuno's conjecture)",
        axes=(Axis(label="Sum of the channels of a station's three planes", bins=647, low=-5.5, high=641.5),),
        fill=lambda batch: (batch.once(kuno_sums)[tracker],),
        canvas="KunoCanv",
        keywords=("SciFi", "Spacepoints", "Kuno"),
        words=Words(
            shows="For each station and particle trigger, the sum of the channels of three digits in three planes. "
            f"{NOT_THREE_PLANES}: no three digits in three planes; {NO_TRIPLE}: more digits, none of them together "
            "near 318.5.",
            normal="A narrow peak at 318.5, of station 5 downstream at 320, and the two bins at the ends.",
            action="No peak, or one elsewhere: cables of two planes are swapped or the mapping is not this run's. "
            f"The bin at {NO_TRIPLE} grows: noise.",
            call=EXPERT,
        ),
        log=True,
    )


def _stations(name: str, tracker: int, kind: int | None, *, expert: bool) -> Plot:
    what = "space points" if kind is None else _PLURAL[kind]

    def fill(batch: Batch) -> _Values:
        points = batch.join(TrackerSpacePoints)
        here = points.tracker == tracker
        return (points.station[here if kind is None else here & (points.kind == kind)],)

    return Plot(
        name=name,
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: {what} by station",
        axes=(STATION,),
        fill=fill,
        expert=expert,
        canvas="SciFi_Spacepoints",
        keywords=("SciFi", "Spacepoints"),
        words=Words(
            shows=f"Station, 1 to 5, of the {what}.",
            normal="Five steps of nearly the same height." if kind != DUPLET else "Five low steps, far below triplets.",
            action="One station low: look at the digits of its three planes. All low: the beam, or the high voltage of "
            "the photon counters.",
            call=EXPERT,
        ),
    )


def _kinds() -> Plot:
    return Plot(
        name="SP_Type",
        detector="tracker",
        title="Trackers: kinds of space points",
        axes=(_KIND,),
        fill=lambda batch: (batch.join(TrackerSpacePoints).kind,),
        canvas="SciFi_Spacepoints",
        keywords=("SciFi", "Spacepoints"),
        words=Words(
            shows="Of how many planes' clusters each space point is made.",
            normal="Nearly all are triplets.",
            action="Many duplets: a plane is dead or has lost light. The same plot of each station tells where.",
            call=EXPERT,
        ),
    )


def _efficiency(tracker: int, station: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        points = batch.once(points_by_station)
        return (np.repeat([DUPLET, TRIPLET], [len(points[tracker, station, kind][0]) for kind in (DUPLET, TRIPLET)]),)

    return Plot(
        name=f"Ef_Tk{SIDES[tracker]}{station}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: kinds of space points in station {station}",
        axes=(_KIND,),
        fill=fill,
        expert=True,
        canvas="SciFi_Spacepoints",
        keywords=("SciFi", "Spacepoints"),
        words=Words(
            shows="Of how many planes' clusters each space point of the station is made.",
            normal="Nearly all are triplets.",
            action="Many duplets: look for a plane of the station whose digits are few.",
            call=EXPERT,
        ),
    )


def _positions(tracker: int, station: int, kind: int) -> Plot:
    side, what = SIDES[tracker], _PLURAL[kind]
    old, word = {TRIPLET: ("trip", "Triplets"), DUPLET: ("doub", "Doublets")}[kind]

    def fill(batch: Batch) -> _Values:
        return batch.once(points_by_station)[tracker, station, kind]

    return Plot(
        name=f"SP_Pos_Tk{side}{station}_{old}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: positions of {what} in station {station}",
        axes=tuple(Axis(label=axis, unit="mm", bins=50, low=-200, high=200) for axis in "xy"),
        fill=fill,
        expert=station != 1 or kind != TRIPLET,
        canvas=f"SciFi_Spacepoints_2D_{side}S_{old if tracker == 0 else old.capitalize()}",
        keywords=("SciFi", "Spacepoints", f"{side}S", word),
        words=Words(
            shows=f"Where {what} lie, seen along the beam.",
            normal="One round spot of the beam within a radius of 150 mm."
            if kind == TRIPLET
            else "Few, where the triplets are, or along fibres of a plane's neighbours that are dead.",
            action="A stripe without entries: dead channels of a plane, along its fibres. The spot moved: ask the beam "
            "operator for the last change of a magnet.",
            call=EXPERT,
        ),
    )


_TRACKERS = (0, 1)
PLOTS = (
    *(_kuno(tracker) for tracker in _TRACKERS),
    *(_stations(f"SP_Tk{SIDES[tracker]}", tracker, None, expert=False) for tracker in _TRACKERS),
    _kinds(),
    *TRACK_PLOTS,
    *LIGHT_PLOTS,
    *(_positions(tracker, station, TRIPLET) for tracker in _TRACKERS for station in _STATIONS),
    *(_positions(tracker, station, DUPLET) for tracker in _TRACKERS for station in _STATIONS),
    *(_digits(tracker, station, plane) for tracker in _TRACKERS for station in _STATIONS for plane in range(PLANES)),
    *(
        _stations(f"Tr{tracker + 1}pStSp{suffix}", tracker, kind, expert=True)
        for tracker in _TRACKERS
        for suffix, kind in (("", None), ("_2", DUPLET), ("_3", TRIPLET))
    ),
    *(_efficiency(tracker, station) for tracker in _TRACKERS for station in _STATIONS),
)

TRACKER = DetectorPlots(name="tracker", title="Trackers", plots=PLOTS, overview=("SP_TkU", "SP_TkD"))
