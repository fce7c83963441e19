"""The electron-muon ranger's (EMR) tables."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I4, U1, Bools, Detector, Table, column
from schemas.records import MISSING


@dataclass(frozen=True, kw_only=True, eq=False)
class EmrHits(Table):
    """One row a bar hit in time with a particle trigger: a primary."""

    trigger: I4 = column("<i4")
    """Particle trigger within the spill, from 0."""
    plane: U1 = column("u1")
    """0 to 47 from the front; even ones measure x, odd ones y."""
    bar: U1 = column("u1")
    """1 to 59."""
    tot: I4 = column("<i4")
    """Time over threshold, counts of 2.5 ns; of real boards it may be below 0."""
    delta_t: I4 = column("<i4")
    """Time since the window of the trigger opened, 600 ns before it; counts of 2.5 ns, 1 to 29."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmrPlanes(Table):
    """One row a plane's single-anode photomultiplier (SA) and particle trigger."""

    trigger: I4 = column("<i4")
    plane: U1 = column("u1")
    charge: I4 = column("<i4")
    """Area of the pulse, ADC counts times samples."""
    delta_t: I4 = column("<i4")
    """Sample of the pulse's minimum."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmrSecondaryHits(Table):
    """One row a bar hit of a candidate for a decay product: hits near in time to each other, and to no trigger."""

    candidate: I4 = column("<i4")
    """From 0 in each spill, in the order of time."""
    plane: U1 = column("u1")
    bar: U1 = column("u1")
    tot: I4 = column("<i4")
    time: I4 = column("<i4")
    """Since the spill began, counts of 2.5 ns."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmrSpacePoints(Table):
    """One row a primary that is no cross-talk, in triggers with hits in both projections; from the front's middle."""

    trigger: I4 = column("<i4")
    plane: U1 = column("u1")
    x_mm: F8 = column("<f8")
    y_mm: F8 = column("<f8")
    z_mm: F8 = column("<f8")
    charge: F8 = column("<f8")
    """ADC counts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmrTracks(Table):
    """One row a particle trigger with hits in both projections: the mother of what it may decay to."""

    trigger: I4 = column("<i4")
    last_plane: U1 = column("u1")
    """The deepest with a space point."""
    hit_planes: U1 = column("u1")
    """Planes up to the last whose single-anode charge is above the threshold."""
    density: F8 = column("<f8")
    """Hit planes over all planes up to the last."""
    density_ma: F8 = column("<f8", absent=np.nan)
    """Planes with bars that were hit (multi-anode photomultipliers) over all planes up to the last."""
    range_mm: F8 = column("<f8")
    """Along the fit, from the front to the middle of the last plane."""
    charge_ma: F8 = column("<f8")
    """Of the bars (multi-anode photomultipliers), ADC counts."""
    charge_sa: F8 = column("<f8")
    """Of the hit planes (single-anode photomultipliers), ADC counts times samples."""
    charge_ratio: F8 = column("<f8")
    """A fifth of the charge of the first four fifths of the space points over that of the last fifth: 0.8 if level.
    NaN if the last fifth has none."""
    chi2: F8 = column("<f8")
    """Of the straight lines, for each degree of freedom; NaN without any."""
    has_daughter: Bools = column("?")
    """A candidate begins where and after it ended."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmrDaughters(Table):
    """One row a candidate for a decay product that has hits in both projections."""

    candidate: I4 = column("<i4")
    mother: I4 = column("<i4")
    """Particle trigger of the track at whose end it begins; `MISSING` if there is none."""
    time: I4 = column("<i4")
    """Of its first hit since the spill began, counts of 2.5 ns."""
    wait: I4 = column("<i4", absent=MISSING)
    """Since its mother's first hit, counts of 2.5 ns; `MISSING` without a mother."""
    first_plane: U1 = column("u1")
    last_plane: U1 = column("u1")
    hit_planes: U1 = column("u1")
    density: F8 = column("<f8")
    """Hit planes over all planes from the first to the last."""
    range_mm: F8 = column("<f8")
    """Along the fit, from the middle of the first plane to that of the last."""
    charge_ma: F8 = column("<f8")
    charge_ratio: F8 = column("<f8")
    chi2: F8 = column("<f8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Emr(Detector):
    """What the electron-muon ranger makes of a spill."""

    hits: EmrHits
    planes: EmrPlanes
    secondary_hits: EmrSecondaryHits
    space_points: EmrSpacePoints
    tracks: EmrTracks
    daughters: EmrDaughters
