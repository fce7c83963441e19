"""A Kafka in memory: a topic of several partitions, what befalls it, and consumers of a group as Faust has them.

`test_contract.py` asks the same of it and of a real one.
"""

import asyncio
import random
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from streams.books.reading import Arrived
from streams.errors import ServerError
from tests.simulation.host import Host, Server, Trace

AHEAD = 40
"""Messages of a partition that a consumer fetches at once."""


@dataclass(slots=True, eq=False)
class Entry:
    """A message."""

    arrived: Arrived
    sent: Any
    """What the sender says that it is."""
    number: int
    """Of all that were ever taken."""


@dataclass(slots=True)
class Log:
    """One partition."""

    slots: list[Entry | None] = field(default_factory=list)
    """By offset; None where there is nothing for anybody, as after a transaction."""
    low: int = 0
    """What is before it is removed."""
    epoch: int = 0
    """Of its leader."""
    shown: int | None = None
    """Where it ends for readers, while its leader does not show all."""

    @property
    def end(self) -> int:
        return len(self.slots)

    def at(self, start: int, stop: int | None = None) -> Generator[Entry, None, None]:
        """Yield what a reader sees from an offset on."""
        offset = max(start, self.low)
        while offset < min(len(self.slots), stop if stop is not None else self.shown or len(self.slots)):
            if (entry := self.slots[offset]) is not None:
                yield entry
            offset += 1


class Kafka(Server):
    """The brokers with one topic.

    Parameters
    ----------
    rng
        Decides when answers come.
    partitions
        Of the topic.
    """

    def __init__(self, rng: random.Random, trace: Trace, partitions: int) -> None:
        super().__init__(rng, trace, lambda why: ServerError(f"Kafka: {why}"))
        self.topic = "spills.raw"
        self._made = 0
        self.taken = 0
        """Messages ever."""
        self.logs: list[Log] = []
        self.make_anew(partitions)
        self.groups: list[Group] = []
        self.has_new = asyncio.Event()

    def make_anew(self, partitions: int) -> None:
        """Remove the topic, and make another of this name."""
        self._made += 1
        self.logs[:] = [Log() for _ in range(partitions)]

    def add_partition(self) -> None:
        """Give the topic one partition more."""
        self.logs.append(Log())
        for group in self.groups:
            group.rebalance()

    def append(self, partition: int, value: bytes, produced_ms: int, sent: Any) -> Entry:
        """Take a message."""
        log = self.logs[partition]
        place = Arrived(partition=partition, offset=log.end, produced_ms=produced_ms, value=value)
        self.taken += 1
        entry = Entry(place, sent, self.taken)
        log.slots.append(entry)
        self.trace.note(f"append {partition} {place.offset}")
        self.wake()
        return entry

    def wake(self) -> None:
        """Tell all who wait for messages that there may be some."""
        self.has_new.set()
        self.has_new = asyncio.Event()

    def heal(self) -> None:
        super().heal()
        for log in self.logs:
            log.shown = None
        self.wake()

    def id(self) -> str:
        """Return the topic's id."""
        return f"topic-{self._made}"

    def _log(self, partition: int) -> Log:
        if partition >= len(self.logs):
            raise self._error(f"there is no partition {partition}")
        return self.logs[partition]

    def has(self, entry: Entry) -> bool:
        """Say whether a message is still there, in the topic that there is."""
        there = entry.arrived
        log = self.logs[there.partition] if there.partition < len(self.logs) else Log()
        return log.low <= there.offset < log.end and log.slots[there.offset] is entry

    def span(self, partition: int) -> tuple[int, int]:
        """Return the low watermark, and the offset that the next message will get."""
        log = self._log(partition)
        if log.shown is not None:  # a leader that does not know yet how far its followers are does not say
            raise self._error(f"the leader of {partition} does not say how far it is")
        return log.low, log.end

    def epoch(self, partition: int) -> int:
        """Return the number of the leader."""
        return self._log(partition).epoch

    def first_from(self, partition: int, offset: int) -> tuple[int | None, int]:
        """Return the first offset at or after one that has a message, if any, and the low watermark."""
        low, _ = self.span(partition)
        first = next(self._log(partition).at(offset), None)
        return (first.arrived.offset if first is not None else None), low

    def still_has(self, partition: int, offset: int, produced_ms: int) -> bool:
        """Say whether the message at an offset was produced then, or may have been."""
        low, end = self.span(partition)
        if offset < low:
            return True
        entry = self._log(partition).slots[offset] if offset < end else None
        return entry is not None and entry.arrived.produced_ms == produced_ms

    def read(self, partition: int, start: int, stop: int) -> Generator[Arrived, None, None]:
        """Yield what there is between two offsets, as `streams.kafka.messages` does."""
        self.check()
        at = start
        for entry in self._log(partition).at(start):
            if entry.arrived.offset >= stop:
                return
            yield entry.arrived
            at = entry.arrived.offset + 1
            self.check()
        log = self._log(partition)
        if at < stop and (log.end if log.shown is None else log.shown) < stop:
            raise self._error(f"it does not show what {partition} has from {at} on")


class Group:
    """Consumers that share the partitions.

    Parameters
    ----------
    kafka
        The brokers.
    rng
        Decides how partitions are shared, and what gets lost when they move.
    """

    SESSION_S = 10.0
    """A member that is silent for so long loses its partitions."""

    def __init__(self, kafka: Kafka, rng: random.Random) -> None:
        self._kafka = kafka
        self._rng = rng
        self.members: list[Consumer] = []
        self.committed: dict[int, int] = {}
        kafka.groups.append(self)

    def join(self, member: "Consumer") -> None:
        """Take a consumer in."""
        if member not in self.members:
            self.members.append(member)
        self.rebalance()

    def leave(self, member: "Consumer") -> None:
        """Let a consumer go."""
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def expire(self, member: "Consumer") -> None:
        """Let a consumer go if it says nothing."""
        if member.host.is_dead or member.host.is_stopped:
            self.leave(member)

    def rebalance(self) -> None:
        """Share the partitions anew; who is silent keeps what it had in its own mind."""
        partitions = list(range(len(self._kafka.logs)))
        self._rng.shuffle(partitions)
        shares: dict[int, set[int]] = {i: set() for i in range(len(self.members))}
        for i, partition in enumerate(partitions):
            if shares:
                shares[i % len(shares)].add(partition)
        for i, member in enumerate(list(self.members)):
            if not member.host.is_stopped and not member.host.is_dead:
                member.give(shares[i])
            else:
                member.missed = shares[i]


class Consumer:
    """A consumer of a group, and what Faust does between it and an agent.

    Parameters
    ----------
    host
        Its process.
    kafka, group
        Where it reads, and with whom.
    rng
        Decides what gets lost when partitions move.
    """

    def __init__(self, host: Host, kafka: Kafka, group: Group, rng: random.Random) -> None:
        self.host = host
        self._kafka = kafka
        self._group = group
        self._rng = rng
        self.assigned: set[int] = set()
        self.missed: set[int] | None = None
        """What it was given while it was silent."""
        self._position: dict[int, int] = {}
        self._fetched: deque[Arrived] = deque()
        self.on_moved: Any = None
        """Called when partitions come and go."""

    def give(self, partitions: set[int]) -> None:
        """Give it these partitions in place of those that it had."""
        self.missed = None
        if self._rng.random() < 0.7:  # Faust empties its queues when partitions move, and not all of them
            if self._rng.random() < 0.3:  # it acknowledges what it skips
                self.ack(self._fetched)
            self._fetched.clear()
        self.assigned = set(partitions)
        for partition in partitions:
            self._position[partition] = self._group.committed.get(partition, 0)
        if self.on_moved is not None:
            self.on_moved()
        self._kafka.wake()

    def seek(self, partition: int, offset: int) -> None:
        """Have the messages come from an offset on, after those that were fetched already."""
        self._position[partition] = offset
        self._kafka.wake()

    def pass_over(self, messages: int) -> None:
        """Go on behind messages that nobody was given."""
        for partition in self.assigned:
            self._position[partition] = self._position.get(partition, 0) + messages

    def ack(self, arrived: Iterable[Arrived]) -> None:
        """Take note that messages are done with: the group begins behind them."""
        for one in arrived:
            if one.partition in self.assigned:
                self._group.committed[one.partition] = one.offset + 1

    def _fetch(self) -> None:
        if self._kafka.is_away:
            return
        for partition in sorted(self.assigned):
            log = self._kafka.logs[partition] if partition < len(self._kafka.logs) else Log()
            at = self._position.get(partition, 0)
            if not log.low <= at <= log.end:  # as auto.offset.reset says: earliest
                at = log.low
            for entry in islice(log.at(at), AHEAD):
                self._fetched.append(entry.arrived)
                at = entry.arrived.offset + 1
            self._position[partition] = at

    async def take(self, most: int, within_s: float) -> list[Arrived]:
        """Return the next messages, as soon as there is one."""
        while True:
            await self.host.turn()
            if self.missed is not None:
                self.give(self.missed)
            if not self._fetched:
                self._fetch()
            if self._fetched:
                break
            await self._kafka.has_new.wait()
        if within_s and len(self._fetched) < most:
            await self.host.sleep(within_s)
            self._fetch()
        return [self._fetched.popleft() for _ in range(min(most, len(self._fetched)))]
