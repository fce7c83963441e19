"""A file of spill documents to records: one JSON object a line, or one in the whole file."""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, TypeGuard

from schemas.records import MAX_PAYLOAD_BYTES, NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from schemas.wire import MAX_TIME_US
from streams.daq.unreadable import unreadable
from streams.errors import BadDataError
from streams.unpack.json_values import number
from streams.unpack.spill_json import parse

_CONTROL = {"start_of_run": ControlKind.START, "end_of_run": ControlKind.END}
_PHYSICS = "physics_event"
_START_OF_BURST = "start_of_burst"
_MARKER = b"END_OF_RUN"
"""A line of some old files: no document, and nothing that the end-of-run document does not say."""


def read_json(content: mmap.mmap, source: str) -> Iterator[RawSpill | RunControl]:
    """Yield the records of a file of spill documents.

    Documents of other DAQ events hold no data. They are counted where a DATE file has them: the start of a burst in
    the record that follows, any other in the record before. So is the second of a pair that starts or ends a run.
    """
    run, before = NO_RUN, 0
    held: RawSpill | RunControl | None = None
    for start, stop in _documents(content):
        try:
            kind, record = _read(content, start, stop, source)
        except BadDataError as error:
            place = f" at byte {start + error.byte}" if error.byte >= 0 else ""
            kind = ""
            record = unreadable(content, start, stop, run=run, source=source, reason=error.reason + place)
        if isinstance(record, RunControl) and _is_pair(held, record):
            held = replace(held, events=held.events + 1)
        elif record is not None:
            if held is not None:
                yield held
            held, before = replace(record, events=record.events + before), 0
            run = record.run
        elif kind == _START_OF_BURST or (kind and held is None):
            before += 1
        elif kind and held is not None:
            held = replace(held, events=held.events + 1)
    if held is not None:
        yield replace(held, events=held.events + before)


def _is_pair(first: RawSpill | RunControl | None, second: RunControl) -> TypeGuard[RunControl]:
    return isinstance(first, RunControl) and (first.run, first.kind) == (second.run, second.kind)


def _documents(content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield where each document begins and ends.

    They have a line each if one of the first two lines is a document by itself: so it is told from a document of many
    lines even if one line is damaged.
    """
    if not any(_is_document(content, *line) for line in islice(_lines(content), 2)):
        yield 0, len(content)
        return
    yield from _lines(content)


def _lines(content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield where each line begins and ends, but for blank ones and markers."""
    at = 0
    while at < len(content):
        end = content.find(b"\n", at)
        stop = len(content) if end < 0 else end
        if content[at : min(stop, at + len(_MARKER) + 2)].strip() not in (b"", _MARKER):
            yield at, stop
        at = stop + 1


def _is_document(content: mmap.mmap, start: int, stop: int) -> bool:
    if stop - start > MAX_PAYLOAD_BYTES:
        return False
    try:
        parse(content[start:stop])
    except BadDataError:
        return False
    return True


def _read(content: mmap.mmap, start: int, stop: int, source: str) -> tuple[str, RawSpill | RunControl | None]:
    """Return the DAQ's name of the event that a document is about, and its record; none if it holds no data."""
    if stop - start > MAX_PAYLOAD_BYTES:
        raise BadDataError("json", f"a document of {stop - start} bytes, more than {MAX_PAYLOAD_BYTES}")
    payload = content[start:stop]
    document = parse(payload)
    kind = document.get("daq_event_type", "")
    if not isinstance(kind, str):
        raise BadDataError("json", "daq_event_type is no text")
    if kind in _CONTROL or kind == _PHYSICS:
        return kind, _record(document, kind, payload, source, start)
    if document.get("daq_data"):
        raise BadDataError("json", f"daq_data in a document whose daq_event_type is {kind[:40]!a}")
    return kind, None


def _record(document: Mapping[str, Any], kind: str, payload: bytes, source: str, byte: int) -> RawSpill | RunControl:
    run = number(document, "run_number" if "run_number" in document else "run_num", low=0)
    time_us = _seconds(document) * 1_000_000
    if kind in _CONTROL:
        return RunControl(
            run=run, kind=_CONTROL[kind], time_us=time_us, source=source, byte=byte, events=1, payload=payload
        )
    return RawSpill(
        run=run,
        spill=number(document, "spill_number" if "spill_number" in document else "spill_num", low=0),
        time_us=time_us,
        format=RawFormat.SPILL_JSON,
        source=source,
        byte=byte,
        events=1,
        payload=payload,
    )


def _seconds(document: Mapping[str, Any]) -> int:
    """Return the time of a document: its own, or in old ones that of the scaler; 0 without either."""
    daq = document.get("daq_data")
    scaler = daq.get("V830") if isinstance(daq, dict) else None
    found = document if "time_stamp" in document or not isinstance(scaler, dict) else scaler
    return number(found, "time_stamp", 0, low=0, high=MAX_TIME_US // 1_000_000)
