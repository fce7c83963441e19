"""Files of spills as columns, written by fastavro alone: what a DAQ would write, and what it should not."""

import io
from typing import Any

from fastavro.write import Writer

from schemas.records import RawSpill, RunControl
from streams.experiments.testbeam.boards import unpack

RUN, TIME_US = 900_001, 1_700_000_000_000_000
TABLES = {
    "tdc": {"trigger": "long", "channel": "int", "time": "long"},
    "pulses": {"trigger": "long", "channel": "int", "charge": "double"},
}


def schema(tables: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of spills with these tables: column → the items of its array, or the type that it has."""
    fields: list[dict[str, Any]] = [
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["spill", "start", "end", "pause"]}},
        *({"name": name, "type": "long"} for name in ("run", "spill", "time_us", "triggers")),
    ]
    for name, columns in (TABLES if tables is None else tables).items():
        its = [
            {"name": column, "type": {"type": "array", "items": of} if isinstance(of, str) else of}
            for column, of in columns.items()
        ]
        table = {"type": "record", "name": name.title(), "fields": its}
        fields.append({"name": name, "type": ["null", table]})
    return {"type": "record", "name": "Spill", "namespace": "org.example", "fields": fields}


def record(kind: str = "spill", spill: int = 0, run: int = RUN, triggers: int = 2, **tables: Any) -> dict[str, Any]:
    """Return a record; a table that is not named is null."""
    time_us = TIME_US + 4_000_000 * max(spill, 0)
    return {"kind": kind, "run": run, "spill": spill, "time_us": time_us, "triggers": triggers, **tables}


def spill(number: int, run: int = RUN, **changed: Any) -> dict[str, Any]:
    """Return a spill of two particles, of which no two are the same."""
    tdc = {"trigger": [0, 0, 1], "channel": [0, 1, 31], "time": [8000 + number, 8100, 8200]}
    pulses = {"trigger": [0, 1], "channel": [3, 4], "charge": [1.5 + number, 2.5]}
    return record(**{"spill": number, "run": run, "tdc": tdc, "pulses": pulses} | changed)


def run_of(spills: Any, run: int = RUN) -> list[dict[str, Any]]:
    """Return the records of a run with these spills."""
    return [record("start", run=run), *(spill(n, run) for n in spills), record("end", run=run)]


def pieces(
    records: list[dict[str, Any]], codec: str = "null", together: int = 1, of: dict[str, Any] | None = None
) -> list[bytes]:
    """Return the header of a file, and its blocks, so many records in each."""
    out = io.BytesIO()
    writer = Writer(out, of or schema(), codec=codec)
    ends = [out.tell()]
    for start in range(0, len(records), together):
        for each in records[start : start + together]:
            writer.write(each)
        writer.flush()
        ends.append(out.tell())
    return [out.getvalue()[start:stop] for start, stop in zip([0, *ends], ends, strict=False)]


def hits_of(records: list[RawSpill | RunControl]) -> list[dict[str, Any]]:
    """Return what a DAQ that has unpacked these records would write."""
    found = []
    for each in records:
        if isinstance(each, RunControl):
            found.append(record(each.kind.value, run=each.run) | {"time_us": each.time_us})
            continue
        hits = unpack(each.payload, None)
        its = {"tdc": hits.tdc, "pulses": hits.pulses}
        tables = {name: {column: getattr(its[name], column).tolist() for column in TABLES[name]} for name in its}
        found.append(
            record(spill=each.spill, run=each.run, triggers=hits.triggers, **tables) | {"time_us": each.time_us}
        )
    return found
