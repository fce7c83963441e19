"""The replays and how far each is, with the rate at which it goes on."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streams.books.reader import BookReader
from streams.books.replays import AT_WORK, Plan, Replays

RATE_S = 10.0
"""The rate is that of the last so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A replay, as it is listed."""

    plan: Plan
    state: str
    """In words."""
    read: int
    """Messages of `Plan.messages` that are behind it."""
    spills: int
    """In its book."""
    rate: float | None = None
    """Messages a second; None if it does not go on, or nobody has seen it do so yet."""
    promoted: tuple[int, ...] = ()
    """The runs whose book is that of this replay."""

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self.read / self.plan.messages if self.plan.messages else float(self.plan.done)

    @property
    def left_s(self) -> int | None:
        """Seconds until it is done, if it goes on so."""
        return round((self.plan.messages - self.read) / self.rate) if self.rate else None


@dataclass(slots=True)
class _Seen:
    spills: int = 0
    done: Plan | None = None
    """What was done when its spills were counted: they stay."""
    reads: deque[tuple[float, int]] = field(default_factory=deque)
    """When how many messages were behind it."""


class ReplayWatcher:
    """Looks again and again how far the replays are.

    Parameters
    ----------
    replays
        Its errors are passed on.
    reader_of
        Gives what reads the books of a session.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        replays: Replays,
        reader_of: Callable[[str], BookReader],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replays = replays
        self._reader_of = reader_of
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    @property
    def unreadable(self) -> dict[str, str]:
        """Sessions that the last look left out, as nobody can read what they were asked to do, and why."""
        return self._replays.unreadable

    def look(self, promoted: Mapping[int, str]) -> tuple[Replay, ...]:
        """Return all replays, the newest first, given the sessions that were promoted, by run."""
        plans = self._replays.all()
        self._seen = {plan.session: self._seen.get(plan.session, _Seen()) for plan in plans}
        return tuple(self._look_at(plan, promoted) for plan in reversed(plans))

    def _look_at(self, plan: Plan, promoted: Mapping[int, str]) -> Replay:
        seen, state = self._seen[plan.session], self._replays.state(plan)
        if seen.done != plan:
            seen.spills = sum(place.filled for place in self._reader_of(plan.session).places().values())
            seen.done = plan if plan.done else None
        read = plan.messages if plan.done else plan.read(self._reader_of(plan.session).progress())
        return Replay(
            plan=plan,
            state=state,
            read=read,
            spills=seen.spills,
            rate=self._rate(seen.reads, read, goes_on=state == AT_WORK),
            promoted=tuple(run for run in plan.runs if promoted.get(run) == plan.session),
        )

    def _rate(self, reads: deque[tuple[float, int]], read: int, *, goes_on: bool) -> float | None:
        now = self._clock()
        if not goes_on:
            reads.clear()
        reads.append((now, read))
        while now - reads[0][0] > RATE_S:
            reads.popleft()
        since, before = reads[0]
        return round((read - before) / (now - since), 1) if now > since and read > before else None
