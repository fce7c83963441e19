"""Tables of numpy columns: the one form that hits have, on the wire and between the steps."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

I1 = npt.NDArray[np.int8]
U1 = npt.NDArray[np.uint8]
U2 = npt.NDArray[np.uint16]
I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]
F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def column(dtype: str, *, row: tuple[int, ...] = (), absent: float | None = None) -> Any:
    """Declare a column of a `Table`: its dtype (little-endian) and, for a matrix, the shape of one row.

    `absent` stands in it where a message is older than the column.
    """
    return field(metadata={"dtype": np.dtype(dtype), "row": row, "absent": absent})


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Columns of the same length, one row a hit.

    Subclasses are dataclasses with ``frozen=True, kw_only=True, eq=False`` whose fields are declared with `column`.
    What is passed in must be safe to store in the declared dtype without loss of kind (an integer stays an
    integer); it is converted without a copy where the dtype is already right.

    Raises
    ------
    ValueError
        When a column has another length or shape than declared, or cannot be converted.
    """

    def __post_init__(self) -> None:
        length = -1
        for name, dtype, row in _columns(type(self)):
            values = np.ascontiguousarray(getattr(self, name), dtype=dtype)
            length = len(values) if length < 0 else length
            if values.shape != (length, *row):
                message = f"column {name} of {type(self).__name__} has shape {values.shape}, not {(length, *row)}"
                raise ValueError(message)
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(getattr(self, _columns(type(self))[0][0]))

    def columns(self) -> "list[npt.NDArray[Any]]":
        """Return the columns in their order."""
        return [getattr(self, name) for name, _, _ in _columns(type(self))]

    @classmethod
    def empty(cls) -> Self:
        """Return a table without rows."""
        return cls(**{name: np.empty((0, *row), dtype) for name, dtype, row in _columns(cls)})

    @classmethod
    def concat(cls, tables: Sequence[Self]) -> Self:
        """Return the rows of all tables, one after the other."""
        if not tables:
            return cls.empty()
        return cls(**{name: np.concatenate([getattr(t, name) for t in tables]) for name, _, _ in _columns(cls)})

    def rows(self, which: npt.NDArray[np.bool_ | np.intp] | slice) -> Self:
        """Return the rows that a mask, an index array or a slice selects."""
        if not isinstance(which, slice) and which.dtype == np.bool_:
            which = np.flatnonzero(which)  # once, not in each column
        return type(self)(**{name: getattr(self, name)[which] for name, _, _ in _columns(type(self))})

    def equal(self, other: Self) -> bool:
        """Say whether both hold the same rows in the same order, NaN equal to NaN."""
        return len(self) == len(other) and all(
            np.array_equal(getattr(self, name), getattr(other, name), equal_nan=dtype.kind == "f")
            for name, dtype, _ in _columns(type(self))
        )


T = TypeVar("T", bound=Table)


class Growing(Generic[T]):
    """Room for a table that grows at its end: what was returned of it before stays, in the same memory."""

    def __init__(self, empty: T) -> None:
        self._room, self._rows = empty, 0

    def followed(self, known: T, new: T) -> T:
        """Return the rows of a table with others after them; they are copied unless it is what was returned last."""
        end = len(known) + len(new)
        is_here = known.columns()[0].base is self._room.columns()[0] and len(known) == self._rows
        if not (is_here and end <= len(self._room)):
            self._room = known.concat([known, new, known.rows(slice(len(known) // 8))])  # these are written over
        else:
            for room, its in zip(self._room.columns(), new.columns(), strict=True):
                room[self._rows : end] = its
        self._rows = end
        return self._room.rows(slice(end))


@dataclass(frozen=True, kw_only=True, eq=False)
class Detector:
    """What one detector makes of a spill: tables, each under the name of what is counted in it (digits, hits, ...)."""

    def tables(self) -> dict[str, Table]:
        """Return the tables by their names."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


_Columns = tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]
_COLUMNS_OF: dict[type[Any], _Columns] = {}


def _columns(table: type[Any]) -> _Columns:
    """Return name, dtype and shape of a row of each column; kept, as `fields` takes longer than most columns do."""
    if table not in _COLUMNS_OF:
        _COLUMNS_OF[table] = tuple((f.name, f.metadata["dtype"], f.metadata["row"]) for f in fields(table))
    return _COLUMNS_OF[table]
