"""Which detectors have hits in the same particle triggers."""

import numpy as np
import numpy.typing as npt

from schemas.ckov import CkovDigits
from schemas.columns import Bools
from schemas.emr import EmrHits
from schemas.kl import KlCellHits
from schemas.tof import TofSlabHits
from schemas.tracker import TrackerClusters
from streams.conditions.tof import STATIONS
from streams.plots.batch import Batch
from streams.plots.model import Axis, Plot, Words

_NAMES = ("TOF0", "TOF1", "TOF2", "Cherenkov A", "Cherenkov B", "KL", "EMR", "Tracker upstream", "Tracker downstream")
_AXIS = Axis(label="Detector", bins=len(_NAMES), low=-0.5, high=len(_NAMES) - 0.5, names=_NAMES)


def hit_detectors(batch: Batch) -> Bools:
    """Return (triggers, detectors) which have hits: slab hits, light in the gate, cell hits, bar hits, clusters."""
    slabs, light, clusters = batch.join(TofSlabHits), batch.join(CkovDigits), batch.join(TrackerClusters)
    hit = np.zeros((batch.triggers, len(_NAMES)), np.bool_)
    hit[slabs.trigger, slabs.station] = True
    hit[light.trigger, STATIONS : STATIONS + 2] = light.photo_electrons > 0
    hit[batch.join(KlCellHits).trigger, 5] = True
    hit[batch.join(EmrHits).trigger, 6] = True
    hit[clusters.trigger, 7 + clusters.tracker] = True
    return hit


def _pairs(batch: Batch) -> tuple[npt.ArrayLike, ...]:
    hit = hit_detectors(batch)
    return np.nonzero(hit[:, :, np.newaxis] & hit[:, np.newaxis])[1:]


MATRIX = Plot(
    name="daq_matrix",
    detector="daq",
    title="Particle triggers with hits in two detectors",
    axes=(_AXIS, _AXIS),
    fill=_pairs,
    expert=True,
    canvas="DAQ_matrix",
    keywords=("DAQ", "triggers", "detectors", "matrix"),
    words=Words(
        shows="Particle triggers in which both detectors have hits; on the diagonal, those with hits in the one.",
        normal="Falling along the beam, as particles are lost; the trigger's own station has all.",
        action="A row and its column pale: that detector has few hits, see its page. Pale off the diagonal alone: its "
        "events are shifted against the others'; stop the run and restart the DAQ.",
        call="DAQ expert on call",
    ),
)
