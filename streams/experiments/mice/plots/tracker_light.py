"""Plots of the trackers' light and digits plane by plane, for the expert."""

import numpy as np
import numpy.typing as npt

from streams.experiments.mice.conditions.tracker import CHANNELS, PLANES, STATIONS
from streams.experiments.mice.plots.tracker_quantities import EXPERT, SIDES, WHERE
from streams.experiments.mice.tables.tracker import TrackerClusters, TrackerDigits
from streams.plots.batch import Batch
from streams.plots.measures import at, mean
from streams.plots.model import Axis, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_PLANE = Axis(
    label="Plane",
    bins=STATIONS * PLANES,
    low=-0.5,
    high=STATIONS * PLANES - 0.5,
    names=tuple(f"station {station}, {plane}" for station in range(1, STATIONS + 1) for plane in "vwu"),
)


def _light(tracker: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        clusters = batch.join(TrackerClusters)
        clusters = clusters.rows(clusters.tracker == tracker)
        return (clusters.station.astype(np.int64) - 1) * PLANES + clusters.plane, clusters.npe

    return Plot(
        name=f"Npe_Tk{SIDES[tracker]}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: light of clusters by plane",
        axes=(_PLANE, Axis(label="Photo-electrons", bins=50, low=0, high=50)),
        fill=fill,
        expert=True,
        canvas="SciFi_Light",
        keywords=("SciFi", "Light", "Photo-electrons", "Plane"),
        words=Words(
            shows="Photo-electrons of each cluster, one or two neighbouring channels, by station and plane.",
            normal="A hump near 10 in every plane, alike in all, over a tail of noise below 4.",
            action="The hump of one plane lower: its light guides or the bias of its photon counters. Of all: "
            "temperature or bias of the cryostats. At 0 light: see the pedestals of the VLSB.",
            call=EXPERT,
        ),
        measures=(
            mean("Mean light", within=(4, 50)),
            *(
                at(mean("", within=(4, 50)), f"Mean light of station {s + 1}", slice(PLANES * s, PLANES * (s + 1)))
                for s in range(STATIONS)
            ),
        ),
    )


def _occupancy(tracker: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        digits = batch.join(TrackerDigits)
        digits = digits.rows(digits.tracker == tracker)
        return digits.channel, (digits.station.astype(np.int64) - 1) * PLANES + digits.plane

    return Plot(
        name=f"Occ_Tk{SIDES[tracker]}",
        detector="tracker",
        title=f"Tracker {WHERE[tracker]}: digits by channel and plane",
        axes=(Axis(label="Channel", bins=CHANNELS, low=-0.5, high=CHANNELS - 0.5), _PLANE),
        fill=fill,
        expert=True,
        canvas="SciFi_Occupancy",
        keywords=("SciFi", "Digits", "Occupancy", "Channel", "Plane"),
        words=Words(
            shows="Channel of every digit, all planes one above the other.",
            normal="The beam's hump in each row, wider from station to station; some channels are known to be bad.",
            action="Empty stretches at the same channels of several planes: a bank or a board of the read-out. A row "
            "empty: that plane. Single bright fields: noise; note them for the list of bad channels.",
            call=EXPERT,
        ),
    )


LIGHT_PLOTS = tuple(plot(tracker) for plot in (_light, _occupancy) for tracker in (0, 1))
