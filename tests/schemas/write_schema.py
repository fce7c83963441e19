"""Write the detectors' part of the newest schema of reconstructed spills: python -m tests.schemas.write_schema.

It follows the tables' dataclasses. A schema that has been released is never written again: copy it to the next version,
change the namespace, and run this.
"""

import json
from dataclasses import fields
from pathlib import Path

from schemas.detectors import DETECTORS, schema_field
from schemas.records import ReconstructedSpill

SCHEMAS = Path(__file__).parents[2] / "schemas"


def newest() -> Path:
    """Return the newest schema of reconstructed spills."""
    found = {int(p.stem.rpartition(".v")[2]): p for p in SCHEMAS.glob("reconstructed_spill.v*.avsc")}
    return found[max(found)]


def main() -> None:
    """Write the newest schema."""
    path = newest()
    schema = json.loads(path.read_text())
    own = {field.name for field in fields(ReconstructedSpill)}
    others = [field for field in schema["fields"] if field["name"] in own]
    schema["fields"] = others + [schema_field(name) for name in DETECTORS]
    path.write_text(json.dumps(schema, indent=1) + "\n")


if __name__ == "__main__":
    main()
