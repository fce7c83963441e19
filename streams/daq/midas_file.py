"""A MIDAS file to records: its events grouped into spills and runs.

A spill is all from its begin to its end. Other events that lie between spills, as scalers, messages and slow control,
go with what follows them: so a record is complete with its last event, whatever comes behind, and whoever follows a
file gets the records of the whole one. Those behind the last spill of a file that lacks its end of run belong to no
record. Damaged bytes cost the spill in which they lie; so does a begin or an end that is missing.

MIDAS writes a begin and an end of run into each sub-run file. The run begins with the first alone, and ends with the
last: where a sub-run file, by its name, is not the first, or the next one lies beside it, its records are of kind
``WITHIN``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemas.records import MAX_PAYLOAD_BYTES, NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from schemas.wire import MAX_NUMBER, MAX_TIME_US
from streams.daq.times import UNKNOWN, SourceTimes
from streams.daq.unreadable import unreadable
from streams.errors import BadDataError
from streams.framed import Unreadable
from streams.midas.events import BEGIN_OF_RUN, END_OF_RUN, Event, Order, begins_with_run, byte_order, walk
from streams.source_format import SourceFormat

_NAME = re.compile(r"run([0-9]{1,9})(?:sub([0-9]{1,9}))?\.mid(?:\.|$)")
"""MIDAS's name of a file: run, and number of the sub-run."""
_OUTSIDE_BYTES = 1 << 20
"""Events between spills that are longer together do not go with what follows: it must fit into its message."""
_NO_RUN = "no begin of its run lies before it, and the file's name tells none"


@dataclass(frozen=True, slots=True, kw_only=True)
class MidasSpills:
    """How an experiment marks its spills in MIDAS files; the events between the two are the spill's."""

    begin: int
    """Event id of a spill's begin. Its serial number counts the spills of the run, over all its files."""
    end: int
    """Event id of a spill's end."""
    first: int = 0
    """Serial number of the begin of a run's first spill: MIDAS's front ends count from 0 or from 1."""


@dataclass(slots=True, kw_only=True)
class _Group:
    """What has come of the next record."""

    events: int = 0
    spill: Event | None = None
    """The begin of the spill that is open."""
    end_of_run: Event | None = None
    """It may yet be that of a sub-run file alone."""
    times: list[list[int]] = field(default_factory=list)
    """Those that its own events show: of a spill, from its begin on."""
    damage: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is a spill without its end, so far, or may be what is left of one."""
        return self.spill is not None or bool(self.damage)


class MidasReader:
    """Reads a MIDAS file, at once or while it grows.

    A spill's number is the serial number of its begin, less that of the first one. The run is that of the begin of run,
    or, where that is damaged, of the file's name.

    Parameters
    ----------
    source
        Name that the records give as theirs.
    place
        Where it is: the next sub-run file is looked for beside it.
    spills
        How they are marked.

    Attributes
    ----------
    at
        What lies before this byte is made into records.
    """

    def __init__(self, source: str, place: Path, spills: MidasSpills) -> None:
        self.at = 0
        self._source, self._place, self._spills = source, place, spills
        self._order: Order | None = None
        self._name = _NAME.match(source)
        self._run = int(self._name[1]) if self._name else NO_RUN
        self._begun = self._run if self._name and int(self._name[2] or 0) else NO_RUN
        self._neighbours = SourceTimes()
        self._group = _Group()
        self._seen = 0
        self._content, self._begin = b"", 0

    def read(self, content: bytes, *, ended: bool, settled: bool) -> Iterator[RawSpill | RunControl]:
        """Yield the records that are complete, as `Reader.read` does."""
        self._order = self._order or byte_order(content)
        if self._order is None:
            return
        self._content, self._begin = content, self.at
        for found in walk(content, self._seen - self.at, self._order):
            if isinstance(found, Event):
                yield from self._take(found)
            elif found.stop < len(content) or ended:  # else it may be the beginning of an event
                yield from self._take_damage(found)
        if self._group.end_of_run is not None and (ended or settled):
            yield self._control(ControlKind.WITHIN if self._next_is_there() else ControlKind.END)
        if self._group.is_open and ended:
            yield self._broken("a spill without its end")
        self._content = b""

    def _take(self, event: Event) -> Iterator[RawSpill | RunControl]:
        yield from self._close_before(event)
        group = self._group
        group.events += 1
        if event.id in (BEGIN_OF_RUN, END_OF_RUN, self._spills.begin):
            group.times.clear()  # what lies before is not its own
        group.times.append([event.time_s * 1_000_000 if event.time_s * 1_000_000 <= MAX_TIME_US else UNKNOWN])
        self._seen = self._begin + event.stop
        if event.id == BEGIN_OF_RUN:
            yield self._begin_run(event)
        elif event.id == END_OF_RUN:
            self._run = event.serial if self._run == NO_RUN else self._run
            if event.serial == self._run:
                group.end_of_run = event
            else:
                yield self._broken(f"the end of run {event.serial} within run {self._run}")
        elif event.id == self._spills.begin:
            group.spill = event
        elif event.id == self._spills.end:
            yield self._end_spill()

    def _close_before(self, event: Event) -> Iterator[RawSpill | RunControl]:
        """Yield the record that is complete, or broken, as another one begins with this event."""
        group, size = self._group, self._begin + event.stop - self.at
        if group.end_of_run is not None:
            goes_on = event.id == BEGIN_OF_RUN and event.serial == self._run
            yield self._control(ControlKind.WITHIN if goes_on else ControlKind.END)
        elif group.is_open:
            if event.id in (BEGIN_OF_RUN, END_OF_RUN, self._spills.begin):
                yield self._broken("a spill without its end")
            elif size > MAX_PAYLOAD_BYTES:
                yield self._broken(f"more than {MAX_PAYLOAD_BYTES} bytes in one spill")
        elif group.events and (event.id == BEGIN_OF_RUN or size > _OUTSIDE_BYTES):
            yield self._control(ControlKind.WITHIN)

    def _take_damage(self, found: Unreadable) -> Iterator[RawSpill | RunControl]:
        if self._group.end_of_run is not None:
            yield self._control(ControlKind.END)
        elif self._group.events and not self._group.is_open:
            yield self._control(ControlKind.WITHIN)
        self._group.damage = self._group.damage or f"{found.reason} (at byte {self._begin + found.start})"
        self._seen = self._begin + found.stop

    def _begin_run(self, event: Event) -> RawSpill | RunControl:
        if self._name and int(self._name[1]) != event.serial:
            if at := self._begin + event.start:  # bytes that are damaged may look so
                return self._broken(f"the begin of run {event.serial} at byte {at} of a file of run {self._name[1]}")
            raise BadDataError(
                "framing",
                f"{self._source} begins run {event.serial}: one of both is wrong; if it is the name, rename the file",
                self._begin + event.start,
            )
        goes_on = event.serial == self._begun
        self._run = self._begun = event.serial
        return self._control(ControlKind.WITHIN if goes_on else ControlKind.START)

    def _next_is_there(self) -> bool:
        """Say whether the next sub-run file lies beside this one; MIDAS opens it when it closes this one."""
        if self._name is None or self._name[2] is None:
            return False
        number = f"{int(self._name[2]) + 1:0{len(self._name[2])}}"
        return any(self._place.parent.glob(f"run{self._name[1]}sub{number}.mid*"))

    def _control(self, kind: ControlKind) -> RawSpill | RunControl:
        if self._run == NO_RUN:
            return self._broken(_NO_RUN)
        byte, payload, group = self._closed()
        judged = self._neighbours.judge(self._run, group.times, begins=kind is ControlKind.START)
        return RunControl(
            run=self._run,
            kind=kind,
            time_us=judged.time_us,
            source=self._source,
            byte=byte,
            events=group.events,
            payload=payload,
            time_problem=judged.problem,
        )

    def _end_spill(self) -> RawSpill:
        """Return the spill that is complete."""
        begin = self._group.spill
        if begin is None:
            return self._broken("the end of a spill whose begin is not there")
        number = begin.serial - self._spills.first
        if not 0 <= number <= MAX_NUMBER:
            return self._broken(
                f"a spill's begin of serial number {begin.serial}, where they count from {self._spills.first}"
            )
        if self._group.damage or self._run == NO_RUN:
            return self._broken(_NO_RUN)
        byte, payload, group = self._closed()
        judged = self._neighbours.judge(self._run, group.times)
        return RawSpill(
            run=self._run,
            spill=number,
            time_us=judged.time_us,
            format=RawFormat.MIDAS,
            source=self._source,
            byte=byte,
            events=group.events,
            payload=payload,
            time_problem=judged.problem,
        )

    def _broken(self, reason: str) -> RawSpill:
        """Return what has come as unreadable: if bytes of it are damaged, for that reason."""
        byte, payload, group = self._closed()
        reason = group.damage or reason
        if group.damage and group.events:
            reason = f"{reason}; {group.events} events with it, which may be of its spill"
        return unreadable(payload, byte, run=self._run, source=self._source, reason=reason, events=group.events)

    def _closed(self) -> tuple[int, bytes, _Group]:
        """Return where it began, the bytes, and what else is known of what has come; the next record begins."""
        byte, self.at = self.at, self._seen
        group, self._group = self._group, _Group()
        return byte, self._content[byte - self._begin : self.at - self._begin], group


def midas_file(spills: MidasSpills) -> SourceFormat:
    """Return the format of the MIDAS files of an experiment, which marks its spills so."""
    return SourceFormat(
        holds="events of MIDAS",
        begins=lambda content, _whole: begins_with_run(content),
        reader=lambda name, place, _firsts: MidasReader(name, place, spills),
        may_be=lambda content: byte_order(content) is not None,
    )
