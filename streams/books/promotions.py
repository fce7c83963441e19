"""Which runs are shown from the books of a replay in place of those of live: the replay was promoted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from redis import Redis

from streams.books.decided import Copy
from streams.books.decisions import Decisions
from streams.books.made import Books, Made
from streams.books.plan import PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """The sessions whose books somebody wants to be those of runs, by run."""

    shown: Mapping[int, str] = field(default_factory=dict)
    lost: Mapping[int, str] = field(default_factory=dict)
    """Those whose books are gone from Redis, or not made again yet: the books of these runs are live's meanwhile."""

    @property
    def all(self) -> dict[int, str]:
        """Both."""
        return {**self.shown, **self.lost}

    def loss(self, run: int) -> str:
        """Return what to say of a run whose promoted replay is lost; empty if none is."""
        if run not in self.lost:
            return ""
        name = self.lost[run].removeprefix(PREFIX)
        return (
            f"the promoted replay {name} was lost with Redis; make it again with spilldeck replay --resume --name "
            f"{name}, or take the promotion back with spilldeck replays restore {run}"
        )


class Promotions:
    """Of the decisions that Redis knows. Both books stay whole, so that a promotion can be taken back.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    prefix
        Of all keys.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._copy = Copy(redis, prefix)
        self._made = Made(redis, prefix)

    def all(self) -> Mapping[int, str]:
        """Return the session whose book is that of the run, of each run of which a replay was promoted and is there."""
        return self.look().shown

    def look(self) -> Promoted:
        """Return what is promoted as Redis knows it, and which of it is there."""
        return self.of(self._copy.read() or Decisions())

    def of(self, decisions: Decisions) -> Promoted:
        """Return what is promoted as somebody knows it, and which of it is there."""
        sessions = {*decisions.promoted.values()}
        books = self._made.of([plan for session, plan in decisions.plans.items() if session in sessions])
        shown = {run: s for run, s in decisions.promoted.items() if books.get(s) is Books.WHOLE}
        return Promoted(shown=shown, lost={run: s for run, s in decisions.promoted.items() if run not in shown})
