"""Write the next schema of reconstructed spills, if the detectors' tables ask for one.

Run it by python -m tests.schemas.write_schema. One of which a message is kept among the fixtures stays as it is for
ever; until then it is written anew each time.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from schemas.columns import Detector
from schemas.records import ReconstructedSpill
from schemas.spill_schema import schema_field
from tests.catalogue import TABLES

SCHEMAS = Path(__file__).parents[2] / "schemas"
FIXTURES = Path(__file__).parent / "fixtures" / "valid"


def newest() -> Path:
    """Return the newest schema of reconstructed spills."""
    found = {int(p.stem.rpartition(".v")[2]): p for p in SCHEMAS.glob("reconstructed_spill.v*.avsc")}
    return found[max(found)]


def in_order(schema: dict[str, Any]) -> list[tuple[str, type[Detector]]]:
    """Return the tables of the detectors that a schema has, in its order, and then the others."""
    names = [field["name"] for field in schema["fields"] if field["name"] in TABLES]
    return [(name, TABLES[name]) for name in dict.fromkeys([*names, *TABLES])]


def main() -> None:
    """Write the schema."""
    path = newest()
    schema = json.loads(path.read_text())
    own = {field.name for field in fields(ReconstructedSpill)}
    others = [field for field in schema["fields"] if field["name"] in own]
    wanted = others + [schema_field(name, its) for name, its in in_order(schema)]
    if wanted == schema["fields"]:
        return
    if (FIXTURES / f"{path.stem}.avro").exists():
        version = int(path.stem.rpartition(".v")[2]) + 1
        path = path.with_name(f"reconstructed_spill.v{version}.avsc")
        schema["namespace"] = f"spilldeck.v{version}"
    path.write_text(json.dumps(schema | {"fields": wanted}, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
