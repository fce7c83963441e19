"""The replays that there are, and what each is doing."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from redis import Redis

from streams.books.decided import Copy
from streams.books.decisions import Decisions
from streams.books.made import Books, Made
from streams.books.plan import PREFIX, Origin, Plan

__all__ = ["AT_WORK", "PREFIX", "WAITING", "Origin", "Plan", "Replays", "called"]

AT_WORK, WAITING = "at work", "waiting for live"


class Replays:
    """The replays' plans, read only.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    prefix
        Of all keys.
    decisions
        Gives what people decided; not given, as Redis knows it.
    """

    def __init__(self, redis: Redis, prefix: str, decisions: Callable[[], Decisions] | None = None) -> None:
        self.redis = redis
        self.made = Made(redis, prefix)
        self._prefix = prefix
        self._decisions = decisions or (lambda: Copy(redis, prefix).read() or Decisions())
        self._passing = f"{prefix}:verifying"
        """Plans of what is made to be compared and removed: nobody decided anything, and Redis may lose them."""
        self.unreadable: dict[str, str] = {}
        """Sessions whose plan `all` left out when it was called last, and why."""

    def all(self) -> list[Plan]:
        """Return every plan, the oldest first."""
        passing = cast("dict[bytes, bytes]", self.redis.hgetall(self._passing))
        found = [*self._decisions().plans.values()]
        self.unreadable = {}
        for session, plan in passing.items():
            try:
                found.append(Plan.from_json(plan))
            except ValueError as error:
                self.unreadable[session.decode(errors="replace")] = str(error).partition("\n")[0]
        books = self.made.of(found)
        done = (replace(plan, done=books[plan.session] is Books.WHOLE) for plan in found)
        return sorted(done, key=lambda plan: plan.began_s)

    def get(self, session: str) -> Plan | None:
        """Return the plan of a session, if there is one."""
        return next((plan for plan in self.all() if plan.session == session), None)

    def state(self, plan: Plan) -> str:
        """Return what a replay is doing, in words."""
        if plan.done:
            return "done"
        behind = cast("bytes | None", self.redis.get(self._alive(plan.session)))
        if behind is None:
            return "lost with Redis" if self.made.of([plan])[plan.session] is Books.LOST else "stopped"
        return AT_WORK if behind == b"0" else WAITING

    def _alive(self, session: str) -> str:
        """Return the key that expires when the replay is not at work any more: by how many messages live is behind."""
        return f"{self._prefix}:at-work:{session}"


def called(session: str) -> str:
    """Return what a session is called on the page."""
    return f"replay {session.removeprefix(PREFIX)}" if session.startswith(PREFIX) else session
