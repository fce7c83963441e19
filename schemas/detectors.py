"""The detectors whose tables a reconstructed spill may hold, and the part of its schema that they make."""

from dataclasses import fields
from typing import Any, get_type_hints

from schemas.ckov import Ckov
from schemas.columns import Detector, Table
from schemas.emr import Emr
from schemas.kl import Kl
from schemas.raw import Raw
from schemas.scalers import Scalers
from schemas.tof import Tof
from schemas.tracker import Tracker

DETECTORS: dict[str, type[Detector]] = {
    "tof": Tof,
    "ckov": Ckov,
    "scalers": Scalers,
    "raw": Raw,
    "kl": Kl,
    "emr": Emr,
    "tracker": Tracker,
}
"""By name, in the order of the schema's fields. An experiment may add its own: `plugins` in the settings."""


def tables_of(detector: type[Detector]) -> dict[str, type[Table]]:
    """Return the tables of a detector by their names."""
    return get_type_hints(detector)


def schema_field(name: str) -> dict[str, Any]:
    """Return the field of the reconstructed spill's Avro schema that holds a detector."""
    kind = DETECTORS[name]
    tables = [{"name": table, "type": _table(columns)} for table, columns in tables_of(kind).items()]
    return {"name": name, "type": ["null", _record(kind, tables)]}


def _table(table: type[Table]) -> dict[str, Any]:
    return _record(table, [{"name": f.name, "type": _column(f.metadata)} for f in fields(table)])


def _column(metadata: Any) -> dict[str, Any]:
    row = {"row": list(metadata["row"])} if metadata["row"] else {}
    dtype = metadata["dtype"].str.removeprefix("|")
    return {"type": "bytes", "logicalType": "ndarray", "dtype": dtype} | row


def _record(kind: type[Any], columns: list[dict[str, Any]]) -> dict[str, Any]:
    summary = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
    return {"type": "record", "name": kind.__name__, "doc": summary, "fields": columns}
