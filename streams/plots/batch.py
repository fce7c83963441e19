"""Joined spills: the columns of several spills one after the other, so that each plot is filled once for all."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np

from schemas.columns import F8, I4, I8, Bools
from schemas.records import CkovDigits, ReconstructedSpill, TofSlabHits, TofSpacePoints
from streams.conditions.model import STATIONS

_T = TypeVar("_T", TofSlabHits, TofSpacePoints, CkovDigits)


class Batch:
    """Spills of one run.

    A trigger's index in the tables counts through all spills of the batch, so that tables of different detectors
    can be matched by it.

    Parameters
    ----------
    spills
        Reconstructed spills that were not rejected.
    """

    def __init__(self, spills: Sequence[ReconstructedSpill]) -> None:
        self._spills = spills
        triggers = np.array([s.triggers for s in spills], np.int64)
        self._first = np.concatenate([[0], np.cumsum(triggers)]).astype(np.int32)

    @property
    def triggers(self) -> int:
        """Particle triggers in all spills together."""
        return int(self._first[-1])

    @cached_property
    def tof_spills(self) -> I8:
        """(n,) numbers of the spills that have the time-of-flight stations."""
        return np.array([s.spill for s in self._spills if s.tof is not None], np.int64)

    @cached_property
    def tof_slab_hits(self) -> TofSlabHits:
        """Slab hits of all spills."""
        return self._join(TofSlabHits, lambda s: s.tof.slab_hits if s.tof is not None else None)

    @cached_property
    def tof_space_points(self) -> TofSpacePoints:
        """Space points of all spills."""
        return self._join(TofSpacePoints, lambda s: s.tof.space_points if s.tof is not None else None)

    @cached_property
    def ckov(self) -> CkovDigits:
        """Cherenkov digits of all spills."""
        return self._join(CkovDigits, lambda s: s.ckov)

    @cached_property
    def space_point_counts(self) -> I4:
        """(triggers of the spills that have the stations, 3) space points of each trigger in each station."""
        return self._space_points_per_trigger[np.repeat(self._has_tof, np.diff(self._first))]

    @cached_property
    def space_points_per_spill(self) -> I4:
        """(spills that have the stations, 3) space points of each spill in each station."""
        total = np.concatenate([np.zeros((1, STATIONS), np.int64), np.cumsum(self._space_points_per_trigger, axis=0)])
        per_spill: I8 = total[self._first[1:]] - total[self._first[:-1]]
        return per_spill[self._has_tof].astype(np.int32)

    @cached_property
    def single_times_ns(self) -> F8:
        """(triggers, 3) time of the space point in each station where there is exactly one, else NaN."""
        points = self.tof_space_points
        times = np.full((self.triggers, STATIONS), np.nan)
        times[points.trigger, points.station] = points.time_ns
        times[self._space_points_per_trigger != 1] = np.nan
        return times

    @cached_property
    def _has_tof(self) -> Bools:
        return np.array([s.tof is not None for s in self._spills], np.bool_)

    @cached_property
    def _space_points_per_trigger(self) -> I4:
        points = self.tof_space_points
        index = points.trigger.astype(np.int64) * STATIONS + points.station
        counts = np.bincount(index, minlength=self.triggers * STATIONS)
        return counts.reshape(-1, STATIONS).astype(np.int32)

    def _join(self, kind: type[_T], table_of: Callable[[ReconstructedSpill], _T | None]) -> _T:
        found = [(table_of(s), first) for s, first in zip(self._spills, self._first[:-1], strict=True)]
        tables = [(t, first) for t, first in found if t is not None]
        joined = kind.concat([t for t, _ in tables])
        joined.trigger[...] += np.repeat([f for _, f in tables], [len(t) for t, _ in tables]).astype(np.int32)
        return joined


def flight_time_ns(batch: Batch, start: int, stop: int) -> F8:
    """Return (n,) times of flight between two stations, of triggers with exactly one space point in each."""
    times = batch.single_times_ns
    flight = times[:, stop] - times[:, start]
    return flight[~np.isnan(flight)]
