"""One partition that an earlier version counted: what becomes of its parts of runs, and the checkpoints for that.

What Kafka has whole, workers count again by themselves. The rest is written as they write theirs, each part in one
checkpoint that is compared like any other: so it does not matter whether workers were started before it or after.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf, nan
from typing import Any, Self

from redis.asyncio import Redis

from ops.upgrade.account import Account, account, account_of_replay
from ops.upgrade.found import Found, Verdict
from ops.upgrade.source import Source
from ops.upgrade.written import BEFORE, changes_of, count_missed, note_origin
from schemas.records import ReconstructedSpill
from streams.books import layout, v1
from streams.books.kafka_log import LOSSES
from streams.books.part_store import DamagedPartError
from streams.books.partition import Filling
from streams.books.run import Handling
from streams.books.store import (
    CheckpointRefusedError,
    CheckpointStore,
    DamagedIndexError,
    DamagedStateError,
)
from streams.books.stored import PartitionState, StoredPart
from streams.books.takeover import Takeover
from streams.books.totals import Totals
from streams.errors import SpilldeckError
from streams.process import plot_ranges
from streams.settings import Settings
from streams.transform import Outcome, run_of, transform

TRIES = 100
"""Of a checkpoint, while workers write theirs."""
PAUSE_S = 0.02
"""Between two of them."""
AT_ONCE = 32
"""Offsets of which the messages are held together."""


@dataclass(slots=True, kw_only=True)
class _Old:
    """A part of a run as the earlier version left it."""

    run: int
    totals: Totals
    first: int
    """Its first offset, or `BEFORE`."""
    is_whole: bool
    """Whether Kafka has it from its first message on."""
    part: v1.Part | None = None
    """Once it was read, with what was missed of it."""
    missed: int = 0
    """Messages of it that were missed."""
    rejected: list[Outcome] = field(default_factory=list)
    """Those of them that are in no histogram."""


class Partition:
    """Goes over the runs of a partition; `of` makes it.

    Parameters
    ----------
    redis, settings
        See `carry.carry_over`.
    keys
        Of the partition, as the earlier version has them.
    source
        Where its spills come from.
    account
        How what was counted stands to what Kafka has.
    lost
        What Kafka no longer had when it was needed, or would be.
    missed
        Run → offsets of its messages that were not counted, and can still be read.
    """

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        keys: v1.Keys,
        source: Source,
        account: Account,
        lost: tuple[layout.Loss, ...],
        missed: Mapping[int, Sequence[int]],
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._number = keys.partition
        self._source = source
        self._account = account
        self._lost = lost
        self._missed = missed
        self._writer = uuid.uuid4().hex[:8]
        self._store = CheckpointStore(redis, keys.prefix, keys.session)
        self._filling = Filling(
            run_books={},
            window_books={},
            ranges_of=lambda run: plot_ranges(run, source.conditions_of),
            window_s=settings.books.window_s,
            windows_kept=settings.books.windows_kept,
            handling=lambda _: Handling(delay_s=nan, resident_mb=nan),
            compute=_here,
        )

    @classmethod
    async def of(cls, redis: Redis, settings: Settings, keys: v1.Keys, state: v1.State, source: Source) -> Self:
        """Return what goes over the runs of a partition that was counted so far."""
        number, kafka = keys.partition, source.kafka
        if source.plan is not None:
            its = account_of_replay(source.plan, number, state)
        else:
            its = await account(kafka, number, state)
        gone = (f"messages {start} to {stop - 1} of {kafka.name} were gone when needed" for start, stop in its.gone)
        lost = (*state.lost, *(layout.Loss(int(kafka.now_s()), what) for what in gone))
        missed: dict[int, list[int]] = {}
        for start, stop in its.missed:
            for at in range(start, stop, AT_ONCE):
                for message in await source.read(number, at, min(at + AT_ONCE, stop)):
                    missed.setdefault(run_of(message.value), []).append(message.offset)
        return cls(redis, settings, keys, source, its, lost, missed)

    async def go(self, run: int, totals: bytes, *, do: bool) -> Found:
        """Return what becomes of the part of a run that has these totals; without `do` nothing is written.

        Raises
        ------
        SpilldeckError
            When workers write so often that nothing else can be written.
        """
        counted = Totals()
        try:
            counted = v1.unpack_totals(self._keys, run, totals)
            old = await self._old(run, counted)
            verdict, why = await (self._carry_over(old) if do else self._judge(old, await self._state()))
        except v1.UnreadableError as error:
            verdict, why = Verdict.LEFT, str(error)
        return Found(
            session=self._keys.session,
            partition=self._number,
            run=run,
            spills=counted.filled,
            verdict=verdict,
            why=why,
        )

    async def finish(self) -> None:
        """Have a replay go on behind what it has read: all of that is there now."""
        state = await self._state()
        if self._source.plan is not None and state.fence and state.next < self._account.stop and not state.repairs:
            with suppress(CheckpointRefusedError):  # somebody goes on with it already
                after = replace(state, fence=self._fence_behind(state), next=self._account.stop)
                await self._store.checkpoint(self._number, state.fence, after, {})

    async def _old(self, run: int, totals: Totals) -> _Old:
        its = self._account
        if self._source.plan is not None:
            return _Old(run=run, totals=totals, first=its.low, is_whole=False)
        noted = totals.first_raw.get(self._number, BEFORE)
        if noted < its.low:
            return _Old(run=run, totals=totals, first=noted if its.stop else BEFORE, is_whole=False)
        # Another message stands there if the run began in a log that is gone.
        is_whole = noted < its.stop and await self._is_of(run, noted)
        return _Old(run=run, totals=totals, first=noted if is_whole else BEFORE, is_whole=is_whole)

    async def _is_of(self, run: int, offset: int) -> bool:
        there = await self._source.read(self._number, offset, offset + 1)
        return any(run_of(message.value) == run for message in there)

    async def _state(self) -> PartitionState:
        """Return how far workers are; the beginning if nothing tells."""
        try:
            return await self._store.load_state(self._number)
        except DamagedStateError:
            return PartitionState()

    async def _judge(self, old: _Old, state: PartitionState) -> tuple[Verdict, str]:
        """Say what becomes of a part, when workers are so far."""
        its, now = self._account, await self._now(old.run)
        as_much = now is not None and _counts_as_much(now.part.totals, old.totals)
        if now is not None and as_much and now.log == its.log and self._first(now) <= old.first:
            return Verdict.THERE, ""
        is_begun = bool(state.fence) and state.log == its.log
        if old.is_whole and (state.repairs.get(old.run, state.next) if is_begun else its.low) < its.upto:
            return Verdict.REBUILT, ""
        part = await self._part(old)
        if now is not None and as_much and part.ledger.keys() <= now.part.ledger.keys():
            return Verdict.THERE, ""
        if now is not None and (why := self._lost_with(now)):
            return Verdict.LEFT, why
        counted = f"with messages that were missed: {old.missed}" if old.missed else ""
        plots = ", ".join(part.left_out)
        without = f"without plots that there are no more, or not as they were: {plots}" if plots else ""
        return Verdict.CARRIED, "; ".join(filter(None, (counted, without)))

    async def _now(self, run: int) -> StoredPart | None:
        """Return what workers have of a part; None without one that can be read."""
        try:
            return await self._store.parts.load(self._number, run, self._filling.ranges_of(run))
        except DamagedPartError:
            return None

    def _first(self, now: StoredPart) -> float:
        return now.part.totals.first_raw.get(self._number, inf)

    def _lost_with(self, now: StoredPart) -> str:
        """Say what would be lost for good if the part that workers have were replaced; nothing, if Kafka has it."""
        its = self._account
        if now.log != its.log:
            return "workers have counted others of its messages, in a log that is gone"
        first, last = max(self._first(now), its.stop), min(now.part.totals.last_raw.get(self._number, -1), its.low - 1)
        if first <= last:
            return f"workers have counted its messages {first} to {last} since, which Kafka no longer has"
        return ""

    async def _part(self, old: _Old) -> v1.Part:
        """Return all of a part, with what was missed of it."""
        if old.part is None:
            ranges = self._filling.ranges_of(old.run)
            old.part = await v1.load_part(self._redis, self._keys, old.run, old.totals, ranges)
            old.missed = len(self._missed.get(old.run, ()))
            for offset in self._missed.get(old.run, ()):
                there = await self._source.read(self._number, offset, offset + 1)
                outcomes = [transform(message, self._source.conditions_of) for message in there]
                old.rejected += count_missed(old.part, outcomes, self._filling)
            note_origin(old.totals, self._number, old.first, self._account)
        return old.part

    async def _carry_over(self, old: _Old) -> tuple[Verdict, str]:
        for _ in range(TRIES):
            state = await self._state()
            verdict, why = await self._judge(old, state)
            if verdict is not Verdict.CARRIED:
                return verdict, why
            if not state.fence or state.log != self._account.log:
                state = await self._begin()
            try:
                await self._write(old.run, await self._part(old), old.rejected, state)
            except CheckpointRefusedError:
                await asyncio.sleep(PAUSE_S)
            except DamagedIndexError:
                await self._store.list_again(self._number, state.index)
            else:
                return verdict, why
        raise SpilldeckError(
            f"partition {self._number} of {self._keys.session} changes all the while: stop its workers, and try again"
        )

    async def _begin(self) -> PartitionState:
        """Return where workers would begin."""
        takeover = Takeover(store=self._store, kafka=self._source.kafka, filling=self._filling, writer=self._writer)
        return (await takeover.of(self._number)).state

    async def _write(self, run: int, part: v1.Part, rejected: list[Outcome], state: PartitionState) -> None:
        """Write a part in place of what workers have of it, and note from where on they are to count the run."""
        its, kafka = self._account, self._source.kafka
        for outcome in rejected:
            why = outcome.record.rejection if isinstance(outcome.record, ReconstructedSpill) else None
            if why is not None:
                await kafka.reject(outcome.rejected(kafka.name, why.step, why.reason))
        keys = layout.Keys(self._keys.prefix, self._keys.session, self._number)
        has_come = run in state.repairs or await self._store.load_place(self._number, run, state.index) is not None
        if await self._redis.exists(*keys.of_run(run)):
            has_come = True
            await self._store.set_aside(self._number, run, state.fence, for_good=False)
        repairs = {other: first for other, first in state.repairs.items() if other != run}
        if has_come and state.next > its.upto:  # else none of its messages is between
            repairs[run] = its.upto
        said = {loss.what for loss in state.lost}
        lost = sorted((*state.lost, *(loss for loss in self._lost if loss.what not in said)))[-LOSSES:]
        after = replace(state, fence=self._fence_behind(state), repairs=repairs, lost=tuple(lost))
        await self._store.begin(self._number)
        changes = changes_of(part, self._number, its, self._filling.window_s)
        await self._store.checkpoint(self._number, state.fence, after, {run: changes})

    def _fence_behind(self, state: PartitionState) -> str:
        return f"{self._writer}:{state.number + 1}"


def _counts_as_much(now: Totals, old: Totals) -> bool:
    """Say whether totals count as many messages, and as much run control."""
    return now.received >= old.received and now.control.keys() >= old.control.keys()


async def _here(call: Callable[..., Any], *arguments: Any) -> Any:
    return call(*arguments)
