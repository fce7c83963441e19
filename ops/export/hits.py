"""The hits of a run's spills as trees of a ROOT file, one for each table of a detector."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import uproot

from ops.files import write_together
from schemas.columns import Table
from schemas.records import ReconstructedSpill
from schemas.spill_schema import tables_of
from streams.errors import SpilldeckError, UsageError
from streams.experiment import experiment

SPILLS_AT_ONCE = 64
"""Joined before they are written; bounds the memory, and a tree has no more than so many spills in a basket."""
_OF_SPILL = {"run": np.dtype("<i4"), "spill": np.dtype("<i4")}
"""Columns in front of each table's own."""


def write_hits(spills: Iterable[ReconstructedSpill], run: int, detectors: Sequence[str], directory: Path) -> Path:
    """Write what detectors make of a run's spills into one file of ROOT; return it.

    A tree is called after detector and table (``tof_digits``), its branches after the table's columns, with run and
    spill before them. The spills are in the order in which they come.

    Raises
    ------
    UsageError
        When there is no such detector, or the file cannot be written: then none has been.
    SpilldeckError
        When the run has no spill.
    """
    for name in detectors:
        if name not in experiment().reconstructions:
            raise UsageError(
                f"there is no detector {name} whose hits are kept: there are {', '.join(experiment().reconstructions)}"
            )

    def write(new: Path) -> None:
        made = new / f"run{run:08d}_{'_'.join(dict.fromkeys(detectors))}_hits.root"
        if not _written(iter(spills), detectors, made):
            raise SpilldeckError(f"run {run} has no spill whose hits could be written")

    (file,) = write_together(directory, write)
    return file


def noting(
    spills: Iterable[ReconstructedSpill], detectors: Sequence[str], lacks: dict[str, tuple[int, str]]
) -> Iterator[ReconstructedSpill]:
    """Pass spills on, and note in `lacks` of which detectors, or tables of them, how many have nothing, and a reason.

    A tree alone does not tell an empty detector from one that was not read out, or is not calibrated.
    """
    for spill in spills:
        whys = spill.errors | spill.lacking
        whys |= {name: "not read out" for name in detectors if name not in spill.detectors and name not in whys}
        for name, why in whys.items():
            if name.replace(".", " ").split()[0] in detectors:
                number, first = lacks.get(name, (0, f"spill {spill.spill}: {why}"))
                lacks[name] = number + 1, first
        yield spill


def _written(spills: Iterable[ReconstructedSpill], detectors: Sequence[str], file: Path) -> int:
    """Write the trees; return of how many spills."""
    tables = {(name, table): kind for name in detectors for table, kind in tables_of(experiment().tables[name]).items()}
    written = 0
    with uproot.recreate(file) as out:
        trees = {
            (name, table): out.mktree(f"{name}_{table}", _branches(kind), title=_summary(kind))
            for (name, table), kind in tables.items()
        }
        while several := list(islice(spills, SPILLS_AT_ONCE)):
            written += len(several)
            for (name, table), tree in trees.items():
                tree.extend(_columns([spill for spill in several if name in spill.detectors], name, table, tables))
    return written


def _branches(kind: type[Table]) -> dict[str, Any]:
    """Return the branches of a table: name → type, with the shape of a row where it has one."""
    own = {f.name: (f.metadata["dtype"], f.metadata["row"]) for f in fields(kind)}
    return _OF_SPILL | {name: (dtype, row) if row else dtype for name, (dtype, row) in own.items()}


def _columns(
    spills: Sequence[ReconstructedSpill], name: str, table: str, kinds: dict[tuple[str, str], type[Table]]
) -> dict[str, Any]:
    found = [spill.detectors[name].tables()[table] for spill in spills]
    numbers = np.repeat([spill.spill for spill in spills], [len(each) for each in found])
    runs = np.repeat([spill.run for spill in spills], [len(each) for each in found])
    joined = kinds[name, table].concat(found)
    own = {f.name: getattr(joined, f.name) for f in fields(joined)}
    return {"run": runs.astype("<i4"), "spill": numbers.astype("<i4")} | own


def _summary(kind: type[Table]) -> str:
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
