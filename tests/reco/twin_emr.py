"""EMR written straight from the experiment's description: loops over hits, no columns."""

import math

from streams.experiments.mice.unpack.hits import RawHits

NOT_THERE = -99
CLOCK = 2**22


def difference(later: int, earlier: int) -> int:
    """Return the counts between two times of a clock of 22 bits."""
    return (later - earlier + CLOCK // 2) % CLOCK - CLOCK // 2


def bars(hits: RawHits, cabling) -> list[tuple[int, ...]]:
    """Return (plane, bar, tot, time, trigger or -1, delta) of each bar with both edges."""
    names = ("ldc", "geo", "channel", "leading_time", "trailing_time")
    triggers: dict[int, list[int]] = {}
    edges = []
    for ldc, geo, channel, leading, trailing in zip(*(getattr(hits.dbb_hits, n).tolist() for n in names), strict=True):
        index = int(cabling.dbb[ldc, geo, channel])
        if index < 0 or leading == NOT_THERE:
            continue
        plane, bar = divmod(index, 64)
        if bar == 63:
            triggers.setdefault(plane, []).append(leading)
        elif 1 <= bar <= 59 and trailing != NOT_THERE:
            edges.append((plane, bar, difference(trailing, leading), leading))
    found = []
    for plane, bar, tot, time in edges:
        inside = []
        for number, trigger in enumerate(triggers.get(plane, [])):
            delta = difference(time, trigger)
            if -240 < delta < -210:
                inside.append((-delta, number))
        # Of several, the one that comes first.
        earlier, number = min(inside, default=(240, -1))
        found.append((plane, bar, tot, time, number, -earlier))
    return sorted(found, key=lambda hit: hit[:2])


def primaries(found: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return (trigger, plane, bar, tot, delta + 240)."""
    hits = [(trigger, plane, bar, tot, delta + 240) for plane, bar, tot, _, trigger, delta in found if trigger >= 0]
    return sorted(hits, key=lambda hit: hit[:3])


def secondaries(found: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return (candidate, plane, bar, tot, time)."""
    groups: list[list[tuple[int, ...]]] = []
    for plane, bar, tot, time, trigger, _ in sorted(found, key=lambda hit: hit[3]):
        if trigger >= 0 or tot <= 4:
            continue
        if not groups or time - groups[-1][0][3] > 40:
            groups.append([])
        groups[-1].append((plane, bar, tot, time))
    groups = [group for group in groups if len(group) >= 2]
    return [(number, *hit) for number, group in enumerate(groups) for hit in group]


def planes(hits: RawHits, cabling) -> list[tuple[int, ...]]:
    """Return (trigger, plane, charge, delta_t)."""
    names = ("trigger", "equipment", "ldc", "geo", "channel", "pulse_area", "position_min")
    found = []
    for trigger, equipment, ldc, geo, channel, area, position in zip(
        *(getattr(hits.fadc, n).tolist() for n in names), strict=True
    ):
        plane = int(cabling.fadc[ldc, geo, channel])
        if equipment == 121 and plane >= 0:
            found.append((trigger, plane, area, position))
    return sorted(found, key=lambda row: row[:2])


def charge(tot: int) -> float:
    return math.exp(min(max(tot, 1), 200) / 12.55 - math.log(0.0252)) - 1.015 / 0.0252


def without_cross_talk(hits: list[tuple[int, ...]]) -> dict[int, list[tuple[int, float]]]:
    """Return of each plane the (bar, charge) of its most energetic run of adjacent bars; `hits`: (plane, bar, tot)."""
    kept = {}
    for plane in sorted({hit[0] for hit in hits}):
        runs: list[list[tuple[int, float]]] = []
        for bar, tot in sorted(((hit[1], hit[2]) for hit in hits if hit[0] == plane), key=lambda hit: hit[0]):
            if not runs or bar - runs[-1][-1][0] > 1:
                runs.append([])
            runs[-1].append((bar, charge(tot)))
        best = runs[0]
        for run in runs[1:]:
            if energy(run) > energy(best):
                best = run
        kept[plane] = best
    return kept


def energy(run: list[tuple[int, float]]) -> float:
    """Return the sum of charges, added one by one: equal runs must give equal sums."""
    total = 0.0
    for _, q in run:
        total += q
    return total


def centre(run: list[tuple[int, float]]) -> float:
    return sum(q * (bar - 30) * 17.0 for bar, q in run) / sum(q for _, q in run)


def interpolated(plane: int, centres: dict[int, float]) -> float:
    """Return the coordinate that other planes measure in this one."""
    others = sorted(p for p in centres if (p - plane) % 2)
    before = [p for p in others if p < plane]
    after = [p for p in others if p > plane]
    if len(others) == 1:
        return centres[others[0]]
    low, high = (before[-1], after[0]) if before and after else tuple(others[:2] if after else others[-2:])
    return centres[low] + (plane - low) / (high - low) * (centres[high] - centres[low])


def line(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return offset, slope and sum of squares of the least-squares line u(z) through (z, u)."""
    n = len(points)
    mean_z, mean_u = sum(z for z, _ in points) / n, sum(u for _, u in points) / n
    spread = sum((z - mean_z) ** 2 for z, _ in points)
    slope = sum((z - mean_z) * (u - mean_u) for z, u in points) / spread if spread else 0.0
    offset = mean_u - slope * mean_z
    return offset, slope, sum((u - offset - slope * z) ** 2 for z, u in points)


def track(hits: list[tuple[int, ...]], *, mother: bool) -> dict | None:
    """Return what a track's (plane, bar, tot) make; None without hits in both projections."""
    kept = without_cross_talk(hits)
    if len({plane % 2 for plane in kept}) < 2:
        return None
    centres = {plane: centre(run) for plane, run in kept.items()}
    first, last = min(kept), max(kept)
    fits = [line([((p + 0.5) * 17.5, u) for p, u in centres.items() if p % 2 == side]) for side in (0, 1)]
    freedom = sum(max(sum(p % 2 == side for p in kept) - 2, 0) for side in (0, 1))
    depth = (last + 0.5) * 17.5 if mother else (last - first) * 17.5
    number = sum(map(len, kept.values()))
    total = late = 0.0
    points = []
    for plane, run in kept.items():
        for bar, q in run:
            total += q
            if 5 * len(points) >= 4 * number:
                late += q
            sides = ((bar - 30) * 17.0, interpolated(plane, centres))
            points.append((plane, *(sides if plane % 2 == 0 else sides[::-1]), q))
    return {
        "first": first,
        "last": last,
        "planes": len(kept),
        "range": depth * math.sqrt(1 + fits[0][1] ** 2 + fits[1][1] ** 2),
        "chi2": (fits[0][2] + fits[1][2]) / (17.0**2 / 12) / freedom if freedom else math.nan,
        "charge": total,
        "ratio": (total - late) / late / 5 if late else math.nan,
        "points": points,
        "at": lambda plane: (*(o + s * (plane + 0.5) * 17.5 for o, s, _ in fits), (plane + 0.5) * 17.5),
    }


def tracks(hits: list[tuple[int, ...]], *, mother: bool) -> dict[int, dict]:
    """Return the track of each trigger or candidate; `hits` begin with (owner, plane, bar, tot)."""
    found = {}
    for owner in sorted({hit[0] for hit in hits}):
        made = track([hit[1:4] for hit in hits if hit[0] == owner], mother=mother)
        if made is not None:
            found[owner] = made
    return found


def mothers(
    found: list[tuple[int, ...]],
    later: list[tuple[int, ...]],
    mother_tracks: dict[int, dict],
    daughter_tracks: dict[int, dict],
) -> dict[int, tuple[int, int]]:
    """Return the mother of each daughter that has one, and how much later it came."""
    times = {t: min(hit[3] for hit in found if hit[4] == t) for t in mother_tracks}
    matched = {}
    for candidate, daughter in daughter_tracks.items():
        time = min(hit[4] for hit in later if hit[0] == candidate)
        before = [(t, owner) for owner, t in times.items() if t <= time]
        for mother_time, owner in sorted(before, reverse=True):
            end = mother_tracks[owner]["at"](mother_tracks[owner]["last"])
            distance = min(math.dist(end, daughter["at"](daughter[which])) for which in ("first", "last"))
            if time - mother_time <= 5000 and distance <= 100:
                matched[candidate] = owner, time - mother_time
                break
    return matched
