"""When checklists are due: a pure function of when runs were taken, of what was sent, and of the clock.

When a run was taken is said by when its messages came to Kafka: no clock of a DAQ has a part in it. Nothing falls due
while no spill comes. Of set times the last one alone is due: what was missed before it cannot be looked at any more.
"""

from collections.abc import Sequence
from typing import NamedTuple

from streams.books.checklists import Checklists, find, of_what
from streams.books.layout import Place

MOST_TIMES = 1000
"""Of a run, the last ones: more than that is a clock that was off."""
_HOUR_US = 3_600_000_000


class Taken(NamedTuple):
    """When a run was taken; times in microseconds since 1970 UTC."""

    run: int
    begin_us: int
    """Its first message; 0 if nobody knows."""
    newest_us: int
    """Its newest message."""
    end_us: int | None
    """When it ended, or its last message came before another began; None while it is being taken."""

    @classmethod
    def of(cls, run: int, place: Place, came_ms: int, *, is_current: bool) -> "Taken":
        """Return when a run was taken, from where it is; `came_ms` is of its first message, 0 if that is not known."""
        end_ms = (place.ended_ms or place.produced_ms) if place.ended or not is_current else None
        begin_us, newest_us = 1000 * (came_ms or place.first_ms), 1000 * place.produced_ms
        return cls(run, begin_us, newest_us, None if end_ms is None else 1000 * end_ms)


class Duty(NamedTuple):
    """A checklist that is to be filled in."""

    run: int
    at_us: int
    """Since when."""
    is_end: bool
    """Whether it is that of the end of the run."""

    @property
    def words(self) -> str:
        """Which one it is, and since when it is due."""
        return of_what(self.run, self.at_us, is_end=self.is_end)

    def is_same(self, other: "Duty") -> bool:
        """Say whether another is this one: a run has one end, whenever that was."""
        return (self.run, self.is_end) == (other.run, other.is_end) and (self.is_end or self.at_us == other.at_us)


class Agenda(NamedTuple):
    """What is due."""

    due: tuple[Duty, ...] = ()
    """The oldest first."""
    next_us: int | None = None
    """When the next one falls due if the run goes on; None if it does not, or there are no set times."""


def duties(its: Taken, every_h: float, now_us: int) -> list[Duty]:
    """Return all that fell due in a run until now, in order; `every_h` of 0 is at no set times."""
    last_us = min(its.newest_us, now_us, *([its.end_us - 1] if its.end_us is not None else []))
    every_us = round(every_h * _HOUR_US)
    times = (last_us - its.begin_us) // every_us if every_us and its.begin_us else 0
    first = max(1, times - MOST_TIMES + 1)
    found = [Duty(its.run, its.begin_us + at * every_us, is_end=False) for at in range(first, times + 1)]
    if its.end_us is not None and its.end_us <= now_us:
        found.append(Duty(its.run, its.end_us, is_end=True))
    return found


def is_done(duty: Duty, every_h: float, done: Checklists) -> bool:
    """Say whether a checklist was sent of what was due, or of the time until the next, if `every_h` was another."""
    if duty.is_end:
        return find(done, duty.run, duty.at_us, is_end=True) is not None
    until_us = duty.at_us + round(every_h * _HOUR_US)
    return any(not each.is_end and each.run == duty.run and duty.at_us <= each.due_us < until_us for each in done)


def agenda(runs: Sequence[Taken], every_h: float, done: Checklists, now_us: int) -> Agenda:
    """Return what is due now.

    Parameters
    ----------
    runs
        The run that is being taken or was last, and before it the one before, of which the end may still be due.
    """
    found = []
    for its in runs:
        last = duties(its, every_h, now_us)[-1:]
        found += [each for each in last if each.is_end or its.end_us is None]
    next_us = None
    if runs and runs[-1].end_us is None and runs[-1].begin_us and every_h:
        times = duties(runs[-1], every_h, now_us)
        next_us = (times[-1].at_us if times else runs[-1].begin_us) + round(every_h * _HOUR_US)
    return Agenda(tuple(each for each in found if not is_done(each, every_h, done)), next_us)
