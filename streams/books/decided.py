"""What people decided, as Redis has it: the fold of the topic of quality, which is made anew when Redis has lost it.

Kafka is the truth, so Redis's copy says up to which offset it was folded: one that is gone or older (an emptied Redis,
an older dump) is seen by a look at the topic's end, and folded from there. One thing goes the other way: what Redis
knows and the topic cannot give back is taken over into the topic, as one action. An older version kept decisions in
Redis alone; a power cut takes the end of a log, a retention that somebody set its beginning; and a topic may be made
anew.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, cast

import structlog
from redis import Redis, WatchError
from redis.exceptions import NoPermissionError, ResponseError

from schemas.known import WireError
from schemas.records import Action, ActionKind
from schemas.wire import decode
from streams.books.actions import ActionLog, append, new_action
from streams.books.decisions import UNREADABLE, Decisions
from streams.books.layout import changed_channel
from streams.books.made import Made
from streams.books.pinned_books import write_again
from streams.books.plan import Plan
from streams.errors import ServerError, UsageError
from streams.settings import Settings

DECIDED = b"decided"
"""What is announced then; a checkpoint announces something else."""
TRIES = 20
"""Others may write the copy at the same moment: whoever comes second looks again."""

_log = structlog.get_logger(__name__)


class _Held(NamedTuple):
    """What Redis has."""

    stored: bytes | None
    """As it is stored."""
    copy: Decisions | None
    """None if there is none that can be used."""
    former: Decisions
    """What an older version left, if there is no copy."""


class Copy:
    """The copy in Redis.

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
        self.key = f"{prefix}:decisions"
        self._former = (f"{prefix}:promoted", f"{prefix}:replays")
        """Hashes of the versions that kept decisions in Redis alone. They stay, so that one can be gone back to."""

    def read(self) -> Decisions | None:
        """Return what is known; None if Redis has lost it, or never had it.

        Raises
        ------
        ServerError
            When a newer version wrote it.
        """
        stored = self._stored()
        return _parsed(stored) if stored is not None else None

    def _stored(self) -> bytes | None:
        try:
            return cast("bytes | None", self._redis.get(self.key))
        except ResponseError:  # a key of another kind
            return None

    def held(self) -> _Held:
        """Return all that Redis has of decisions; note which books the older version had finished."""
        stored = self._stored()
        copy = _parsed(stored) if stored is not None else None
        former = Decisions()
        if copy is None:
            former = self.former()
            for plan in former.plans.values():
                Made(self._redis, self._prefix).adopt(plan)
        return _Held(stored, copy, former)

    def former(self) -> Decisions:
        """Return what an older version left, as it was then."""
        promoted, stored = (cast("dict[bytes, bytes]", self._redis.hgetall(key)) for key in self._former)
        plans = {}
        for session, text in stored.items():
            try:
                plans[session.decode()] = Plan.from_json(text)
            except UNREADABLE as error:
                _log.warning("a replay of an older version cannot be read", session=session, why=repr(error))
        return Decisions(promoted={int(run): name.decode() for run, name in promoted.items()}, plans=plans)

    def put(self, stored: bytes | None, decisions: Decisions) -> bool:
        """Write it in place of what was stored; return whether that was still there."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.watch(self.key)  # type: ignore[no-untyped-call]
            if self._stored() != stored:
                return False
            pipe.multi()
            pipe.set(self.key, decisions.to_json())
            try:
                pipe.execute()
            except WatchError:
                return False
        return True


@lru_cache(maxsize=8)
def _parsed(stored: bytes) -> Decisions | None:
    """Return a copy as it was stored; a page asks for the same one again and again."""
    return Decisions.from_json(stored)


def refresh(settings: Settings, redis: Redis) -> bool:
    """Have Redis's copy be what the topic says; return whether it was not.

    While nothing is new it takes one key of Redis, the topic's end, and the last action there.

    Raises
    ------
    ServerError
        When Kafka does not answer, or has no such topic; `redis.RedisError` when Redis does not.
    """
    return _refreshed(settings, redis)[1]


def _refreshed(settings: Settings, redis: Redis) -> tuple[Decisions, bool]:
    """Return what the topic says, and whether Redis had to be told."""
    copy = Copy(redis, settings.redis.key_prefix)
    with ActionLog(settings) as log:
        for _ in range(TRIES):
            # Redis first: what it has is then no newer than the end of the topic.
            held, (low, end) = copy.held(), log.span()
            ours = held.copy if held.copy is not None and _is_of(held.copy, log, low, end) else None
            lacking = _lacking(ours, held.former, low, end)
            if lacking is not None:
                _take_over(settings, redis, lacking, end)
                continue
            if ours is not None and ours.next == end:
                return ours, False
            known = ours if ours is not None and ours.next < end else Decisions()
            now = _folded(known, log, low, end)
            try:
                is_told = copy.put(held.stored, now)
            except NoPermissionError:  # who may only read leaves Redis as it is
                return now, False
            if is_told:
                return now, True
    raise ServerError("what people decide changes faster than it can be read: try again")


def _is_of(copy: Decisions, log: ActionLog, low: int, end: int) -> bool:
    """Say whether the last action that both have is the same: else somebody has made the topic anew."""
    last = min(copy.next, end) - 1
    return last < low or all(copy.has_counted(offset, message) for offset, message in log.read(last, last + 1))


def _lacking(ours: Decisions | None, former: Decisions, low: int, end: int) -> Decisions | None:
    """Return what Redis knows if the topic cannot give it back: its copy of it, or what an older version left."""
    if ours is None:
        return former if end == 0 and not former.is_empty else None
    # What a copy has not heard of may say otherwise.
    is_lacking = end < ours.next or (end == ours.next and low > ours.since)
    return ours if is_lacking and not ours.is_empty else None


def _take_over(settings: Settings, redis: Redis, lacking: Decisions, end: int) -> None:
    """Write what Redis knows to the topic; it counts only where the topic ends now, so once."""
    action = new_action(ActionKind.TAKE_OVER, end, after=lacking.state_json(), origin="what Redis knew")
    append(settings, action)
    write_again(settings, redis, lacking.pinned_books)
    _log.warning(
        "what Kafka did not have of decisions was taken over from Redis",
        promoted=len(lacking.promoted),
        replays=len(lacking.plans),
    )


def _folded(known: Decisions, log: ActionLog, low: int, end: int) -> Decisions:
    now = known if known.next >= low else replace(known, next=low, tail=())
    for offset, message in log.read(now.next, end):
        now = now.after(offset, message)
    if known.next < low and now.since < low:
        _log.error("Kafka has lost what people decided: its topic must have no retention", actions=low - known.next)
    return now


def newest(settings: Settings, redis: Redis) -> Callable[[], Decisions]:
    """Have Redis's copy be what the topic says; return what gives the newer of the two, for who may only read Redis.

    Raises
    ------
    ServerError
        When Kafka does not answer; `redis.RedisError` when Redis does not.
    """
    now, _ = _refreshed(settings, redis)
    copy = Copy(redis, settings.redis.key_prefix)

    def known() -> Decisions:
        found = copy.read()
        return found if found is not None and found.next >= now.next else now

    return known


class Record(NamedTuple):
    """An action, as it lies in Kafka."""

    offset: int
    action: Action
    runs: tuple[int, ...]
    """That it says something of."""
    refused: str
    """Why it does not count there; empty if it does."""


def record(settings: Settings) -> Iterator[Record]:
    """Yield what people did and the checks said, in its order.

    Raises
    ------
    ServerError
        When Kafka does not answer, or has no such topic.
    """
    now = Decisions()
    with ActionLog(settings) as log:
        for offset, message in log.read(*log.span()):
            action = None
            with suppress(WireError):
                action = decode(message)
            if isinstance(action, Action):
                yield Record(offset, action, now.runs_of(action), now.refusal(offset, action))
            now = now.after(offset, message)


def as_of(settings: Settings, upto: int | None) -> Decisions:
    """Return what followed from the actions before an offset, by Kafka alone; None is all of them.

    Raises
    ------
    UsageError
        When Kafka has no such offset yet, or no longer all before it.
    ServerError
        When Kafka does not answer, or has no such topic.
    """
    with ActionLog(settings) as log:
        low, end = log.span()
        upto = end if upto is None else upto
        if upto > end:
            raise UsageError(f"there are {end} actions, not {upto}")
        now = Decisions()
        for offset, message in log.read(low, upto):
            now = now.after(offset, message)
    if now.since < low:
        raise UsageError(f"Kafka has lost what people decided before action {low}: nobody can tell what held then")
    return replace(now, next=upto)


def by_kafka(settings: Settings, known: Decisions) -> Decisions:
    """Return what the topic says to who knows this, and cannot ask Redis; what is known, where the topic says less.

    Raises
    ------
    ServerError
        When Kafka does not answer.
    """
    with ActionLog(settings) as log:
        low, end = log.span()
        is_of = known.next <= end and _is_of(known, log, low, end)
        return _folded(known, log, low, end) if is_of else known


def decide_by_kafka(settings: Settings, known: Decisions, action: Action) -> None:
    """Write an action while Redis is away, which folds it when it is back; errors as of `decide`."""
    now = by_kafka(settings, known)
    if why := now.refusal(now.next, action):
        raise UsageError(why)
    append(settings, action)


def check(settings: Settings, redis: Redis, action: Action) -> Decisions:
    """Return what is known now, in which an action would count.

    Raises
    ------
    UsageError
        When it would not, with the reason.
    """
    now, _ = _refreshed(settings, redis)
    if why := now.refusal(now.next, action):
        raise UsageError(why)
    return now


def decide(settings: Settings, redis: Redis, action: Action) -> None:
    """Write an action; return when it counts.

    Raises
    ------
    UsageError
        When it does not, with the reason: another may have been faster.
    ServerError
        When Kafka does not answer.
    """
    before = check(settings, redis, action)
    offset = append(settings, action)
    with ActionLog(settings) as log:
        # Not from Redis, where others may have gone on already.
        why = _folded(before, log, before.next, offset).refusal(offset, action)
    refresh(settings, redis)
    # Pages look at once, as at a checkpoint; who may only read has them look a moment later.
    with suppress(NoPermissionError):
        redis.publish(changed_channel(settings.redis.key_prefix, settings.session), DECIDED)
    if why:
        raise UsageError(f"somebody else was faster: {why}")
