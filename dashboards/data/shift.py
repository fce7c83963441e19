"""What is known of the last hours, read for the hand-over from the books, the decisions, and the files of experts."""

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from redis import Redis

from schemas.columns import I8
from schemas.records import NO_RUN, ActionKind, RunState
from streams.books import situation
from streams.books.changed import Side, changed
from streams.books.checklists import KEPT
from streams.books.decided import Record, newest, record
from streams.books.decisions import Decisions, pin_of
from streams.books.duties import Duty, Taken, duties, is_done
from streams.books.flags import Shares, of_run, shares
from streams.books.handover import Compared, LimitsThen, Shift, ShiftRun
from streams.books.layout import Place
from streams.books.limits import LimitsFile, changed_limits, in_force
from streams.books.part_reader import UnreadableRunError
from streams.books.reader import BookReader
from streams.books.registry import states
from streams.books.replays import called
from streams.books.run import RunBook
from streams.books.totals import Totals
from streams.checks.channels import unpack
from streams.conditions.store import ConditionsStore
from streams.errors import SpilldeckError, UsageError
from streams.experiment import experiment
from streams.process import plot_ranges
from streams.settings import Settings

MOST_HOURS = 72
"""That somebody may ask for."""
BEFORE = 50
"""Runs before the shift among which one of the same type is looked for."""
_MS, _US = 1000, 1_000_000


def shift(settings: Settings, redis: Redis, hours: float) -> Shift:
    """Return what is known of the last hours; by when things came to Kafka, so no DAQ's clock has a part in it.

    Raises
    ------
    UsageError
        When nobody may ask for so many hours.
    ServerError
        When Kafka does not answer; `redis.RedisError` when Redis does not.
    """
    if not 0 < hours <= MOST_HOURS:
        raise UsageError(f"a hand-over is of more than 0 and at most {MOST_HOURS} hours")
    now_s = time.time()
    return _Shift(settings, redis, now_s - 3600 * hours, now_s).read()


class _Shift:
    """Reads a shift that began at one time and ends at another, seconds since 1970 UTC."""

    def __init__(self, settings: Settings, redis: Redis, since_s: float, now_s: float) -> None:
        self._settings, self._since_s, self._now_s = settings, since_s, now_s
        self._decisions: Decisions = newest(settings, redis)()
        self._reader = BookReader.shown(redis, settings)
        self._conditions = ConditionsStore.from_settings(settings)
        places = self._reader.places()
        self._unreadable = dict(self._reader.unreadable)
        """Run → why."""
        self._problems: list[str] = []
        """What else cannot be read, and why."""
        self._places: Mapping[int, Place] = {run: its for run, its in places.items() if run != NO_RUN}
        self._states = states(self._places, now_s)
        self._current = situation.current(self._places, self._reader.came_ms)
        self._limits = LimitsFile(settings.checks.limits)
        self._limits.look()
        self._problems += [self._limits.problem] if self._limits.problem else []

    def read(self) -> Shift:
        """Return all that is known of it."""
        order = sorted(self._places, key=lambda run: situation.arrival(run, self._places[run], self._reader.came_ms))
        runs = [run for run in order if self._places[run].produced_ms >= _MS * self._since_s]
        before = [run for run in order if run not in runs]
        totals = self._reader.runs(runs)
        self._unreadable |= self._reader.unreadable
        there = [run for run in runs if run in totals]
        compared = self._compared(there, before[-BEFORE:])
        return Shift(
            since_us=round(_US * self._since_s),
            until_us=round(_US * self._now_s),
            runs=[self._run(run, totals[run]) for run in there],
            alarms=self._decisions.alarms,
            issues=self._decisions.issues,
            notes=self._decisions.notes,
            checklists=self._decisions.checklists,
            undone=[*self._undone(runs)],
            decided=[*self._decided()],
            files=self._files(),
            limits=[*self._limits_then([totals[run].run_type for run in there], before)],
            compared=compared,
            current=self._current,
            unreadable=[*self._unreadable.values(), *self._problems],
        )

    def _undone(self, runs: Sequence[int]) -> Iterator[Duty]:
        """Yield the checklists that fell due in the shift and were not sent, in order."""
        done, every_h = self._decisions.checklists, self._settings.checklist.every_h
        # What was sent before those that are remembered nobody knows.
        since_us = max(_US * self._since_s, done[0].at_us if len(done) == KEPT else 0)
        for run in runs:
            its = Taken.of(run, self._places[run], self._reader.came_ms.get(run, 0), is_current=run == self._current)
            for duty in duties(its, every_h, round(_US * self._now_s)):
                if duty.at_us >= since_us and not is_done(duty, every_h, done):
                    yield duty

    def _run(self, run: int, totals: Totals) -> ShiftRun:
        flags = self._decisions.flags.get(run, ())
        try:
            spills = sorted(self._reader.run(run, {}, of_spills=False).ledger) if flags else ()
            counted = shares(of_run(flags), spills) if flags else Shares(0, 0, 0, totals.filled)
        except UnreadableRunError as error:
            counted = Shares(0, 0, 0, 0)
            self._unreadable[run] = str(error)
        return ShiftRun(
            run=run,
            run_type=totals.run_type,
            state=self._state(run),
            first_ms=self._reader.came_ms.get(run, 0) or totals.first_ms,
            produced_ms=totals.produced_ms,
            spills=totals.filled,
            rejected=totals.all_rejected,
            missing=situation.missing(totals),
            triggers=totals.triggers,
            shares=counted,
            flags=flags,
            code=frozenset(totals.code),
        )

    def _state(self, run: int) -> str:
        """Return the state of a run; of the current one nobody knows that it is over because no spill comes."""
        its = self._states[run]
        is_silent = its is RunState.ENDED_WITHOUT_ITS_END and run == self._current
        return "silent, without an end" if is_silent else str(its)

    def _decided(self) -> Iterator[str]:
        for its in record(self._settings):
            if its.action.at_us >= _US * self._since_s and not its.refused and (words := _decided(its)):
                why = f": {its.action.reason}" if its.action.reason else ""
                yield f"{words} ({its.action.who}{why})."

    def _files(self) -> dict[str, int]:
        """Return which of the files that experts edit were written meanwhile, and when."""
        checks = self._settings.checks
        paths = {"The file of limits": checks.limits, "The file of rules for good spills": checks.good_spills}
        found: dict[str, int] = {}
        for what, path in paths.items():
            try:
                written_ns = path.expanduser().stat().st_mtime_ns if path is not None else 0
            except OSError as error:
                self._problems.append(f"{what} {path} cannot be read: {error.strerror}")
                continue
            if written_ns >= 1e9 * self._since_s:
                found[what] = written_ns // 1000
        return found

    def _limits_then(self, run_types: Sequence[str], before: Sequence[int]) -> Iterator[LimitsThen]:
        """Yield in which limits each type of runs of the shift is judged otherwise now than its last one before was."""
        if self._limits.problem:
            return
        borne = self._settings.checks.spills_a_false_alarm
        for run_type in dict.fromkeys(reversed(run_types)):
            proposals = ((run, self._decisions.proposed.get(run)) for run in reversed(before))
            kept = ((run, its.limits) for run, its in proposals if its is not None and its.run_type == run_type)
            run, then = next(((run, limits) for run, limits in kept if limits is not None), (None, {}))
            now = in_force(self._limits.of(run_type), borne)
            yield LimitsThen(run_type, run, tuple(changed_limits(now, then)) if run is not None else ())

    def _compared(self, runs: Sequence[int], before: Sequence[int]) -> Compared | None:
        """Return how the last run of the shift is against the last one before of its type."""
        if not runs:
            return None
        run = runs[-1]
        try:
            ours = self._book(run)
            run_type = ours.totals.run_type
            earlier = self._reader.runs(before)
            other = next((each for each in reversed(before) if each in earlier and _is(earlier[each], run_type)), None)
            if other is None:
                return Compared(run=run, other=None, why=f"none of the {BEFORE} runs before the shift is of its type")
            theirs = self._book(other)
            return Compared(
                run=run,
                other=other,
                tables=tuple(self._conditions.differ(run, other)),
                code=(frozenset(ours.totals.code), frozenset(theirs.totals.code)),
                changed=changed(_side(run, ours), _side(other, theirs), self._limits.of(run_type)),
            )
        except (SpilldeckError, ValueError) as error:
            return Compared(run=run, other=None, why=str(error))

    def _book(self, run: int) -> RunBook:
        return self._reader.run(run, plot_ranges(run, self._conditions.for_run))


def _decided(its: Record) -> str:
    """Return what was decided of references, replays and runs, in words; empty of other actions."""
    action, runs = its.action, ", ".join(map(str, its.runs))
    match action.kind:
        case ActionKind.PIN_REFERENCE:
            to = f"run {runs}" if runs else "the newest good one again"
            return f"Runs of type {action.subject or 'that nobody said'} are compared with {to}"
        case ActionKind.PIN_BOOK:
            to = f"the book of run {runs}, {pin_of(action).called}"
            return f"Runs of type {action.subject or 'that nobody said'} are compared with {to}"
        case ActionKind.PROMOTE:
            return f"The book of run {runs} is that of the {called(action.subject)}"
        case ActionKind.RESTORE:
            return f"The book of run {runs} is that of live again"
        case ActionKind.DROP_REPLAY:
            return f"The {called(action.subject)} was removed"
        case ActionKind.END_RUN:
            return f"Run {runs} was ended by hand"
    return ""


def _is(totals: Totals, run_type: str) -> bool:
    return totals.run_type == run_type and totals.filled > 0


def _side(run: int, book: RunBook) -> Side:
    hits: dict[str, I8] = {}
    for packed in book.channel_counts.values():
        for group, counts in unpack(packed, experiment().groups).items():
            hits[group] = hits.get(group, np.zeros_like(counts)) + counts
    totals = book.totals
    is_whole = len(book.channel_counts) == totals.filled
    return Side(
        called=f"run {run}",
        histogram=lambda name: book.book[name],
        spills=totals.filled,
        triggers=totals.triggers,
        hits=hits if is_whole else {},
    )
