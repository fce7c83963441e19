"""Messages to bytes and back: Avro single-object encoding, checked by the same rules where it is written and read.

A message is two marker bytes, the fingerprint of the writer's schema (CRC-64-AVRO, little-endian) and the record, so
a reader finds the schema without a registry. The schemas are the files ``*.avsc`` beside this module; a version, once
used, stays for ever. Avro's fingerprint does not cover a column's dtype, so every change of a schema takes a new
version in its namespace.

What a reconstructed spill holds of detectors depends on the experiment: whoever writes or reads one gives its tables.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, get_args, get_type_hints

import fastavro
import fastavro.read
import fastavro.write
import numpy as np

from schemas.columns import Detector
from schemas.records import (
    DIGEST_BYTES,
    MAX_DECIDED_TEXT,
    MAX_NAMES,
    MAX_TEXT,
    NO_RUN,
    Action,
    RawFormat,
    RawSpill,
    ReconstructedSpill,
    Record,
    RejectedSpill,
    RunControl,
    RunRecord,
)
from schemas.spill_schema import Tables, schema_field

MARKER = b"\xc3\x01"
HEADER_BYTES = 10
MAX_MESSAGE_BYTES = 64 << 20
"""No message of ours is longer; the largest spills of the experiment take some megabytes."""
MAX_NUMBER = 2**31 - 1
"""Run, spill and trigger numbers are below it: the DAQ writes them in 32 bits."""
MAX_TIME_US = 4_102_444_800_000_000
"""1 January 2100: a time beyond it is a broken clock or a broken message."""
MAX_TRIGGERS = 100_000
"""Particle triggers in a spill; the DAQ's own limit is some hundreds."""

NO_TABLES: Tables = MappingProxyType({})
"""Of whoever neither writes nor reads what detectors made of a spill."""
_DETECTORS_FIELD = "detectors"
"""Of a reconstructed spill: in its schema each detector has a field of its own."""
_DECIDED = ("before", "after")
"""Of an action: they may hold plans of many runs."""
_SHOWN = 200
"""Characters of a library's error that are passed on."""


class WireError(ValueError):
    """The bytes are no message of ours, or would be none; the text says why."""


_NO_RECORD = ValueError, EOFError, LookupError, TypeError, AttributeError, OverflowError, MemoryError
"""What comes of reading bytes, or writing values, that are no record."""


def _read_column(data: bytes, writer_schema: Any = None, _reader_schema: Any = None) -> Any:
    dtype, row = np.dtype(writer_schema["dtype"]), tuple(writer_schema.get("row", ()))
    row_bytes = dtype.itemsize * int(np.prod(row, dtype=np.int64))
    if len(data) % row_bytes:
        message = f"a column has {len(data)} bytes, which are no rows of {row_bytes}"
        raise WireError(message)
    return np.frombuffer(data, dtype).reshape(-1, *row)


def _write_column(values: Any, _schema: Any) -> bytes:
    return bytes(np.ascontiguousarray(values).data)


fastavro.read.LOGICAL_READERS["bytes-ndarray"] = _read_column
fastavro.write.LOGICAL_WRITERS["bytes-ndarray"] = _write_column


Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Schemas:
    """Every schema ever used, by its fingerprint; and of each kind of record the one that it is written with."""

    known: Mapping[bytes, Schema]
    written: Mapping[str, tuple[bytes, Schema]]
    former: Mapping[str, Sequence[tuple[bytes, Schema, Mapping[str, Any]]]]
    """Kind → those of before that lack fields and are else the same, and what these are in a record that fits."""


def _schemas(tables: Tables) -> _Schemas:
    return _schemas_with(tuple(tables.items()))


@cache
def _schemas_with(tables: tuple[tuple[str, type[Detector]], ...]) -> _Schemas:
    """Return the schemas in the folder; the one that reconstructed spills are written with has these detectors."""
    versions: dict[str, list[Schema]] = {}
    known: dict[bytes, Schema] = {}
    for path in sorted(Path(__file__).parent.glob("*.avsc"), key=_version):
        schema = json.loads(path.read_text())
        versions.setdefault(path.name.partition(".")[0], []).append(schema)
        known |= [_parsed(schema)]
    its = {name: schema_field(name, detector) for name, detector in tables}
    spill = versions["reconstructed_spill"][-1]
    own = {f.name for f in fields(ReconstructedSpill)}
    kept = [field for field in spill["fields"] if field["name"] in own or field == its.get(field["name"])]
    there = {field["name"] for field in kept}
    added = [_added(field) for name, field in its.items() if name not in there]
    versions["reconstructed_spill"][-1] = spill | {"fields": kept + added}
    written = {_kind_of(its[-1]): _parsed(its[-1]) for its in versions.values()}
    former = {_kind_of(its[-1]): [*_fitting(its[:-1], its[-1])] for its in versions.values()}
    return _Schemas(known | dict(written.values()), written, former)


def _added(field: Schema) -> Schema:
    """Return the field of a detector that no file here has, in a namespace of its own.

    It has no version: its namespace is a digest of all that it is, so that its columns are never read as others.
    """
    digest = hashlib.blake2b(json.dumps(field, sort_keys=True).encode(), digest_size=8).hexdigest()
    field["type"][1]["namespace"] = f"spilldeck.added.x{digest}"
    return field


def _kind_of(schema: Schema) -> str:
    return str(schema["name"].rpartition(".")[2])


def _fitting(older: Sequence[Schema], newest: Schema) -> Iterator[tuple[bytes, Schema, Mapping[str, Any]]]:
    """Yield the older schemas whose fields are as they are in the newest, with the defaults of those that they lack."""
    defaults = {f.name: f for f in fields(_KINDS[_kind_of(newest)])}
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


def _plain(value: Any) -> Any:
    """Return a record as the nested dictionaries that Avro takes."""
    if not is_dataclass(value):
        return value
    plain = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, ReconstructedSpill):
        plain |= {name: _plain(detector) for name, detector in value.detectors.items()}
    return plain


def encode(record: Record, tables: Tables = NO_TABLES) -> bytes:
    """Return the message that carries a record; who is older reads it, too, unless it has what is new.

    Parameters
    ----------
    tables
        Those of the experiment, for a reconstructed spill.

    Raises
    ------
    WireError
        When `decode` would refuse the message.
    """
    try:
        for name, one_of in _enums(type(record)).items():  # type: ignore[arg-type]
            one_of(getattr(record, name))
        _check(record, tables)
        message = serialize(record, tables)
    except WireError:
        raise
    except _NO_RECORD as error:
        raise _refused(type(record), "written", error) from error
    _check_length(message)
    return message


def serialize(record: Record, tables: Tables = NO_TABLES) -> bytes:
    """Return the bytes of a record, whether or not anybody takes them."""
    fingerprint, schema = _schema_of(record, tables)
    out = io.BytesIO()
    out.write(MARKER + fingerprint)
    fastavro.schemaless_writer(out, schema, _plain(record))
    return out.getvalue()


def _schema_of(record: Record, tables: Tables) -> tuple[bytes, Schema]:
    """Return the oldest schema that has all of a record."""
    kind, schemas = type(record).__name__, _schemas(tables)
    for fingerprint, schema, lacking in schemas.former[kind]:
        if all(getattr(record, name) == value for name, value in lacking.items()):
            return fingerprint, schema
    return schemas.written[kind]


@cache
def _enums(kind: type[Any]) -> Mapping[str, type[StrEnum]]:
    """Return what each field may be that has some values and no others."""
    hints = get_type_hints(kind).items()
    return {name: hint for name, hint in hints if isinstance(hint, type) and issubclass(hint, StrEnum)}


@cache
def _builder(kind: type[Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Return what makes a dataclass of this kind from Avro's dictionaries."""
    hints = get_type_hints(kind)
    nested = {}
    for f in fields(kind):
        options = get_args(hints[f.name]) if isinstance(hints[f.name], UnionType) else (hints[f.name],)
        nested[f.name] = next((o for o in options if isinstance(o, type) and is_dataclass(o)), None)
    enums = _enums(kind)  # type: ignore[arg-type]
    absent = {f.name: f.metadata for f in fields(kind) if f.metadata.get("absent") is not None}

    def build(values: Mapping[str, Any]) -> Any:
        out: dict[str, Any] = {}
        for name, inner in nested.items():
            if name == _DETECTORS_FIELD:  # what they are, whoever reads has to say
                continue
            if name not in values:  # the message is older than the field, which has a default, or than the table
                if issubclass(kind, Detector):
                    out[name] = hints[name].empty()
                elif name in absent:
                    out[name] = _absent(absent[name], len(next(iter(values.values()))))
                continue
            value = values[name]
            if inner is not None and value is not None:
                value = _builder(inner)(value)
            out[name] = enums[name](value) if name in enums else value
        return kind(**out)

    return build


def _absent(column: Mapping[str, Any], rows: int) -> Any:
    """Return a column that is younger than the message."""
    return np.full((rows, *column["row"]), column["absent"], column["dtype"])


def _detectors(values: Mapping[str, Any], tables: Tables) -> dict[str, Detector]:
    """Return what the detectors made of a spill, from Avro's dictionaries."""
    own = {f.name for f in fields(ReconstructedSpill)}
    there = {name: value for name, value in values.items() if name not in own and value is not None}
    for name in there.keys() - tables.keys():
        raise WireError(f"the ReconstructedSpill has tables of {name}, which is no detector here")
    known: dict[str, Any] = {**tables}
    return {name: _builder(kind)(there[name]) for name, kind in known.items() if name in there}


def decode(message: bytes, tables: Tables = NO_TABLES) -> Record:
    """Return the record that a message carries, every number in it checked.

    Parameters
    ----------
    tables
        Those of the experiment, for a reconstructed spill.

    Raises
    ------
    WireError
        When the bytes are no message of ours, or one with numbers that cannot be; or a reconstructed spill with a
        detector of which there are no tables here.
    """
    _check_length(message)
    if len(message) < HEADER_BYTES:
        raise WireError(f"no Avro single-object message: it has {len(message)} bytes, fewer than its header")
    if message[:2] != MARKER:
        raise WireError(f"no Avro single-object message: it begins with {message[:2].hex()}, not c301")
    schema = _schemas(tables).known.get(message[2:HEADER_BYTES])
    if schema is None:
        raise WireError(
            f"no schema here has the fingerprint {message[2:HEADER_BYTES].hex()}: written by a newer version?"
        )
    stream = io.BytesIO(message)
    stream.seek(HEADER_BYTES)
    kind = _KINDS[schema["name"].rpartition(".")[2]]
    try:
        values = fastavro.schemaless_reader(stream, schema)
        record: Record = _builder(kind)(values)  # type: ignore[arg-type]
        if isinstance(record, ReconstructedSpill):
            record = replace(record, detectors=_detectors(values, tables))
    except WireError:
        raise
    except _NO_RECORD as error:
        raise _refused(kind, "read", error) from error
    if stream.tell() != len(message):
        raise WireError(f"{len(message) - stream.tell()} bytes follow the {kind.__name__}")
    _check(record, tables)
    return record


_KINDS: dict[str, type[Any]] = {
    k.__name__: k for k in (RawSpill, RunControl, ReconstructedSpill, RejectedSpill, RunRecord, Action)
}


def _refused(kind: type[Any], what: str, error: Exception) -> WireError:
    said = str(error)[:_SHOWN]  # some errors repeat the value, however long it is
    return WireError(f"the {kind.__name__} cannot be {what}: {type(error).__name__}: {said}")


def _check_length(message: bytes) -> None:
    if len(message) > MAX_MESSAGE_BYTES:
        raise WireError(f"the message has {len(message)} bytes, more than {MAX_MESSAGE_BYTES}")


def _in_range(record: Any, name: str, low: int, high: int) -> None:
    value = getattr(record, name)
    if not low <= value <= high:
        raise WireError(f"{type(record).__name__}.{name} is {value}, not in [{low}, {high}]")


def _check(record: Record, tables: Tables) -> None:
    """Refuse numbers that no spill can have, and texts that nobody reads."""
    _check_texts(type(record).__name__, record)
    if isinstance(record, Action):
        _in_range(record, "at_us", 0, MAX_TIME_US)
        return
    lowest = NO_RUN if _may_lack_numbers(record) else 0
    _in_range(record, "run", lowest, MAX_NUMBER)
    if not isinstance(record, RunControl | RunRecord):
        _in_range(record, "spill", lowest, MAX_NUMBER)
    if isinstance(record, RawSpill | RunControl | ReconstructedSpill):
        _in_range(record, "time_us", 0, MAX_TIME_US)
        _in_range(record, "events", 0, MAX_NUMBER)
    if isinstance(record, RunControl):
        _in_range(record, "partitions", 0, MAX_NUMBER)
    if isinstance(record, ReconstructedSpill):
        _check_reconstructed(record, tables)


def _may_lack_numbers(record: Record) -> bool:
    """Say whether this may be no spill of a run: what counts in a book has a run and a number."""
    if isinstance(record, RawSpill):
        return record.format is RawFormat.UNREADABLE
    if isinstance(record, ReconstructedSpill):
        return record.rejection is not None
    return isinstance(record, RejectedSpill | RunRecord)  # the topic of runs says where what is of no run begins, too


def _check_texts(name: str, record: Any) -> None:
    for f in fields(record):
        value = getattr(record, f.name)
        longest = MAX_DECIDED_TEXT if isinstance(record, Action) and f.name in _DECIDED else MAX_TEXT
        if isinstance(value, str) and len(value) > longest:
            raise WireError(f"{name}.{f.name} has {len(value)} characters, more than {longest}")


def _check_names(record: ReconstructedSpill) -> None:
    for name, table in (("errors", record.errors), ("skipped", record.skipped), ("lacking", record.lacking)):
        if len(table) > MAX_NAMES:
            raise WireError(f"ReconstructedSpill.{name} has {len(table)} names, more than {MAX_NAMES}")
        longest = max((len(text) for entry in table.items() for text in entry if isinstance(text, str)), default=0)
        if longest > MAX_TEXT:
            raise WireError(f"ReconstructedSpill.{name} has a text of {longest} characters, more than {MAX_TEXT}")
    for name, count in record.skipped.items():
        if not 0 <= count <= MAX_NUMBER:
            raise WireError(f"ReconstructedSpill.skipped[{name[:_SHOWN]!r}] is {count}, not in [0, {MAX_NUMBER}]")


def _check_reconstructed(record: ReconstructedSpill, tables: Tables) -> None:
    _in_range(record, "triggers", 0, MAX_TRIGGERS)
    _in_range(record, "size", 0, MAX_MESSAGE_BYTES)
    _check_names(record)
    if record.rejection is not None:
        _check_texts("Rejection", record.rejection)
    if len(record.digest) != DIGEST_BYTES:
        raise WireError(f"ReconstructedSpill.digest has {len(record.digest)} bytes, not {DIGEST_BYTES}")
    for name, detector in record.detectors.items():
        if type(detector) is not tables.get(name):
            raise WireError(f"ReconstructedSpill.detectors[{name[:_SHOWN]!r}] is a {type(detector).__name__}")
        check_detector(detector, record.triggers)


def check_detector(detector: Detector, triggers: int) -> None:
    """Refuse tables that name particle triggers which the spill does not have.

    Raises
    ------
    WireError
        Says which table.
    """
    for table in detector.tables().values():
        trigger = getattr(table, "trigger", None)
        if trigger is not None and len(trigger) and not (trigger.min() >= 0 and trigger.max() < triggers):
            raise WireError(
                f"{type(table).__name__}.trigger runs from {trigger.min()} to {trigger.max()} in a spill of "
                f"{triggers} particle triggers"
            )
