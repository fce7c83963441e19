"""Plots of several detectors together."""

import numpy as np
import numpy.typing as npt

from schemas.columns import F8, Bools
from streams.experiments.mice.plots.kl import charge_of_cells
from streams.experiments.mice.plots.tof_quantities import first_flight_ns
from streams.experiments.mice.tables.ckov import CkovDigits
from streams.experiments.mice.tables.emr import EmrHits, EmrTracks
from streams.experiments.mice.tables.kl import KlCellHits
from streams.experiments.mice.tables.tof import TofSlabHits
from streams.experiments.mice.tables.tracker import TrackerSpacePoints
from streams.plots.batch import Batch
from streams.plots.measures import part
from streams.plots.model import Axis, DetectorPlots, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_CALL = "Expert on call of the detector that is missing"
_HIT = ("TOF0", "TOF1", "TOF2", "CkA", "CkB", "KL", "EMR", "TkU", "TkD")
_TOF, _CKOV, _KL, _EMR, _TRACKER = 0, 3, 5, 6, 7
"""Where each begins among them."""
_FOLLOWED = ((0, 1), (1, 0), (1, 2), (2, 5), (5, 6), (7, 8))
"""Detectors of which the share is followed that has hits in the second, too."""
_MIN_LIGHT = 1.0
"""Photo-electrons in a Cherenkov counter that are more than noise."""
_FLIGHT = Axis(label="Time TOF0 → TOF1", unit="ns", bins=50, low=24, high=34)


def _hit(batch: Batch) -> Bools:
    """Return (triggers, detectors) whether each has hits of each."""
    found = np.zeros((batch.triggers, len(_HIT)), np.bool_)
    slabs, light = batch.join(TofSlabHits), batch.join(CkovDigits)
    points = batch.join(TrackerSpacePoints)
    found[slabs.trigger, _TOF + slabs.station] = True
    found[light.trigger, _CKOV : _CKOV + 2] = light.photo_electrons > _MIN_LIGHT
    found[batch.join(KlCellHits).trigger, _KL] = True
    found[batch.join(EmrHits).trigger, _EMR] = True
    found[points.trigger, _TRACKER + points.tracker] = True
    return found


def _pairs(batch: Batch) -> _Values:
    found = _hit(batch).astype(np.int32)
    both = (found.T @ found).ravel()
    first, second = np.divmod(np.arange(both.size), len(_HIT))
    return np.repeat(first, both), np.repeat(second, both)


def _with_flight(batch: Batch, values: F8) -> _Values:
    """Return time of flight and value of the triggers that have both."""
    flight = batch.once(first_flight_ns)
    there = ~np.isnan(flight) & ~np.isnan(values)
    return flight[there], values[there]


def _kl_charge(batch: Batch) -> _Values:
    charge = batch.once(charge_of_cells)
    return _with_flight(batch, np.where(charge > 0, charge, np.nan))


def _emr_range(batch: Batch) -> _Values:
    tracks = batch.join(EmrTracks)
    range_mm = np.full(batch.triggers, np.nan)
    range_mm[tracks.trigger] = tracks.range_mm
    return _with_flight(batch, range_mm)


PLOTS = (
    Plot(
        name="across_hits",
        detector="across",
        title="Triggers by which detectors have hits",
        axes=tuple(
            Axis(label=label, bins=len(_HIT), low=-0.5, high=len(_HIT) - 0.5, names=_HIT)
            for label in ("Has hits in", "and in")
        ),
        fill=_pairs,
        canvas="across_hits",
        keywords=("all", "hits", "efficiency"),
        measures=tuple(part(f"{_HIT[also]} of those in {_HIT[of]}", (of, also), (of, of)) for of, also in _FOLLOWED),
        words=Words(
            shows="Particle triggers that have hits in one detector and in another: slab hits, light, cells, bars, "
            "space points. On the diagonal those with hits in the one. Ck: Cherenkov, Tk: tracker.",
            normal="Fewer from TOF0 to EMR along the beam; every two detectors nearly as many as the later of them.",
            action="A row and a column empty: that detector is not read out, or its high voltage is off. Two that are "
            "full and have few in common: they count different triggers; call the DAQ expert.",
            call=_CALL,
        ),
    ),
    Plot(
        name="across_kl",
        detector="across",
        title="Calorimeter charge against time of flight",
        axes=(_FLIGHT, Axis(label="Charge of all cells", unit="ADC counts", bins=50, low=0, high=10_000)),
        fill=_kl_charge,
        canvas="across_flight",
        keywords=("all", "tof", "KL", "particle identification"),
        words=Words(
            shows="Charge of all cells of the calorimeter, mean of both ends, of particles with one space point in "
            "each of TOF0 and TOF1.",
            normal="Muons and pions in one spot each at about the same charge, electrons earlier with far more spread.",
            action="Spots at other charges, times as ever: the calorimeter's high voltage or gains. At other times: "
            "the stations of TOF.",
            call=_CALL,
        ),
    ),
    Plot(
        name="across_emr",
        detector="across",
        title="Ranger depth against time of flight",
        axes=(_FLIGHT, Axis(label="Range", unit="mm", bins=48, low=0, high=840)),
        fill=_emr_range,
        canvas="across_flight",
        keywords=("all", "tof", "EMR", "particle identification"),
        words=Words(
            shows="Range in the electron-muon ranger of particles with one space point in TOF0 and in TOF1.",
            normal="Muons and pions in one spot each, the slower the less deep; electrons at all depths.",
            action="Spots less deep, times as ever: planes of the ranger are dead, or there is more before it.",
            call=_CALL,
        ),
    ),
)

ACROSS = DetectorPlots(name="across", title="Across", plots=PLOTS, overview=())
