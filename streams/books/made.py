"""Whose books a replay's keys in Redis are, and whether all is in them: noted beside them, and lost with them.

A plan is a decision and comes back from Kafka; its books do not. An older dump of Redis may even bring back the books
of another plan of the same name.
"""

import json
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import cast

from redis import Redis

from streams.books import layout
from streams.books.plan import Plan
from streams.plain import read_json

_Note = tuple[float, list[int] | None]
"""When the plan was made, and the partitions that have a share of its books when all is in them."""


class Books(StrEnum):
    """What Redis has of a replay."""

    WHOLE = "whole"
    BEGUN = "begun"
    LOST = "lost"
    """Nothing, or a part of what was whole, or what another plan made."""


class Made:
    """The notes.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    prefix
        Of all keys.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._key = f"{prefix}:made"

    def of(self, plans: Collection[Plan]) -> dict[str, Books]:
        """Return what there is of the books of plans, by session."""
        notes = self._notes(plans)
        found = {session: Books.LOST if note is None else Books.BEGUN for session, note in notes.items()}
        finished = {session: note[1] for session, note in notes.items() if note is not None and note[1] is not None}
        pipe = self._redis.pipeline(transaction=False)
        for session, partitions in finished.items():
            for state in self._states(session, partitions):
                pipe.exists(state)
        there = iter(pipe.execute())
        for session, partitions in finished.items():
            found[session] = Books.WHOLE if sum(next(there) for _ in partitions) == len(partitions) else Books.LOST
        return found

    def _notes(self, plans: Collection[Plan]) -> dict[str, _Note | None]:
        """Return what was noted of these plans, and not of others of the same name."""
        if not plans:
            return {}
        stored = cast("list[bytes | None]", self._redis.hmget(self._key, [plan.session for plan in plans]))
        notes: dict[str, _Note | None] = {}
        for plan, text in zip(plans, stored, strict=True):
            began_s, partitions = read_json(text) if text is not None else (None, None)
            notes[plan.session] = (began_s, partitions) if began_s == plan.began_s else None
        return notes

    def _states(self, session: str, partitions: Sequence[int]) -> list[str]:
        return [layout.Keys(self._prefix, session, partition).state for partition in partitions]

    def begin(self, plan: Plan) -> None:
        """Have the keys of a session be those of a plan: what is there already stays if it is."""
        if self._notes([plan])[plan.session] is None:
            self.clear(plan.session)
        if self.of([plan])[plan.session] is not Books.WHOLE:
            self._note(plan, None)

    def finish(self, plan: Plan, partitions: Sequence[int]) -> None:
        """Note that all is in the books, of which these partitions have a share."""
        self._note(plan, [*partitions])

    def adopt(self, plan: Plan) -> None:
        """Note what an older version made, which kept in the plan whether it was done; what was noted since stays."""
        partitions = range(len(plan.spans))
        there = [p for p in partitions if self._redis.exists(*self._states(plan.session, [p]))]
        self._redis.hsetnx(self._key, plan.session, _packed(plan, there if plan.done and there else None))

    def clear(self, session: str) -> None:
        """Remove what was noted of the books of a session, and then the books: killed in between, they are lost."""
        self._redis.hdel(self._key, session)
        for key in self._redis.scan_iter(match=layout.of_session(self._prefix, session), count=1000):
            self._redis.unlink(key)
        self._redis.delete(layout.partitions(self._prefix, session))

    def _note(self, plan: Plan, partitions: list[int] | None) -> None:
        self._redis.hset(self._key, plan.session, _packed(plan, partitions))


def _packed(plan: Plan, partitions: list[int] | None) -> str:
    return json.dumps([plan.began_s, partitions])
