"""Joined spills: the columns of several spills one after the other, so that each plot is filled once for all."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from schemas.columns import I4, I8, Bools, Table
from schemas.records import ReconstructedSpill

_TableT = TypeVar("_TableT", bound=Table)
_T = TypeVar("_T")


class Batch:
    """Spills of one run.

    A trigger's index in the tables counts through all spills of the batch, so that tables of different detectors
    can be matched by it.

    Parameters
    ----------
    spills
        Reconstructed spills that were not rejected.

    Attributes
    ----------
    first
        (spills + 1,) index of each spill's first trigger, and of the end.
    """

    def __init__(self, spills: Sequence[ReconstructedSpill]) -> None:
        self._spills = spills
        triggers = np.array([s.triggers for s in spills], np.int64)
        self.first: I4 = np.concatenate([[0], np.cumsum(triggers)]).astype(np.int32)
        self._detectors = [spill.detectors for spill in spills]
        self._joined: dict[type[Table], Any] = {}
        self._made: dict[Callable[[Batch], Any], Any] = {}

    @property
    def triggers(self) -> int:
        """Particle triggers in all spills together."""
        return int(self.first[-1])

    @property
    def spills(self) -> I8:
        """(spills,) their numbers."""
        return np.array([s.spill for s in self._spills], np.int64)

    def having(self, name: str) -> Bools:
        """Return (spills,) whether a detector, or ``detector.table``, was made of each: not where conditions lack."""
        detector = name.partition(".")[0]
        return np.array([detector in s.detectors and name not in s.lacking for s in self._spills], np.bool_)

    def join(self, kind: type[_TableT]) -> _TableT:
        """Return the rows of all spills' tables of a kind."""
        if kind not in self._joined:
            self._joined[kind] = self._join(kind)
        joined: _TableT = self._joined[kind]
        return joined

    @property
    def kinds(self) -> frozenset[type[Table]]:
        """Kinds of tables that were asked for."""
        return frozenset(self._joined)

    def once(self, make: Callable[["Batch"], _T]) -> _T:
        """Return what a function makes of this batch; several plots that need it share it."""
        if make not in self._made:
            self._made[make] = make(self)
        made: _T = self._made[make]
        return made

    def _join(self, kind: type[_TableT]) -> _TableT:
        found = [
            (table, first)
            for detectors, first in zip(self._detectors, self.first[:-1], strict=True)
            for detector in detectors.values()
            for table in detector.tables().values()
            if type(table) is kind
        ]
        if len(found) == 1 and not found[0][1]:
            return found[0][0]  # as in most batches: there is nothing to join
        joined = kind.concat([table for table, _ in found])
        trigger = getattr(joined, "trigger", None)
        if trigger is not None:
            trigger += np.repeat([first for _, first in found], [len(table) for table, _ in found]).astype(np.int32)
        return joined
