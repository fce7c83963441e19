"""What several plots need of the trackers; ask for it with `Batch.once`."""

from itertools import product

import numpy as np

from schemas.columns import F8, I8, U1
from streams.arrays.combinations import combinations
from streams.arrays.stable_order import stable_order
from streams.experiments.mice.conditions.tracker import PLANES, STATIONS, TRACKERS
from streams.experiments.mice.tables.tracker import TrackerDigits, TrackerSpacePoints
from streams.plots.axis import Axis
from streams.plots.batch import Batch

EXPERT = "Tracker expert on call"
SIDES, WHERE = "UD", ("upstream", "downstream")
"""Of each tracker: in the names of plots, and in their titles."""
STATION = Axis(label="Station", bins=STATIONS, low=0.5, high=STATIONS + 0.5)
TRIPLET, DUPLET = 3, 2
"""Kinds of space points."""
NO_TRIPLE = 641
"""Stands for the sum where none of more than three digits' sums is near the expected one."""
NOT_THREE_PLANES = -1
"""Stands for the sum where there are fewer than three digits, or three of fewer planes."""
MAX_DIGITS = 100
"""Of a particle event; one with more is noise: it has no clusters, and no sums here."""
_SUMS = (318, 319)
"""Whole numbers between 317 and 320."""
_CHANNELS = 256
"""More than a plane has."""


Group = tuple[int, ...]


def channels_by_plane(batch: Batch) -> dict[Group, U1]:
    """Return (tracker, station, plane) → channels of the digits."""
    digits = batch.join(TrackerDigits)
    plane = (digits.tracker.astype(np.int64) * STATIONS + digits.station - 1) * PLANES + digits.plane
    return {
        (number // PLANES // STATIONS, number // PLANES % STATIONS + 1, number % PLANES): rows
        for number, rows in enumerate(_split(plane, digits.channel, TRACKERS * STATIONS * PLANES))
    }


def points_by_station(batch: Batch) -> dict[Group, tuple[F8, F8]]:
    """Return (tracker, station, kind) → x and y of the space points, mm."""
    points = batch.join(TrackerSpacePoints)
    found: dict[Group, tuple[F8, F8]] = {}
    for tracker, station, kind in product(range(TRACKERS), range(1, STATIONS + 1), (DUPLET, TRIPLET)):
        mine = (points.tracker == tracker) & (points.station == station) & (points.kind == kind)
        found[tracker, station, kind] = points.x_mm[mine], points.y_mm[mine]
    return found


def kuno_sums(batch: Batch) -> tuple[I8, ...]:
    """Return for each tracker the sums of channels over the three planes of a station, of every event and station.

    Of exactly three digits in three planes it is their sum; of fewer, or of three in fewer planes,
    `NOT_THREE_PLANES`; of more, the sum of every triple with one digit of each plane that lies between 317 and 320
    (exclusively), and `NO_TRIPLE` if there is none.
    """
    digits = batch.join(TrackerDigits)
    trigger = np.flatnonzero(np.repeat(batch.having("tracker"), np.diff(batch.first)))
    loud = np.bincount(digits.trigger, minlength=batch.triggers) > MAX_DIGITS
    trigger = trigger[~loud[trigger]]
    group = (digits.trigger.astype(np.int64) * TRACKERS + digits.tracker) * STATIONS + digits.station - 1
    groups = batch.triggers * TRACKERS * STATIONS
    count = np.bincount(group * PLANES + digits.plane, minlength=groups * PLANES).reshape(-1, PLANES)
    in_all = count.sum(axis=1)
    looked_at = (trigger[:, np.newaxis] * TRACKERS * STATIONS + np.arange(TRACKERS * STATIONS)).reshape(-1)
    has_one_each, has_many = (count[looked_at] == 1).all(axis=1), in_all[looked_at] > PLANES
    one_each, many, neither = looked_at[has_one_each], looked_at[has_many], looked_at[~has_one_each & ~has_many]
    triple_group, triple_sum = _triples(digits.channel.astype(np.int64), group, digits.plane, count, many)
    sums = np.bincount(group, digits.channel, groups).astype(np.int64)
    none = many[np.bincount(triple_group, minlength=groups)[many] == 0]
    parts = (
        (one_each, sums[one_each]),
        (neither, np.full(len(neither), NOT_THREE_PLANES)),
        (triple_group, triple_sum),
        (none, np.full(len(none), NO_TRIPLE)),
    )
    group, sums = (np.concatenate(values) for values in zip(*parts, strict=True))
    tracker = group // STATIONS % TRACKERS
    return tuple(sums[tracker == number] for number in range(TRACKERS))


def _triples(channel: I8, group: I8, plane: U1, count: I8, groups: I8) -> tuple[I8, I8]:
    """Return group and sum of each triple of these groups, one digit of each plane, whose sum is near.

    A plane has a channel once: of two digits and a sum the third follows.
    """
    first = (np.cumsum(count) - count.reshape(-1)).reshape(-1, PLANES)
    order = stable_order(group * PLANES + plane)
    third = (group * _CHANNELS + channel)[order][plane[order] == PLANES - 1]
    third.sort(kind="stable")  # which finds that most of it is in order
    found_groups, found_sums = [groups[:0]], [groups[:0]]
    for pairs in combinations(first[groups, :2], count[groups, :2]):
        pair = order[pairs]
        wanted_group = group[pair[:, 0]]
        for total in _SUMS:
            wanted = total - channel[pair].sum(axis=1)
            key = wanted_group * _CHANNELS + wanted
            at = np.searchsorted(third, key)
            there = (wanted >= 0) & (wanted < _CHANNELS) & (at < len(third))
            there[there] = third[at[there]] == key[there]
            found_groups.append(wanted_group[there])
            found_sums.append(np.full(there.sum(), total))
    return np.concatenate(found_groups), np.concatenate(found_sums)


def _split(number: I8, rows: U1, parts: int) -> list[U1]:
    """Return the rows that have each number."""
    order = stable_order(number)
    return np.split(rows[order], np.searchsorted(number[order], np.arange(1, parts)))
