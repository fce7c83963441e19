"""A spill whose hits are columns already, a record of Avro: to the experiment's tables, or to lines for an expert.

The record has ``run``, ``spill``, ``time_us``, ``triggers``, and a record for each table, which has an array for each
column, or ``bytes`` with their ``dtype``; null stands for a table that was not read out. Its ``kind``, if it has one,
says whether it is a spill, or the start or the end of a run.

What is kept of a spill is a file of Avro with that one record, not compressed: so it is the same bytes, however the
records of a file were compressed and put into blocks together, and anybody's library reads it.

The schema is whoever's: it is read by our own rules, which allow nothing that could take more memory or time than its
bytes, and nothing in it gets into fastavro but names of simple types.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import fastavro
import numpy as np
from numpy.typing import NDArray

from schemas.columns import Table
from schemas.wire import MAX_TRIGGERS
from streams.avro.container import (
    CODEC,
    LONG,
    MARKER_BYTES,
    SCHEMA,
    UNREADABLE,
    block_head,
    header,
    read_header,
)
from streams.errors import BadDataError
from streams.unpacked import Hits, Word

RUN, SPILL, TIME, TRIGGERS, KIND = HEAD = ("run", "spill", "time_us", "triggers", "kind")
"""What a record has besides its tables."""
_NEEDED = (RUN, SPILL, TIME, TRIGGERS)
_WHOLE = ("int", "long")
_PRIMITIVES = ("null", "boolean", "float", "double", "string", "bytes", *_WHOLE)
_DTYPES = {"boolean": "?", "int": "<i8", "long": "<i8", "float": "<f8", "double": "<f8"}
"""Item of an array → what the column becomes at first."""
_DTYPE = re.compile(r"[<>|=]?([iu][1248]|f[48]|b1)")
_LONGEST_SCHEMA = 64 << 10
"""It stands beside each spill."""
_DEEPEST = 2
"""Records in each other: that of the spill, and those of its tables."""
_SHOWN = 200
"""Characters of what is whoever's that are passed on."""
_IN_A_LINE = 8
"""Values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A type of a schema, as far as spills have such."""

    avro: Any = None
    """As fastavro takes it; None if one of the others is there."""
    dtype: str = ""
    """Of a column's values; empty if it is none."""
    branches: "tuple[Type, ...]" = ()
    """Of a union."""
    fields: "Mapping[str, Type] | None" = None
    """Of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value, and where it begins."""

    at: int
    type: Type
    value: Any
    """Of a record its values by their names."""


@lru_cache(maxsize=16)
def schema_of(text: bytes) -> Type:
    """Return the type of the records that a schema is of, which have what every spill has.

    Raises
    ------
    ValueError
        Says what in it is not as in spills.
    """
    if len(text) > _LONGEST_SCHEMA:
        raise ValueError(f"its schema has {len(text)} bytes, more than {_LONGEST_SCHEMA}")
    try:
        found = _type(json.loads(text), {}, "its record", depth=0)
    except UNREADABLE as error:
        raise ValueError(f"its schema cannot be read: {str(error)[:_SHOWN]}") from error
    lacking = [name for name in _NEEDED if (found.fields or {}).get(name, Type()).avro not in _WHOLE]
    if lacking:
        raise ValueError(f"its records have no {' and no '.join(lacking)} of type int or long")
    return found


def _type(schema: Any, named: dict[str, Type], what: str, depth: int) -> Type:
    """Return a type; `named` are those before it that have names, `depth` counts the records in which it lies."""
    if isinstance(schema, list):
        return Type(branches=tuple(_type(each, named, what, depth) for each in schema))
    if isinstance(schema, str):
        name = _short(schema)
        if name in _PRIMITIVES:
            return Type(avro=name)
        if name not in named:
            raise ValueError(f"{what} is of the type {name[:_SHOWN]}, which is not there")
        return named[name]
    kind = schema["type"]
    if kind in ("record", "enum"):
        return _named_type(schema, named, what, depth)
    if isinstance(kind, dict | list):
        return _type(kind, named, what, depth)
    if kind in _PRIMITIVES:
        dtype = str(schema.get("dtype", "")) if kind == "bytes" else ""
        return Type(avro=kind, dtype=dtype if _DTYPE.fullmatch(dtype) else "")
    if isinstance(kind, str) and _short(kind) in named:
        return named[_short(kind)]
    items = schema.get("items")
    items = items.get("type") if isinstance(items, dict) else items
    if kind == "array" and items in _PRIMITIVES[1:]:
        array = fastavro.parse_schema({"type": "array", "items": items})
        return Type(avro=array, dtype=_DTYPES.get(items, ""))
    kind = f"array of {json.dumps(items)}" if kind == "array" else str(kind)
    raise ValueError(f"{what} is of the type {kind[:_SHOWN]}, which spills do not have")


def _named_type(schema: Mapping[str, Any], named: dict[str, Type], what: str, depth: int) -> Type:
    """Return a record, or an enumeration; those in the record that has all may be referred to by their names."""
    if schema["type"] == "enum":
        found = Type(avro=fastavro.parse_schema({"type": "enum", "name": "Enum", "symbols": schema["symbols"]}))
    elif depth < _DEEPEST:
        its = {str(each["name"]): _type(each, named, str(each["name"]), depth + 1) for each in schema["fields"]}
        if empty := [name for name, each in its.items() if not _has_bytes(each)]:
            raise ValueError(f"{empty[0][:_SHOWN]} has no bytes in any spill")
        found = Type(fields=its)
    else:
        raise ValueError(f"{what} is a record in a table")
    if named.setdefault(_short(schema["name"]), found) is not found:
        raise ValueError(f"two types are called {schema['name'][:_SHOWN]}")
    return found


def _has_bytes(of: Type) -> bool:
    """Say whether each value of a type takes a byte, so that there are no more of them than bytes."""
    return bool(of.branches or of.fields or of.avro not in (None, "null"))


def _short(name: str) -> str:
    """Return a name without the namespace before it."""
    return name.rpartition(".")[2]


def read_value(stream: io.BytesIO, of: Type) -> Value:
    """Return the value that follows; raises one of `UNREADABLE` if there is none."""
    at = stream.tell()
    while of.branches:
        branch = fastavro.schemaless_reader(stream, LONG)
        if not 0 <= branch < len(of.branches):
            raise ValueError(f"branch {branch} of a union of {len(of.branches)}")
        of = of.branches[branch]
    value: Any = None
    if of.fields is not None:
        value = {name: read_value(stream, each) for name, each in of.fields.items()}
    elif of.avro != "null":
        value = fastavro.schemaless_reader(stream, of.avro)
    return Value(at=at, type=of, value=value)


def container_of(schema: bytes, record: bytes) -> bytes:
    """Return a file of one record, which is always the same for the same record."""
    marker = hashlib.blake2b(schema, digest_size=MARKER_BYTES).digest()
    return header({SCHEMA: schema, CODEC: b"null"}, marker) + block_head(1, len(record)) + record + marker


def block_of(payload: bytes) -> bytes:
    """Return the block of such a file, with its marker; raises one of `UNREADABLE` if it is none."""
    found = read_header(payload)
    block = payload[found.size :]
    if not block.endswith(found.marker):
        raise ValueError("it has no end")
    return block


def _record(payload: bytes) -> Value:
    """Return the record of a spill.

    Raises
    ------
    BadDataError
        When it cannot be read.
    """
    try:
        stream = io.BytesIO(payload)
        stream.seek(len(payload) - len(block_of(payload)))
        records, size = (fastavro.schemaless_reader(stream, LONG) for _ in range(2))
        if (records, stream.tell() + size + MARKER_BYTES) != (1, len(payload)):
            raise ValueError(f"{records} records in {size} bytes, where one should be")
        found = read_value(stream, schema_of(read_header(payload).meta[SCHEMA]))
        if stream.tell() + MARKER_BYTES != len(payload):
            raise ValueError("bytes follow it")
    except UNREADABLE as error:
        reason = f"its record cannot be read: {str(error) or type(error).__name__}"
        raise BadDataError("unpack", reason, 0) from error
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class HitTable:
    """A table that the DAQ writes; its columns are found by their names, and others that it has are left alone."""

    of: type[Table]
    """``trigger``, if it has that column, counts the particle triggers of the spill, from 0."""
    read_by: tuple[str, ...]
    """Detectors that are made of it: what is wrong with it is their error."""
    below: Mapping[str, int] = field(default_factory=dict)
    """Column → what its values, whole numbers from 0 on, are below, as a board has so many channels."""


def unpack_tables(payload: bytes, tables: Mapping[str, HitTable], make: Callable[..., Hits]) -> Hits:
    """Return the hits of a spill; what is wrong with a table is an error of the detectors that read it.

    Parameters
    ----------
    tables
        By their names in the record.
    make
        Takes what `Hits` has, and the tables under their names; one that is absent, or failed, has no rows.

    Raises
    ------
    BadDataError
        When nothing can be known of the spill.
    """
    record: dict[str, Value] = _record(payload).value
    triggers = record[TRIGGERS].value
    if not 0 <= triggers <= MAX_TRIGGERS:
        raise BadDataError("unpack", f"{triggers} particle triggers, not 0 to {MAX_TRIGGERS}", 0)
    rows = {name: its.of.empty() for name, its in tables.items()}
    failed: dict[str, BadDataError] = {}
    absent: set[str] = set()
    for name, its in tables.items():
        value = record.get(name)
        if value is None or value.value is None:
            absent.update(its.read_by)
            continue
        try:
            rows[name] = _table(value, its, triggers)
        except BadDataError as error:
            failed |= dict.fromkeys(its.read_by, BadDataError("unpack", f"table {name}: {error.reason}", error.byte))
    others = {name for name, value in record.items() if isinstance(value.value, dict) and name not in tables}
    skipped = {f"table {name}": 1 for name in others}
    return make(triggers=triggers, failed=failed, absent=frozenset(absent), skipped=skipped, **rows)


def _table(value: Value, its: HitTable, triggers: int) -> Table:
    if not isinstance(value.value, dict):
        raise BadDataError("unpack", "it is no record", value.at)
    columns: dict[str, NDArray[Any]] = {}
    for name, declared in ((each.name, each.metadata) for each in fields(its.of)):
        if (found := value.value.get(name)) is None:
            raise BadDataError("unpack", f"it has no column {name}", value.at)
        try:
            columns[name] = _column(found, declared["dtype"], declared["row"])
            if (below := triggers if name == "trigger" else its.below.get(name)) is not None:
                _check_below(columns[name], below)
        except (ValueError, OverflowError, FloatingPointError) as error:
            raise BadDataError("unpack", f"column {name}: {error}", found.at) from error
    try:
        return its.of(**columns)
    except ValueError as error:  # they are not of one length
        raise BadDataError("unpack", str(error), value.at) from error


def _column(found: Value, dtype: np.dtype[Any], row: tuple[int, ...]) -> NDArray[Any]:
    """Return a column as it is declared; raises `ValueError` where a value would become another."""
    values = _values(found)
    if values is None:
        raise ValueError(f"it is of the type {_said(found.type)}, no array of numbers and no bytes with their dtype")
    if values.dtype.kind == "f" and dtype.kind != "f":
        raise ValueError("it has fractions, where whole numbers belong")
    with np.errstate(over="raise"):
        columns = values.astype(dtype)
    if dtype.kind != "f" and not (columns == values).all():
        raise ValueError(f"it has a number that {dtype.name} has not")
    return columns.reshape(-1, *row)


def _values(found: Value) -> NDArray[Any] | None:
    """Return the values as they were written; None if they are no column."""
    if not found.type.dtype:
        return None
    if isinstance(found.value, bytes):
        return np.frombuffer(found.value, found.type.dtype)
    return np.array(found.value, found.type.dtype)


def _said(of: Type) -> str:
    if isinstance(of.avro, dict):
        return f"array of {of.avro['items']}" if "items" in of.avro else str(of.avro["type"])
    return f"{of.avro or 'record'} {of.dtype}".strip()


def _check_below(column: NDArray[Any], below: int) -> None:
    if len(column) and not (column.min() >= 0 and column.max() < below):
        raise ValueError(f"it runs from {column.min()} to {column.max()}, where 0 to {below - 1} are")


def lines(payload: bytes) -> Iterator[Word]:
    """Yield each field, table, column, and line of values of a spill."""
    try:
        record = _record(payload)
    except BadDataError as error:
        yield _line(0, 0, f"unknown, {len(payload)} bytes: {error.reason}")
        return
    for name, value in record.value.items():
        if not isinstance(value.value, dict):
            yield from _lines_of(name, value, 0)
            continue
        yield _line(value.at, 0, f"table {name}")
        for column, its in value.value.items():
            yield from _lines_of(column, its, 1)


def _lines_of(name: str, found: Value, depth: int) -> Iterator[Word]:
    try:
        values = _values(found)
    except (ValueError, OverflowError) as error:
        yield _line(found.at, depth, f"{name}: unknown: {error}")
        return
    if values is None:
        yield _line(found.at, depth, f"{name}: {str(found.value)[:_SHOWN]}")
        return
    yield _line(found.at, depth, f"{name}: {len(values)} values, {_said(found.type)}")
    for at in range(0, len(values), _IN_A_LINE):
        yield _line(found.at, depth + 1, " ".join(map(str, values[at : at + _IN_A_LINE].tolist())))


def _line(byte: int, depth: int, what: str) -> Word:
    return Word(byte=byte, content=b"", depth=depth, what=what)
