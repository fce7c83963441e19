"""EMR tracks: cross-talk rejection, space points, and straight lines through them."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I8, Bools, Table, column
from streams.arrays.equal_runs import equal_runs
from streams.arrays.stable_order import stable_order
from streams.experiments.mice.conditions.emr import BAR_NUMBERS, BAR_PITCH_MM, PLANES, bar_mm, z_mm

TOT_P1, TOT_P2, TOT_P3 = 12.55, 0.0252, 1.015
"""A charge q (ADC counts) is over the threshold for ``P1 ln(P2 q + P3)`` counts of 2.5 ns."""
MIN_TOT, MAX_TOT = 1, 200
"""Counts of 2.5 ns: a shorter or longer time over threshold counts as this one; one of 0 would have no charge."""
RESOLUTION_MM = BAR_PITCH_MM / np.sqrt(12)
"""Of a plane's coordinate."""
FIFTHS = 5
"""The charge ratio is a fifth of the charge of the first four of them over that of the last."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Points(Table):
    """Space points, one row a bar hit that is no cross-talk, in the order of owners, planes and bars."""

    owner: I8 = column("<i8")
    """Particle trigger or candidate."""
    plane: I8 = column("<i8")
    measured_mm: F8 = column("<f8")
    """The bar's coordinate: x in even planes, y in odd ones."""
    other_mm: F8 = column("<f8")
    """Interpolated between the nearest planes of the other projection, extrapolated at the ends."""
    charge: F8 = column("<f8")

    @property
    def x_mm(self) -> F8:
        """(n,)."""
        return np.where(self.plane % 2 == 0, self.measured_mm, self.other_mm)

    @property
    def y_mm(self) -> F8:
        """(n,)."""
        return np.where(self.plane % 2 == 1, self.measured_mm, self.other_mm)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines(Table):
    """Straight lines, one row an owner that has space points, in their order; columns of 2 are x and y."""

    owner: I8 = column("<i8")
    first: I8 = column("<i8")
    last: I8 = column("<i8")
    """First and last plane with a space point."""
    planes: I8 = column("<i8")
    """How many have one."""
    offset_mm: F8 = column("<f8", row=(2,))
    """At the front of the first plane of the detector."""
    slope: F8 = column("<f8", row=(2,))
    chi2: F8 = column("<f8")
    """For each degree of freedom; NaN without any."""

    def at(self, plane: I8) -> F8:
        """Return (n, 3) coordinates of each line in the middle of a plane, mm."""
        z = z_mm(plane)
        coordinates: F8 = np.column_stack([self.offset_mm + self.slope * z[:, np.newaxis], z])
        return coordinates

    @property
    def stretch(self) -> F8:
        """(n,) length along each line over depth."""
        stretch: F8 = np.sqrt(1 + (self.slope**2).sum(axis=1))
        return stretch


def charge_of(tot: I8) -> F8:
    """Return (n,) charges of times over threshold, ADC counts, all above 0.

    Calibration and attenuation of a bar are 1: the tables of them do not come with the experiment's other conditions.
    """
    charge: F8 = np.exp(np.clip(tot, MIN_TOT, MAX_TOT) / TOT_P1 - np.log(TOT_P2)) - TOT_P3 / TOT_P2
    return charge


def make_points(owner: I8, plane: I8, bar: I8, tot: I8) -> Points:
    """Return the space points of bar hits, each column (n,), of owners that have hits in both projections.

    In each plane the run of neighbouring bars with the most charge counts, of equal ones the first; the others are
    cross-talk.
    """
    order = stable_order((owner * PLANES + plane) * BAR_NUMBERS + bar)
    owner, plane, bar, charge = owner[order], plane[order], bar[order], charge_of(tot[order])
    kept = _most_energetic_runs(owner * PLANES + plane, bar, charge) & _in_both_projections(owner, plane)
    owner, plane, charge = owner[kept], plane[kept], charge[kept]
    measured = bar_mm(bar[kept])
    where, of_row, centre = _centres(owner * PLANES + plane, measured, charge)
    return Points(
        owner=owner, plane=plane, measured_mm=measured, other_mm=_interpolated(where, centre)[of_row], charge=charge
    )


def _most_energetic_runs(where: I8, bar: I8, charge: F8) -> Bools:
    """Return (n,) which hits are in the run of neighbouring bars that has the most charge in its plane."""
    if not len(where):
        return np.zeros(0, np.bool_)
    begins = np.concatenate([[True], (np.diff(where) != 0) | (np.diff(bar) > 1)])
    run = np.cumsum(begins) - 1
    energy, run_where = np.bincount(run, weights=charge), where[begins]
    first, of_run = equal_runs(run_where)
    most = np.flatnonzero(energy == np.maximum.reduceat(energy, first)[of_run])
    best = np.zeros(len(energy), np.bool_)
    best[most[equal_runs(of_run[most]).first]] = True
    kept: Bools = best[run]
    return kept


def _in_both_projections(owner: I8, plane: I8) -> Bools:
    """Return (n,) whether the owner has hits in even and in odd planes; `owner` is sorted."""
    of_row = equal_runs(owner).of_row
    odd = np.bincount(of_row, weights=plane % 2)[of_row]
    both: Bools = (odd > 0) & (odd < np.bincount(of_row)[of_row])
    return both


def _centres(where: I8, measured: F8, charge: F8) -> tuple[I8, I8, F8]:
    """Return, sorted, ``owner * PLANES + plane`` of all planes with hits, which one each hit is in, and their centres.

    A centre is the mean of the hits' coordinates, weighted with their charges, mm. `where` is sorted.
    """
    first, of_row = equal_runs(where)
    weight = np.bincount(of_row, weights=charge)
    return where[first], of_row, np.bincount(of_row, weights=charge * measured) / weight


def _interpolated(where: I8, centre: F8) -> F8:
    """Return (n,) the other coordinate in each plane, linear between the nearest planes that measure it.

    Before the first of them and behind the last it goes on straight from the nearest two; one alone is so everywhere.
    """
    found = np.empty(len(where))
    owner, plane = where // PLANES, where % PLANES
    for side in (0, 1):
        to, source = np.flatnonzero(plane % 2 == side), np.flatnonzero(plane % 2 != side)
        if not len(source):
            continue  # there is nothing of any owner, as each has planes of both
        first = equal_runs(owner[source]).first
        last = np.append(first[1:], len(source)) - 1
        mine = np.searchsorted(owner[source[first]], owner[to])
        after = np.searchsorted(where[source], where[to])
        # The later of two neighbours: behind the first, and not beyond the last.
        later = np.clip(after, np.minimum(first[mine] + 1, last[mine]), last[mine])
        one, two = source[np.maximum(later - 1, first[mine])], source[later]
        share = (plane[to] - plane[one]) / np.maximum(plane[two] - plane[one], 1)
        found[to] = centre[one] + share * (centre[two] - centre[one])
    return found


def fit(points: Points) -> Lines:
    """Return least-squares lines through the centres of the planes: x(z) of the even ones and y(z) of the odd ones.

    A line through one plane alone goes straight on.
    """
    where, _, centre = _centres(points.owner * PLANES + points.plane, points.measured_mm, points.charge)
    owner, plane = np.divmod(where, PLANES)
    first, of_row = equal_runs(owner)
    n = len(first)
    offset, slope = np.zeros((n, 2)), np.zeros((n, 2))
    squares, freedom = np.zeros(n), np.zeros(n)
    for side in (0, 1):
        rows = plane % 2 == side
        who, z, u = of_row[rows], z_mm(plane[rows]), centre[rows]
        number = np.bincount(who, minlength=n)
        mean_z, mean_u = (np.bincount(who, weights=v, minlength=n) / number for v in (z, u))
        dz, du = z - mean_z[who], u - mean_u[who]
        spread = np.bincount(who, weights=dz**2, minlength=n)
        slope[:, side] = np.bincount(who, weights=dz * du, minlength=n) / np.where(spread > 0, spread, 1)
        offset[:, side] = mean_u - slope[:, side] * mean_z
        residual = du - slope[who, side] * dz
        squares += np.bincount(who, weights=residual**2, minlength=n)
        freedom += np.maximum(number - 2.0, 0.0)
    last = np.append(first[1:], len(owner))[:n] - 1
    return Lines(
        owner=owner[first],
        first=plane[first],
        last=plane[last],
        planes=last - first + 1,
        offset_mm=offset,
        slope=slope,
        chi2=np.where(freedom > 0, squares / RESOLUTION_MM**2 / np.maximum(freedom, 1), np.nan),
    )


def charges(points: Points, lines: Lines) -> tuple[F8, F8]:
    """Return (n,) charge of all bars of each line, and the ratio of its early to its late charge.

    The ratio is NaN where no late space point has a charge.
    """
    first, line = equal_runs(points.owner)
    total = np.bincount(line, weights=points.charge, minlength=len(lines)).astype(np.float64)
    number = np.bincount(line, minlength=len(lines))
    is_late = FIFTHS * (np.arange(len(line)) - first[line]) >= (FIFTHS - 1) * number[line]
    late = np.bincount(line, weights=np.where(is_late, points.charge, 0), minlength=len(lines))
    ratio: F8 = (total - late) / np.where(late > 0, late, 1) / FIFTHS
    return total, np.where(late > 0, ratio, np.nan)
