"""A simulated run of all detectors gives the counts that earlier commits gave; run this file to write them anew."""

import json
from pathlib import Path
from typing import Any

from streams.conditions.store import ConditionsStore
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process

COUNTS = Path(__file__).parent / "same_numbers.json"


def counts() -> dict[str, Any]:
    """Return what comes out of the run: entries and the begin of the digest of each plot."""
    (result,) = process(SimulatedRun(spills=12, seed=7).records(), ConditionsStore([]).for_run).values()
    found = result.to_json()
    plots = {name: f"{of['entries']} {of['sha256'][:16]}" for name, of in found["plots"].items()}
    return found | {"plots": plots}


def test_a_run_gives_the_same_counts_in_every_plot_as_before() -> None:
    kept, found = json.loads(COUNTS.read_text()), counts()
    for several in ("plots", "detectors"):  # one more is no difference
        found[several] = {name: of for name, of in found[several].items() if name in kept[several]}
    assert {what: found[what] for what in kept} == kept


if __name__ == "__main__":
    COUNTS.write_text(json.dumps(counts(), indent=1) + "\n")
