"""How large a simulation is, and how it behaves while nothing is wrong: all from its seed."""

import random
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Numbers that stay the same through a simulation."""

    partitions: int
    workers: int
    spill_s: float
    """Time between two spills."""
    run_spills: int
    """Spills of a run, at most."""
    window_s: int
    windows_kept: int
    batch: int
    batch_wait_s: float
    """Time that the first message of a batch waits for others: as when the one before is worked on."""
    watch_s: float
    """How often a worker looks after quiet partitions."""
    busy: float
    """How often a server takes a while to answer."""
    gaps: float
    """How often an offset has no message."""
    fault_s: float
    """Mean time between two faults."""

    @classmethod
    def of(cls, rng: random.Random) -> Self:
        """Return the scale of a seed."""
        return cls(
            partitions=rng.choice([1, 2, 2, 3]),
            workers=rng.choice([1, 2, 2, 3]),
            spill_s=rng.choice([8.0, 30.0, 90.0]),
            run_spills=rng.choice([3, 10, 40]),
            window_s=rng.choice([15, 60]),
            windows_kept=rng.choice([2, 4, 1000]),
            batch=rng.choice([1, 4, 32]),
            batch_wait_s=rng.choice([0.0, 0.05]),
            watch_s=rng.choice([10.0, 30.0, 60.0]),
            busy=rng.choice([0.0, 0.1, 0.5]),
            gaps=rng.choice([0.0, 0.0, 0.05]),
            fault_s=rng.choice([45.0, 180.0, 600.0]),
        )
