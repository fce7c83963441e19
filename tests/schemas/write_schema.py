"""Write the detectors' part of the newest schema of reconstructed spills: python -m tests.schemas.write_schema.

It follows the tables' dataclasses. A schema that has been released is never written again: copy it to the next version,
change the namespace, and run this.
"""

import json
from pathlib import Path

from schemas.detectors import DETECTORS, schema_field

SCHEMAS = Path(__file__).parents[2] / "schemas"


def newest() -> Path:
    """Return the newest schema of reconstructed spills."""
    found = {int(p.stem.rpartition(".v")[2]): p for p in SCHEMAS.glob("reconstructed_spill.v*.avsc")}
    return found[max(found)]


def main() -> None:
    """Write the newest schema."""
    path = newest()
    schema = json.loads(path.read_text())
    others = [
        field for field in schema["fields"] if not isinstance(field["type"], list) or field["name"] == "rejection"
    ]
    schema["fields"] = others + [schema_field(name) for name in DETECTORS]
    path.write_text(json.dumps(schema, indent=1) + "\n")


if __name__ == "__main__":
    main()
