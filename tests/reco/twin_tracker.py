"""The trackers written straight from the experiment's description: loops over hits, no columns."""

import math
from collections import defaultdict
from itertools import combinations, product

from streams.experiments.mice.conditions.tracker import TrackerChannels
from streams.experiments.mice.unpack.hits import VlsbHits

CHANNEL_MM = 1.4945
FROM_FIRST = {1: 0.0, 2: 200.0, 3: 450.0, 4: 750.0, 5: 1100.0}
"""mm from the first station, which is the last along the beam upstream."""
Digit = tuple[int, int, int, int, int, float]
Cluster = tuple[int, int, int, int, float, float]
Point = tuple[int, int, int, int, float, float, float, float]


def digits(hits: VlsbHits, channels: TrackerChannels) -> list[Digit]:
    """Return (trigger, tracker, station, plane, channel, npe) of each digit."""
    found = []
    columns = (hits.bank, hits.channel, hits.trigger, hits.adc)
    for bank, on_bank, trigger, adc in zip(*(c.tolist() for c in columns), strict=True):
        fibre = int(channels.fibres[bank, on_bank])
        gain = float(channels.gain[bank, on_bank])
        npe = (adc - float(channels.pedestal[bank, on_bank])) / gain if gain else -10.0
        if fibre < 0 or not channels.good[bank, on_bank] or not npe > 2.0:
            continue
        plane, channel = divmod(fibre, 214)
        found.append((trigger, plane // 15, plane % 15 // 3 + 1, plane % 3, channel, npe))
    return sorted(found)


def clusters(found: list[Digit]) -> list[Cluster]:
    """Return (trigger, tracker, station, plane, channel, npe) of each cluster."""
    of_event = defaultdict(list)
    for digit in found:
        if digit[5] > 1.0:
            of_event[digit[0]].append(digit)
    out = []
    for seeds in of_event.values():
        if len(seeds) > 100:
            continue
        seeds.sort(key=lambda digit: -digit[5])
        used = [False] * len(seeds)
        for i, seed in enumerate(seeds):
            if used[i]:
                continue
            used[i] = True
            neighbour = None
            for j, other in enumerate(seeds):
                if not used[j] and other[:4] == seed[:4] and abs(other[4] - seed[4]) < 2:
                    neighbour = j
            channel, npe = float(seed[4]), seed[5]
            if neighbour is not None:
                used[neighbour] = True
                channel, npe = (seed[4] + seeds[neighbour][4]) / 2, npe + seeds[neighbour][5]
            if npe > 2.0:
                out.append((*seed[:4], channel, npe))
    return sorted(out, key=lambda cluster: (*cluster[:4], -cluster[5], cluster[4]))


def _line(cluster: Cluster) -> tuple[float, float, float]:
    """Return the normal of a cluster's fibre and its distance from the axis."""
    _, tracker, station, plane, channel, _ = cluster
    centre = 107.0 if (tracker, station, plane) == (1, 5, 2) else (106.5, 106.5, 105.5)[plane]
    angle = math.radians(((120, 240, 0), (60, -60, 180))[tracker][plane])
    return math.cos(angle), math.sin(angle), CHANNEL_MM * (centre - channel)


def crossing(one: Cluster, other: Cluster) -> tuple[float, float]:
    """Return where two fibres cross: Cramer's rule."""
    (a, b, p), (c, d, q) = _line(one), _line(other)
    determinant = a * d - b * c
    return (p * d - b * q) / determinant, (a * q - p * c) / determinant


def _triplet(v: Cluster, w: Cluster, u: Cluster) -> Point:
    crossings = [crossing(v, w), crossing(v, u), crossing(w, u)]
    x, y = (sum(point[axis] for point in crossings) / 3 for axis in (0, 1))
    cos, sin, distance = _line(u)
    d = cos * crossings[0][0] + sin * crossings[0][1] - distance
    return (*v[:3], 3, x, y, v[5] + w[5] + u[5], d * d / 0.064)


def space_points(found: list[Cluster]) -> list[Point]:
    """Return (trigger, tracker, station, kind, x, y, npe, chi2) of each space point."""
    stations = defaultdict(list)
    for cluster in found:
        stations[cluster[:3]].append(cluster)
    out = []
    for place, there in stations.items():
        expected = 320.0 if place[1:] == (1, 5) else 318.5
        used: set[Cluster] = set()
        planes = [[cluster for cluster in there if cluster[3] == plane] for plane in range(3)]
        for v in planes[0]:
            for w in planes[1]:
                for u in planes[2]:
                    if used & {v, w, u} or abs(v[4] + w[4] + u[4] - expected) >= 3.0:
                        continue
                    used |= {v, w, u}
                    out.append(_triplet(v, w, u))
        by_npe = sorted((c for c in there if c not in used), key=lambda c: (-c[5], c[3], c[4]))
        for i, one in enumerate(by_npe):
            for other in by_npe[i + 1 :]:
                if used & {one, other} or one[3] == other[3]:
                    continue
                x, y = crossing(one, other)
                if math.hypot(x, y) <= 160:
                    used |= {one, other}
                    out.append((*place, 2, x, y, one[5] + other[5], 0.0))
    return out


def _fit(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Return offset and slope of the least-squares line u(z) through (z, u)."""
    n, sum_z, sum_u = len(points), sum(z for z, _ in points), sum(u for _, u in points)
    slope = (n * sum(z * u for z, u in points) - sum_z * sum_u) / (n * sum(z * z for z, _ in points) - sum_z**2)
    return (sum_u - slope * sum_z) / n, slope


def _off(points: dict[int, Point], station: int, sign: int) -> tuple[float, float]:
    """Return how far a station's point is from the line through the others, in x and y."""
    found = []
    for axis in (4, 5):
        offset, slope = _fit([(sign * FROM_FIRST[s], p[axis]) for s, p in points.items() if s != station])
        found.append(points[station][axis] - offset - slope * sign * FROM_FIRST[station])
    return found[0], found[1]


def _track(points: dict[int, Point], sign: int) -> tuple | None:
    """Return (chi2, x, y, slopes, off of each station) of the line through points, if it is good."""
    lines = [_fit([(sign * FROM_FIRST[s], p[axis]) for s, p in points.items()]) for axis in (4, 5)]
    squares = sum(
        (point[4 + axis] - offset - slope * sign * FROM_FIRST[station]) ** 2
        for station, point in points.items()
        for axis, (offset, slope) in enumerate(lines)
    )
    chi2 = squares / (CHANNEL_MM**2 / 12 * 2 / 3) / (2 * len(points) - 4)
    off = [_off(points, station, sign) if station in points else (math.nan, math.nan) for station in FROM_FIRST]
    if chi2 > 50 or (len(points) > 3 and max(math.hypot(*each) for each in off if not math.isnan(each[0])) > 7):
        return None
    return chi2, *(line[0] for line in lines), *(line[1] for line in lines), off


def tracks(found: list[Point]) -> list[tuple]:
    """Return (trigger, tracker, x, y, slope x, slope y, chi2, off of each station) of each track."""
    out = []
    for place in sorted({point[:2] for point in found}):
        stations = {s: [p for p in found if p[:3] == (*place, s)] for s in FROM_FIRST}
        there = {station: points for station, points in stations.items() if points}
        if math.prod(map(len, there.values())) > 32:
            continue
        for number in (5, 4, 3):
            tried = [
                _track(dict(zip(some, points, strict=True)), 2 * place[1] - 1)
                for some in combinations(there, number)
                for points in product(*(there[station] for station in some))
            ]
            good = [track for track in tried if track is not None]
            if good:
                chi2, x, y, slope_x, slope_y, off = min(good, key=lambda track: track[0])
                out.append((*place, x, y, slope_x, slope_y, chi2, off))
                break
    return out
