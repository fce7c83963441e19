"""Faults planted in the code: some spills of some runs make a detector, the filling or the ledger raise."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from schemas.records import RawSpill, ReconstructedSpill
from streams import transform
from streams.books import run as books
from streams.experiments.mice import EXPERIMENT

RUNS = range(700_101, 700_200)
IN_A_DETECTOR, IN_FILLING, IN_THE_LEDGER = 3, 5, 7
"""Spills of these runs that make each raise."""
DETECTOR = "tof"


class PlantedError(Exception):
    """A fault that was planted."""


def _fail(at: int, run: int, spill: int) -> None:
    if run in RUNS and spill == at:
        raise PlantedError(f"planted for spill {at}")


def plant() -> ExitStack:
    """Plant them; they are there until what is returned is closed."""
    reconstruct_one, its = transform.reconstruct, EXPERIMENT.reconstructions[DETECTOR]
    ledger_entry, fill = transform.ledger_entry, books.fill
    current = threading.local()

    def reconstruct_planted(raw: RawSpill, *arguments: Any) -> ReconstructedSpill:
        current.spill = raw.run, raw.spill
        return reconstruct_one(raw, *arguments)

    def detector_planted(*arguments: Any) -> Any:
        _fail(IN_A_DETECTOR, *current.spill)
        return its.step(*arguments)

    def entry_planted(spill: ReconstructedSpill) -> Any:
        _fail(IN_THE_LEDGER, spill.run, spill.spill)
        return ledger_entry(spill)

    def fill_planted(spills: Sequence[ReconstructedSpill], *arguments: Any) -> Any:
        for spill in spills:
            _fail(IN_FILLING, spill.run, spill.spill)
        return fill(spills, *arguments)

    planted = ExitStack()
    planted.enter_context(patch.object(transform, "reconstruct", reconstruct_planted))
    planted.enter_context(patch.dict(EXPERIMENT.reconstructions, {DETECTOR: replace(its, step=detector_planted)}))
    planted.enter_context(patch.object(transform, "ledger_entry", entry_planted))
    planted.enter_context(patch.object(books, "fill", fill_planted))
    return planted
