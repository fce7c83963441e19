"""What detectors made of a spill, out of a message that may have been written with other tables than there are here.

The rule for a column is: the same numbers or none. One that was written narrower is taken, one of which a number would
change is refused; one that is younger than the message has its `absent` value, or is refused. What has no place here is
left out, and named.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from schemas.columns import Detector, Table
from schemas.known import OtherTablesError
from schemas.spill_schema import Tables, tables_of

Columns = Mapping[str, Any]
"""Of a table, by name: arrays."""
_DECLARED: dict[type[Any], Mapping[str, Mapping[str, Any]]] = {}
"""Table → what `column` says of each of its columns."""


def detectors_of(written: Mapping[str, Mapping[str, Columns]], tables: Tables) -> tuple[dict[str, Detector], list[str]]:
    """Return what each detector made, and the names of what there is no place for here.

    Parameters
    ----------
    written
        Detector → table → columns.

    Raises
    ------
    OtherTablesError
        Names the column that cannot be read here.
    """
    left_out = [name for name in written if name not in tables]
    found = {name: _detector(name, kind, written[name], left_out) for name, kind in tables.items() if name in written}
    return found, left_out


def _detector(name: str, kind: type[Detector], written: Mapping[str, Columns], left_out: list[str]) -> Detector:
    its = tables_of(kind)
    left_out += [f"{name}.{table}" for table in written if table not in its]
    # A table that is younger than the message has no rows.
    return kind(
        **{
            table: _table(f"{name}.{table}", columns, written[table], left_out) if table in written else columns.empty()
            for table, columns in its.items()
        }
    )


def _table(name: str, kind: type[Table], written: Columns, left_out: list[str]) -> Table:
    if kind not in _DECLARED:  # `fields` takes longer than reading them
        _DECLARED[kind] = {f.name: f.metadata for f in fields(kind)}
    declared = _DECLARED[kind]
    left_out += [f"{name}.{column}" for column in written if column not in declared]
    rows = len(next(iter(written.values()), ()))
    columns = {column: _column(f"{name}.{column}", its, written.get(column), rows) for column, its in declared.items()}
    return kind(**columns)


def _column(name: str, declared: Mapping[str, Any], written: Any, rows: int) -> Any:
    """Return a column as it is declared here."""
    dtype, row = declared["dtype"], declared["row"]
    if written is None:
        if declared["absent"] is None:
            raise OtherTablesError(f"the column {name} is not in the message, and nothing can stand for it")
        return np.full((rows, *row), declared["absent"], dtype)
    if written.shape[1:] != row:
        raise OtherTablesError(
            f"a row of the column {name} has the shape {written.shape[1:]} in the message, {row} here"
        )
    if not _holds(dtype, written.dtype):
        raise OtherTablesError(
            f"the column {name} was written as {written.dtype}, and {dtype} here would change its numbers"
        )
    return written


def _holds(dtype: np.dtype[Any], written: np.dtype[Any]) -> bool:
    """Say whether every number of one dtype is the same number in the other."""
    # To numpy a double holds all integers of 64 bits, though it has 53 for them.
    exact = not (written.kind in "iu" and dtype.kind == "f" and written.itemsize >= dtype.itemsize)
    return exact and np.can_cast(written, dtype, "safe")
