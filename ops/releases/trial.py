"""A release is tried: it counts what live counts, in a session of its own, and each bin of both is compared.

Both are compared partition by partition at the same offset: live's part of the run is read in one step, and the release
is asked to bring its own up to the last message in that.

The books of the windows have a state of their own, and are compared when a run is done. The verdicts of shapes have
none: they come of the run's book, its spills' key numbers and earlier runs' books, all of which are compared or are
live's, by the rules of the version that shows them.
"""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Self

import numpy as np
from redis import Redis

from ops.origin import command_origin
from ops.releases.follow import Alone, alone, greeting
from ops.releases.formats import FOLLOWING
from ops.releases.shelf import Release, Shelf
from streams import __version__
from streams.books import situation
from streams.books.book import Book, Ranges
from streams.books.compare import Difference, compare
from streams.books.judgement import judged
from streams.books.made import Made
from streams.books.reader import BookReader
from streams.books.run import Ledger, RunBook
from streams.books.sessions import Sessions
from streams.books.totals import Totals
from streams.books.windows import Window
from streams.conditions.store import ConditionsStore
from streams.errors import SpilldeckError, UsageError
from streams.experiment import experiment
from streams.freshness import DAQ_SILENT_S
from streams.kafka import topic_partitions
from streams.process import ranges_of
from streams.settings import Settings
from streams.topics import Topics

TRYING = "try-"
"""Of the session of a release that is tried; what follows is its name."""
LOOK_S = 0.2
"""Time between two looks whether live has counted more."""
END_S = 5.0
"""The release ends within it when nobody asks any more."""
AT_ONCE = 32
"""Offsets of which each spill is made by itself before asking for more."""

_PLOT, _DETECTOR, _ANYTHING = "plot ", "detector ", "anything"

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """Something in which the release and live differ."""

    run: int
    difference: Difference
    since: int | None
    """First spill that makes something else by itself; None if none does."""

    @property
    def words(self) -> str:
        """It in a sentence."""
        its = self.difference
        values = f"{its.here} live, {its.there} tried" if its.there else its.here
        since = f", from spill {self.since} on" if self.since is not None else ", though no spill differs by itself"
        return f"run {self.run}{since}: {its.what}: {values}"


@dataclass(slots=True, kw_only=True)
class Tried:
    """What came of a trial."""

    release: str
    version: str
    wanted: int
    """Spills that were asked for."""
    spills: int = 0
    """That were compared."""
    runs: list[int] = field(default_factory=list)
    differing: list[Differing] = field(default_factory=list)
    ended: str = ""
    """Why it ended before all spills that were asked for; empty if it did not."""

    @property
    def is_equal(self) -> bool:
        """Whether all that was asked for was compared, and nothing differs."""
        return not self.differing and not self.ended

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        differ = [
            {
                "run": each.run,
                "what": each.difference.what,
                "live": each.difference.here,
                "tried": each.difference.there,
                "since": each.since,
            }
            for each in self.differing
        ]
        its = {"release": self.release, "version": self.version, "spills": self.spills, "wanted": self.wanted}
        return its | {"runs": self.runs, "identical": self.is_equal, "ended": self.ended, "differences": differ}


def try_release(settings: Settings, redis: Redis, shelf: Shelf, release: Release, spills: int, say: Say) -> Tried:
    """Have a release count what live counts until so many spills are compared; nothing of it stays.

    It takes the current run from its first spill on, and the runs that follow.

    Raises
    ------
    SpilldeckError
        When the release cannot be tried, or a server goes away.
    """
    sessions = Sessions(settings, redis, origin=command_origin())
    session = f"{TRYING}{release.name}"
    tried = Tried(release=release.name, version=release.version, wanted=spills)
    with sessions.at_work(session):
        sessions.made.clear(session)  # of one that was killed
        try:
            with _Release(shelf, release) as asked:
                _Trial(settings, redis, session, asked, tried, say).go()
        finally:
            sessions.made.clear(session)
    return tried


class _Release:
    """The release at work, in a process of its own interpreter, which ends with ours."""

    def __init__(self, shelf: Shelf, release: Release) -> None:
        self._name = release.name
        self._command = [str(shelf.command(release.name)), "release", "follow"]
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        self._complaints = TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, who end it
        )
        self._listener = threading.Thread(target=self._listen, daemon=True, name="listen")
        self._listener.start()
        try:
            self._greet()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        for line in self._process.stdout:
            self._said.put(line)
        self._said.put("")

    def _greet(self) -> None:
        said, ours = self._answer(), greeting()
        if said.get("format") != FOLLOWING:
            raise UsageError(
                f"the release {self._name} answers in format {said.get('format')}, this version asks in {FOLLOWING}"
            )
        if said.get("books") != ours["books"]:
            raise UsageError(
                f"the release {self._name} writes books of format {said.get('books')}, which this version cannot "
                f"compare with its own, {ours['books']}: read in docs/architecture.md what `upgrade` does of them"
            )

    def ask(self, what: str, **values: Any) -> dict[str, Any]:
        """Return the answer to a question.

        Raises
        ------
        SpilldeckError
            When the release says that it cannot, or has ended.
        """
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError):  # what it said last is more than that
            print(json.dumps({"format": FOLLOWING, "ask": what, **values}), file=self._process.stdin, flush=True)
        found = self._answer()
        if "error" in found:
            raise SpilldeckError(f"the release {self._name} says: {found['error']}")
        return found

    def _answer(self) -> dict[str, Any]:
        line = self._said.get()
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
        self._process.kill()
        self._process.wait()
        self._complaints.seek(0)
        said = (line.strip() or self._complaints.read().strip() or "nothing").splitlines()[-1]
        raise SpilldeckError(f"the release {self._name} cannot be tried; it says: {said}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        assert self._process.stdout is not None  # noqa: S101
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(END_S)
        self._process.stdout.close()
        self._complaints.close()


class _Trial:
    """Compares run by run."""

    def __init__(
        self, settings: Settings, redis: Redis, session: str, release: _Release, tried: Tried, say: Say
    ) -> None:
        self._settings, self._redis, self._session = settings, redis, session
        self._release, self._tried, self._say = release, tried, say
        self._live = BookReader.of(redis, settings)

    def go(self) -> None:
        """Go on until enough is compared, or nothing comes any more."""
        of_run: _OfRun | None = None
        before, heard_s = 0, time.monotonic()
        while True:
            run = situation.current(self._live.places(), self._live.came_ms)
            if of_run is not None and run != of_run.run:
                self._finish(of_run)
                of_run, before = None, self._tried.spills
            if of_run is None and run is not None:
                of_run = self._begin(run)
            began_s = time.monotonic()
            if of_run is not None and of_run.step():
                heard_s = time.monotonic()
                self._tried.spills = before + of_run.spills
            if self._tried.spills >= self._tried.wanted:
                break
            if time.monotonic() - heard_s > DAQ_SILENT_S:
                self._tried.ended = f"no spill came for {DAQ_SILENT_S:.0f} s"
                break
            # Others work for as long as we did: a long run takes Redis a while to read.
            time.sleep(max(time.monotonic() - began_s, LOOK_S))
        if of_run is not None:
            self._finish(of_run)

    def _begin(self, run: int) -> "_OfRun":
        self._tried.runs.append(run)
        if others := self._live.totals(run).code - {__version__}:
            self._say(
                f"live's book of run {run} was filled by {', '.join(sorted(others))}, and this is {__version__}: which "
                f"spill is the first that differs is told as this version makes them"
            )
        Made(self._redis, self._settings.redis.key_prefix).clear(self._session)
        return _OfRun(self._settings, self._redis, self._session, self._release, run, self._say)

    def _finish(self, of_run: "_OfRun") -> None:
        self._tried.differing += of_run.finish()


class _OfRun:
    """What live and the release make of a run, as far as both were compared."""

    def __init__(self, settings: Settings, redis: Redis, session: str, release: _Release, run: int, say: Say) -> None:
        self.run = run
        self._settings, self._release, self._session, self._say = settings, release, session, say
        self._ranges = ranges_of(ConditionsStore.from_settings(settings).for_run(run))
        partitions = range(topic_partitions(settings, Topics.of(settings).raw))

        def reads(whose: str) -> list[BookReader]:
            return [BookReader(redis, settings.redis.key_prefix, whose, partition=p) for p in partitions]

        self._readers = [*zip(reads(settings.session), reads(session), strict=True)]
        self._fences: dict[int, str] = {}
        """By partition, of live's checkpoint when it was looked at last."""
        self._live: dict[int, RunBook] = {}
        self._again: dict[int, RunBook] = {}
        """By partition, as they were compared last."""
        self._found: dict[str, Difference] = {}
        """Each thing that differed in a partition, as it was first seen."""
        self._since: dict[str, int] = {}
        """What some spill makes otherwise by itself → the first such spill; `_ANYTHING`: of whatever."""

    @property
    def spills(self) -> int:
        """How many are compared."""
        return sum(len(part.ledger) for part in self._live.values())

    def step(self) -> bool:
        """Compare what live has counted since; return whether there was something."""
        new: dict[int, RunBook] = {}
        for partition, (live, _) in enumerate(self._readers):
            progress = live.progress().get(partition)
            if progress is None or progress.fence == self._fences.get(partition) or self.run in progress.repairs:
                continue
            part = live.run(self.run, self._ranges)
            self._fences[partition] = progress.fence
            if self._upto(partition, part) > self._upto(partition):
                new[partition] = part
        if not new:
            return False
        spans = [
            (new[p].totals.first_raw[p], self._upto(p, new[p])) if p in new else (0, 0)
            for p in range(len(self._readers))
        ]
        self._release.ask("bring", session=self._session, run=self.run, spans=spans)
        before = {*self._found}
        for partition, part in new.items():
            again = self._readers[partition][1].run(self.run, self._ranges)
            self._found = {_thing(each): each for each in compare(part, again)} | self._found
            self._compare_alone(partition, self._upto(partition) or spans[partition][0], spans[partition][1])
            self._live[partition], self._again[partition] = part, again
        for what in self._found.keys() - before:
            self._say(self._differing(self._found[what]).words)
        return True

    def _upto(self, partition: int, part: RunBook | None = None) -> int:
        """Return the offset behind the last message of the run in a part, by default the one compared last."""
        part = part or self._live.get(partition)
        return part.totals.last_raw.get(partition, -1) + 1 if part is not None else 0

    def _compare_alone(self, partition: int, first: int, stop: int) -> None:
        """Compare what each spill makes by itself: of a sum one does not know since when it is another."""
        for start in range(first, stop, AT_ONCE):
            end = min(start + AT_ONCE, stop)
            here = alone(self._settings, self.run, partition, start, end)
            asked = {"run": self.run, "partition": partition, "first": start, "stop": end}
            there: Alone = dict(self._release.ask("alone", **asked)["spills"])
            for spill in sorted(here.keys() | there.keys()):
                ours, theirs = here.get(spill, {}), there.get(spill, {})
                for what in (*_others(ours, theirs), _ANYTHING) if ours != theirs else ():
                    self._since[what] = min(spill, self._since.get(what, spill))
                    if what.startswith(_DETECTOR) and what not in self._found:
                        its = (made.get(what, "nothing") for made in (ours, theirs))
                        self._found[what] = Difference(what=what, here=next(its), there=next(its))

    def _differing(self, difference: Difference) -> Differing:
        what = _thing(difference)
        # Of what is no plot and no detector, whatever a spill makes otherwise may be why.
        its = what if what.startswith((_PLOT, _DETECTOR)) else _ANYTHING
        return Differing(run=self.run, difference=difference, since=self._since.get(its))

    def finish(self) -> list[Differing]:
        """Return all in which both differ, verdicts and windows included."""
        if not self._live:
            return []
        live, again = (_together(parts.values(), self._ranges) for parts in (self._live, self._again))
        found = self._found | {_thing(each): each for each in compare(live, again)}
        ours = _verdicts(judged(live).to_json())
        theirs = _verdicts(self._release.ask("judge", session=self._session, run=self.run)["judgement"])
        if ours != theirs:
            found["verdicts"] = Difference(what="verdicts", here="; ".join(ours), there="; ".join(theirs) or "none")
        told = [self._differing(each) for each in found.values()]
        return told + [each for partition in self._live for each in self._of_windows(partition, found.keys())]

    def _of_windows(self, partition: int, known: Collection[str]) -> Iterator[Differing]:
        """Yield in which windows both differ, each with its first spill; not in plots of which the run's book does."""
        live, again = self._readers[partition]
        (totals, ours), is_at_once = live.at_once(self.run, lambda: (live.totals(self.run), self._windows(live)))
        if not is_at_once:
            self._say(f"run {self.run}: the windows of partition {partition} are not compared: live writes too often")
            return
        spans = [(0, 0)] * len(self._readers)
        spans[partition] = totals.first_raw[partition], totals.last_raw[partition] + 1
        self._release.ask("bring", session=self._session, run=self.run, spans=spans)
        theirs = self._windows(again)
        for window in sorted(ours.keys() | theirs.keys()):
            where = f"in the window of {window.length} s at {datetime.fromtimestamp(window.start, UTC):%H.%M.%S} UTC"
            mine, other = ours.get(window), theirs.get(window)
            if mine is None or other is None:
                here, there = ("not kept" if each is None else "kept" for each in (mine, other))
                yield self._in_window(partition, window, Difference(what=f"spills {where}", here=here, there=there))
                continue
            for name in experiment().plots:
                a, b = mine.counts(name), other.counts(name)
                if f"{_PLOT}{name}" not in known and not np.array_equal(a, b):
                    what = f"{_PLOT}{name} {where}: {np.count_nonzero(a != b)} bins differ"
                    difference = Difference(what=what, here=f"{a.sum()} entries", there=str(b.sum()))
                    yield self._in_window(partition, window, difference)

    def _windows(self, reader: BookReader) -> dict[Window, Book]:
        """Return the books of the windows of a partition."""
        return {window: reader.window(self.run, window, self._ranges) for window in reader.windows(self.run)}

    def _in_window(self, partition: int, window: Window, difference: Difference) -> Differing:
        ledger = self._live[partition].ledger
        spills = (spill for spill, its in ledger.items() if window.start <= its.time_us / 1e6 < window.end)
        return Differing(run=self.run, difference=difference, since=min(spills, default=None))


def _thing(difference: Difference) -> str:
    """Return what differs without how much of it."""
    return difference.what.partition(":")[0]


def _others(one: Mapping[str, str], other: Mapping[str, str]) -> set[str]:
    return {what for what in one.keys() | other.keys() if one.get(what) != other.get(what)}


def _verdicts(judgement: Mapping[str, Any]) -> list[str]:
    """Return each verdict with all its numbers, as both write them."""
    problem = [judgement["problem"]] if judgement["problem"] else []
    return problem + [json.dumps(cause, sort_keys=True) for cause in judgement["causes"]]


def _together(parts: Iterable[RunBook], ranges: Ranges) -> RunBook:
    """Return the sum of parts of a run."""
    totals, ledger, book = Totals(), Ledger(), Book(ranges)
    numbers: dict[int, bytes] = {}
    counts: dict[int, bytes] = {}
    for part in parts:
        totals += part.totals
        ledger |= part.ledger
        book += part.book
        numbers |= part.key_numbers
        counts |= part.channel_counts
    return RunBook(totals=totals, ledger=ledger, book=book, key_numbers=numbers, channel_counts=counts)
