"""A DATE file to records: its events grouped into spills and runs, and numbered.

Events belong to a record together with those that follow them in the file: a start of run with its pair, a spill from
the start of its burst to its end. Events of other types (run files, calibration) go with what stands before them.

Damaged bytes close a record. A burst's start before them, or its end behind them, whose physics event is gone goes
with them: it must not stand for the spill, whose physics event may yet follow.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.records import MAX_PAYLOAD_BYTES, NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from streams.daq.times import SourceTimes
from streams.daq.unreadable import unreadable
from streams.date.framing import (
    SWAPPED_MAGIC,
    Event,
    EventHeader,
    EventType,
    headers,
    is_plain,
    read_header,
    times_of,
    walk,
)
from streams.errors import BadDataError
from streams.framed import Unreadable
from streams.source_format import FirstCounts, SourceFormat

_CONTROL = {EventType.START_OF_RUN: ControlKind.START, EventType.END_OF_RUN: ControlKind.END}
_SPILL = frozenset({EventType.START_OF_BURST, EventType.PHYSICS, EventType.END_OF_BURST})
_FIRST_COUNTS = (0, 1)
"""The DAQ counts the spills of some runs from 0, of others from 1."""


class DateReader:
    """Reads a DATE file, at once or while it grows.

    A spill's number is the DAQ's own count of spills, less the first one of the run where that is 0 or 1: so a spill
    that is missing leaves a gap, and one that the DAQ wrote twice comes twice. The numbering of a run goes on over its
    files; in one that begins within a run of which nothing is known, the number is the count.

    Parameters
    ----------
    source
        Name that the records give as theirs.
    firsts
        What is known of the runs from other files; is told what this one shows.

    Attributes
    ----------
    at
        What lies before this byte is made into records.
    """

    def __init__(self, source: str, firsts: FirstCounts) -> None:
        self.at = 0
        self._source = source
        self._numbering = _Numbering(firsts=firsts)
        self._neighbours = SourceTimes()
        self._plain: bool | None = None

    def read(self, content: bytes, *, ended: bool, settled: bool) -> Iterator[RawSpill | RunControl]:
        """Yield the records that are complete, as `Reader.read` does."""
        self._plain = is_plain(content) if self._plain is None else self._plain
        if self._plain is None and not ended:
            return
        begin = self.at
        for group, closed in self._groups(content):
            if closed or ended or (settled and group.ended()):
                self.at = begin + group.stop
                yield group.record(content, begin, self._source, self._neighbours)

    def _groups(self, content: bytes) -> Iterator[tuple["_Group", bool]]:
        """Yield the neighbours that make a record, and whether what follows them is surely of another.

        Bytes at the end of a file that grows, which are no event, may be the beginning of one.
        """
        group: _Group | None = None
        for found in walk(content, plain=self._plain):
            if isinstance(found, Event):
                number = self._numbering.see(found.header, sure=_is_sure(content, found))
                if group is not None and not group.takes(found.header):
                    yield group, True
                    group = None
                group = group or _Group(start=found.start, run=found.header.run)
                group.add(found, number)
            else:
                if group is not None and not group.may_lack_physics():
                    yield group, found.stop < len(content)
                    group = None
                group = group or _Group(start=found.start, run=self._numbering.run)
                group.damage, group.stop = found, found.stop
                for header in _credible(content, found):
                    # By itself it is believed what is likely: that the run's first spill is here.
                    self._numbering.see(header, sure=header.number_in_run in _FIRST_COUNTS)
        if group is not None:
            yield group, False


@dataclass(slots=True, kw_only=True)
class _Group:
    """Neighbours in the file that make one record: events, or damaged bytes and the events that go with them."""

    start: int
    stop: int = 0
    run: int
    spill: int | None = None
    events: list[Event] = field(default_factory=list)
    damage: Unreadable | None = None

    def add(self, event: Event, number: int | None) -> None:
        """Add the event that follows in the file; `number` is its spill's, None if it is of none."""
        self.events.append(event)
        self.stop = event.stop
        self.spill = number if self.spill is None else self.spill

    def first(self) -> EventHeader | None:
        """Return the event that says what the record is."""
        return next((event.header for event in self.own()), None)

    def own(self) -> Iterator[Event]:
        """Yield the events of a run's start or end, or of a spill; not those that go with them."""
        return (event for event in self.events if event.header.type in _CONTROL or event.header.type in _SPILL)

    def has(self, kind: EventType) -> bool:
        """Say whether there is an event of that type."""
        return any(event.header.type is kind for event in self.events)

    def times(self, content: bytes) -> list[list[int]]:
        """Return the times that each event shows, those of the physics event first: they are the spill's own."""
        in_order = sorted(self.own(), key=lambda event: event.header.type is not EventType.PHYSICS)
        return [times_of(content, event) for event in in_order]

    def ended(self) -> bool:
        """Say whether this is a spill with its end, or both events of a run's start or end."""
        first = self.first()
        if first is None or self.damage is not None:
            return False
        return len(self.events) > 1 if first.type in _CONTROL else self.has(EventType.END_OF_BURST)

    def takes(self, event: EventHeader) -> bool:
        """Say whether the event that follows in the file belongs here."""
        first = self.first()
        if self.damage is not None:
            return event.type is EventType.END_OF_BURST
        if event.run != self.run:
            return False
        if first is None or (event.type not in _CONTROL and event.type not in _SPILL):
            return True
        if event.type in _CONTROL or first.type in _CONTROL:
            return event.type is first.type
        ended = event.type is EventType.START_OF_BURST or self.has(EventType.END_OF_BURST) or self.has(event.type)
        return event.number_in_run == first.number_in_run and not ended

    def may_lack_physics(self) -> bool:
        """Say whether this is a burst's start alone, whose physics event the damage that follows may have taken."""
        return self.events[-1].header.type is EventType.START_OF_BURST if self.events and self.damage is None else False

    def record(self, content: bytes, begin: int, source: str, neighbours: SourceTimes) -> RawSpill | RunControl:
        """Return what the group is; its time is compared with those of its neighbours, the records before it.

        The content begins at byte `begin` of the source.
        """
        first, size, reason = self.first(), self.stop - self.start, ""
        if self.damage is not None:
            reason = self.damage.reason
            if self.events:
                reason = (
                    f"{reason} (at byte {begin + self.damage.start}; {len(self.events)} events of its spill with it)"
                )
        elif first is None:
            reason = f"{len(self.events)} events of types that belong to no spill"
        elif first.type in _CONTROL and size <= MAX_PAYLOAD_BYTES:
            begins = first.type is EventType.START_OF_RUN
            judged = neighbours.judge(self.run, self.times(content), begins=begins)
            return RunControl(
                run=self.run,
                kind=_CONTROL[first.type],
                time_us=judged.time_us,
                source=source,
                byte=begin + self.start,
                events=len(self.events),
                payload=content[self.start : self.stop],
                time_problem=judged.problem,
            )
        elif size > MAX_PAYLOAD_BYTES:
            reason = f"{size} bytes in one spill or run control, more than {MAX_PAYLOAD_BYTES}"
        elif self.spill is None or self.spill < 0:
            reason = f"the DAQ's count {first.number_in_run} of a spill comes before the first one of its run"
        if reason or first is None or self.spill is None:
            events = len(self.events)
            payload = content[self.start : self.stop]
            return unreadable(payload, begin + self.start, run=self.run, source=source, reason=reason, events=events)
        judged = neighbours.judge(self.run, self.times(content))
        return RawSpill(
            run=self.run,
            spill=self.spill,
            time_us=judged.time_us,
            format=RawFormat.DATE,
            source=source,
            byte=begin + self.start,
            events=len(self.events),
            payload=content[self.start : self.stop],
            time_problem=judged.problem,
        )


@dataclass(slots=True)
class _Numbering:
    """What the numbers of spills are counted from, told by all headers, those in damaged bytes too."""

    firsts: FirstCounts
    """What is known, from other files too."""
    run: int = NO_RUN
    """Of the header seen last."""
    before: FirstCounts = field(default_factory=dict)
    """What was known of each run in this file when it came up."""

    def see(self, header: EventHeader, *, sure: bool) -> int | None:
        """Learn from the next header of the file, and return its spill's number; None if it is of none, or unknown.

        A run is not numbered from a header that may be damaged.
        """
        self.run = header.run
        if header.run not in self.before:
            self.before[header.run] = self.firsts.get(header.run)
            if header.type is EventType.START_OF_RUN:
                self.firsts[header.run] = None
            else:  # one of which nothing is known began elsewhere: its first spill is not here
                self.firsts.setdefault(header.run, 0)
        first = self.firsts[header.run]
        if header.type not in _SPILL or (first is None and not sure):
            return None
        if first is None:
            first = header.number_in_run if header.number_in_run in _FIRST_COUNTS else self.before[header.run] or 0
            self.firsts[header.run] = first
        return header.number_in_run - first


def _is_sure(content: bytes, event: Event) -> bool:
    """Say whether an event's numbers are confirmed: by the header of its first sub-event, if it has such."""
    if not event.header.is_super:
        return True
    try:
        return read_header(content, event.start + event.header.head_size).names == event.header.names
    except BadDataError:
        return False


def _credible(content: bytes, damage: Unreadable) -> Iterator[EventHeader]:
    """Yield the headers of sub-events and plain events in damaged bytes, but those that their super-event denies."""
    last: tuple[int, EventHeader] | None = None
    for at, header in headers(content, damage.start, damage.stop):
        if header.is_super:
            last = at + header.head_size, header
        elif last is None or last[0] != at or last[1].names == header.names:
            yield header


def _refusal(content: bytes) -> tuple[str, int] | None:
    if int.from_bytes(content[4:8], "little") == SWAPPED_MAGIC:
        return "is byte-swapped, written by a big-endian DAQ: swap its words first", 4
    return None


DATE_FILE = SourceFormat(
    holds="DATE events",
    begins=lambda content, _whole: any(True for _ in headers(content, 0, len(content))),  # no text can hold one
    reader=lambda name, _place, firsts: DateReader(name, firsts),
    refusal=_refusal,
)
