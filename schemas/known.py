"""Which schemas there are: every one that a file here has, and the one that an experiment's reconstructed spills have.

The files are ``*.avsc`` beside this module; a version, once used, stays for ever, and its number is in its namespace.
A detector whose columns are in no file has a namespace that is a digest of all that they are. So a fingerprint, which
by Avro's rules covers names and no dtypes, tells every column.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import fastavro
import fastavro.read
import fastavro.write
import numpy as np

from schemas.columns import Detector
from schemas.records import (
    Action,
    RawSpill,
    ReconstructedSpill,
    RejectedSpill,
    RunControl,
    RunRecord,
)
from schemas.spill_schema import Tables, schema_field

FINGERPRINT_BYTES = 8
MAX_SCHEMA_BYTES = 1 << 20
"""No schema of ours is longer; that of seven detectors has 18 kB."""
NO_TABLES: Tables = MappingProxyType({})
"""Of whoever neither writes nor reads what detectors made of a spill."""
KINDS: dict[str, type[Any]] = {
    k.__name__: k for k in (RawSpill, RunControl, ReconstructedSpill, RejectedSpill, RunRecord, Action)
}
"""Name of a schema → the record that it is of."""
_SIMPLE = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_ITEMS = {"array": "items", "map": "values"}
"""What has items of a type → where that stands."""
_ADDED = "spilldeck.added.x"
"""Namespace of a detector that is in no file, before its digest."""

Schema = dict[str, Any]


class WireError(ValueError):
    """The bytes are no message of ours, or would be none; the text says why."""


class OtherTablesError(WireError):
    """What a detector made was written with tables that cannot be read as those here; the text names the column."""


NOT_AVRO = (
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    fastavro.schema.SchemaParseException,
)
"""What comes of reading bytes, or writing values, that are no record; or of a schema that is none."""


def _read_column(data: bytes, writer_schema: Any = None, _reader_schema: Any = None) -> Any:
    dtype, row = np.dtype(writer_schema["dtype"]), tuple(writer_schema.get("row", ()))
    row_bytes = dtype.itemsize * prod(row)
    if len(data) % row_bytes:
        message = f"a column has {len(data)} bytes, which are no rows of {row_bytes}"
        raise WireError(message)
    return np.frombuffer(data, dtype).reshape(-1, *row)


def _write_column(values: Any, _schema: Any) -> bytes:
    return bytes(np.ascontiguousarray(values).data)


fastavro.read.LOGICAL_READERS["bytes-ndarray"] = _read_column
fastavro.write.LOGICAL_WRITERS["bytes-ndarray"] = _write_column


@dataclass(frozen=True, slots=True)
class Schemas:
    """Every schema that is known without asking anybody, and of each kind of record the one that it is written with."""

    known: Mapping[bytes, Schema]
    """By fingerprint."""
    texts: Mapping[bytes, str]
    """As JSON."""
    written: Mapping[str, tuple[bytes, Schema]]
    former: Mapping[str, Sequence[tuple[bytes, Schema, Mapping[str, Any]]]]
    """Kind → those of before that lack fields and are else the same, and what these are in a record that fits."""


def schemas_of(tables: Tables) -> Schemas:
    """Return the schemas of whoever's reconstructed spills have these detectors."""
    return _schemas_with(tuple(tables.items()))


@cache
def _schemas_with(tables: tuple[tuple[str, type[Detector]], ...]) -> Schemas:
    versions, known, texts = _in_files()
    its = {name: schema_field(name, detector) for name, detector in tables}
    spill = versions["ReconstructedSpill"][-1]
    own = {f.name for f in fields(ReconstructedSpill)}
    kept = [field for field in spill["fields"] if field["name"] in own or field == its.get(field["name"])]
    there = {field["name"] for field in kept}
    added = [_added(field) for name, field in its.items() if name not in there]
    written = spill | {"fields": kept + added}
    newest = {kind: each[-1] for kind, each in versions.items()} | {"ReconstructedSpill": written}
    fingerprint, parsed = _parsed(written)
    return Schemas(
        known={**known, fingerprint: parsed},
        texts={**texts, fingerprint: json.dumps(written)},
        written={kind: _parsed(schema) for kind, schema in newest.items()},
        former={kind: [*_fitting(versions[kind][:-1], schema)] for kind, schema in newest.items()},
    )


@cache
def _in_files() -> tuple[Mapping[str, Sequence[Schema]], Mapping[bytes, Schema], Mapping[bytes, str]]:
    """Return the schemas that files have: of each kind of record, the oldest first; and as `Schemas` has them."""
    versions: dict[str, list[Schema]] = {}
    known, texts = dict[bytes, Schema](), dict[bytes, str]()
    for path in sorted(Path(__file__).parent.glob("*.avsc"), key=_version):
        schema = json.loads(path.read_text())
        versions.setdefault(schema["name"], []).append(schema)
        fingerprint, known[fingerprint] = _parsed(schema)
        texts[fingerprint] = json.dumps(schema)
    return versions, known, texts


def _added(field: Schema) -> Schema:
    """Return the field of a detector that no file here has, in a namespace of its own.

    It has no version: its namespace is a digest of all that it is, so that its columns are never read as others.
    """
    digest = hashlib.blake2b(json.dumps(field, sort_keys=True).encode(), digest_size=8).hexdigest()
    empty, record = field["type"]
    return field | {"type": [empty, record | {"namespace": f"{_ADDED}{digest}"}]}


def kept_schema(fingerprint: bytes, text: bytes) -> Schema:
    """Return a schema that was kept under its fingerprint, as JSON.

    Raises
    ------
    WireError
        When it is another one, or none.
    """
    what = f"what is kept as the schema {fingerprint.hex()}"
    if len(text) > MAX_SCHEMA_BYTES:
        raise WireError(f"{what} has {len(text)} bytes, more than {MAX_SCHEMA_BYTES}")
    try:
        schema = json.loads(text)
        _check_bounded(schema, is_item=False)
        found, parsed = _parsed(schema)
        is_whole = found == fingerprint and all(map(_is_as_its_digest_says, schema["fields"]))
        is_ours = parsed["name"].rpartition(".")[2] in KINDS
    except NOT_AVRO as error:
        raise WireError(f"{what} is none: {type(error).__name__}") from error
    if not (is_whole and is_ours):
        raise WireError(f"{what} is another one")
    return parsed


def _check_bounded(schema: Any, *, is_item: bool) -> None:
    """Refuse what takes more memory, time or depth than its bytes: types by name, as in themselves, and endless items.

    Raises
    ------
    ValueError
        When there is such a thing in a schema.
    """
    if isinstance(schema, list):
        for each in schema:
            _check_bounded(each, is_item=is_item)
    elif isinstance(schema, str):
        if schema not in _SIMPLE or (is_item and schema == "null"):
            raise ValueError(f"a {schema} has no place in it")
    elif schema["type"] == "record" and not is_item:
        for each in schema["fields"]:
            _check_bounded(each["type"], is_item=False)
    elif schema["type"] in _ITEMS:
        _check_bounded(schema[_ITEMS[schema["type"]]], is_item=True)
    elif schema["type"] != "enum":
        _check_bounded(schema["type"], is_item=is_item)


def _is_as_its_digest_says(field: Schema) -> bool:
    """Say whether a field has the columns that its namespace is a digest of, if it is."""
    if not (isinstance(field["type"], list) and isinstance(field["type"][-1], dict)):
        return True
    record = dict(field["type"][-1])
    namespace = record.pop("namespace", "")
    return not namespace.startswith(_ADDED) or _added(field | {"type": [field["type"][0], record]}) == field


def _fitting(older: Sequence[Schema], newest: Schema) -> Iterator[tuple[bytes, Schema, Mapping[str, Any]]]:
    """Yield the older schemas whose fields are as they are in the newest, with the defaults of those that they lack."""
    defaults = {f.name: f for f in fields(KINDS[newest["name"]])}
    for schema in older:
        lacking = [field["name"] for field in newest["fields"] if field not in schema["fields"]]
        # What an experiment has added is in the newest alone.
        if len(lacking) + len(schema["fields"]) == len(newest["fields"]) and defaults.keys() >= {*lacking}:
            yield *_parsed(schema), {name: _default(defaults[name]) for name in lacking}


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _parsed(schema: Schema) -> tuple[bytes, Schema]:
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    crc = fastavro.schema.fingerprint(canonical, "CRC-64-AVRO")
    return bytes.fromhex(crc), fastavro.parse_schema(schema)


def _version(path: Path) -> int:
    return int(path.stem.rpartition(".v")[2])
