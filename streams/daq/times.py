"""Which time a spill, or a run's start or end, has: an impossible one is replaced by what its neighbours show.

A time on which a bit is broken, or a clock that was wrong for a moment, would put a spill into another year: its run
would stay the newest one for ever. So a record's time is compared with all others that there are.

1. A record has the time of its physics event, run control that of its first event, unless the rest denies it.
2. Each DAQ event shows several times: that of the machine that built it, and of each LDC. The one counts that most
   events of the record show within `TOGETHER_US`; of equals, the one that fits the records beside it; of equals again,
   the record's own. So machines whose clocks differ by hours change nothing, as long as each agrees with itself.
3. What the record shows is put beside what the last `NEIGHBOURS` records of its run showed, and the next one, where the
   source has it already. If it lies further than `APART_US` from what most of them all show, it is impossible, and
   replaced: by another time of the record that lies near them, else by that of the last of them. Where nothing tells
   which of two is right, the earlier one is: a wrong time in the past is never the newest.
4. A clock that somebody sets by years is so believed as soon as most of these records show it. One that is off by hours
   or days, or set by them, is left alone.

The wall clock has no part in it: the same bytes of a source give the same times, whenever they are read.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

TOGETHER_US = 60_000_000
"""The events of a spill are written within seconds."""
APART_US = 7 * 86_400_000_000
"""No run pauses for so long, and whoever sets a clock wrongly takes another hour, zone or day."""
NEIGHBOURS = 3
"""Two of them may be wrong, each in its own way, and the next record's own time still has a majority."""
_LOOKED_AT = 16
"""Events of a record, and times of an event, that are compared: no experiment has more, whatever bytes may hold."""

UNKNOWN = 0
"""Stands for a time that no clock shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The time that a record has."""

    time_us: int
    """Microseconds since 1970 UTC; `UNKNOWN` if nothing tells."""
    problem: str = ""
    """Why it is not the record's own."""
    shown_us: int
    """What the record itself shows, refused or not: what later ones are compared with."""


def judge(events: Sequence[Sequence[int]], beside: Sequence[int]) -> Judged:
    """Return the time of a record.

    Parameters
    ----------
    events
        The times that each of its DAQ events shows, in microseconds or `UNKNOWN`; the first of the first one is its
        own. None: its source has no times.
    beside
        What the records of its run beside it show, the nearest first.
    """
    events = [event[:_LOOKED_AT] for event in events[:_LOOKED_AT]]
    times = [time for event in events for time in event]
    if not times:
        return Judged(time_us=UNKNOWN, shown_us=UNKNOWN)
    known = [time for time in times if time != UNKNOWN]
    shown = _most_shown(known, events, beside) if known else UNKNOWN
    records = [shown, *beside] if known else [*beside]
    if not records:
        return Judged(time_us=UNKNOWN, problem="it shows no time that a clock could: unknown", shown_us=UNKNOWN)
    middle = max(records, key=lambda time: (sum(abs(time - other) <= APART_US for other in records), -time))
    near = [time for time in known if abs(time - middle) <= APART_US]
    found = _most_shown(near, events, beside) if near else next(t for t in beside if abs(t - middle) <= APART_US)
    own = times[0]
    if found == own:
        return Judged(time_us=own, shown_us=shown)
    fault = "it shows no time that a clock could" if own == UNKNOWN else f"its own, {_utc(own)}, cannot be"
    source = "what else it shows" if near else "that of the record beside it"
    return Judged(time_us=found, problem=f"{fault}: replaced by {source}, {_utc(found)}", shown_us=shown)


def _most_shown(times: Sequence[int], events: Sequence[Sequence[int]], beside: Sequence[int]) -> int:
    """Return the first of these times that is together with the one that is shown most."""
    shown_by = {
        time: (
            sum(any(_together(time, other) for other in event) for event in events),
            sum(_together(time, other) for other in beside),
            sum(abs(time - other) <= APART_US for other in beside),
        )
        for time in times
    }
    most = max(times, key=shown_by.__getitem__)
    return next(time for time in times if _together(time, most))


def _together(one: int, other: int) -> bool:
    return abs(one - other) <= TOGETHER_US


def _utc(time_us: int) -> str:
    return f"{datetime.fromtimestamp(time_us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


class SourceTimes:
    """Judges the times of the records of a source, in their order."""

    def __init__(self) -> None:
        self._before: dict[int, deque[int]] = {}

    def judge(
        self, run: int, events: Sequence[Sequence[int]], *, begins: bool = False, after: Sequence[int] = ()
    ) -> Judged:
        """Return the time of the next record, see `judge`.

        Parameters
        ----------
        begins
            The run begins with it: nothing of the run was before.
        after
            The times of the record of the run that follows, where it is read already.
        """
        if begins:
            self._before.pop(run, None)
        before = self._before.setdefault(run, deque(maxlen=NEIGHBOURS))
        judged = judge(events, [*before, *[time for time in after if time != UNKNOWN][:1]])
        if judged.shown_us != UNKNOWN:
            before.appendleft(judged.shown_us)
        return judged
