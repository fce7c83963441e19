"""A DATE file to spills: its events grouped and numbered, and what cannot be read kept."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.records import NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from streams.daq.unreadable import unreadable
from streams.unpack.framing import Event, EventType, Unreadable, walk

_CONTROL = {EventType.START_OF_RUN: ControlKind.START, EventType.END_OF_RUN: ControlKind.END}
_FIRST_COUNTS = (0, 1)
"""The DAQ counts the spills of some runs from 0, of others from 1."""


@dataclass(slots=True)
class _Group:
    """Events that belong to one record: neighbours in the file."""

    kind: ControlKind | None
    """None: a spill."""
    events: list[Event] = field(default_factory=list)

    def takes(self, event: Event) -> bool:
        """Whether an event that follows in the file belongs to the group too."""
        first, last = self.events[0].header, self.events[-1].header
        if event.start != self.events[-1].stop or event.header.run != first.run:
            return False
        if self.kind is not None:
            # Start and end of run come as a pair.
            return _CONTROL.get(event.header.type) is self.kind
        if event.header.type in _CONTROL or event.header.type is EventType.START_OF_BURST:
            return False
        return last.type is not EventType.END_OF_BURST


def read_date(content: mmap.mmap, source: str) -> Iterator[RawSpill | RunControl]:
    """Yield the records of a DATE file.

    A spill's bytes are those of its events, from the start of the burst to its end. Its number is the DAQ's own count
    of spills, less the first one of the run where that is 0 or 1: so a spill that is missing leaves a gap, and one that
    the DAQ wrote twice comes twice.
    """
    numbering = _Numbering()
    group: _Group | None = None
    for found in walk(content):
        if isinstance(found, Event) and group is not None and group.takes(found):
            group.events.append(found)
            continue
        if group is not None:
            yield _record(content, source, group, numbering)
            group = None
        if isinstance(found, Unreadable):
            run = numbering.run
            yield unreadable(content, found.start, found.stop, run=run, source=source, reason=found.reason)
        else:
            group = _Group(_CONTROL.get(found.header.type), [found])
    if group is not None:
        yield _record(content, source, group, numbering)


@dataclass(slots=True)
class _Numbering:
    """What a spill's number is counted from."""

    run: int = NO_RUN
    first: int | None = None
    """The DAQ's count at the first spill after a start of run; None before it."""

    def start(self, run: int) -> None:
        """Begin a run."""
        self.run, self.first = run, None

    def number(self, run: int, counted: int) -> int:
        """Return the number of a spill."""
        if run != self.run:
            # A file that goes on with a run, or a run that never said that it began: its first spill is lost or 0.
            self.run, self.first = run, 0
        if self.first is None:
            self.first = counted if counted in _FIRST_COUNTS else 0
        return max(counted - self.first, 0)


def _record(content: mmap.mmap, source: str, group: _Group, numbering: _Numbering) -> RawSpill | RunControl:
    start, stop = group.events[0].start, group.events[-1].stop
    header = group.events[0].header
    if group.kind is not None:
        if group.kind is ControlKind.START:
            numbering.start(header.run)
        return RunControl(
            run=header.run,
            kind=group.kind,
            time_us=header.time_us,
            source=source,
            byte=start,
            events=len(group.events),
            payload=content[start:stop],
        )
    # The physics event has the spill's time; without one, the first event.
    timed = next((e.header for e in group.events if e.header.type is EventType.PHYSICS), header)
    return RawSpill(
        run=header.run,
        spill=numbering.number(header.run, header.number_in_run),
        time_us=timed.time_us,
        format=RawFormat.DATE,
        source=source,
        byte=start,
        events=len(group.events),
        payload=content[start:stop],
    )
