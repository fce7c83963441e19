"""EMR plane hits: bars in time with a particle trigger, candidates for decay products, and charges of the planes."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import I4, I8, Table, column
from schemas.records import MISSING
from streams.arrays.equal_runs import equal_runs
from streams.arrays.stable_order import stable_order
from streams.errors import DetectorError
from streams.experiments.mice.boards import DBB_GEOS, LDCS, V1731
from streams.experiments.mice.conditions.emr import BAR_NUMBERS, BARS, NOT_CABLED, PLANES, TRIGGER_BAR, EmrCabling
from streams.experiments.mice.tables.emr import EmrHits, EmrPlanes, EmrSecondaryHits
from streams.experiments.mice.unpack.hits import FadcHits, RawHits

WINDOW = (-240, -210)
"""Counts of 2.5 ns: a hit's time minus its trigger's lies between, both excluded."""
SECONDARY_TOT = 4
"""Counts of 2.5 ns: a hit of no trigger is a secondary if its time over threshold is above."""
GROUP_WIDTH = 40
"""Counts of 2.5 ns: hits of a candidate are at most so much later than its first."""
MIN_GROUP = 2
"""Hits of a candidate."""
COUNTER = 1 << 22
"""Counts after which a board's clock begins anew."""
_TRIGGER_COUNTS = 1 << 10
"""Triggers after which a board's count of them begins anew; it records them all."""
_STRIDE = 1 << 24
"""Between the times of one plane and the next in a sorted list of both: more than twice the clock's counts."""
_NO_TRIGGER = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class BarHits(Table):
    """One row a bar and index that has both edges."""

    plane: I4 = column("<i4")
    bar: I4 = column("<i4")
    tot: I4 = column("<i4")
    time: I4 = column("<i4")
    """Leading edge."""
    trigger: I4 = column("<i4")
    """Particle trigger that it is in time with; -1 if there is none."""
    delta_t: I4 = column("<i4")
    """Time since the trigger's window opened."""


def match_triggers(hits: RawHits, cabling: EmrCabling) -> BarHits:
    """Return the hits of bars 1 to 59, each with the particle trigger in whose window it is.

    Rows are in the order of planes, bars and read-out. A hit in the windows of several triggers, which are nearer to
    each other than the read-out allows, is the earliest's. A hit may end before it begins, as real boards have it.

    Raises
    ------
    DetectorError
        When a board has not as many triggers as the spill.
    """
    dbb = hits.dbb_hits
    index = cabling.dbb[dbb.ldc, dbb.geo, dbb.channel]
    plane, bar = index // BAR_NUMBERS, index % BAR_NUMBERS
    leads = dbb.leading_time != MISSING
    triggers = np.flatnonzero((index != NOT_CABLED) & (bar == TRIGGER_BAR) & leads)
    _check_counts(hits, cabling, plane[triggers])
    tot = (dbb.trailing_time - dbb.leading_time + COUNTER // 2) % COUNTER - COUNTER // 2
    both = (index != NOT_CABLED) & leads & (dbb.trailing_time != MISSING) & (bar > 0) & (bar < BARS)
    rows = np.flatnonzero(both)
    rows = rows[stable_order(index[rows])]
    trigger, delta = _first_in_window(plane[triggers], dbb.leading_time[triggers], plane[rows], dbb.leading_time[rows])
    return BarHits(
        plane=plane[rows],
        bar=bar[rows],
        tot=tot[rows],
        time=dbb.leading_time[rows],
        trigger=trigger.astype(np.int32),
        delta_t=(delta - WINDOW[0]).astype(np.int32),
    )


def _check_counts(hits: RawHits, cabling: EmrCabling, trigger_planes: I4) -> None:
    """Refuse boards whose number of triggers, as they say it or as they recorded them, is not the spill's."""
    spills = hits.dbb_spills
    mine = (cabling.dbb[spills.ldc, spills.geo] != NOT_CABLED).any(axis=1)
    if (bad := mine & (spills.trigger_count != hits.triggers % _TRIGGER_COUNTS)).any():
        at = bad.argmax()
        counts = f"trigger count {spills.trigger_count[at]} where the spill has {hits.triggers} particle triggers"
        raise DetectorError(f"{counts}, in DBB {spills.geo[at]} of LDC {spills.ldc[at]}")
    read_out = np.zeros((LDCS, DBB_GEOS), np.bool_)
    read_out[spills.ldc, spills.geo] = True
    ldc, geo, channel = np.nonzero((cabling.dbb != NOT_CABLED) & (cabling.dbb % BAR_NUMBERS == TRIGGER_BAR))
    plane = cabling.dbb[ldc, geo, channel] // BAR_NUMBERS
    recorded = np.bincount(trigger_planes, minlength=plane.max(initial=0) + 1)[plane]
    if (bad := read_out[ldc, geo] & (recorded != hits.triggers)).any():
        at = bad.argmax()
        counts = f"{recorded[at]} triggers recorded where the spill has {hits.triggers} particle triggers"
        raise DetectorError(f"{counts}, in DBB {geo[at]} of LDC {ldc[at]}")


def _first_in_window(trigger_plane: I4, trigger_time: I4, plane: I4, time: I4) -> tuple[I8, I8]:
    """Return (n,) the trigger of each hit, -1 if none, and the hit's time minus the trigger's.

    A plane's triggers are in the order of its board; the k-th is particle trigger k.
    """
    by_plane = stable_order(trigger_plane)
    trigger_plane, trigger_time = trigger_plane[by_plane].astype(np.int64), trigger_time[by_plane]
    first, of_trigger = equal_runs(trigger_plane)
    number = np.arange(len(by_plane)) - first[of_trigger]
    # Every trigger a second time where the clock has begun anew, for hits at its end.
    key = trigger_plane * _STRIDE + trigger_time
    key, number = np.concatenate([key, key + COUNTER]), np.concatenate([number, number])
    order = stable_order(key)
    key, number = key[order], number[order]
    base = plane.astype(np.int64) * _STRIDE + time
    after = np.searchsorted(key, base - WINDOW[1] + 1)
    there = after < len(key)
    delta = np.full(len(base), WINDOW[0], np.int64)
    delta[there] = base[there] - key[after[there]]
    there &= delta > WINDOW[0]
    trigger = np.full(len(base), _NO_TRIGGER, np.int64)
    trigger[there] = number[after[there]]
    return trigger, delta


def primaries(hits: BarHits) -> EmrHits:
    """Return the hits in time with a trigger, in the order of triggers, planes and bars."""
    found = hits.rows(hits.trigger != _NO_TRIGGER)
    found = found.rows(stable_order(found.trigger))
    return EmrHits(
        trigger=found.trigger,
        plane=found.plane.astype(np.uint8),
        bar=found.bar.astype(np.uint8),
        tot=found.tot,
        delta_t=found.delta_t,
    )


def first_times(hits: BarHits, triggers: I4) -> I4:
    """Return (n,) time of the first primary of each of these triggers, every one of which has some."""
    found = hits.rows(hits.trigger != _NO_TRIGGER)
    found = found.rows(stable_order(found.trigger.astype(np.int64) * COUNTER + found.time))
    return found.time[np.searchsorted(found.trigger, triggers)]


def secondaries(hits: BarHits) -> EmrSecondaryHits:
    """Return the candidates for decay products, each in the order of time: at least two hits within 100 ns."""
    found = hits.rows((hits.trigger == _NO_TRIGGER) & (hits.tot > SECONDARY_TOT))
    found = found.rows(stable_order(found.time))
    group = np.cumsum(_begins_group(found.time)) - 1
    large = np.bincount(group) >= MIN_GROUP
    candidate = np.cumsum(large) - 1
    rows = np.flatnonzero(large[group])
    return EmrSecondaryHits(
        candidate=candidate[group[rows]].astype(np.int32),
        plane=found.plane[rows].astype(np.uint8),
        bar=found.bar[rows].astype(np.uint8),
        tot=found.tot[rows],
        time=found.time[rows],
    )


def _begins_group(time: I4) -> I4:
    """Return (n,) 1 where a group begins, in sorted times: at the first hit, and at each too late for the group."""
    n = len(time)
    begins = np.zeros(n + 1, np.int32)
    begins[0] = 1
    # The group that follows one which begins at a hit. Each round goes twice as many groups ahead as the one before.
    ahead = np.append(np.searchsorted(time, time.astype(np.int64) + GROUP_WIDTH, side="right"), n)
    while ahead[0] < n:
        begins[ahead[begins == 1]] = 1
        ahead = ahead[ahead]
    return begins[:n]


def plane_charges(fadc: FadcHits, cabling: EmrCabling) -> EmrPlanes:
    """Return what the planes' single-anode photomultipliers saw, in the order of triggers and planes."""
    plane = np.where(fadc.equipment == V1731, cabling.fadc[fadc.ldc, fadc.geo, fadc.channel], NOT_CABLED)
    rows = np.flatnonzero(plane != NOT_CABLED)
    rows = rows[stable_order(fadc.trigger[rows].astype(np.int64) * PLANES + plane[rows])]
    return EmrPlanes(
        trigger=fadc.trigger[rows],
        plane=plane[rows].astype(np.uint8),
        charge=fadc.pulse_area[rows],
        delta_t=fadc.position_min[rows],
    )
