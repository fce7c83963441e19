"""Electron-muon ranger (EMR): hits, space points, tracks and what they decay to, over the columns of a whole spill."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from schemas.columns import F8, I4, I8, Bools
from schemas.records import MISSING
from streams.arrays.equal_runs import equal_runs
from streams.arrays.stable_order import stable_order
from streams.errors import DetectorError
from streams.experiments.mice.conditions.emr import PLANE_PITCH_MM, PLANES, SA_THRESHOLD, z_mm
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.reco.emr_hits import first_times, match_triggers, plane_charges, primaries, secondaries
from streams.experiments.mice.reco.emr_tracks import Lines, Points, charges, fit, make_points
from streams.experiments.mice.tables.emr import (
    Emr,
    EmrDaughters,
    EmrPlanes,
    EmrSecondaryHits,
    EmrSpacePoints,
    EmrTracks,
)
from streams.experiments.mice.unpack.hits import RawHits

MATCH_TIME = 5000
"""Counts of 2.5 ns: a daughter's first hit is at most so much later than its mother's."""
MATCH_DISTANCE_MM = 100.0
"""From the mother's end to the nearer end of the daughter's line."""


def reconstruct_emr(hits: RawHits, conditions: Conditions) -> Emr:
    """Return what the ranger makes of a spill.

    Raises
    ------
    DetectorError
        When the conditions lack its cabling, or a board has not as many triggers as the spill.
    """
    cabling = conditions.emr_cabling
    if cabling is None:
        raise DetectorError("no cabling: the run's conditions have no table of the kind emr_channels")
    bars = match_triggers(hits, cabling)
    mine, planes, later = primaries(bars), plane_charges(hits.fadc, cabling), secondaries(bars)
    points = make_points(*(_whole(column) for column in (mine.trigger, mine.plane, mine.bar, mine.tot)))
    lines = fit(points)
    daughters, daughter_lines = _make_daughters(later)
    time = first_times(bars, lines.owner.astype(np.int32))
    mother = _mothers(lines, time, daughter_lines, daughters.time)
    has_daughter = np.isin(np.arange(len(lines)), mother)
    if len(lines):
        found = np.stack([lines.owner[mother], daughters.time - time[mother]])
        of, wait = np.where(mother >= 0, found, MISSING).astype(np.int32)
        daughters = replace(daughters, mother=of, wait=wait)
    return Emr(
        hits=mine,
        planes=planes,
        secondary_hits=later,
        space_points=EmrSpacePoints(
            trigger=points.owner.astype(np.int32),
            plane=points.plane.astype(np.uint8),
            x_mm=points.x_mm,
            y_mm=points.y_mm,
            z_mm=z_mm(points.plane),
            charge=points.charge,
        ),
        tracks=_make_tracks(points, lines, planes, has_daughter),
        daughters=daughters,
    )


def _make_tracks(points: Points, lines: Lines, planes: EmrPlanes, has_daughter: Bools) -> EmrTracks:
    """Return the mothers: they come in at the front, so that their first plane is 0."""
    charge_ma, charge_ratio = charges(points, lines)
    hit_planes, charge_sa = _single_anode(planes, lines)
    return EmrTracks(
        trigger=lines.owner.astype(np.int32),
        last_plane=lines.last.astype(np.uint8),
        hit_planes=hit_planes.astype(np.uint8),
        density=hit_planes / (lines.last + 1),
        density_ma=lines.planes / (lines.last + 1),
        range_mm=lines.stretch * z_mm(lines.last),
        charge_ma=charge_ma,
        charge_sa=charge_sa,
        charge_ratio=charge_ratio,
        chi2=lines.chi2,
        has_daughter=has_daughter,
    )


def _single_anode(planes: EmrPlanes, lines: Lines) -> tuple[I8, F8]:
    """Return (n,) planes up to the last of each line with a charge above the threshold, and the sum of these."""
    hit = planes.rows(planes.charge > SA_THRESHOLD)
    hit = hit.rows(np.isin(hit.trigger, lines.owner))
    line = np.searchsorted(lines.owner, hit.trigger)
    inside = hit.plane <= lines.last[line]
    line, hit = line[inside], hit.rows(inside)
    plane_of_line = line * PLANES + hit.plane  # which rises, as the planes come in the order of triggers and planes
    different = plane_of_line[equal_runs(plane_of_line).first]
    charge: F8 = np.bincount(line, weights=hit.charge, minlength=len(lines)).astype(np.float64)
    return np.bincount(different // PLANES, minlength=len(lines)), charge


def _make_daughters(later: EmrSecondaryHits) -> tuple[EmrDaughters, Lines]:
    """Return the candidates with hits in both projections, none of which has a mother yet, and their lines."""
    points = make_points(*(_whole(column) for column in (later.candidate, later.plane, later.bar, later.tot)))
    lines = fit(points)
    charge_ma, charge_ratio = charges(points, lines)
    daughters = EmrDaughters(
        candidate=lines.owner.astype(np.int32),
        mother=np.full(len(lines), MISSING, np.int32),
        time=later.time[np.searchsorted(later.candidate, lines.owner)],
        wait=np.full(len(lines), MISSING, np.int32),
        first_plane=lines.first.astype(np.uint8),
        last_plane=lines.last.astype(np.uint8),
        hit_planes=lines.planes.astype(np.uint8),
        density=lines.planes / (lines.last - lines.first + 1),
        range_mm=lines.stretch * (lines.last - lines.first) * PLANE_PITCH_MM,
        charge_ma=charge_ma,
        charge_ratio=charge_ratio,
        chi2=lines.chi2,
    )
    return daughters, lines


def _mothers(lines: Lines, time: I4, daughters: Lines, daughter_time: I4) -> I8:
    """Return (daughters,) the line of the mother of each, -1 if there is none.

    It is the last that came before of those to whose end the daughter is near enough in time and space: were only the
    last looked at, a decay that another particle comes before would be lost, the later the more. `time` is that of each
    line's first hit.
    """
    mother = np.full(len(daughters), -1, np.int64)
    order = stable_order(time)
    before = np.searchsorted(time[order], daughter_time, side="right") - 1
    ends = lines.at(lines.last)
    own = np.stack([daughters.at(plane) for plane in (daughters.first, daughters.last)])
    left = np.arange(len(daughters))
    while len(left := left[before[left] >= 0]):
        tried = order[before[left]]
        left, tried = (of[daughter_time[left] - time[tried] <= MATCH_TIME] for of in (left, tried))
        distance = np.linalg.norm(own[:, left] - ends[tried], axis=2).min(axis=0)
        near = distance <= MATCH_DISTANCE_MM
        mother[left[near]] = tried[near]
        left = left[~near]
        before[left] -= 1
    return mother


def _whole(column: npt.NDArray[np.integer]) -> I8:
    return column.astype(np.int64)
