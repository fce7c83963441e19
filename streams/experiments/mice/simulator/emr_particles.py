"""What particles leave in the electron-muon ranger (EMR): where they stop, what they decay to, light in its bars."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8, I8, U1, Bools, Table, column
from streams.experiments.mice.conditions.emr import BAR_PITCH_MM, BARS, CENTRAL_BAR, PLANE_PITCH_MM, PLANES, z_mm
from streams.experiments.mice.simulator.beam import Kind, Particles

DEPTH = ((22.0, 8.0), (26.0, 5.0), (14.0, 4.0))
"""Mean and sigma of the depth that a particle comes to, planes, by kind."""
DEPTH_LIMITS = (3.0, 47.0)
SLOPE = 0.05
"""Sigma of the beam's slopes."""
SCATTERING = (0.03, 0.02, 0.02)
"""Sigma of the angle that a plane adds, by kind."""
SHOWER_MM = 25.0
"""Sigma of where in a plane an electron's shower is brightest."""
HOLES = 0.35
"""Share of the planes that an electron's shower leaves dark."""
DECAYS = (0.0, 0.8, 0.4)
"""Probability that an electron comes of a particle where it stopped, by kind."""
LIFETIME_NS = 2197.0
DECAY_MM = (60.0, 180.0)
"""How far such an electron comes."""
ENTERS = 0.2
"""Of a plane: a particle that comes less far into it leaves no light."""
TRACK_CHARGE, TRACK_AREA = 100.0, 120.0
"""Of a plane that is crossed: ADC counts in its bars, and counts times samples in its single-anode photomultiplier."""
CHARGE_SPREAD = 0.15
"""Sigma of its logarithm."""
STOPPING = 1.5
"""What is added to it in the last plane."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmrTruth(Table):
    """One row a particle that enters."""

    trigger: I8 = column("<i8")
    kind: U1 = column("u1")
    depth: F8 = column("<f8")
    """Planes, from the front."""
    range_mm: F8 = column("<f8")
    """Along the direction that it comes in with."""
    decay_planes: U1 = column("u1")
    """Planes that the electron of its decay crosses; 0 without one."""
    decay_ns: F8 = column("<f8")
    """Time of its decay after it stopped; NaN without one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Light(Table):
    """One row a particle and plane in which it leaves light."""

    row: I8 = column("<i8")
    """Of the truth."""
    plane: I8 = column("<i8")
    across_mm: F8 = column("<f8")
    """Where, in the coordinate that the plane measures."""
    size: F8 = column("<f8")
    """1 for a fast particle that crosses the plane."""


def make_light(rng: np.random.Generator, particles: Particles) -> tuple[EmrTruth, Light, Light]:
    """Return who enters, what they leave, and what the electrons of their decays leave."""
    trigger = np.flatnonzero(particles.in_station[:, -1])  # it stands behind TOF2
    kind, n = particles.kind[trigger], len(trigger)
    depth = np.clip(rng.normal(*np.array(DEPTH)[kind].T), *DEPTH_LIMITS)
    slope = rng.normal(0, SLOPE, (n, 2))
    entry = np.stack([particles.x_mm[trigger, -1], particles.y_mm[trigger, -1]], axis=1)
    path = _paths(rng, kind, entry, slope)
    size = (1 + STOPPING / (1 + np.maximum(depth[:, np.newaxis] - np.arange(PLANES), 0))) * np.exp(
        rng.normal(0, CHARGE_SPREAD, (n, PLANES))
    )
    electron = kind == Kind.ELECTRON
    lit = depth[:, np.newaxis] > np.arange(PLANES) + ENTERS
    lit &= ~electron[:, np.newaxis] | (rng.random((n, PLANES)) > HOLES)
    stops = rng.random(n) < np.take(DECAYS, kind)
    end = np.column_stack([path[np.arange(n), depth.astype(np.int64)], depth * PLANE_PITCH_MM])
    crossed, decay = _decays(rng, end, stops)
    truth = EmrTruth(
        trigger=trigger,
        kind=kind,
        depth=depth,
        range_mm=depth * PLANE_PITCH_MM * np.sqrt(1 + (slope**2).sum(axis=1)),
        decay_planes=crossed.sum(axis=1),
        decay_ns=np.where(stops, rng.exponential(LIFETIME_NS, n), np.nan),
    )
    return truth, _light(lit, path, size), decay


def _paths(rng: np.random.Generator, kind: U1, entry: F8, slope: F8) -> F8:
    """Return (n, PLANES, 2) x and y of each particle in the middle of each plane, mm."""
    n = len(kind)
    sigma = np.take(SCATTERING, kind)[:, np.newaxis, np.newaxis]
    angle = np.cumsum(rng.normal(0, 1, (n, PLANES, 2)) * sigma, axis=1)
    shower = np.where(kind == Kind.ELECTRON, SHOWER_MM, 0)[:, np.newaxis, np.newaxis] * rng.normal(0, 1, (n, PLANES, 2))
    straight = entry[:, np.newaxis] + slope[:, np.newaxis] * z_mm(np.arange(PLANES))[:, np.newaxis]
    path: F8 = straight + np.cumsum(angle, axis=1) * PLANE_PITCH_MM + shower
    return path


def _decays(rng: np.random.Generator, end: F8, stops: Bools) -> tuple[Bools, Light]:
    """Return (n, PLANES) what the electrons cross, in any direction from the ends, (n, 3), and their light."""
    n = len(end)
    along, angle = rng.uniform(-1, 1, n), rng.uniform(0, 2 * np.pi, n)
    along = np.where(np.abs(along) < 0.05, 0.05, along)
    across = np.sqrt(1 - along**2)[:, np.newaxis] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    way = (z_mm(np.arange(PLANES)) - end[:, 2:]) / along[:, np.newaxis]
    length = rng.uniform(*DECAY_MM, n)
    crossed = stops[:, np.newaxis] & (way > 0) & (way < length[:, np.newaxis])
    path = end[:, np.newaxis, :2] + across[:, np.newaxis] * way[:, :, np.newaxis]
    size = np.broadcast_to(np.minimum(1 / np.abs(along), 3)[:, np.newaxis], (n, PLANES))
    return crossed, _light(crossed, path, size)


def _light(lit: Bools, path: F8, size: F8) -> Light:
    row, plane = np.nonzero(lit)
    return Light(row=row, plane=plane, across_mm=path[row, plane, plane % 2], size=size[row, plane])


def in_bars(light: Light) -> tuple[I8, I8, F8]:
    """Return row of the light, bar, and size of what each of the two bars that it is in gets; others have none.

    Bars are triangles, so that the nearer one's middle is, the more a bar gets.
    """
    bar = light.across_mm / BAR_PITCH_MM + CENTRAL_BAR
    low = np.floor(bar)
    share = bar - low
    row = np.tile(np.arange(len(light)), 2)
    bars = np.concatenate([low, low + 1]).astype(np.int64)
    size = np.concatenate([light.size * (1 - share), light.size * share])
    inside = (bars > 0) & (bars < BARS)
    return row[inside], bars[inside], size[inside]
