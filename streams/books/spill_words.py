"""A spill for somebody who looks at it: its numbers, the rows of its tables, and what each word of its bytes is."""

import textwrap
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.columns import Table
from schemas.records import RawSpill, ReconstructedSpill
from streams.experiment import experiment
from streams.printable import printable
from streams.words import calendar_time, called, several

LINE = 80
"""Characters of a line of a spill's bytes."""
MOST_ROWS = 12
"""Of a table."""
MOST_VALUES = 3
"""Of a row of a column that is a matrix."""


def summary(spill: ReconstructedSpill) -> dict[str, str]:
    """Return what a spill is made of, by what it is called."""
    rows: dict[str, Any] = {
        "time (UTC)": calendar_time(spill.time_us / 1000, "%Y-%m-%d %H:%M:%S.%f"),
        "particle triggers": spill.triggers,
        "DAQ events": spill.events,
        "bytes": f"{spill.size:,}",
        "code": spill.code,
        "conditions": spill.conditions or "none",
    }
    if spill.rejection is not None:
        rows["rejected by"] = f"{spill.rejection.step}: {spill.rejection.reason}"
    for name, detector in spill.detectors.items():
        rows[name] = ", ".join(f"{len(columns)} {called(kind)}" for kind, columns in detector.tables().items())
    rows |= {f"{name} failed": problem for name, problem in spill.errors.items()}
    rows |= {f"{called(name)} not calibrated": why for name, why in spill.lacking.items()}
    rows |= {f"skipped {name}": number for name, number in spill.skipped.items()}
    rows |= {"left out, as nothing here has it": ", ".join(spill.left_out)} if spill.left_out else {}
    return {name: str(value) for name, value in rows.items()}


def bytes_words(spill: RawSpill) -> Iterator[str]:
    """Yield lines that say what each word of a spill's bytes is, or the lines of its document."""
    its = experiment().format_of(spill.format)
    if its is None or its.show is None:
        yield from map(printable, spill.payload.decode(errors="backslashreplace").splitlines())
        return
    yield from textwrap.wrap(f"from byte {spill.byte} of {printable(spill.source)} on", LINE)
    yield f"{'byte':>8}  {'word':<8}  what it is"
    for word in its.show(spill.payload):
        digits = f"{word.value:0{2 * len(word.content)}x}" if word.content else ""
        indent = " " * 2 * word.depth
        first, *others = textwrap.wrap(printable(word.what), LINE - 20 - len(indent)) or [""]
        yield f"{word.byte:>8}  {digits:<8}  {indent}{first}"
        yield from (f"{'':20}{indent}{text}" for text in others)


def table_words(name: str, table: Table, trigger: int | None) -> tuple[str, str]:
    """Return a title of a table, and its first rows as text; those of a trigger first, if one is given."""
    title, shown = f"{called(name)}: {several(len(table), 'row')}", table
    if trigger is not None and hasattr(table, "trigger"):
        of_others = table.trigger != trigger
        title += f", {np.count_nonzero(~of_others):,} of trigger {trigger}"
        shown = table.rows(np.argsort(of_others, kind="stable"))
    first = shown.rows(slice(MOST_ROWS))
    cells = [[each.name, *map(_cell, getattr(first, each.name))] for each in fields(first)]
    widths = [max(map(len, column)) for column in cells]
    rows = zip(*cells, strict=True)
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return title, "\n".join([*lines, *(["…"] if len(table) > MOST_ROWS else [])])


def _cell(value: npt.NDArray[Any] | np.generic) -> str:
    values = np.ravel(value).tolist()
    told = " ".join(f"{each:.6g}" if isinstance(each, float) else str(each) for each in values[:MOST_VALUES])
    return told if len(values) <= MOST_VALUES else f"{told} …"
