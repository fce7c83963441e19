"""What other limits would have told of stored runs, beside those in force: nothing is changed by it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from redis import Redis

from dashboards.data.aside import Aside
from dashboards.data.judged_run import JudgedRun, StoredRuns
from schemas.records import NO_RUN
from streams.books import situation
from streams.books.connect import connect
from streams.books.judgement import cause_words
from streams.books.limits import Limits, TypeLimits, limits_of, parse_limits
from streams.books.reader import BookReader
from streams.books.shapes import bad
from streams.errors import SpilldeckError
from streams.experiment import experiment
from streams.settings import Settings
from streams.words import several

MOST_RUNS = 20
"""That are tried at once, on the page."""
MOST_BYTES = 65_536
"""Of limits that are typed or pasted there."""
AT_MOST_S = 120.0
"""What takes longer is ended, and what was found by then is told."""
MOST_LINES = 200
"""Of what is told of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What other limits tell of a run."""

    title: str
    """Which run, of how many spills, compared with which."""
    warns: tuple[str, ...]
    """By which of both all that is off is only a warning, in words."""
    counts: tuple[tuple[str, int, int], ...]
    """What → how many are told by the limits in force, and by the others, also if only as a warning."""
    gone: tuple[str, ...]
    """That is told no longer."""
    new: tuple[str, ...]
    """That was not told."""


def difference(now: JudgedRun, then: JudgedRun) -> Difference:
    """Return what is told of a run by the limits that are in force, and what by others."""
    spills = several(now.judgement.spills, "spill")
    compared = f", compared with {now.compared}" if now.compared else ""
    both = [_told(each) for each in (now, then)]
    limits = (("in force", now.limits), ("tried", then.limits))
    why = f"they say so, or nothing of runs of type {now.run_type or 'none'}"
    pairs = [(before, after) for before, after in zip(*(each.values() for each in both), strict=True)]
    return Difference(
        title=f"Run {now.run} ({now.run_type or 'of no type'}): {spills}{compared}",
        warns=tuple(f"{which}: what is off is only a warning, {why}" for which, its in limits if its.only_warns),
        counts=tuple((what, len(both[0][what]), len(both[1][what])) for what in both[0]),
        gone=tuple(each for before, after in pairs for each in before if each not in after),
        new=tuple(each for before, after in pairs for each in after if each not in before),
    )


def _told(its: JudgedRun) -> dict[str, list[str]]:
    return {
        "faults": [cause_words(cause) for cause in its.judgement.causes],
        "plots that are off": sorted(experiment().plots[each.plot].title for each in bad(its.shapes)),
        "counters": [each.words for each in its.too_many],
    }


def try_on(
    stored: StoredRuns,
    run: int,
    in_force: Callable[[str], TypeLimits],
    tried: Callable[[str], TypeLimits],
    borne: tuple[float, float],
) -> tuple[JudgedRun, JudgedRun]:
    """Return what is told of a run by the limits in force, and what by others.

    Parameters
    ----------
    in_force, tried
        Give the limits of a run type.
    borne
        Spills in which one false alarm is borne, by both.

    Raises
    ------
    UsageError
        When there is no such run, or it cannot be judged.
    """
    its = stored.read(run)
    run_type = its.book.totals.run_type
    now = its.judged(in_force(run_type), borne[0])
    # The limits say nothing of channels, which take the most time.
    known = now.judgement if borne[0] == borne[1] else None
    return now, its.judged(tried(run_type), borne[1], known)


class Trier:
    """Tries limits for whoever asks, one after the other.

    Parameters
    ----------
    settings
        Servers, limits in force, conditions.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._work: Aside | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether it tries already."""
        return self._work is not None

    async def lines(self, limits: bytes, last: int) -> list[str]:
        """Return what limits would have told of the last so many runs.

        Raises
        ------
        UsageError
            When these are no limits, with where and why.
        """
        parsed = parse_limits(limits, "What was typed")
        self._work = work = Aside(_try, self._settings, parsed, min(last, MOST_RUNS))
        try:
            return await asyncio.to_thread(_collected, work)
        finally:
            self._work = None
            work.end()


def _collected(work: Aside) -> list[str]:
    until_s, lines = time.monotonic() + AT_MOST_S, list[str]()
    try:
        while work.found.poll(max(until_s - time.monotonic(), 0)):
            said = work.found.recv()
            if said is None:
                return lines or ["There are no runs."]
            lines += said
    except EOFError:
        return [*lines, "The process that tried it died."]
    return [*lines, f"The rest took more than {AT_MOST_S:.0f} s: ask for fewer runs."]


def _try(send: Connection, settings: Settings, tried: Limits, last: int) -> None:
    """Try limits, in a process of its own."""
    try:
        with connect(settings) as redis:
            for lines in _tried(settings, redis, tried, last):
                send.send(lines)
    except Exception as error:  # noqa: BLE001 - whatever it is, the page says it
        send.send([f"It cannot be tried: {str(error) or type(error).__name__}."])
    send.send(None)


def _tried(settings: Settings, redis: Redis, tried: Limits, last: int) -> Iterator[list[str]]:
    stored, in_force = StoredRuns(settings, redis), limits_of(settings)
    shown = BookReader.shown(redis, settings)
    places = {run: place for run, place in shown.places().items() if run != NO_RUN}
    runs = sorted(places, key=lambda run: situation.arrival(run, places[run], shown.came_ms), reverse=True)[:last]
    borne = settings.checks.spills_a_false_alarm
    others = TypeLimits(only_warns=True)  # as of a file that does not have a type
    for run in runs:
        try:
            both = try_on(stored, run, in_force.of, lambda of: tried.get(of, others), (borne, borne))
        except SpilldeckError as error:
            yield [f"Run {run}: {error}."]
            continue
        found = difference(*both)
        counts = [f"    {what}: {before} in force, {after} tried" for what, before, after in found.counts]
        words = [f"    no longer: {each}" for each in found.gone] + [f"    new: {each}" for each in found.new]
        more = [f"    and {len(words) - MOST_LINES} more"] if len(words) > MOST_LINES else []
        yield [found.title, *(f"    {each}" for each in found.warns), *counts, *words[:MOST_LINES], *more]
