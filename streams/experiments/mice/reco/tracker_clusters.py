"""Clusters of the trackers: one or two neighbouring channels of a plane."""

import numpy as np

from schemas.columns import F8, I8
from streams.arrays.stable_order import stable_order
from streams.experiments.mice.conditions.tracker import PLANES, STATIONS, TRACKERS
from streams.experiments.mice.tables.tracker import TrackerClusters, TrackerDigits, TrackerSpacePoints

MIN_NPE = 2.0
"""A cluster has more photo-electrons, and a seed more than half of it."""
MAX_SEEDS = 100
"""In a particle event, both trackers together; one with more is noise and has no clusters."""
_CHANNELS = 256
"""More than a plane has, so that the last of one plane and the first of the next are no neighbours."""


def make_clusters(digits: TrackerDigits) -> TrackerClusters:
    """Return the clusters, in the order of triggers, trackers, stations, planes and photo-electrons, the most first.

    In each plane the seed with the most photo-electrons takes the neighbour that has the fewest, if it has one that is
    not taken yet; then the next seed that is left, and so on. Of equal ones the lower channel is first.

    Parameters
    ----------
    digits
        In the order that `reco.tracker.make_digits` gives; no channel comes twice in a trigger.
    """
    seeds = digits.rows(digits.npe > MIN_NPE / 2)
    seeds = seeds.rows(np.bincount(seeds.trigger)[seeds.trigger] <= MAX_SEEDS)
    seed, partner = _with_neighbours(plane_key(seeds) * _CHANNELS + seeds.channel, seeds.npe)
    alone = partner < 0
    clusters = TrackerClusters(
        **{name: getattr(seeds, name)[seed] for name in ("trigger", "tracker", "station", "plane")},
        channel=np.where(alone, seeds.channel[seed], (seeds.channel[seed] + seeds.channel[partner].astype(float)) / 2),
        npe=seeds.npe[seed] + np.where(alone, 0.0, seeds.npe[partner]),
    )
    # No two clusters share a channel, so that the seeds' order is that of their channels.
    order = stable_order(seed)
    order = order[clusters.npe[order] > MIN_NPE]
    return clusters.rows(order[_most_first(clusters.npe[order], plane_key(clusters)[order])])


def station_key(rows: TrackerDigits | TrackerClusters | TrackerSpacePoints) -> I8:
    """Return (n,) one number for trigger, tracker and station, in their order."""
    tracker: I8 = rows.trigger.astype(np.int64) * TRACKERS + rows.tracker
    return tracker * STATIONS + (rows.station - 1)


def plane_key(rows: TrackerDigits | TrackerClusters) -> I8:
    """Return (n,) one number for trigger, tracker, station and plane, in their order."""
    return station_key(rows) * PLANES + rows.plane


def _most_first(npe: F8, group: I8) -> I8:
    """Return the rows of groups, which rise, each group's from the most photo-electrons to the fewest."""
    order = np.arange(len(group))
    again = np.diff(group) == 0
    shared = np.zeros(len(group), np.bool_)  # alone in its group, a row stays where it is, as most do
    shared[1:] |= again
    shared[:-1] |= again
    rows = np.flatnonzero(shared)
    by_npe = rows[np.argsort(-npe[rows], kind="stable")]
    order[rows] = by_npe[stable_order(group[by_npe])]
    return order


def _with_neighbours(position: I8, npe: F8) -> tuple[I8, I8]:
    """Return the seeds that found no earlier one's neighbour in themselves, and the neighbour of each or -1.

    Only within chains of neighbouring channels does one seed depend on others: the first seeds of all chains are looked
    at together, then the second ones, and so on.

    Parameters
    ----------
    position
        (n,) rising; neighbouring channels of a plane differ by 1.
    """
    n = len(position)
    joined = np.diff(position) == 1
    has_left, has_right = np.append([False], joined)[:n], np.append(joined, [False])[:n]
    chain = np.cumsum(~has_left) - 1
    by_npe = _most_first(npe, chain)
    length = np.bincount(chain)
    first = np.cumsum(length) - length
    used = np.zeros(n, np.bool_)
    seeds, partners = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for rank in range(int(length.max(initial=0))):
        seed = by_npe[first[length > rank] + rank]
        seed = seed[~used[seed]]
        left, right = seed - 1, np.minimum(seed + 1, n - 1)
        take_left = has_left[seed] & ~used[left]
        take_right = has_right[seed] & ~used[right] & ~(take_left & (npe[left] < npe[right]))
        partner = np.where(take_right, right, np.where(take_left, left, -1))
        used[seed] = True
        used[partner[partner >= 0]] = True
        seeds.append(seed)
        partners.append(partner)
    return np.concatenate(seeds), np.concatenate(partners)
