"""The replays for those who run them: plans are written and removed, and one at work keeps others away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from streams.books.layout import of_session, partitions
from streams.books.replays import Plan, Replays
from streams.errors import UsageError

ALIVE_S = 3
"""One at work says so again and again; silent for so long, it was killed."""


class Sessions(Replays):
    """The replays' plans and keys."""

    def save(self, plan: Plan) -> None:
        """Write a plan."""
        self._plans.set({plan.session: plan.to_json()})

    def drop(self, session: str) -> None:
        """Remove a session's books, and then its plan: killed in between, it can be dropped again."""
        for key in self.redis.scan_iter(match=of_session(self._prefix, session), count=1000):
            self.redis.unlink(key)
        self.redis.delete(partitions(self._prefix, session))
        self._plans.remove(session)

    @contextmanager
    def at_work(self, session: str) -> Iterator[None]:
        """Keep others from a session in a ``with`` block; call `stay_alive` all the while.

        Raises
        ------
        UsageError
            When another is at work on it.
        """
        deadline = time.monotonic() + ALIVE_S + 1
        while not self.redis.set(self._alive(session), 0, nx=True, ex=ALIVE_S):
            if time.monotonic() > deadline:
                raise UsageError(f"{session} is at work already: wait for it, or take another --name")
            time.sleep(0.1)
        try:
            yield
        finally:
            self.redis.delete(self._alive(session))

    def stay_alive(self, session: str, behind: int) -> None:
        """Say that the replay is still at work, or waits for live, which is behind by so many messages."""
        self.redis.set(self._alive(session), behind, ex=ALIVE_S)
