"""The DAQ and its producer: runs of spills, one after the other, and all that they do wrong."""

import asyncio
import random
from collections import deque
from dataclasses import replace

from schemas.records import NO_RUN
from tests.simulation.experiment import Kind, Sent
from tests.simulation.host import Host
from tests.simulation.kafka_in_memory import Entry, Kafka
from tests.simulation.scale import Scale

FIRST_RUN = 1000
DEFECTS = (
    "duplicate",
    "conflict",
    "conflict ahead",
    "out of order",
    "time 0",
    "unreadable",
    "raises",
    "raises later",
    "garbage",
    "lost spill",
    "late spill",
    "no start",
    "no end",
    "several ends",
    "only rejected",
)
"""What may be wrong with what is sent."""


class Beam:
    """Sends runs of spills.

    Parameters
    ----------
    host
        The producer's process.
    kafka
        Where to.
    scale
        How many, how often.
    rng
        Decides what is sent.
    defects
        Those of `DEFECTS` that happen.
    """

    def __init__(self, host: Host, kafka: Kafka, scale: Scale, rng: random.Random, defects: set[str]) -> None:
        self.host = host
        self._kafka = kafka
        self._scale = scale
        self._rng = rng
        self._defects = defects
        self._is_on = asyncio.Event()
        self._now = asyncio.get_running_loop().time
        self._late: deque[tuple[int, Sent]] = deque()
        self._last: deque[tuple[int, Sent]] = deque(maxlen=40)
        self.run = FIRST_RUN - 1
        self.spills = 0
        self.clock_off_s = 0.0
        self.ever: dict[tuple[int, int], list[tuple[str, Entry]]] = {}
        """Run and partition → all that was acknowledged of it, each with the topic's id."""

    def begin(self) -> None:
        """Start sending."""
        self.turn_on()
        self.host.begin(self._go)

    def turn_on(self) -> None:
        """Let spills come."""
        self._is_on.set()

    def turn_off(self) -> None:
        """Let none come."""
        self._is_on.clear()

    def happens(self, defect: str, often: float) -> bool:
        """Say whether something is wrong now."""
        return defect in self._defects and self._rng.random() < often

    async def _go(self) -> None:
        while True:
            await self._run()
            await self.host.sleep(self._rng.uniform(1, 4) * self._scale.spill_s)

    async def _run(self) -> None:
        self.run += 1
        # A run stays with the partitions that there are when it begins.
        run, rng, partitions = self.run, self._rng, len(self._kafka.logs)
        spills = rng.randint(1, self._scale.run_spills)
        only_rejected = self.happens("only rejected", 0.1)
        if not (only_rejected or self.happens("no start", 0.1)):
            await self._control(Kind.START, run, partitions)
        for spill in self._numbers(spills):
            await self._is_on.wait()
            kind = Kind.UNREADABLE if only_rejected else self._kind()
            time_us = 0 if self.happens("time 0", 0.02) else self._time_us()
            await self._spill(Sent(kind=kind, run=run, spill=spill, time_us=time_us), partitions)
            await self.host.sleep(rng.uniform(0.5, 1.5) * self._scale.spill_s)
        await self._is_on.wait()
        if not self.happens("no end", 0.1):
            await self._control(Kind.END, run, partitions)
            while self.happens("several ends", 0.2):
                await self._control(Kind.END, run, partitions, source=rng.choice(["file", "again", "other"]))
        if self.happens("late spill", 0.3):
            for spill in range(spills, spills + rng.randint(1, 3)):
                late = Sent(kind=Kind.SPILL, run=run, spill=spill, time_us=self._time_us())
                self._late.append((spill % partitions, late))

    def _numbers(self, spills: int) -> list[int]:
        numbers = list(range(spills))
        for i in range(spills - 1):
            if self.happens("out of order", 0.03):
                numbers[i], numbers[i + 1] = numbers[i + 1], numbers[i]
        return [number for number in numbers if not self.happens("lost spill", 0.02)]

    def _kind(self) -> Kind:
        for defect, kind in (
            ("unreadable", Kind.UNREADABLE),
            ("raises", Kind.RAISES),
            ("raises later", Kind.RAISES_LATER),
        ):
            if self.happens(defect, 0.02):
                return kind
        return Kind.SPILL

    def _time_us(self) -> int:
        return int(self._now() * 1e6)

    async def _spill(self, spill: Sent, partitions: int) -> None:
        partition = spill.spill % partitions
        if self.happens("conflict ahead", 0.02):
            await self.send(partition, replace(spill, version=self._rng.randint(1, 9)))
        await self.send(partition, spill)
        self.spills += 1
        while self.happens("duplicate", 0.05):
            await self.send(partition, spill)
        if self.happens("conflict", 0.03):
            await self.send(partition, replace(spill, version=self._rng.randint(1, 9)))
        if self.happens("garbage", 0.03):
            nothing = Sent(kind=Kind.GARBAGE, version=self._rng.randint(0, 10**6))
            await self.send(self._rng.randrange(partitions), nothing)
        if self._late and self._rng.random() < 0.2:
            await self.send(*self._late.popleft())

    async def _control(self, kind: Kind, run: int, partitions: int, source: str = "file") -> None:
        time_us = self._time_us() - self._rng.randint(0, 3) * 1_000_000
        said = Sent(kind=kind, run=run, time_us=time_us, source=source, byte=self._rng.randrange(100))
        for partition in range(partitions):
            await self.send(partition, said)

    async def again(self, messages: int) -> None:
        """Send the last messages once more, as a producer does that was killed and goes on."""
        for partition, sent in list(self._last)[-messages:]:
            await self.send(partition, sent)

    async def send(self, partition: int, sent: Sent) -> None:
        """Send a message; return when the brokers have it."""
        while self._kafka.is_away or partition >= len(self._kafka.logs):
            await self.host.sleep(0.5)
        if self._rng.random() < self._scale.gaps:
            self._kafka.logs[partition].slots.append(None)
        produced_ms = int((self._now() + self.clock_off_s) * 1000)
        entry = self._kafka.append(partition, sent.encoded(), produced_ms, sent)
        if self._rng.random() < self._scale.gaps:
            self._kafka.logs[partition].slots.append(None)  # nothing may come behind it for long
        run = sent.run if sent.kind is not Kind.GARBAGE else NO_RUN
        self.ever.setdefault((run, partition), []).append((self._kafka.id(), entry))
        self._last.append((partition, sent))
