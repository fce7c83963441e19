"""Write the detectors' part of the newest schema of reconstructed spills: python -m tests.schemas.write_schema.

It follows the tables' dataclasses. A schema that has been released is never written again: copy it to the next version,
change the namespace, and run this.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from schemas.columns import Detector, Table
from schemas.records import ReconstructedSpill

SCHEMAS = Path(__file__).parents[2] / "schemas"


def newest() -> Path:
    """Return the newest schema of reconstructed spills."""
    found = {int(p.stem.rpartition(".v")[2]): p for p in SCHEMAS.glob("reconstructed_spill.v*.avsc")}
    return found[max(found)]


def detectors() -> dict[str, type[Detector]]:
    """Return the detectors of a reconstructed spill, by the names of their fields."""
    found = {}
    for name, hint in get_type_hints(ReconstructedSpill).items():
        for option in get_args(hint):
            if isinstance(option, type) and issubclass(option, Detector):
                found[name] = option
    return found


def tables(detector: type[Detector]) -> dict[str, type[Table]]:
    """Return the tables of a detector, by the names of their fields."""
    return get_type_hints(detector)


def _column(metadata: Any) -> dict[str, Any]:
    row = {"row": list(metadata["row"])} if metadata["row"] else {}
    dtype = metadata["dtype"].str.removeprefix("|")
    return {"type": "bytes", "logicalType": "ndarray", "dtype": dtype} | row


def _first_line(kind: type[Any]) -> str:
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())


def _record(kind: type[Any], columns: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": kind.__name__, "doc": _first_line(kind), "fields": columns}


def _table(table: type[Table]) -> dict[str, Any]:
    return _record(table, [{"name": f.name, "type": _column(f.metadata)} for f in fields(table)])


def main() -> None:
    """Write the newest schema."""
    path = newest()
    schema = json.loads(path.read_text())
    others = [field for field in schema["fields"] if field["name"] not in detectors()]
    schema["fields"] = others + [
        {
            "name": name,
            "type": ["null", _record(kind, [{"name": n, "type": _table(t)} for n, t in tables(kind).items()])],
        }
        for name, kind in detectors().items()
    ]
    path.write_text(json.dumps(schema, indent=1) + "\n")


if __name__ == "__main__":
    main()
