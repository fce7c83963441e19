"""The replays that there are: what each was asked to do, kept in Redis beside its books, and gone with them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, cast

from redis import Redis

from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.settings import Settings

ALIVE_S = 3
"""One at work says so again and again; silent for so long, it was killed."""
PREFIX = "replay-"
"""Of the session of a replay; what follows is its name."""


class Origin(StrEnum):
    """Where the spills of a replay come from."""

    RAW = "raw"
    """``spills.raw``: reconstructed again, with the conditions of today."""
    RECO = "reco"
    """``spills.reco``: as they were reconstructed, into the plots of today."""
    ARCHIVE = "archive"
    """A file that `ops.archive` wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a replay was asked to do; nothing of it changes later but that it is done."""

    session: str
    runs: tuple[int, ...]
    origin: Origin
    archive: str = ""
    """The file, if the spills come from one."""
    spans: tuple[tuple[int, int], ...]
    """By partition: the first offset that is read, and the first that is not."""
    began_s: float
    """Seconds since 1970 UTC."""
    conditions: str = ""
    """Index of the tables that go before those of the settings, if there is one."""
    digests: dict[str, str] = field(default_factory=dict)
    """Run → hash of its conditions; empty if it has none."""
    done: bool = False

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.session.removeprefix(PREFIX)

    def store(self, settings: Settings) -> ConditionsStore:
        """Return what gives its runs their conditions."""
        return ConditionsStore.from_settings(settings, Path(self.conditions) if self.conditions else None)

    def to_json(self) -> str:
        """Return it as it is stored."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Return what `to_json` stored."""
        values: dict[str, Any] = json.loads(text)
        spans = tuple((first, stop) for first, stop in values.pop("spans"))
        return cls(**values | {"runs": tuple(values["runs"]), "origin": Origin(values["origin"]), "spans": spans})


class Sessions:
    """The replays' plans and keys.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    prefix
        Of all keys.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.redis = redis
        self._prefix = prefix
        self._plans = f"{prefix}:replays"

    def all(self) -> list[Plan]:
        """Return every plan, the oldest first."""
        stored = cast("dict[bytes, bytes]", self.redis.hgetall(self._plans))
        return sorted(map(Plan.from_json, stored.values()), key=lambda plan: plan.began_s)

    def get(self, session: str) -> Plan | None:
        """Return the plan of a session, if there is one."""
        stored = cast("bytes | None", self.redis.hget(self._plans, session))
        return Plan.from_json(stored) if stored is not None else None

    def save(self, plan: Plan) -> None:
        """Write a plan."""
        self.redis.hset(self._plans, plan.session, plan.to_json())

    def drop(self, session: str) -> None:
        """Remove a session's books, and then its plan: killed in between, it can be dropped again."""
        for key in self.redis.scan_iter(match=f"{self._prefix}:{{{session}:*}}:*", count=1000):
            self.redis.unlink(key)
        self.redis.hdel(self._plans, session)

    def state(self, plan: Plan) -> str:
        """Return what a replay is doing, in words."""
        if plan.done:
            return "done"
        behind = cast("bytes | None", self.redis.get(self._alive(plan.session)))
        if behind is None:
            return "stopped"
        return "at work" if behind == b"0" else "waiting for live"

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

    def _alive(self, session: str) -> str:
        return f"{self._prefix}:at-work:{session}"
