"""The cluster: workers of one session or two, a DAQ, a page, and a supervisor that starts what has ended."""

import asyncio
import random
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

from streams.books.book import Ranges
from streams.books.stored import PartitionState
from streams.errors import UsageError
from streams.settings import LIVE
from tests.simulation.beam import DEFECTS, Beam
from tests.simulation.experiment import RANGES, TYPO, Conditions
from tests.simulation.host import Host, Trace
from tests.simulation.kafka_in_memory import Group, Kafka
from tests.simulation.redis_in_memory import Redis
from tests.simulation.scale import Scale
from tests.simulation.worker import Servers, Worker

TEST = "test"
"""A second session beside live, with conditions of its own."""
UNREADABLE_EVERY = 7
"""Of so many runs the tables of one cannot be read."""
RESTART_S = 3.0
"""After it the supervisor starts a worker again that has ended."""


class Cluster:
    """All processes and servers.

    Parameters
    ----------
    rng
        Decides everything.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.trace = Trace()
        self.scale = Scale.of(rng)
        self.kafka = Kafka(random.Random(rng.random()), self.trace, self.scale.partitions)
        self.redis = Redis(random.Random(rng.random()), self.trace)
        self.kafka.busy = self.redis.busy = self.scale.busy
        self.servers = Servers(self.kafka, self.redis)
        self.groups = {session: Group(self.kafka, random.Random(rng.random())) for session in (LIVE, TEST)}
        self.workers: list[Worker] = []
        self.said: Counter[str] = Counter()
        """What processes logged → how often."""
        self.wrong: list[str] = []
        """What must not be, in words."""
        self._started = 0
        self.sessions: list[str] = []
        """Those that there were workers of."""
        self.on_set_back: Callable[[int, PartitionState, PartitionState], None] = lambda *_: None
        """Called when a worker sets a partition back from one state to another, as Kafka has lost what was counted."""
        self.conditions = 0
        """How often a run's plots were given other axes."""
        defects = {defect for defect in DEFECTS if rng.random() < 0.5}
        self.beam = Beam(Host("daq", self._crashed), self.kafka, self.scale, random.Random(rng.random()), defects)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def begin(self) -> None:
        """Start all."""
        for _ in range(self.scale.workers):
            self.start_worker(LIVE)
        if self.rng.random() < 0.25:
            self.start_worker(TEST)
        self.beam.begin()

    def ranges_of(self, session: str, run: int) -> Ranges:
        """Return a run's own ranges of plots, as the tables of a session say."""
        if run % UNREADABLE_EVERY == 0:
            return {}
        return RANGES if (run + self.conditions + (session == TEST)) % 2 else {}

    def digest_of(self, session: str, run: int) -> str:
        """Return which conditions a session has for a run; nothing if they cannot be read."""
        return f"conditions of {session}" if run % UNREADABLE_EVERY else ""

    def start_worker(self, session: str) -> Worker:
        """Start another worker."""
        self._started += 1
        self.sessions += [session] if session not in self.sessions else []
        host = Host(f"worker {self._started}", self._crashed)
        # A worker reads its tables once.
        ranges = {run: self.ranges_of(session, run) for run in range(2 * UNREADABLE_EVERY)}

        def conditions_of(run: int) -> Any:
            if not (digest := self.digest_of(session, run)):
                raise UsageError(TYPO)
            return Conditions(digest, ranges[run % len(ranges)])

        worker = Worker(
            host=host,
            session=session,
            writer=f"w{self._started}",
            servers=self.servers,
            group=self.groups[session],
            scale=self.scale,
            conditions_of=conditions_of,
            clock_off_s=self.rng.choice([0.0, 0.0, 3600.0, -3600.0]),
            on_set_back=self.on_set_back,
            rng=random.Random(self.rng.random()),
        )
        self.workers.append(worker)
        worker.begin()
        return worker

    def end_worker(self, worker: Worker, *, leaves: bool = False, comes_back_s: float | None = None) -> None:
        """Kill a worker; its partitions move when its session is over, or at once if it leaves."""
        worker.host.kill()
        if worker in self.workers:
            self.workers.remove(worker)
        group, loop = self.groups[worker.session], asyncio.get_running_loop()
        if leaves:
            group.leave(worker.consumer)
        else:
            loop.call_later(Group.SESSION_S, group.leave, worker.consumer)
        if comes_back_s is not None:
            loop.call_later(comes_back_s, self._come_back, worker.session)

    def _come_back(self, session: str) -> None:
        self.start_worker(session)

    def stop_worker(self, worker: Worker, seconds: float) -> None:
        """Have a worker do nothing for a while."""
        worker.host.stop()
        loop, group = asyncio.get_running_loop(), self.groups[worker.session]
        loop.call_later(Group.SESSION_S, group.expire, worker.consumer)
        loop.call_later(seconds, self.go_on, worker)

    def go_on(self, worker: Worker) -> None:
        """Have a worker go on; a moment later it hears what its group did meanwhile."""
        if worker.host.is_stopped and not worker.host.is_dead:
            worker.was_stopped()
            worker.host.go_on()
            asyncio.get_running_loop().call_later(self.rng.uniform(0.1, 3.0), self._rejoin, worker)
            self.kafka.wake()

    def _rejoin(self, worker: Worker) -> None:
        if not worker.host.is_dead and not worker.host.is_stopped:
            self.groups[worker.session].join(worker.consumer)

    def heal(self) -> None:
        """End all faults, and have all processes run."""
        self.kafka.heal()
        self.redis.heal()
        for worker in list(self.workers):
            self.go_on(worker)
        for session in self.sessions:
            if all(worker.session != session for worker in self.workers):
                self.start_worker(session)
            # Else nobody is told anything: who has lost messages must find that by itself.
            if not self._is_shared(self.groups[session]):
                self.groups[session].rebalance()

    def _is_shared(self, group: Group) -> bool:
        """Say whether each partition is one member's, and each member's are."""
        theirs = sorted(partition for member in group.members for partition in member.assigned)
        return theirs == list(range(len(self.kafka.logs)))

    def _crashed(self, host: Host, error: BaseException) -> None:
        """Start a process again that ended by itself, and say so: nothing that may happen ends one."""
        where = "".join(traceback.format_exception(error)[-3:])
        self.wrong.append(f"{host.name} ended: {type(error).__name__}: {error}\n{where}")
        for worker in self.workers:
            if worker.host is host:
                self.end_worker(worker, leaves=True, comes_back_s=RESTART_S)
                return

    @property
    def keys(self) -> dict[bytes, Any]:
        """What Redis has."""
        return self.redis.keys.data
