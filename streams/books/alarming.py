"""What is an alarm, and what is none any more: a function of what is known to be wrong with the current run.

A cause is an alarm when it has stood for some spills: channels that die together are their plane by then. When it has
become a part of another, its alarm is cleared and not raised again for what was told at that spill. What follows from a
cause raises nothing. A plot that follows from none is an alarm when it is off in two windows in a row that share no
spill: all until it was first seen to be off, and all since, judged as soon as that is enough to tell. So a burst is
none, and what is off by little takes as long again as it took to be told. It is cleared when the plot of the whole run
and of its last minute is good, which after a repair may be at the end of the run alone.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from schemas.columns import I8
from streams.books.alarms import Alarm, Alarms, New, Priority, is_shelved
from streams.books.following import Beneath, beneath, detector_of
from streams.books.judgement import Judgement, cause_words
from streams.books.limits import TypeLimits
from streams.books.named import name_of, name_of_plot
from streams.books.run import RunBook
from streams.books.shapes import Against, PlotVerdict, State, off, plot_verdict
from streams.checks.causes import Cause
from streams.checks.counts import Finding
from streams.experiment import experiment

STANDS = 4
"""Spills for which a cause stands before it is an alarm, and an alarm before it is cleared."""
MOST_TIMES = 3
"""So often what was told at one spill is raised, if it is taken back and told again, as when spills come late."""
GONE_S = 600.0
"""A run that has not been in the books for so long, while none is made again, is gone."""
LONGEST = 300
"""Characters of the words."""
PART = "part of "
"""Begins the reason for which the alarm of what became a part of another is cleared."""
_NOT_KNOWN = {State.FEW, State.SETTLING, State.NO_REFERENCE}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of the current run."""

    session: str
    run: int
    is_over: bool
    judgement: Judgement
    shapes: Mapping[str, PlotVerdict] = field(default_factory=dict)
    lasting: Collection[str] = ()
    """Plots of which two windows in a row say that they are off, see `Lasting`."""
    over: Collection[int] = ()
    """Other runs, which are over."""
    gone: Collection[int] = ()
    """Runs of alarms that are not in the books any more, see `Gone`."""
    settled: int | None = None
    """The first spill that may still come, while some are on their way: what is judged from it on has holes."""
    unread: Collection[str] = ()
    """Detectors that cannot be read, an alarm of its own: what else is wrong with them may follow from that."""

    @property
    def known_to(self) -> int:
        """The last spill up to which all is judged that there is; -1 while it is judged again."""
        last = self.judgement.last if self.judgement.is_whole else -1
        return last if self.settled is None else min(last, self.settled - 1)

    @cached_property
    def beneath(self) -> Beneath:
        """Its plots that are off now, by what they may follow from."""
        off = (each for each in self.shapes.values() if each.state is State.BAD and not each.is_past)
        return beneath(self.judgement.causes, [*off])


class Due(NamedTuple):
    """What is to be written."""

    cleared: tuple[tuple[Alarm, str], ...]
    """With why."""
    raised: tuple[New, ...]


def due(seen: Seen, known: Alarms, now_us: int) -> Due:
    """Return which alarms are to be cleared and raised, where these are known."""
    cleared = [
        (alarm, why)
        for alarm in known
        if alarm.is_active and _is_judged(alarm.new, seen) and (why := _why_clear(alarm.new, seen))
    ]
    gone = {alarm.id for alarm, _ in cleared}
    there = {each.new.of for each in known if _is_here(each, seen) and each.is_active and each.id not in gone}
    raised: dict[str, New] = {}
    for new in () if seen.is_over else (*_causes(seen), *_plots(seen)):
        times = [each for each in known if _is_here(each, seen) and each.new[2:4] == new[2:4]]
        is_part = any(each.cleared and each.cleared.reason.startswith(PART) for each in times)
        is_new = new.of not in there and not is_part and len(times) < MOST_TIMES
        if is_new and not is_shelved(known, seen.session, new.of, now_us):
            raised.setdefault(new.of, new._replace(again=len(times)))
    return Due(tuple(cleared), tuple(raised.values()))


def _is_judged(new: New, seen: Seen) -> bool:
    return new.is_verdict and new.session == seen.session


def _is_here(alarm: Alarm, seen: Seen) -> bool:
    return (alarm.new.session, alarm.new.run) == (seen.session, seen.run)


def _causes(seen: Seen) -> Iterator[New]:
    """Yield the causes that have stood for long enough."""
    last = seen.judgement.last
    for cause in seen.judgement.bad:
        finding, detector = cause.verdict.finding, detector_of(cause)
        if last - finding.told >= STANDS and detector not in seen.unread:
            words = cause_words(cause)[:LONGEST]
            of, since, plot = name_of(cause.verdict), finding.begin.first, _plot_of(cause, detector)
            yield New(seen.session, seen.run, of, finding.told, since, words, detector, plot, _priority(cause))


def _plots(seen: Seen) -> Iterator[New]:
    """Yield the plots that follow from no cause, and have been off for long enough.

    None while spills that are in them wait to be judged: their cause may be among these.
    """
    if seen.judgement.left:
        return
    last = seen.judgement.last
    for verdict in seen.beneath.rest:
        plot = experiment().plots[verdict.plot]
        if verdict.plot in seen.lasting and plot.detector not in seen.unread:
            words = f"{plot.title}: {off(verdict, with_limit=True)}"[:LONGEST]
            of = name_of_plot(plot.name)
            yield New(seen.session, seen.run, of, last, last, words, plot.detector, plot.name, Priority.LOW)


def _why_clear(new: New, seen: Seen) -> str:
    """Return why an alarm is none any more; empty if it still is, or nobody knows."""
    if new.run in seen.over or (new.run == seen.run and seen.is_over):
        return f"run {new.run} is over"
    if new.run in seen.gone:
        return f"run {new.run} is gone from the books"
    # Books that are being rebuilt know less than was told, also where one partition is far ahead of another.
    if new.run != seen.run or seen.judgement.problem or seen.known_to < new.spill + STANDS:
        return ""
    if new.detector in seen.unread:
        return f"may follow from spills in which {new.detector} cannot be read"
    if new.of == name_of_plot(new.plot):
        return _why_clear_plot(new.plot, seen)
    standing = [cause.verdict.finding.told for cause in seen.judgement.bad if name_of(cause.verdict) == new.of]
    ended = [each for each in seen.judgement.verdicts if name_of(each) == new.of and each.ended is not None]
    came_back = any(each.finding.told == new.spill for each in ended) and min(standing, default=0) > new.spill
    if standing and not came_back:
        return ""
    for cause in seen.judgement.bad:
        if any(name_of(each) == new.of and each.ended is None for each in cause.follows):
            return f"{PART}{cause_words(cause)}"[:LONGEST]
    ended += [cause.verdict for cause in seen.judgement.causes if cause.members and name_of(cause.verdict) == new.of]
    at = max((each.ended or 0 for each in ended), default=None)
    return "it is not told any more" if at is None else f"as before again after spill {at}"


def _why_clear_plot(name: str, seen: Seen) -> str:
    verdict, found = seen.shapes.get(name), seen.beneath
    if verdict is None or verdict.state in _NOT_KNOWN or any(each.plot == name for each in found.rest):
        return ""
    for cause, plots in found.of:
        if any(each.plot == name for each in plots):
            return f"may follow from {cause_words(cause)}"[:LONGEST]
    is_again = verdict.is_past or verdict.state is State.GOOD
    return "as in the reference again" if is_again else str(verdict.state)


def _priority(cause: Cause) -> Priority:
    is_group = cause.verdict.group in {each.name for each in experiment().groups} and not cause.verdict.channel
    return Priority.HIGH if cause.members or is_group else Priority.MEDIUM


def _plot_of(cause: Cause, detector: str) -> str:
    """Return the plot that shows a cause, else that of its detector which is looked at first; empty if it has none."""
    verdict = cause.follows[0] if cause.members else cause.verdict
    watched = next(each for each in experiment().watched[detector] if each.name == verdict.group)
    finding = verdict.finding
    name = watched.plot_of(finding.column if verdict.channel and isinstance(finding, Finding) else None)
    return name if name in experiment().plots else _first_plot(detector)


def _first_plot(detector: str) -> str:
    """Return the plot of a detector that is looked at first; empty if it has none for shifters."""
    its = experiment().detectors.get(detector)
    names = (*its.overview, *(plot.name for plot in its.plots if not plot.expert)) if its is not None else ()
    return next((name for name in names if name in experiment().plots), "")


class Gone:
    """Remembers since when runs are not in the books: they may be on their way back into an emptied Redis."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    def look(self, absent: Collection[int], now_s: float) -> set[int]:
        """Return which of the runs that are absent now have been for so long that they are gone."""
        self._since = {run: self._since.get(run, now_s) for run in absent}
        return {run for run, since_s in self._since.items() if now_s - since_s >= GONE_S}


class _First(NamedTuple):
    """A plot as it was when it was first seen to be off."""

    counts: I8
    spills: int
    triggers: int


class Lasting:
    """Remembers since when plots are off, to judge what came since by itself."""

    def __init__(self) -> None:
        self._run: int | None = None
        self._first: dict[str, _First] = {}
        self._lasting: set[str] = set()

    def look(
        self, run: int, book: RunBook, its: Sequence[PlotVerdict], against: Against | None, limits: TypeLimits
    ) -> frozenset[str]:
        """Return which plots of a run that are off have been in two windows in a row.

        Parameters
        ----------
        its
            Those that are off, and follow from nothing.
        """
        names = {each.plot for each in its}
        spills, triggers = book.totals.filled, book.totals.triggers
        if run != self._run:
            self._run, self._first, self._lasting = run, {}, set()
        # A book that is made again has less than before.
        self._first = {name: at for name, at in self._first.items() if name in names and at.spills <= spills}
        self._lasting &= self._first.keys()
        for name in names - self._lasting:
            first = self._first.setdefault(name, _First(book.book.of(name).counts.copy(), spills, triggers))
            since = book.book.of(name).copy()
            np.maximum(since.counts - first.counts, 0, out=since.counts)
            late = triggers - first.triggers
            verdict = plot_verdict(name, since, spills, late, against, limits, part="what came since")
            if verdict.state is State.BAD:
                self._lasting.add(name)
        return frozenset(self._lasting)
