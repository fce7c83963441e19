"""How what an earlier version counted of a partition stands to what Kafka has of it now."""

from collections.abc import Iterable
from dataclasses import dataclass

from streams.books.kafka_log import KafkaLog
from streams.books.plan import Plan
from streams.books.v1 import State, Stretches


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Which offsets of a log were counted, and which can still be read."""

    log: str
    """Id of the log as it is now."""
    low: int
    """Kafka's low watermark: what is below it is gone."""
    stop: int
    """The first offset behind all that was counted; 0 if the log is not the one that was counted from."""
    missed: Stretches = ()
    """What was not counted before `stop`, and can still be read."""
    gone: Stretches = ()
    """What was not counted, and is gone."""

    @property
    def upto(self) -> int:
        """The first offset that is still to be counted."""
        return max(self.low, self.stop)


async def account(kafka: KafkaLog, partition: int, state: State) -> Account:
    """Return the account of a partition that workers counted."""
    low, end = await kafka.span(partition)
    raw = _within(state.raw, 0, await _still_there(kafka, partition, state, end))
    stop = raw[-1][1] if raw else 0
    lacking = _between(raw, max(low, stop))
    return Account(
        log=await kafka.id(),
        low=low,
        stop=stop,
        missed=_within(lacking, low, stop),
        gone=_within(lacking, 0, low) if raw else (),
    )


def account_of_replay(plan: Plan, partition: int, state: State) -> Account:
    """Return the account of a partition that a replay read in one go, from the offset on at which its plan begins."""
    low, _ = plan.spans[partition]
    return Account(log=str(plan.origin), low=low, stop=state.offset + 1)


async def _still_there(kafka: KafkaLog, partition: int, state: State, end: int) -> int:
    """Return an offset before which Kafka has, or had, the messages that were counted, and not others in their place.

    It is 0 if Kafka has others in place of all of which the state tells.
    """
    newest = max(state.tail, default=None)
    for counted in sorted(state.tail, reverse=True):
        if await kafka.still_has(partition, *counted):
            return end if counted == newest else counted[0] + 1
    return end if newest is None and state.raw and state.raw[-1][1] <= end else 0


def _within(stretches: Iterable[tuple[int, int]], start: int, stop: int) -> Stretches:
    """Return what of them lies in [start, stop)."""
    cut = ((max(first, start), min(last, stop)) for first, last in stretches)
    return tuple((first, last) for first, last in cut if first < last)


def _between(stretches: Stretches, stop: int) -> Stretches:
    """Return what of [0, stop) lies in none of them."""
    edges = [0, *(edge for pair in stretches for edge in pair), stop]
    return tuple((first, last) for first, last in zip(edges[::2], edges[1::2], strict=True) if first < last)
