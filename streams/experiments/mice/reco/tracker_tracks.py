"""Straight tracks of the trackers: least-squares lines through one space point of each station, or of most of them.

They are those of particles without a magnetic field, or of a stretch short against their turns.
"""

from dataclasses import dataclass
from itertools import combinations as subsets

import numpy as np

from schemas.columns import F8, I8, Bools
from streams.arrays.combinations import combinations
from streams.experiments.mice.conditions.tracker import STATION_Z_MM, STATIONS, TRACKERS
from streams.experiments.mice.reco.tracker_clusters import station_key
from streams.experiments.mice.reco.tracker_geometry import CHANNEL_MM
from streams.experiments.mice.tables.tracker import TrackerSpacePoints, TrackerTracks

MIN_POINTS = 3
MAX_COMBINATIONS = 32
"""Of one point of each station; a tracker with more is full of noise and has no track."""
ROAD_MM = 7.0
"""A point is farther from the line through the others only if it is none of the track's."""
MAX_CHI2 = 50.0
"""For each degree of freedom."""
RESOLUTION_MM = CHANNEL_MM / np.sqrt(12) * np.sqrt(2 / 3)
"""Of each coordinate of a triplet, whose three distances have that of a channel."""
_SUBSETS = {
    number: np.array([[s in some for s in range(STATIONS)] for some in subsets(range(STATIONS), number)])
    for number in range(MIN_POINTS, STATIONS + 1)
}
"""How many stations → (n, STATIONS) every choice of so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines:
    """Lines through points, one a row."""

    used: Bools
    """(n, STATIONS)."""
    at_mm: F8
    """(n, 2) x and y at the tracker's first station."""
    slope: F8
    """(n, 2)."""
    chi2: F8
    """(n,) for each degree of freedom."""
    off_mm: F8
    """(n, STATIONS, 2) each point from the line through the others."""

    def rows(self, which: Bools | I8) -> "_Lines":
        return _Lines(**{name: getattr(self, name)[which] for name in self.__slots__})


def make_tracks(points: TrackerSpacePoints) -> TrackerTracks:
    """Return at most one track of each trigger and tracker, in their order.

    Lines through a point of each of five stations are tried first, then those through points of four, then of three: of
    the first that have a good one, that with the least chi2. One is good if its chi2 is, and if none of more than three
    points is farther than the road from the line through the others.

    Parameters
    ----------
    points
        In the order that `streams.experiments.mice.reco.tracker_space_points.make_space_points` gives.
    """
    key = station_key(points)
    groups = int(key[-1]) // STATIONS + 1 if len(key) else 0
    count = np.bincount(key, minlength=groups * STATIONS).reshape(-1, STATIONS)
    first = (np.cumsum(count) - count.reshape(-1)).reshape(-1, STATIONS)
    tried = np.maximum(count, 1)
    group = np.flatnonzero(((count > 0).sum(axis=1) >= MIN_POINTS) & (tried.prod(axis=1) <= MAX_COMBINATIONS))
    pieces = [np.empty((0, STATIONS), np.int64), *combinations(first[group], tried[group])]
    group = np.repeat(group, tried[group].prod(axis=1))
    there = count[group] > 0
    rows = np.where(there, np.concatenate(pieces), 0)
    at_mm = np.stack([points.x_mm[rows], points.y_mm[rows]], axis=2)
    has_track = np.zeros(groups, np.bool_)
    found, owners = [_fit(at_mm[:0], there[:0], group[:0])], [group[:0]]
    for number in range(STATIONS, MIN_POINTS - 1, -1):
        left = np.flatnonzero(~has_track[group])
        row, some = np.nonzero((there[left, np.newaxis] >= _SUBSETS[number]).all(axis=2))
        row = left[row]
        lines = _fit(at_mm[row], _SUBSETS[number][some], group[row])
        good = _good(lines, number)
        lines, owner = lines.rows(good), group[row[good]]
        order = np.lexsort([lines.chi2, owner])
        order = order[np.diff(owner[order], prepend=-1) != 0]
        has_track[owner[order]] = True
        found.append(lines.rows(order))
        owners.append(owner[order])
    group = np.concatenate(owners)
    return _in_order(group, found)


def _in_order(group: I8, found: list[_Lines]) -> TrackerTracks:
    lines = _Lines(**{name: np.concatenate([getattr(each, name) for each in found]) for name in _Lines.__slots__})
    order = np.argsort(group, kind="stable")
    lines, group = lines.rows(order), group[order]
    return TrackerTracks(
        trigger=(group // TRACKERS).astype(np.int32),
        tracker=(group % TRACKERS).astype(np.uint8),
        x_mm=lines.at_mm[:, 0],
        y_mm=lines.at_mm[:, 1],
        slope_x=lines.slope[:, 0],
        slope_y=lines.slope[:, 1],
        chi2=lines.chi2,
        off_mm=np.where(lines.used[:, :, np.newaxis], lines.off_mm, np.nan).astype(np.float32),
    )


def _good(lines: _Lines, number: int) -> I8:
    """Return the good ones of lines through so many points."""
    good = lines.chi2 <= MAX_CHI2
    if number > MIN_POINTS:
        far = np.where(lines.used, np.hypot(lines.off_mm[:, :, 0], lines.off_mm[:, :, 1]), 0)
        good &= far.max(axis=1, initial=0) <= ROAD_MM
    return np.flatnonzero(good)


def _fit(at_mm: F8, used: Bools, group: I8) -> _Lines:
    """Return the least-squares lines through the points that are used, at least `MIN_POINTS` each, (n, STATIONS, 2)."""
    z, weight = STATION_Z_MM[group % TRACKERS], used.astype(np.float64)
    number = weight.sum(axis=1)
    mean_z = (weight * z).sum(axis=1) / number
    dz = z - mean_z[:, np.newaxis]
    weighted = weight * dz
    spread = (weighted * dz).sum(axis=1)
    mean = np.einsum("ns,nsa->na", weight, at_mm) / number[:, np.newaxis]
    slope = np.einsum("ns,nsa->na", weighted, at_mm) / spread[:, np.newaxis]
    residual = at_mm - mean[:, np.newaxis] - dz[:, :, np.newaxis] * slope[:, np.newaxis]
    squares = np.einsum("ns,nsa->n", weight, residual**2)
    # A point draws the line to itself by its leverage; without it the line is so much farther away.
    leverage = used * (1 / number[:, np.newaxis] + dz**2 / spread[:, np.newaxis])
    return _Lines(
        used=used,
        at_mm=mean - mean_z[:, np.newaxis] * slope,
        slope=slope,
        chi2=squares / RESOLUTION_MM**2 / (2 * number - 4),
        off_mm=residual / (1 - leverage)[:, :, np.newaxis],
    )
