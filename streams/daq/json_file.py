"""A file of spill documents to records: one JSON object a line, or one in the whole file."""

import mmap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from schemas.records import MAX_PAYLOAD_BYTES, NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from schemas.wire import MAX_TIME_US
from streams.daq.times import UNKNOWN, SourceTimes
from streams.daq.unreadable import unreadable
from streams.errors import BadDataError
from streams.unpack.json_values import number
from streams.unpack.spill_json import parse

_CONTROL = {"start_of_run": ControlKind.START, "end_of_run": ControlKind.END}
_PHYSICS = "physics_event"
_START_OF_BURST = "start_of_burst"
_STAMP = "time_stamp"
"""Key of a time, in whole seconds since 1970 UTC."""
_MARKER = b"END_OF_RUN"
"""A line of some old files: no document, and nothing that the end-of-run document does not say."""


def read_json(content: mmap.mmap, source: str) -> Iterator[RawSpill | RunControl]:
    """Yield the records of a file of spill documents.

    Documents of other DAQ events hold no data. They are counted where a DATE file has them: the start of a burst in
    the record that follows, any other in the record before. So is the second of a pair that starts or ends a run.
    """
    neighbours = SourceTimes()
    run = NO_RUN
    held: _Held | None = None
    before: list[list[int]] = []
    for start, stop in _documents(content):
        try:
            kind, times, record = _read(content, start, stop, source)
        except BadDataError as error:
            place = f" at byte {start + error.byte}" if error.byte >= 0 else ""
            kind, times = "", []
            record = unreadable(content, start, stop, run=run, source=source, reason=error.reason + place)
        if held is not None and isinstance(record, RunControl) and _is_pair(held.record, record):
            held.others.append(times)
        elif record is not None:
            if held is not None:
                yield held.judged(neighbours, times if record.run == held.record.run else [])
            held, before = _Held(record=record, times=times, others=before), []
            run = record.run
        elif kind == _START_OF_BURST or (kind and held is None):
            before.append(times)
        elif kind and held is not None:
            held.others.append(times)
    if held is not None:
        held.others += before
        yield held.judged(neighbours, [])


@dataclass(slots=True, kw_only=True)
class _Held:
    """A record to which documents that follow may belong."""

    record: RawSpill | RunControl
    times: list[int]
    """That its own document shows."""
    others: list[list[int]]
    """Those of each other document of its events."""

    def judged(self, neighbours: SourceTimes, after: Sequence[int]) -> RawSpill | RunControl:
        """Return the record with all its events, and its time compared with its neighbours'; `after` follow it."""
        record = replace(self.record, events=self.record.events + len(self.others))
        if isinstance(record, RawSpill) and record.format is RawFormat.UNREADABLE:
            return record
        begins = isinstance(record, RunControl) and record.kind is ControlKind.START
        judged = neighbours.judge(record.run, [self.times, *self.others], begins=begins, after=after)
        return replace(record, time_us=judged.time_us, time_problem=judged.problem)


def _is_pair(first: RawSpill | RunControl, second: RunControl) -> bool:
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


def _read(
    content: mmap.mmap, start: int, stop: int, source: str
) -> tuple[str, list[int], RawSpill | RunControl | None]:
    """Return of a document the DAQ's name of its event, the times it shows, and its record; none if it has no data."""
    if stop - start > MAX_PAYLOAD_BYTES:
        raise BadDataError("json", f"a document of {stop - start} bytes, more than {MAX_PAYLOAD_BYTES}")
    payload = content[start:stop]
    document = parse(payload)
    kind = document.get("daq_event_type", "")
    if not isinstance(kind, str):
        raise BadDataError("json", "daq_event_type is no text")
    if kind in _CONTROL or kind == _PHYSICS:
        return kind, _times(document), _record(document, kind, payload, source, start)
    if document.get("daq_data"):
        raise BadDataError("json", f"daq_data in a document whose daq_event_type is {kind[:40]!a}")
    return kind, _times(document), None


def _record(document: Mapping[str, Any], kind: str, payload: bytes, source: str, byte: int) -> RawSpill | RunControl:
    """Return a document's record, whose time is still to be judged."""
    run = number(document, "run_number" if "run_number" in document else "run_num", low=0)
    if kind in _CONTROL:
        return RunControl(
            run=run, kind=_CONTROL[kind], time_us=UNKNOWN, source=source, byte=byte, events=1, payload=payload
        )
    return RawSpill(
        run=run,
        spill=number(document, "spill_number" if "spill_number" in document else "spill_num", low=0),
        time_us=UNKNOWN,
        format=RawFormat.SPILL_JSON,
        source=source,
        byte=byte,
        events=1,
        payload=payload,
    )


def _times(document: Mapping[str, Any]) -> list[int]:
    """Return the times that a document shows, in microseconds: its own, which old ones lack, and most of its data's."""
    daq = document.get("daq_data")
    of_data = Counter(map(_time_us, _stamps(daq))) if isinstance(daq, dict) else Counter()
    own = [_time_us(document[_STAMP])] if _STAMP in document else []
    return own + [time_us for time_us, _ in of_data.most_common(1)]


def _stamps(daq: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the time of the scaler and of each hit, whatever it is."""
    for branch in daq.values():
        boards = branch if isinstance(branch, list) else [{"": [branch]}]
        lists = (hits for event in boards if isinstance(event, dict) for hits in event.values())
        found = (hit for hits in lists if isinstance(hits, list) for hit in hits)
        yield from (hit[_STAMP] for hit in found if isinstance(hit, dict) and _STAMP in hit)


def _time_us(seconds: Any) -> int:
    if isinstance(seconds, float) and seconds.is_integer():
        seconds = int(seconds)
    return seconds * 1_000_000 if type(seconds) is int and 0 <= seconds <= MAX_TIME_US // 1_000_000 else UNKNOWN
