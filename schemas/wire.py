"""Messages to bytes and back: Avro single-object encoding, checked by the same rules where it is written and read.

A message is two marker bytes, the fingerprint of the writer's schema (CRC-64-AVRO, little-endian) and the record, so
a reader finds the schema: among those that it knows (`schemas.known`), or where those of others are kept
(`streams.kept_schemas`).

What a reconstructed spill holds of detectors depends on the experiment: whoever writes or reads one gives its tables.
One that was written with others is read by the rules of `schemas.resolution`.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, get_args, get_type_hints

import fastavro

from schemas.columns import Detector
from schemas.known import (
    FINGERPRINT_BYTES,
    KINDS,
    NO_TABLES,
    NOT_AVRO,
    Schema,
    WireError,
    schemas_of,
)
from schemas.records import (
    DIGEST_BYTES,
    MAX_DECIDED_TEXT,
    MAX_NAMES,
    MAX_TAKEN_OVER_TEXT,
    MAX_TEXT,
    NO_RUN,
    Action,
    ActionKind,
    RawFormat,
    RawSpill,
    ReconstructedSpill,
    Record,
    RejectedSpill,
    RunControl,
    RunRecord,
)
from schemas.resolution import detectors_of
from schemas.spill_schema import Tables

MARKER = b"\xc3\x01"
HEADER_BYTES = len(MARKER) + FINGERPRINT_BYTES
MAX_MESSAGE_BYTES = 64 << 20
"""No message of ours is longer; the largest spills of the experiment take some megabytes."""
MAX_NUMBER = 2**31 - 1
"""Run, spill and trigger numbers are below it: the DAQ writes them in 32 bits."""
MAX_TIME_US = 4_102_444_800_000_000
"""1 January 2100: a time beyond it is a broken clock or a broken message."""
MAX_TRIGGERS = 100_000
"""Particle triggers in a spill; the DAQ's own limit is some hundreds."""

_DECIDED = ("before", "after")
"""Of an action: they may hold plans of many runs."""
_SHOWN = 200
"""Characters of a library's error that are passed on."""

Find = Callable[[bytes], Schema | None]
"""Looks for the schema of a fingerprint that is none of those that are known here; None if nobody has it."""


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
        When `decode` would refuse the message, or the record was read in part.
    """
    if isinstance(record, ReconstructedSpill) and record.left_out != ():
        raise WireError("ReconstructedSpill.left_out: what was read in part is not written as if it were whole")
    try:
        for name, one_of in _enums(type(record)).items():  # type: ignore[arg-type]
            one_of(getattr(record, name))
        _check(record, tables)
        message = serialize(record, tables)
    except WireError:
        raise
    except NOT_AVRO as error:
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
    kind, schemas = type(record).__name__, schemas_of(tables)
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

    def build(values: Mapping[str, Any]) -> Any:
        out: dict[str, Any] = {}
        for name, inner in nested.items():
            if name not in values:  # the message is older than the field, which has a default
                continue
            value = values[name]
            if inner is not None and value is not None:
                value = _builder(inner)(value)
            out[name] = enums[name](value) if name in enums else value
        return kind(**out)

    return build


def decode(message: bytes, tables: Tables = NO_TABLES, find: Find = lambda _: None) -> Record:
    """Return the record that a message carries, every number in it checked.

    Parameters
    ----------
    tables
        Those of the experiment, for a reconstructed spill; what has no place in them is left out, by name.
    find
        Looks for the schema of a message that was written by another version, or with other tables.

    Raises
    ------
    WireError
        When the bytes are no message of ours, or one with numbers that cannot be, or that would be others here.
    """
    _check_length(message)
    if len(message) < HEADER_BYTES:
        raise WireError(f"no Avro single-object message: it has {len(message)} bytes, fewer than its header")
    if message[:2] != MARKER:
        raise WireError(f"no Avro single-object message: it begins with {message[:2].hex()}, not c301")
    fingerprint = message[2:HEADER_BYTES]
    schema = schemas_of(tables).known.get(fingerprint) or find(fingerprint)
    if schema is None:
        raise WireError(f"no schema here has the fingerprint {fingerprint.hex()}: written by a newer version?")
    stream = io.BytesIO(message)
    stream.seek(HEADER_BYTES)
    kind = KINDS[schema["name"].rpartition(".")[2]]
    try:
        values = fastavro.schemaless_reader(stream, schema)
        record: Record = _builder(kind)(values)  # type: ignore[arg-type]
        if isinstance(record, ReconstructedSpill):
            record = _with_detectors(record, values, tables)
    except WireError:
        raise
    except NOT_AVRO as error:
        raise _refused(kind, "read", error) from error
    if stream.tell() != len(message):
        raise WireError(f"{len(message) - stream.tell()} bytes follow the {kind.__name__}")
    _check(record, tables)
    return record


def _with_detectors(spill: ReconstructedSpill, values: Mapping[str, Any], tables: Tables) -> ReconstructedSpill:
    """Return a spill with what its detectors made, which stand among its other fields in Avro's dictionary."""
    own = {f.name for f in fields(ReconstructedSpill)}
    written = {name: value for name, value in values.items() if name not in own and value is not None}
    detectors, left_out = detectors_of(written, tables)
    return replace(spill, detectors=detectors, left_out=tuple(left_out))


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
        longest = _longest(record, f.name)
        if isinstance(value, str) and len(value) > longest:
            raise WireError(f"{name}.{f.name} has {len(value)} characters, more than {longest}")


def _longest(record: Any, name: str) -> int:
    if not isinstance(record, Action) or name not in _DECIDED:
        return MAX_TEXT
    return MAX_TAKEN_OVER_TEXT if record.kind == ActionKind.TAKE_OVER else MAX_DECIDED_TEXT


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
