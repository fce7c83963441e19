"""The replays for those who run them: what they decide is written to Kafka, and one at work keeps others away."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Self

from redis import Redis, RedisError

from schemas.records import Action, ActionKind
from streams.books.actions import new_action
from streams.books.decided import check, decide, newest
from streams.books.decisions import Decisions
from streams.books.replays import PREFIX, Plan, Replays
from streams.errors import UsageError
from streams.settings import Settings

ALIVE_S = 3
"""One at work says so again and again; silent for so long, it was killed."""
SAID_S = 0.5
"""Time between two signs of it."""


class Sessions(Replays):
    """The replays' plans and keys.

    Parameters
    ----------
    settings
        Where Kafka is.
    redis
        Client that returns bytes; its errors are passed on.
    origin, who
        Whence somebody decides, and who; without a name the user of this process.
    decisions
        As in `Replays`.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        *,
        origin: str,
        who: str = "",
        decisions: Callable[[], Decisions] | None = None,
    ) -> None:
        super().__init__(redis, settings.redis.key_prefix, decisions)
        self._settings = settings
        self._act = partial(new_action, origin=origin, who=who)

    @classmethod
    def now(cls, settings: Settings, redis: Redis, *, origin: str, who: str = "") -> Self:
        """Return them as Kafka knows them, whatever Redis has lost.

        Raises
        ------
        ServerError
            When Kafka does not answer.
        """
        return cls(settings, redis, origin=origin, who=who, decisions=newest(settings, redis))

    def named(self, name: str) -> Plan:
        """Return the plan of a replay.

        Raises
        ------
        UsageError
            When there is none.
        """
        plan = next((plan for plan in self.all() if plan.name == name), None)
        if plan is None:
            raise UsageError(f"there is no replay {name}: see spilldeck replays list")
        return plan

    def save(self, plan: Plan) -> None:
        """Write a plan; that of a verification to Redis alone."""
        self.made.begin(plan)  # else who sees the plan first would say that its book was lost
        if plan.session.startswith(PREFIX):
            self._decide(self._act(ActionKind.PLAN_REPLAY, plan.session, after=plan.to_json()))
        else:
            self.redis.hset(self._passing, plan.session, plan.to_json())

    def promote(self, plan: Plan, reason: str = "") -> None:
        """Have the books of a replay be those of its runs.

        Raises
        ------
        UsageError
            When they are not all there, or another is at work on them.
        """
        if not plan.done:
            raise UsageError(f"the replay {plan.name} is not done: spilldeck replay --resume --name {plan.name}")
        with self.at_work(plan.session):
            self._have_shown(ActionKind.PROMOTE, plan.session, dict.fromkeys(plan.runs, plan.session), reason)

    def restore(self, run: int, reason: str = "") -> None:
        """Have what live made be the book of a run again.

        Raises
        ------
        UsageError
            When it is.
        """
        self._have_shown(ActionKind.RESTORE, run, {run: None}, reason)

    def _have_shown(self, kind: ActionKind, subject: object, after: Mapping[int, str | None], reason: str) -> None:
        promoted = self._decisions().promoted
        before = {run: promoted.get(run) for run in after}
        self._decide(self._act(kind, subject, before=json.dumps(before), after=json.dumps(after), reason=reason))

    def drop(self, session: str, reason: str = "") -> None:
        """Remove a session's books, and then its plan: killed in between, it can be dropped again.

        Raises
        ------
        UsageError
            When the book of a run is the session's.
        """
        plan = self._decisions().plans.get(session)
        if plan is None:
            self.made.clear(session)
            self.redis.hdel(self._passing, session)
            return
        action = self._act(ActionKind.DROP_REPLAY, session, before=plan.to_json(), reason=reason)
        check(self._settings, self.redis, action)
        self.made.clear(session)
        self._decide(action)

    def _decide(self, action: Action) -> None:
        decide(self._settings, self.redis, action)

    @contextmanager
    def at_work(self, session: str) -> Iterator[None]:
        """Keep others from a session in a ``with`` block.

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
        # To plan many runs, or to drop a large book, takes longer than one that was killed is waited for.
        over = threading.Event()
        alive = threading.Thread(target=self._stay_alive, args=(session, over), daemon=True, name="stay alive")
        alive.start()
        try:
            yield
        finally:
            over.set()
            alive.join()
            self.redis.delete(self._alive(session))

    def _stay_alive(self, session: str, over: threading.Event) -> None:
        key = self._alive(session)
        while not over.wait(SAID_S):
            with suppress(RedisError):  # whoever is at work meets it too
                if not self.redis.expire(key, ALIVE_S):  # Redis was emptied
                    self.redis.set(key, 0, nx=True, ex=ALIVE_S)

    def is_at_work(self, session: str) -> bool:
        """Say whether somebody is at work on a session."""
        return bool(self.redis.exists(self._alive(session)))

    def say_behind(self, session: str, messages: int) -> None:
        """Say by how many messages live is behind, for which the replay waits: by none, it is at work."""
        self.redis.set(self._alive(session), messages, ex=ALIVE_S)
