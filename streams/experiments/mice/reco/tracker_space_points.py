"""Space points of the trackers: crossings of three or two clusters of different planes of a station."""

import numpy as np

from schemas.columns import F8, I8, Bools
from streams.arrays.combinations import combinations
from streams.arrays.equal_runs import equal_runs
from streams.arrays.stable_order import stable_order
from streams.experiments.mice.conditions.tracker import PLANES
from streams.experiments.mice.reco.tracker_clusters import station_key
from streams.experiments.mice.reco.tracker_geometry import KUNO_SUM, RADIUS_MM, crossing_mm, distance_mm
from streams.experiments.mice.tables.tracker import TrackerClusters, TrackerSpacePoints

KUNO_TOLERANCE = 3.0
"""Channels that the sum of a triplet's is off by less."""
VARIANCE_MM2 = 0.064
"""Of the distance of a triplet's third fibre from the crossing of the two others."""


def make_space_points(clusters: TrackerClusters) -> TrackerSpacePoints:
    """Return the space points, in the order of triggers, trackers and stations, triplets before duplets.

    In each station: of all v, w, u combinations of clusters, v changing slowest, each that Kuno's conjecture allows and
    whose clusters are not used yet; then, of the clusters that are left, in the order of their photo-electrons, each
    two of different planes that cross within the active area. In a plane the cluster with the most photo-electrons is
    first; of clusters with as many, the lower plane, then the lower channel.

    Parameters
    ----------
    clusters
        In the order that `streams.experiments.mice.reco.tracker_clusters.make_clusters` gives.
    """
    distance = distance_mm(clusters.tracker, clusters.station, clusters.plane, clusters.channel)
    used = np.zeros(len(clusters), np.bool_)
    group = equal_runs(station_key(clusters)).of_row
    found = [_triplets(clusters, group, used), _duplets(clusters, group, distance, used)]
    points = TrackerSpacePoints.concat([_points(clusters, members, distance) for members in found])
    order = stable_order(np.concatenate([group[members[:, 0]] for members in found]))
    return points.rows(order)


def _triplets(clusters: TrackerClusters, group: I8, used: Bools) -> I8:
    """Return (n, 3) the clusters of each triplet, which are used from now on."""
    lists = group * PLANES + clusters.plane
    count = np.bincount(lists, minlength=PLANES * (int(group.max(initial=-1)) + 1)).reshape(-1, PLANES)
    first = (np.cumsum(count) - count.reshape(-1)).reshape(-1, PLANES)
    found = [np.empty((0, PLANES), np.int64)]
    for members in combinations(first, count):
        one = members[:, 0]
        expected = KUNO_SUM[clusters.tracker[one], clusters.station[one] - 1]
        allowed = np.abs(clusters.channel[members].sum(axis=1) - expected) < KUNO_TOLERANCE
        found.append(_not_used_before(members[allowed], used))
    return np.concatenate(found)


def _duplets(clusters: TrackerClusters, group: I8, distance: F8, used: Bools) -> I8:
    """Return (n, 2) the clusters of each duplet, the one with more photo-electrons first."""
    left = np.flatnonzero(~used)
    left = left[np.lexsort([-clusters.npe[left], group[left]])]
    count = np.bincount(group[left])
    first = np.cumsum(count) - count
    found = [np.empty((0, 2), np.int64)]
    for pairs in combinations(np.column_stack([first, first]), np.column_stack([count, count])):
        members = left[pairs[pairs[:, 0] < pairs[:, 1]]]
        planes = clusters.plane[members].astype(np.int64)
        apart = planes[:, 0] != planes[:, 1]
        members = members[apart]
        x, y = crossing_mm(clusters.tracker[members[:, 0]], planes[apart], distance[members])
        found.append(_not_used_before(members[np.hypot(x, y) <= RADIUS_MM], used))
    return np.concatenate(found)


def _not_used_before(members: I8, used: Bools) -> I8:
    """Return the rows, taken in their order, none of whose clusters an earlier row has taken; mark theirs as used.

    A row that is the first of those left for each of its clusters is taken, whatever becomes of others: all such rows
    together, then those that are first among the rest, and so on.
    """
    left = np.arange(len(members))
    taken = [left[:0]]
    if len(members):
        base = int(members.min())
        earliest = np.empty(int(members.max()) - base + 1, np.int64)
    while len(left):
        rows = members[left]
        earliest.fill(len(members))
        np.minimum.at(earliest, rows - base, left[:, np.newaxis])
        best = left[(earliest[rows - base] == left[:, np.newaxis]).all(axis=1)]
        taken.append(best)
        used[members[best]] = True
        left = left[~used[rows].any(axis=1)]
    return members[np.sort(np.concatenate(taken))]


def _points(clusters: TrackerClusters, members: I8, distance: F8) -> TrackerSpacePoints:
    n, kind = members.shape
    one, distances = members[:, 0], distance[members]
    x_mm, y_mm = crossing_mm(clusters.tracker[one], clusters.plane[members].astype(np.int64), distances)
    # Of a point the three distances add up to nothing: what is left is the same for whichever fibre is the third.
    chi2 = distances.sum(axis=1) ** 2 / VARIANCE_MM2 if kind == PLANES else np.zeros(n)
    return TrackerSpacePoints(
        trigger=clusters.trigger[one],
        tracker=clusters.tracker[one],
        station=clusters.station[one],
        kind=np.full(n, kind, np.uint8),
        x_mm=x_mm,
        y_mm=y_mm,
        npe=clusters.npe[members].sum(axis=1),
        chi2=chi2,
    )
