"""The TOF expert's figures: resolution, charges, efficiency and profiles of the stations."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from schemas.columns import I8
from streams.experiments.mice.conditions.tof import PLANES, PMTS, SLABS, STATIONS
from streams.experiments.mice.plots.peaks import flight_measures
from streams.experiments.mice.plots.tof_quantities import LIGHT_NS, flight_time_ns, space_points_per_trigger
from streams.experiments.mice.tables.tof import TofDigits, TofSpacePoints
from streams.plots.batch import Batch
from streams.plots.measures import MIN_ENTRIES, KeyNumber, Measure, along_first, between, mean, part, rms
from streams.plots.model import Axis, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_EXPERT = "TOF expert on call"
_SLABS_OF = (10, 7, 10)
_SLAB_MM = (40.0, 60.0, 60.0)
"""Width of a slab, by station."""
_OF_STATION = PLANES * SLABS * PMTS
_COUNTED = ("Triggers", "Pixel", "TOF0", "TOF1", "TOF2")


def _of_station(station: int, values: Callable[[TofSpacePoints], _Values]) -> Callable[[Batch], _Values]:
    def fill(batch: Batch) -> _Values:
        points = batch.join(TofSpacePoints)
        return values(points.rows(points.station == station))

    return fill


def _flight(start: int, stop: int) -> Plot:
    light_ns = LIGHT_NS[start, stop]
    return Plot(
        name=f"tof_flight{start}{stop}",
        detector="tof",
        title=f"Time of flight TOF{start} → TOF{stop} against light",
        axes=(Axis(label="Time less that of light", unit="ns", bins=320, low=-2, high=14),),
        fill=lambda batch: (flight_time_ns(batch, start, stop) - light_ns,),
        expert=True,
        canvas="tof_flight",
        keywords=("TOF", "time", "flight", "peaks", "momentum"),
        measures=flight_measures(light_ns),
        words=Words(
            shows=f"Time between TOF{start} and TOF{stop} less the {light_ns} ns that light takes, of particles with "
            "exactly one space point in each. Beside it what the peaks tell: their places, widths and shares, and the "
            "momenta that follow, counted from the electrons.",
            normal="Electrons at 0 within 0.1 ns, each peak with a sigma of 0.1 to 0.2 ns. Muons and pions of one beam "
            "have momenta near to each other.",
            action="Electrons away from 0: the calibration has aged, or is another's. A peak that widens: a station's "
            "resolution; see the time differences. Momenta that moved, electrons at 0: the magnets. No entries: in "
            "runs until 2012 TOF2 was nearer. Fewer in all stations: a silent photomultiplier of the trigger station.",
            call=_EXPERT,
        ),
    )


def _farthest(counts: I8, axes: Sequence[Axis]) -> KeyNumber | None:
    """Return the mean of the slab pair, with entries enough, whose mean is farthest from 0."""
    pairs = (mean("").of(each, axes[1:]) for each in counts if each.sum() >= MIN_ENTRIES)
    return max((each for each in pairs if each is not None), key=lambda each: abs(each.value), default=None)


def _time_difference(station: int) -> Plot:
    slabs = _SLABS_OF[station]
    return Plot(
        name=f"tof_dt{station}",
        detector="tof",
        title=f"TOF{station} time difference of the planes by slab pair",
        axes=(
            Axis(label=f"Slab of plane 0 × {slabs} + slab of plane 1", bins=slabs**2, low=-0.5, high=slabs**2 - 0.5),
            Axis(label="Difference", unit="ns", bins=40, low=-0.5, high=0.5),
        ),
        fill=_of_station(station, lambda points: (points.slabx.astype(np.int32) * slabs + points.slaby, points.dt_ns)),
        expert=True,
        canvas="tof_dt",
        keywords=("TOF", "time", "resolution"),
        measures=(
            mean("Mean difference", "ns", matters=0.05),
            rms("Width of the difference", "ns"),
            Measure(label="Mean of the slab pair farthest from 0", unit="ns", of=_farthest),
        ),
        words=Words(
            shows=f"Time in the horizontal plane of TOF{station} minus that in the vertical one, of every space point, "
            "by which two slabs it is in.",
            normal="A band about 0 with a sigma of 0.13 ns, alike in all pairs of slabs.",
            action="A pair, or all of a slab, away from 0: T0 of that slab's photomultipliers. All of them: the "
            "calibration is of another time. A wide band: the time walk, or a weak photomultiplier. Fewer in all "
            "stations: a silent photomultiplier of the trigger station.",
            call=_EXPERT,
        ),
    )


def _charge(batch: Batch) -> _Values:
    digits = batch.join(TofDigits)
    seen = digits.charge_mm > 0
    station, plane, slab = (getattr(digits, name)[seen].astype(np.int32) for name in ("station", "plane", "slab"))
    return ((station * PLANES + plane) * SLABS + slab) * PMTS + digits.pmt[seen], digits.charge_mm[seen]


def _shares(batch: Batch) -> _Values:
    calibrated = np.repeat(batch.having("tof.space_points"), np.diff(batch.first))
    found = batch.once(space_points_per_trigger)[calibrated] > 0
    counts = [len(found), np.count_nonzero(found.any(axis=1)), *np.count_nonzero(found, axis=0)]
    return (np.repeat(np.arange(len(_COUNTED)), counts),)


def _profile(station: int) -> Plot:
    slabs, width = _SLABS_OF[station], _SLAB_MM[station]
    half = slabs * width / 2

    def values(points: TofSpacePoints) -> _Values:
        # Plane 1 has the vertical slabs, which measure x.
        return tuple((slab + 0.5) * width - half for slab in (points.slaby, points.slabx))

    along = (mean("Mean y", "mm"), rms("Spread in y", "mm"))
    across = (along_first(mean("Mean x", "mm")), along_first(rms("Spread in x", "mm")))
    return Plot(
        name=f"tof_profile{station}",
        detector="tof",
        title=f"TOF{station} beam profile",
        axes=tuple(Axis(label=letter, unit="mm", bins=slabs, low=-half, high=half) for letter in "xy"),
        fill=_of_station(station, values),
        expert=True,
        canvas="tof_profile",
        keywords=("TOF", "beam", "profile"),
        measures=(*across, *along),
        words=Words(
            shows=f"Where particles crossed TOF{station}, in the middles of the slabs that they hit, slab 0 at the low "
            "end. The spread has that of a slab in it.",
            normal="One round spot near the middle, its place and spread level from run to run with the same magnets.",
            action="The mean moved in all stations: first look for a silent photomultiplier of the trigger station, "
            "then ask the beam operator. In one alone: a dead slab at one side.",
            call=_EXPERT,
        ),
    )


PLOTS = (
    *(_flight(*pair) for pair in LIGHT_NS),
    *(_time_difference(s) for s in range(STATIONS)),
    *(_profile(s) for s in range(STATIONS)),
    Plot(
        name="tof_charge",
        detector="tof",
        title="TOF charge by photomultiplier",
        axes=(
            Axis(
                label="Station × 40 + plane × 20 + slab × 2 + end",
                bins=STATIONS * _OF_STATION,
                low=-0.5,
                high=STATIONS * _OF_STATION - 0.5,
            ),
            Axis(label="Charge", unit="ADC counts", bins=100, low=0, high=5000),
        ),
        fill=_charge,
        expert=True,
        canvas="tof_charge",
        keywords=("TOF", "PMT", "charge"),
        measures=tuple(
            between(mean("", "ADC counts"), f"TOF{s} mean charge", _OF_STATION * s - 1, _OF_STATION * (s + 1) - 1)
            for s in range(STATIONS)
        ),
        words=Words(
            shows="Charge of every digit of each photomultiplier, maximum minus minimum; those without are left out.",
            normal="A hump near 1 500 to 1 900 counts in each; TOF1 has slabs 0 to 6 alone.",
            action="One far lower than its neighbours: its high voltage, or it is dying. All of a station: its supply.",
            call=_EXPERT,
        ),
    ),
    Plot(
        name="tof_shares",
        detector="tof",
        title="TOF triggers with pixel and space points",
        axes=(Axis(label="What there is", bins=len(_COUNTED), low=-0.5, high=len(_COUNTED) - 0.5, names=_COUNTED),),
        fill=_shares,
        expert=True,
        canvas="tof_shares",
        keywords=("TOF", "trigger", "efficiency"),
        measures=(
            part("Share with a trigger pixel", (1,), (0,), matters=0.05),
            *(part(f"Share with a space point in TOF{s}", (2 + s,), (0,), matters=0.05) for s in range(STATIONS)),
        ),
        words=Words(
            shows="Particle triggers; those whose trigger pixel was found, so that there is a space point anywhere; "
            "those with a space point in each station.",
            normal="Nine in ten triggers have their pixel, and as many a space point in TOF1.",
            action="Few have a pixel: look for a silent photomultiplier of the trigger station. None has: the "
            "calibration is of another time. One station alone has few: its high voltage.",
            call=_EXPERT,
        ),
    ),
)
