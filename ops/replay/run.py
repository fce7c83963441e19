"""A replay: its partitions shared among worker processes, with progress, until all is in the books of its session."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from ops.replay.part import Shared, begin, replay_partition
from streams.books.reader import BookReader
from streams.books.replays import Plan
from streams.books.sessions import Sessions
from streams.errors import ServerError
from streams.settings import load_settings

LOOK_S = 0.5
"""Time between two looks at how far the workers are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a replay is."""

    read: int
    """Messages that have been read, of any run; those of an earlier start too."""
    of: int
    """Messages that there are to be read."""
    taken: int
    """Messages of the runs that this start has brought into the books."""
    seconds: float
    """Since this start."""
    behind: int
    """By how many messages live is behind, while that keeps the replay waiting; else 0."""


def run(sessions: Sessions, plan: Plan, workers: int, on_progress: Callable[[Progress], None]) -> Progress:
    """Replay until all is in the books; return how far it was then. What is in them already stays.

    Raises
    ------
    SpilldeckError
        When a server or a worker died, or Kafka no longer has what it had; what is in the books stays.
    """
    sessions.made.begin(plan)
    context = multiprocessing.get_context("spawn")
    firsts = [first for first, _ in plan.spans]
    shared = Shared(
        parent=os.getpid(),
        read=context.Array("q", firsts),
        taken=context.Array("q", len(firsts)),
        behind=context.Array("q", len(firsts)),
        stop=context.Event(),
    )
    started_s = time.monotonic()

    def progress() -> Progress:
        return Progress(
            read=sum(shared.read[:]) - sum(firsts),
            of=sum(stop for _, stop in plan.spans) - sum(firsts),
            taken=sum(shared.taken[:]),
            seconds=time.monotonic() - started_s,
            behind=max(shared.behind[:]),
        )

    def look() -> None:
        now = progress()
        sessions.say_behind(plan.session, now.behind)
        on_progress(now)

    count = min(workers, len(firsts))
    with ProcessPoolExecutor(count, mp_context=context, initializer=begin, initargs=(shared,)) as pool:
        try:
            reader = BookReader.of(sessions.redis, load_settings(), plan.session)
            # Redis may lose a partition after it was done, while others are at work.
            while left := plan.left(reader.progress()):
                _until_done([pool.submit(replay_partition, plan, partition) for partition in left], look)
        except BrokenProcessPool as error:
            raise ServerError("a worker of the replay died: --resume goes on where it was") from error
        finally:
            shared.stop.set()
            pool.shutdown(cancel_futures=True)
    sessions.made.finish(plan, [*reader.progress()])
    return progress()


def _until_done(parts: Sequence["Future[None]"], look: Callable[[], None]) -> None:
    waiting = set(parts)
    while waiting:
        look()
        finished, waiting = wait(waiting, LOOK_S, FIRST_EXCEPTION)
        for part in finished:
            part.result()
