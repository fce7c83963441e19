"""A file of spill documents to records: one JSON object a line, or one in the whole file."""

import mmap
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.records import NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from streams.daq.unreadable import unreadable
from streams.errors import BadDataError
from streams.unpack.spill_json import number, parse

_CONTROL = {"start_of_run": ControlKind.START, "end_of_run": ControlKind.END}
_PHYSICS = "physics_event"
_MAX_SECONDS = 4_102_444_800
"""1 January 2100."""


def read_json(content: mmap.mmap, source: str) -> Iterator[RawSpill | RunControl]:
    """Yield the records of a file of spill documents.

    Documents of other events (start and end of a burst) hold no data: they are counted with the next record.
    """
    run, others = NO_RUN, 0
    for start, stop in _documents(content):
        try:
            document = parse(content[start:stop])
            kind = document.get("daq_event_type")
            if kind in _CONTROL or kind == _PHYSICS:
                record = _record(document, content[start:stop], source, start, 1 + others)
                run, others = record.run, 0
                yield record
            else:
                others += 1
        except BadDataError as error:
            place = f" at byte {start + error.byte}" if error.byte >= 0 else ""
            yield unreadable(content, start, stop, run=run, source=source, reason=error.reason + place)


def _documents(content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield where each document begins and ends: a line each, unless the first line is no whole document."""
    first = content.find(b"\n")
    first_line = content[: first if first >= 0 else len(content)].strip()
    rest = content[first:].strip() if first >= 0 else b""
    if not rest or not first_line.endswith(b"}"):
        yield 0, len(content)
        return
    at = 0
    while at < len(content):
        stop = content.find(b"\n", at)
        stop = len(content) if stop < 0 else stop
        if content[at:stop].strip():
            yield at, stop
        at = stop + 1


def _record(document: Mapping[str, Any], payload: bytes, source: str, byte: int, events: int) -> RawSpill | RunControl:
    kind = document["daq_event_type"]
    run = number(document, "run_number" if "run_number" in document else "run_num", low=0)
    time_us = _seconds(document) * 1_000_000
    if kind in _CONTROL:
        return RunControl(
            run=run, kind=_CONTROL[kind], time_us=time_us, source=source, byte=byte, events=events, payload=payload
        )
    return RawSpill(
        run=run,
        spill=number(document, "spill_number" if "spill_number" in document else "spill_num", low=0),
        time_us=time_us,
        format=RawFormat.SPILL_JSON,
        source=source,
        byte=byte,
        events=events,
        payload=payload,
    )


def _seconds(document: Mapping[str, Any]) -> int:
    """Return the time of a document: its own, or in old ones that of the scaler; 0 without either."""
    scaler = (document.get("daq_data") or {}).get("V830") if isinstance(document.get("daq_data"), dict) else None
    found = document if "time_stamp" in document or not isinstance(scaler, dict) else scaler
    seconds = found.get("time_stamp", 0)
    if type(seconds) is not int or not 0 <= seconds <= _MAX_SECONDS:
        raise BadDataError("json", f"time_stamp is {str(seconds)[:40]}, not a time in seconds")
    return seconds
