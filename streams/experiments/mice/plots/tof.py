"""Plots of the time-of-flight stations."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from streams.experiments.mice.conditions.tof import PLANES, PMTS, STATIONS
from streams.experiments.mice.plots import tof_expert
from streams.experiments.mice.plots.tof_quantities import (
    digits_by_photomultiplier,
    flight_time_ns,
    space_points_per_spill,
    space_points_per_trigger,
)
from streams.experiments.mice.tables.tof import TofSlabHits, TofSpacePoints
from streams.plots.batch import Batch
from streams.plots.model import Axis, DetectorPlots, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_Fill = Callable[[Batch], _Values]
_EXPERT = "TOF expert on call"
_PLANES = ("horizontal", "vertical")
_CALL = f"{_EXPERT}; if triggers per spill fall too, the beam operator first"
_ALL_STATIONS = (
    "All three stations have fewer: if the trend of triggers per spill falls too, it is the beam. If not, and the slab "
    "hits of the trigger station (TOF1 as a rule) have an empty slab: a silent photomultiplier there takes the space "
    "points of all stations."
)
_MOVED = (
    "moved in all stations: first look for an empty slab in the slab hits of the trigger station (TOF1 as a rule), "
    "which takes space points of all; if there is none, ask the beam operator"
)


def _slabs(label: str = "Slab", bins: int = 10) -> Axis:
    return Axis(label=label, bins=bins, low=-0.5, high=bins - 0.5)


def _flight_plot(start: int, stop: int, axis: tuple[int, float, float]) -> Plot:
    bins, low, high = axis
    return Plot(
        name=f"ht{start}{stop}",
        detector="tof",
        title=f"Time of flight TOF{start} → TOF{stop}",
        axes=(Axis(label="Time", unit="ns", bins=bins, low=low, high=high),),
        fill=lambda batch: (flight_time_ns(batch, start, stop),),
        canvas=f"tof_time_tof{start}-tof{stop}",
        keywords=("TOF", "time", "flight"),
        words=Words(
            shows=f"Time between TOF{start} and TOF{stop} of particles with exactly one space point in each.",
            normal="Separate peaks: electrons first and narrow, then muons and pions, whose place moves with the "
            "beam momentum. Each peak has a sigma of 0.1 to 0.2 ns.",
            action="Peaks shifted together: ask whether calibration or cabling changed. Wide or missing: look at the "
            f"photomultiplier hits of both stations for a silent one. {_ALL_STATIONS}",
            call=_EXPERT,
        ),
    )


def _space_point_slab(station: int, column: str) -> Plot:
    plane, letter = (0, "X") if column == "slabx" else (1, "Y")

    def fill(batch: Batch) -> _Values:
        points = batch.join(TofSpacePoints)
        return (getattr(points, column)[points.station == station],)

    return Plot(
        name=f"sp{letter.lower()}{station}",
        detector="tof",
        title=f"TOF{station} space points, {letter} plane",
        axes=(_slabs(f"Slab of the {_PLANES[plane]} plane"),),
        fill=fill,
        expert=True,
        canvas=f"tof_SpacePoints_{letter}",
        keywords=("TOF", "space", "points"),
        words=Words(
            shows=f"Slabs of the {_PLANES[plane]} plane of TOF{station} in which particles crossed.",
            normal="One smooth hump: the beam's profile. TOF1 has slabs 0 to 6 alone.",
            action="A slab that is empty between full ones: look at its photomultipliers. The hump moved in this "
            f"station alone: look at its high voltage; {_MOVED} for the last change of a magnet. {_ALL_STATIONS}",
            call=_EXPERT,
        ),
    )


def _space_points_per_trigger(station: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        read = np.repeat(batch.having("tof.space_points"), np.diff(batch.first))
        return (batch.once(space_points_per_trigger)[read, station],)

    return Plot(
        name=f"hnsp_{station}",
        detector="tof",
        title=f"TOF{station} space points per particle trigger",
        axes=(Axis(label="Space points", bins=4, low=-0.5, high=3.5),),
        fill=fill,
        canvas="tof_nSpacePoints",
        keywords=("TOF", "space", "points"),
        words=Words(
            shows=f"How many space points each particle trigger has in TOF{station}.",
            normal="Mostly one. None where a particle missed the station or stopped before it.",
            action="Mostly none in one station alone: look at its high voltage and at its photomultiplier hits. "
            "More without any in all three stations: rather than the beam, a silent photomultiplier of the trigger "
            "station (TOF1 as a rule), whose slab hits have an empty slab then: it takes the space points of all.",
            call=_EXPERT,
        ),
    )


def _space_points_per_spill(station: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        points = batch.once(space_points_per_spill)[:, station]
        return (points[points > 0],)

    return Plot(
        name=f"hnsp_spill_tof{station}",
        detector="tof",
        title=f"TOF{station} space points per spill",
        axes=(Axis(label="Space points in the spill", bins=60, low=-0.5, high=59.5),),
        fill=fill,
        expert=True,
        follows_beam=True,
        canvas="tof_nSpacePoints_spill",
        keywords=("TOF", "spacepoints", "spill"),
        words=Words(
            shows=f"How many space points a spill has in TOF{station}; spills with none are left out.",
            normal="One hump about the usual intensity.",
            action=f"Moved to the left in one station alone: a fault of that station. {_ALL_STATIONS}",
            call=_CALL,
        ),
    )


def _space_points_against_spill(station: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        spills = batch.spills[batch.having("tof.space_points")]
        return (np.repeat(spills, batch.once(space_points_per_spill)[:, station]),)

    return Plot(
        name=f"hnsp_vs_spill_tof{station}",
        detector="tof",
        title=f"TOF{station} space points against the spill",
        axes=(Axis(label="Spill", bins=5000, low=-0.5, high=4999.5),),
        fill=fill,
        canvas="tof_nSpacePoints_vs_spill",
        keywords=("TOF", "spacepoints", "spillnum"),
        words=Words(
            shows=f"Space points of TOF{station} in each spill of the run.",
            normal="Level within the fluctuation of the beam.",
            action=f"A step down in one station alone: a fault of that station began there. {_ALL_STATIONS}",
            call=_CALL,
        ),
    )


def _slab_hits_fill(station: int, plane: int) -> _Fill:
    def fill(batch: Batch) -> _Values:
        hits = batch.join(TofSlabHits)
        return (hits.slab[(hits.station == station) & (hits.plane == plane)],)

    return fill


def _slab_hits(station: int, plane: int) -> Plot:
    return Plot(
        name=f"hslabhits{station}{plane}",
        detector="tof",
        title=f"TOF{station} slab hits, {_PLANES[plane]} plane",
        axes=(_slabs(),),
        fill=_slab_hits_fill(station, plane),
        expert=True,
        canvas=f"tof_SlabHits_{'XY'[plane]}",
        keywords=("TOF", "raw", "hits"),
        words=Words(
            shows=f"Slabs of the {_PLANES[plane]} plane of TOF{station} whose two photomultipliers both fired.",
            normal="One smooth hump: the beam's profile.",
            action="An empty slab between full ones: one of its photomultipliers is silent. A spike: noise or light "
            "leak.",
            call=_EXPERT,
        ),
    )


def _pmt_hits(station: int, plane: int, pmt: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        return (batch.once(digits_by_photomultiplier)[station, plane, pmt],)

    return Plot(
        name=f"hpmthits{station}{plane}{pmt}",
        detector="tof",
        title=f"TOF{station} photomultiplier {pmt}, {_PLANES[plane]} plane",
        axes=(_slabs(),),
        fill=fill,
        expert=True,
        canvas=f"tof_pmtHits_Plane{plane}PMT{pmt}",
        keywords=("TOF", "PMT", "plane"),
        words=Words(
            shows=f"Slab of every digit of photomultiplier {pmt} of the {_PLANES[plane]} plane, whether or not the one "
            "at the other end of the slab fired too.",
            normal="The hump of the slab hits, somewhat fuller: those of which one end alone fired are in it.",
            action="A slab that is empty here and not for the photomultiplier at its other end: check its high voltage "
            "and cable. Empty for both: the slab's FADC or TDC board. A spike: noise.",
            call=_EXPERT,
        ),
    )


def _space_point_map(station: int, slabs: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        points = batch.join(TofSpacePoints)
        here = points.station == station
        return points.slaby[here], points.slabx[here]

    return Plot(
        name=f"hspxy_{station}",
        detector="tof",
        title=f"TOF{station} beam spot",
        axes=(_slabs("Slab of the vertical plane", slabs), _slabs("Slab of the horizontal plane", slabs)),
        fill=fill,
        canvas=f"tof_SpacePoints_XY_tof{station}",
        keywords=("TOF", "space", "points"),
        words=Words(
            shows=f"Where particles crossed TOF{station}, by slab.",
            normal="One round spot near the middle.",
            action=f"An empty row or column: a dead slab. The spot {_MOVED}. {_ALL_STATIONS}",
            call=_CALL,
        ),
    )


_STATIONS = range(STATIONS)

PLOTS = (
    _flight_plot(0, 1, (200, 20, 40)),
    _flight_plot(1, 2, (200, 25, 45)),
    _flight_plot(0, 2, (300, 50, 80)),
    *(_space_point_map(s, 7 if s == 1 else 10) for s in _STATIONS),
    *(_space_points_per_trigger(s) for s in _STATIONS),
    *(_space_points_against_spill(s) for s in _STATIONS),
    *(_space_points_per_spill(s) for s in _STATIONS),
    *(_space_point_slab(s, column) for column in ("slabx", "slaby") for s in _STATIONS),
    *(_slab_hits(s, p) for p in range(PLANES) for s in _STATIONS),
    *(_pmt_hits(s, p, m) for p in range(PLANES) for m in range(PMTS) for s in _STATIONS),
)

TOF = DetectorPlots(name="tof", title="Time of flight", plots=(*PLOTS, *tof_expert.PLOTS), overview=("ht01", "hspxy_1"))
