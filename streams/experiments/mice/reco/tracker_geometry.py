"""Where the trackers' fibres are: the one place that says so, for reconstruction and simulation.

In a station, three planes u, v and w of parallel fibres stand at 120 degrees to each other. A plane measures the
distance from the tracker's axis along the normal of its fibres, 1.4945 mm times (central fibre - channel): 7 fibres at
a pitch of 0.427 mm make a channel, in two layers. As the normals add up to nothing, so do the distances of a point, and
the channels of a particle's three clusters add up to the central fibres': Kuno's conjecture.
"""

import numpy as np

from schemas.columns import F8, I8, U1
from streams.experiments.mice.conditions.tracker import PLANES, STATIONS, TRACKERS

CHANNEL_MM = 0.427 * 7 / 2
RADIUS_MM = 160.0
"""Of the active area; a crossing beyond it is none."""

_ANGLES = np.deg2rad([[120.0, 240.0, 0.0], [60.0, -60.0, 180.0]])
"""Of the normals of planes 0 (v), 1 (w) and 2 (u), by tracker: the downstream one is turned round."""
NORMALS: F8 = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=2)
"""(TRACKERS, PLANES, 2) x and y of each plane's normal, x to the left seen along the beam."""


def _central_fibres() -> F8:
    fibres = np.tile([106.5, 106.5, 105.5], (TRACKERS, STATIONS, 1))
    fibres[1, 4, 2] = 107.0
    return fibres


CENTRAL_FIBRE: F8 = _central_fibres()
"""(TRACKERS, STATIONS, PLANES) channel on the axis: 214 channels in planes 0 and 1, 212 in plane 2."""
KUNO_SUM: F8 = CENTRAL_FIBRE.sum(axis=2)
"""(TRACKERS, STATIONS) sum of the channels of a point's three clusters: 318.5, and 320.0 in tracker 1, station 5."""


def distance_mm(tracker: U1, station: U1, plane: U1 | I8, channel: F8) -> F8:
    """Return (n,) how far channels are from the axis, along the normals of their planes."""
    return CHANNEL_MM * (CENTRAL_FIBRE[tracker, station - 1, plane] - channel)


def channel_at(x_mm: F8, y_mm: F8) -> F8:
    """Return (TRACKERS, STATIONS, PLANES, n) the channel, not rounded, that goes through points (.., STATIONS, n).

    Parameters
    ----------
    x_mm, y_mm
        (TRACKERS, STATIONS, n).
    """
    normal_x, normal_y = np.moveaxis(NORMALS[:, np.newaxis, :, :, np.newaxis], 3, 0)
    distance = normal_x * x_mm[:, :, np.newaxis] + normal_y * y_mm[:, :, np.newaxis]
    found: F8 = CENTRAL_FIBRE[:, :, :, np.newaxis] - distance / CHANNEL_MM
    return found


def crossing_mm(tracker: U1, planes: I8, distances: F8) -> tuple[F8, F8]:
    """Return x and y, (n,), where fibres cross: of two planes, or of three the mean of their three crossings.

    Of two, the distance of the third plane follows: the three add up to nothing. A point is two thirds of the sum of
    normals times distances, and so is the mean of the three crossings.

    Parameters
    ----------
    tracker
        (n,).
    planes, distances
        (n, 2) or (n, 3), all planes of a row different.
    """
    if planes.shape[1] < PLANES:
        third = PLANES - planes.sum(axis=1)  # 0 + 1 + 2 less the two
        planes = np.column_stack([planes, third])
        distances = np.column_stack([distances, -distances.sum(axis=1)])
    normals = NORMALS[tracker[:, np.newaxis], planes]
    x, y = (2 / 3 * (normals[:, :, axis] * distances).sum(axis=1) for axis in (0, 1))
    return x, y
