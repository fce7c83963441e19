"""The part of a reconstructed spill's Avro schema that the tables of an experiment's detectors make."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from schemas.columns import Detector, Table

Tables = Mapping[str, type[Detector]]
"""Detector → its tables: of each experiment its own."""
_TABLES_OF: dict[type[Any], Mapping[str, type[Table]]] = {}


def tables_of(detector: type[Detector]) -> Mapping[str, type[Table]]:
    """Return the tables of a detector by their names; kept, as each message of each spill asks for them."""
    if detector not in _TABLES_OF:
        _TABLES_OF[detector] = get_type_hints(detector)
    return _TABLES_OF[detector]


def schema_field(name: str, detector: type[Detector]) -> dict[str, Any]:
    """Return the field that holds a detector."""
    tables = [{"name": table, "type": _table(columns)} for table, columns in tables_of(detector).items()]
    return {"name": name, "type": ["null", _record(detector, tables)]}


def _table(table: type[Table]) -> dict[str, Any]:
    return _record(table, [{"name": f.name, "type": _column(f.metadata)} for f in fields(table)])


def _column(metadata: Any) -> dict[str, Any]:
    row = {"row": list(metadata["row"])} if metadata["row"] else {}
    dtype = metadata["dtype"].str.removeprefix("|")
    return {"type": "bytes", "logicalType": "ndarray", "dtype": dtype} | row


def _record(kind: type[Any], columns: list[dict[str, Any]]) -> dict[str, Any]:
    summary = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
    return {"type": "record", "name": kind.__name__, "doc": summary, "fields": columns}
