"""A source of spill documents to records: JSON objects, each in a line or in several, or one behind the other."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from schemas.records import MAX_PAYLOAD_BYTES, NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from schemas.wire import MAX_TIME_US
from streams.daq.times import UNKNOWN, SourceTimes
from streams.daq.unreadable import unreadable
from streams.errors import BadDataError
from streams.experiments.mice.unpack.json_values import number
from streams.experiments.mice.unpack.spill_json import parse
from streams.source_format import SourceFormat

_CONTROL = {"start_of_run": ControlKind.START, "end_of_run": ControlKind.END}
_PHYSICS = "physics_event"
_START_OF_BURST = "start_of_burst"
_STAMP = "time_stamp"
"""Key of a time, in whole seconds since 1970 UTC."""
_BETWEEN = re.compile(r"(?:[ \t\r\n]|\xef\xbb\xbf|END_OF_RUN(?=\s|$))*")
"""What may stand between documents: also the mark of UTF-8 that some editors write, and a line of some old files that
says nothing that the end-of-run document does not say."""
_DECODER = json.JSONDecoder()
_BOM = b"\xef\xbb\xbf"
_LOOKED_AT = 1 << 20
"""Bytes at the beginning of a source in which a line must begin with an object."""
_SHORTEST = 80
"""Bytes: with fewer nothing is known of a source that grows."""


class JsonReader:
    """Reads a source of spill documents, at once or while it grows.

    Documents of other DAQ events hold no data. They are counted where a DATE file has them: the start of a burst in
    the record that follows, any other in the record before. So is the second of a pair that starts or ends a run.

    Parameters
    ----------
    source
        Name that the records give as theirs.

    Attributes
    ----------
    at
        What lies before this byte is read.
    """

    def __init__(self, source: str) -> None:
        self.at = 0
        self._source = source
        self._neighbours = SourceTimes()
        self._run = NO_RUN
        self._held: _Held | None = None
        self._before: list[list[int]] = []

    def read(self, content: bytes, *, ended: bool, settled: bool) -> Iterator[RawSpill | RunControl]:
        """Yield the records that are complete, as `Reader.read` does."""
        begin = self.at
        for start, stop in _documents(content.decode("latin-1"), ended=ended):
            self.at = begin + stop
            yield from self._take(content[start:stop], begin + start)
        if self._held is not None and (ended or settled):
            self._held.others += self._before
            yield self._held.judged(self._neighbours, [])
            self._held, self._before = None, []

    def _take(self, payload: bytes, byte: int) -> Iterator[RawSpill | RunControl]:
        """Take the document that follows; yield the record before it if this one is another."""
        try:
            kind, times, record = _read(payload, byte, self._source)
        except BadDataError as error:
            place = f" at byte {byte + error.byte}" if error.byte >= 0 else ""
            kind, times = "", []
            record = unreadable(payload, byte, run=self._run, source=self._source, reason=error.reason + place)
        held = self._held
        if held is not None and isinstance(record, RunControl) and _is_pair(held.record, record):
            held.others.append(times)
        elif record is not None:
            if held is not None:
                yield held.judged(self._neighbours, times if record.run == held.record.run else [])
            self._held, self._before = _Held(record=record, times=times, others=self._before), []
            self._run = record.run
        elif kind == _START_OF_BURST or (kind and held is None):
            self._before.append(times)
        elif kind and held is not None:
            held.others.append(times)


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


def _documents(text: str, *, ended: bool) -> Iterator[tuple[int, int]]:
    """Yield where each document begins and ends, whether it has a line, several, or shares one with others.

    What is none goes on to the next line that begins with an object: so damage costs the document alone in which it is.

    Parameters
    ----------
    text
        The bytes, a character each: what structures JSON is ASCII.
    ended
        There is no more: what is cut is then none.
    """
    at = 0
    while (at := _end_of(_BETWEEN, text, at)) < len(text):
        try:
            document, stop = _DECODER.raw_decode(text, at)
            is_one = isinstance(document, dict)
        except (ValueError, RecursionError) as error:
            # No token of JSON goes over a line's end, so one that is cut is in the last line.
            if not ended and isinstance(error, json.JSONDecodeError) and text.find("\n", error.pos) < 0:
                return
            is_one = False
        if not is_one:
            stop = text.find("\n{", at)
            if stop < 0:
                if not ended:
                    return
                stop = len(text)
            stop = at + len(text[at:stop].rstrip(" \t\r\n"))  # as between documents: else there might be nothing left
        yield at, stop
        at = stop


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found is not None else at


def _read(payload: bytes, byte: int, source: str) -> tuple[str, list[int], RawSpill | RunControl | None]:
    """Return of a document the DAQ's name of its event, the times it shows, and its record; none if it has no data."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BadDataError("json", f"a document of {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}")
    document = parse(payload)
    kind = document.get("daq_event_type", "")
    if not isinstance(kind, str):
        raise BadDataError("json", "daq_event_type is no text")
    has_data = bool(document.get("daq_data"))
    is_marker = not has_data and -1 in (_number_of(document, "spill"), _number_of(document, "run"))
    if (kind in _CONTROL and _number_of(document, "run") != -1) or (kind == _PHYSICS and not is_marker):
        return kind, _times(document), _record(document, kind, payload, source, byte)
    if has_data:
        raise BadDataError("json", f"daq_data in a document whose daq_event_type is {kind[:40]!a}")
    return kind, _times(document), None


def _number_of(document: Mapping[str, Any], what: str) -> Any:
    """Return the number of a run or a spill under either of its names, whatever it is."""
    return document.get(f"{what}_number", document.get(f"{what}_num"))


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


def _beginning(content: bytes) -> bytes:
    return content[:_LOOKED_AT].removeprefix(_BOM)


def lines_of(documents: Iterable[bytes]) -> Iterator[bytes]:
    """Yield documents a line each."""
    return (document + b"\n" for document in documents)


SPILL_JSON_FILE = SourceFormat(
    holds="spills as JSON",
    begins=lambda content, whole: _beginning(content).lstrip()[:1] == b"{" and (whole or len(content) >= _SHORTEST),
    reader=lambda name, _place, _firsts: JsonReader(name),
    may_be=lambda content: b"\n{" in _beginning(content),
)
