"""Faults of a simulated spill that must be rejected: no board of it can be read."""

from streams.conditions.store import ConditionsStore
from streams.experiments.mice.boards import BOARD_NAMES
from streams.experiments.mice.simulator import SimulatedRun


def no_board_can_be_read(spills: str, *detectors: str) -> tuple[str, ...]:
    """Return the faults of all boards of these detectors, on spills as a fault names them."""
    conditions = ConditionsStore([]).for_run(SimulatedRun().run)
    assert conditions is not None
    boards = frozenset[tuple[int, int, int]]().union(*(conditions.read_out.boards[name] for name in detectors))
    return tuple(f"corrupted_word:{BOARD_NAMES[kind]}/{ldc}/{geo}@{spills}" for kind, ldc, geo in sorted(boards))
