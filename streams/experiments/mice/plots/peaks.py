"""Peaks of the time of flight: electrons, muons and pions, of which a plot's counts tell place, width and share.

The peaks are those of the greatest likelihood, three normal ones on a level ground, found by expectation and
maximisation: no step of it can fail, and each makes the likelihood greater. Muons and pions are looked for where
particles of one momentum come, whichever fits best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import hypot, sqrt

import numpy as np

from schemas.columns import F8, I8
from streams.plots.axis import Axis
from streams.plots.measures import MIN_ENTRIES, KeyNumber, Measure

MASSES_MEV = {"electron": 0.511, "muon": 105.658, "pion": 139.570}
"""By the kind of particle, in the order of their peaks."""
_STEPS = 150
_MOMENTA_MEV = np.arange(120.0, 350.0, 2.0)
_LOOKED_FOR_NS = 0.3
"""Width of the peaks while a momentum is looked for."""
_MOVES_NS = np.array([1.0, 0.5, 0.5])
"""So far from where it is looked for each peak may be: none can become another's."""
_WIDEST_NS = 1.0
_GROUND = 0.02
"""Share of the level ground to begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """One peak, each number with its error."""

    place: KeyNumber
    width: KeyNumber | None
    """None where it is narrower than the bins tell."""
    share: KeyNumber
    """Of all entries on the axis."""


def flight_measures(light_ns: float) -> tuple[Measure, ...]:
    """Return what a plot of times of flight less that of light tells of each peak.

    Parameters
    ----------
    light_ns
        What light takes, which the plot's times are counted from.
    """
    found = [
        Measure(label="Electron peak less L/c", unit="ns", matters=0.05, of=partial(_electrons_late, light_ns=light_ns))
    ]
    for kind in MASSES_MEV:
        name = kind.capitalize()
        for number, label, unit in (
            ("place", f"{name} time of flight", "ns"),
            ("width", f"{name} peak's width", "ns"),
            ("share", f"{name} share", ""),
        ):
            of = partial(_of_peak, light_ns=light_ns, kind=kind, number=number)
            found.append(Measure(label=label, unit=unit, of=of))
    for kind in ("muon", "pion"):
        its = partial(_momentum, light_ns=light_ns, kind=kind)
        found.append(Measure(label=f"{kind.capitalize()} momentum", unit="MeV/c", of=its))
    return tuple(found)


def peaks(counts: I8, axis: Axis, light_ns: float) -> dict[str, Peak]:
    """Return the peaks that a plot of times of flight has, by the kind of particle."""
    return _peaks(counts.astype("<i8").tobytes(), axis, light_ns)


def _of_peak(counts: I8, axes: Sequence[Axis], *, light_ns: float, kind: str, number: str) -> KeyNumber | None:
    peak = peaks(counts, axes[0], light_ns).get(kind)
    found: KeyNumber | None = getattr(peak, number) if peak is not None else None
    return found


def _electrons_late(counts: I8, axes: Sequence[Axis], *, light_ns: float) -> KeyNumber | None:
    place = _of_peak(counts, axes, light_ns=light_ns, kind="electron", number="place")
    return None if place is None else KeyNumber(value=place.value - light_ns, error=place.error)


def _momentum(counts: I8, axes: Sequence[Axis], *, light_ns: float, kind: str) -> KeyNumber | None:
    """Return m / sqrt((t c / L)² - 1), times counted from where the electrons say that light comes."""
    place = _of_peak(counts, axes, light_ns=light_ns, kind=kind, number="place")
    late = _electrons_late(counts, axes, light_ns=light_ns) or KeyNumber(value=0.0, error=0.0)
    if place is None or (slower := (place.value - late.value) / light_ns) <= 1:
        return None
    momentum = MASSES_MEV[kind] / sqrt(slower**2 - 1)
    error = momentum * slower / (slower**2 - 1) * hypot(place.error, late.error) / light_ns
    return KeyNumber(value=momentum, error=error)


@lru_cache(200)
def _peaks(packed: bytes, axis: Axis, light_ns: float) -> dict[str, Peak]:
    counts, centres = np.frombuffer(packed, "<i8").astype(np.float64), light_ns + axis.centres
    entries, bin_ns = counts.sum(), (axis.high - axis.low) / axis.bins
    if entries < MIN_ENTRIES:
        return {}
    looked_for = _looked_for(counts, centres, light_ns, bin_ns)
    place, width = looked_for.copy(), np.full(len(looked_for), _LOOKED_FOR_NS)
    share = np.full(len(looked_for) + 1, (1 - _GROUND) / len(looked_for))
    share[-1] = _GROUND
    for _ in range(_STEPS):
        expected = _expected(centres, bin_ns, place, width, share)
        of_each = expected * (counts / np.maximum(expected.sum(axis=0), 1e-300))
        its = of_each[:-1].sum(axis=1)
        share = of_each.sum(axis=1) / entries
        there = np.maximum(its, 1e-9)
        place = np.clip(of_each[:-1] @ centres / there, looked_for - _MOVES_NS, looked_for + _MOVES_NS)
        spread = np.sqrt((of_each[:-1] * (centres - place[:, np.newaxis]) ** 2).sum(axis=1) / there)
        width = np.clip(spread, bin_ns / 2, _WIDEST_NS)
    is_at_end = np.abs(place - looked_for) > 0.99 * _MOVES_NS
    return {
        kind: _peak(place[k], width[k], share[k], its[k], entries, bin_ns)
        for k, kind in enumerate(MASSES_MEV)
        if its[k] >= MIN_ENTRIES / 2 and not is_at_end[k]
    }


def _looked_for(counts: F8, centres: F8, light_ns: float, bin_ns: float) -> F8:
    """Return (3,) where the peaks of the momentum are that the counts are likeliest for."""
    masses = np.array([*MASSES_MEV.values()])
    place = light_ns * np.sqrt(1 + (masses / _MOMENTA_MEV[:, np.newaxis]) ** 2)
    width, share = np.full(len(masses), _LOOKED_FOR_NS), np.array([0.2, 0.4, 0.3, 0.1])
    likely = [
        (counts * np.log(_expected(centres, bin_ns, each, width, share).sum(axis=0) + 1e-300)).sum() for each in place
    ]
    found: F8 = place[int(np.argmax(likely))]
    return found


def _expected(centres: F8, bin_ns: float, place: F8, width: F8, share: F8) -> F8:
    """Return (peaks + 1, bins) share of all entries that each peak, and the ground, has in each bin."""
    away = (centres - place[:, np.newaxis]) / width[:, np.newaxis]
    normal = np.exp(-(away**2) / 2) * (bin_ns / sqrt(2 * np.pi)) / width[:, np.newaxis]
    ground = np.full((1, len(centres)), 1 / len(centres))
    found: F8 = share[:, np.newaxis] * np.concatenate([normal, ground])
    return found


def _peak(place: float, width: float, share: float, its: float, entries: float, bin_ns: float) -> Peak:
    # What the bins add to the width is theirs (Sheppard), and about a place of their own entries lie closer (Bessel).
    own = width**2 * its / (its - 1) - bin_ns**2 / 12
    return Peak(
        place=KeyNumber(value=float(place), error=float(width / sqrt(its))),
        width=KeyNumber(value=sqrt(own), error=float(width**2 / sqrt(own) / sqrt(2 * its))) if own > 0 else None,
        share=KeyNumber(value=float(share), error=float(sqrt((its + 1) * (entries - its + 1) / (entries + 2) ** 3))),
    )
