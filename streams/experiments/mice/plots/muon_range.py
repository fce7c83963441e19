"""The momentum that a muon comes in with if it stops after a range in the electron-muon ranger's scintillator."""

from functools import cache

import numpy as np

from schemas.columns import F8
from streams.experiments.mice.conditions.emr import PLANE_PITCH_MM

HOLES = 0.02117
"""Share of a bar's cross-section that its fibre's hole takes."""
GAP_MM = 0.5
"""Between two planes."""
DENSITY_G_CM3 = 1.06
"""Polystyrene, and so are those below (Particle Data Group)."""
_Z_OVER_A, _EXCITATION_MEV = 0.53768, 68.7e-6
_X0, _X1, _A, _K, _C = 0.1647, 2.5031, 0.16454, 3.2224, 3.2999
"""Of the density effect, by Sternheimer's parametrisation."""
_MUON_MEV, _ELECTRON_MEV = 105.658, 0.510999
_BETHE_MEV_CM2 = 0.307075
_FIRST_MEV_C, _LAST_MEV_C, _STEPS = 10.0, 600.0, 2000
_FIRST_RANGE = 0.003
"""g/cm2 of a muon of the first momentum: too slow for the formula, and too short to matter."""


def momentum_mev_c(range_mm: F8) -> F8:
    """Return (n,) momenta of muons, by the range in which they lose all their energy continuously (CSDA)."""
    material = range_mm / 10 * DENSITY_G_CM3 * (1 - HOLES) * (1 - GAP_MM / PLANE_PITCH_MM)
    momentum, ranges = _table()
    return np.interp(material, ranges, momentum)


@cache
def _table() -> tuple[F8, F8]:
    """Return momenta, MeV/c, and the ranges that belong to them, g/cm2."""
    momentum = np.linspace(_FIRST_MEV_C, _LAST_MEV_C, _STEPS)
    energy = np.hypot(momentum, _MUON_MEV)
    per_energy = 1 / stopping_power(momentum)
    steps = (per_energy[1:] + per_energy[:-1]) / 2 * np.diff(energy)
    return momentum, _FIRST_RANGE + np.concatenate([[0.0], np.cumsum(steps)])


def stopping_power(momentum: F8) -> F8:
    """Return (n,) energy that muons of these momenta lose, MeV cm2/g: Bethe's formula with the density effect."""
    bg = momentum / _MUON_MEV
    gamma = np.sqrt(1 + bg**2)
    beta2 = (bg / gamma) ** 2
    ratio = _ELECTRON_MEV / _MUON_MEV
    most = 2 * _ELECTRON_MEV * bg**2 / (1 + 2 * gamma * ratio + ratio**2)
    x = np.log10(bg)
    delta = np.where(x < _X0, 0, 2 * np.log(10) * x - _C + _A * np.maximum(_X1 - x, 0) ** _K)
    logarithm = 0.5 * np.log(2 * _ELECTRON_MEV * bg**2 * most / _EXCITATION_MEV**2)
    power: F8 = _BETHE_MEV_CM2 * _Z_OVER_A / beta2 * (logarithm - beta2 - delta / 2)
    return power
