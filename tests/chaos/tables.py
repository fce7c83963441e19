"""The tables of the runs: those of live, other ones, and tables that runs have for themselves, to be broken."""

import shutil
from pathlib import Path

from tests.tables import copy_tables, recalibrate

FIRST_RUN, LAST_RUN = 600_000, 799_999
BREAKABLE_RUNS = range(600_001, 600_051)
"""Runs each of which has a cabling of its own."""
_KIND, _ENTRIES = "tof_channels", '[[table]]\nkind = "{kind}"\nfile = "{file}"\nfirst_run = {run}\nlast_run = {run}\n'


def make_tables(directory: Path) -> Path:
    """Write the tables; return the index."""
    index = copy_tables(directory, FIRST_RUN, LAST_RUN)
    whole, of_all, others = index.read_text().rpartition(f'kind = "{_KIND}"')
    others = others.replace(str(FIRST_RUN), str(BREAKABLE_RUNS.stop), 1)
    entries = [whole + of_all + others]
    for run in BREAKABLE_RUNS:
        file = cabling(index, run)
        shutil.copy(directory / f"{_KIND}.txt", file)
        entries.append(_ENTRIES.format(kind=_KIND, file=file.name, run=run))
    index.write_text("\n".join(entries))
    return index


def make_other_tables(directory: Path) -> Path:
    """Write tables of the same runs with another calibration; return the index."""
    index = copy_tables(directory, FIRST_RUN, LAST_RUN)
    recalibrate(index)
    return index


def cabling(index: Path, run: int) -> Path:
    """Return the cabling that a run has for itself."""
    return index.parent / f"{_KIND}-{run}.txt"
