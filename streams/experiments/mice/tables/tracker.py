"""The scintillating-fibre trackers' tables."""

from dataclasses import dataclass

from schemas.columns import F4, F8, I4, U1, Detector, Table, column


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackerDigits(Table):
    """One row a channel that saw light, in the order of triggers, trackers, stations, planes and channels."""

    trigger: I4 = column("<i4")
    """Particle trigger within the spill, from 0."""
    tracker: U1 = column("u1")
    """0: upstream; 1: downstream."""
    station: U1 = column("u1")
    """1 to 5."""
    plane: U1 = column("u1")
    """0: v; 1: w; 2: u."""
    channel: U1 = column("u1")
    """0 to 213: of seven fibres each."""
    npe: F8 = column("<f8")
    """Photo-electrons."""
    adc: U1 = column("u1")
    """Counts, pedestal included."""
    tdc: U1 = column("u1")
    """Counts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackerClusters(Table):
    """One row a channel, or two neighbouring ones, that one particle lit."""

    trigger: I4 = column("<i4")
    tracker: U1 = column("u1")
    station: U1 = column("u1")
    plane: U1 = column("u1")
    channel: F8 = column("<f8")
    """Mean of the channels' numbers."""
    npe: F8 = column("<f8")
    """Photo-electrons of them together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackerSpacePoints(Table):
    """One row a crossing of clusters of different planes of a station."""

    trigger: I4 = column("<i4")
    tracker: U1 = column("u1")
    station: U1 = column("u1")
    kind: U1 = column("u1")
    """Planes that it is made of: 3, a triplet, or 2, a duplet."""
    x_mm: F8 = column("<f8")
    """From the tracker's axis."""
    y_mm: F8 = column("<f8")
    npe: F8 = column("<f8")
    """Photo-electrons of its clusters together."""
    chi2: F8 = column("<f8")
    """d^2 / 0.064 mm^2 of the distance d that the third fibre has from the crossing of two; 0 of a duplet."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackerTracks(Table):
    """One row a straight line through space points of at least three stations of a tracker."""

    trigger: I4 = column("<i4")
    tracker: U1 = column("u1")
    x_mm: F8 = column("<f8")
    """Where it crosses the tracker's first station."""
    y_mm: F8 = column("<f8")
    slope_x: F8 = column("<f8")
    """By mm along the beam."""
    slope_y: F8 = column("<f8")
    chi2: F8 = column("<f8")
    """For each degree of freedom."""
    off_mm: F4 = column("<f4", row=(5, 2))
    """x and y of the point in each station from the line through the others; NaN where the line has none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracker(Detector):
    """What the two trackers make of a spill."""

    digits: TrackerDigits
    hits: TrackerClusters
    space_points: TrackerSpacePoints
    tracks: TrackerTracks
