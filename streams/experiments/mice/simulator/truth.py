"""What was really in a simulated spill, as JSON."""

import json
from typing import TYPE_CHECKING, Any

from schemas.columns import Table

if TYPE_CHECKING:
    from streams.experiments.mice.simulator.run import SimulatedSpill


def truth_line(spill: "SimulatedSpill") -> bytes:
    """Return one JSON object and a line feed.

    Its keys: ``run``, ``spill``, ``time_us`` (as its record has it, right or wrong), ``lost``, ``faults`` (as they were
    asked for), ``particles`` (of each column, a list with an entry a particle trigger) and ``truths`` (by detector,
    the same of those for which there is more to say than the particles do).
    """
    found = {
        "run": spill.raw.run,
        "spill": spill.raw.spill,
        "time_us": spill.raw.time_us,
        "lost": spill.lost,
        "faults": list(spill.faults),
        "particles": _columns(spill.particles),
        "truths": {name: _columns(table) for name, table in spill.truths.items()},
    }
    return json.dumps(found, separators=(",", ":")).encode() + b"\n"


def _columns(table: Table) -> dict[str, Any]:
    return {name: column.tolist() for name, column in vars(table).items()}
