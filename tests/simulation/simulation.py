"""A simulation from its seed: hours of beam with faults, and calms in which all must come right."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from tests.simulation import experiment, loop
from tests.simulation.checks import Checks
from tests.simulation.cluster import Cluster
from tests.simulation.faults import KINDS, Harm

CALM_EVERY_S = 1200.0
"""Beam between two calms."""
PATIENCE_S = 300.0
"""When all faults are over, all that Kafka has is in the books within it."""
LOOK_S = 240.0
"""Time between two looks at the books."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of a simulation."""

    seed: int
    hours: float
    steps: int = 0
    digest: int = 0
    """Of all that happened."""
    spills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    """What processes logged → how often."""
    slowest_s: float = 0.0
    """Longest time from the end of the faults until all was counted."""
    wrong: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    """What happened when."""

    @property
    def again(self) -> str:
        """The line that repeats it."""
        return f"make simulate-faults SEED={self.seed} HOURS={self.hours:g}"


def simulate(seed: int, hours: float = 1.0, only: Mapping[str, float] = KINDS, *, tell: bool = False) -> Result:
    """Simulate hours of beam.

    Parameters
    ----------
    only
        Kinds of harm → how often each is done beside the others.
    tell
        Whether what processes log is part of the story.
    """
    result = Result(seed=seed, hours=hours)
    before = structlog.get_config()
    try:
        with experiment.installed():
            loop.run(_Simulation(result, only, tell=tell).go())
    finally:
        structlog.configure(**before)
    return result


class _Simulation:
    def __init__(self, result: Result, only: Mapping[str, float], *, tell: bool) -> None:
        self.result = result
        self._only = only
        self._tell = tell
        self._rng = random.Random(result.seed)

    async def go(self) -> None:
        structlog.configure(processors=[self._note])
        self._cluster = cluster = Cluster(self._rng)
        # Each seed has some kinds of harm and not others: all together would hide what each does alone.
        self._kinds = {kind: often for kind, often in self._only.items() if self._rng.random() < 0.4}
        self._harm = Harm(cluster, self._rng)
        self._checks = Checks(cluster, self._harm)
        cluster.begin()
        left_s = self.result.hours * 3600
        while left_s > 0 and not self._failed():
            stretch_s = min(CALM_EVERY_S, left_s)
            left_s -= stretch_s
            await self._beam(stretch_s)
            if not self._failed():
                await self._calm()
        for host in [worker.host for worker in cluster.workers] + [cluster.beam.host]:
            host.kill()
        self.result.steps, self.result.digest = cluster.trace.steps, cluster.trace.digest
        self.result.spills = cluster.beam.spills

    def _failed(self) -> bool:
        self.result.wrong += self._cluster.wrong
        self._cluster.wrong.clear()
        return bool(self.result.wrong)

    async def _beam(self, seconds: float) -> None:
        """Have beam, and faults."""
        cluster, rng = self._cluster, self._rng
        cluster.beam.turn_on()
        end_s, look_s = cluster.now + seconds, cluster.now + LOOK_S
        fault_s = cluster.now + rng.expovariate(1 / cluster.scale.fault_s)
        while cluster.now < end_s and not self._failed():
            await cluster.beam.host.sleep(max(0.0, min(fault_s, look_s, end_s) - cluster.now))
            if cluster.now >= look_s:
                self.result.wrong += self._checks.at_any_moment()
                look_s = cluster.now + LOOK_S
            if cluster.now >= fault_s and self._kinds:
                self._do_harm()
            if cluster.now >= fault_s:
                fault_s = cluster.now + rng.expovariate(1 / cluster.scale.fault_s)

    def _do_harm(self) -> None:
        kind = self._rng.choices(list(self._kinds), list(self._kinds.values()))[0]
        self._cluster.trace.note(kind)
        self.result.faults[kind] += 1
        self._story(kind)
        getattr(self._harm, kind)()

    async def _calm(self) -> None:
        """End all faults, and see that all comes right."""
        cluster = self._cluster
        cluster.beam.turn_off()
        await cluster.beam.host.sleep(60)  # what was set off earlier still comes
        cluster.heal()
        await self._until_right()
        if not self._failed():
            await cluster.beam.host.sleep(20)  # what should not come has time to
            await self._until_right()
        if not self._failed():
            self.result.wrong += self._checks.at_any_moment()
            self._story("all is in the books")
        self._harm.touched.clear()

    async def _until_right(self) -> None:
        """Wait until nothing is wrong, as long as there is patience."""
        began_s, pause_s = self._cluster.now, 1.0
        while (wrong := self._checks.in_the_end()) and not self._failed():
            if self._cluster.now - began_s > PATIENCE_S:
                self.result.wrong += [f"{PATIENCE_S:.0f} s after the last fault: {what}" for what in wrong]
                return
            await self._cluster.beam.host.sleep(pause_s)
            pause_s = min(2 * pause_s, 16.0)
        self.result.slowest_s = max(self.result.slowest_s, self._cluster.now - began_s)

    def _story(self, what: str) -> None:
        self.result.story.append(f"{self._cluster.now - loop.BEGIN_S:9.2f} {what}")

    def _note(self, _logger: Any, _method: str, event: dict[str, Any]) -> Any:
        said = str(event.pop("event"))
        self.result.said[said] += 1
        if self._tell:
            self._story(f"  {said} {event}")
        raise structlog.DropEvent
