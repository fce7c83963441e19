"""Write the next schema of reconstructed spills, if the detectors' tables ask for one.

Run it by python -m tests.schemas.write_schema. One of which a message is kept among the fixtures stays as it is for
ever; until then it is written anew each time.
"""

import json
from dataclasses import fields
from pathlib import Path

from schemas.detectors import DETECTORS, schema_field
from schemas.records import ReconstructedSpill

SCHEMAS = Path(__file__).parents[2] / "schemas"
FIXTURES = Path(__file__).parent / "fixtures" / "valid"


def newest() -> Path:
    """Return the newest schema of reconstructed spills."""
    found = {int(p.stem.rpartition(".v")[2]): p for p in SCHEMAS.glob("reconstructed_spill.v*.avsc")}
    return found[max(found)]


def main() -> None:
    """Write the schema."""
    path = newest()
    schema = json.loads(path.read_text())
    own = {field.name for field in fields(ReconstructedSpill)}
    others = [field for field in schema["fields"] if field["name"] in own]
    wanted = others + [schema_field(name) for name in DETECTORS]
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
