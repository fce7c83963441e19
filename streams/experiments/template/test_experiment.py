"""Tests of the experiment: what is made of a simulated run is what the simulator put into it."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from streams.experiment import Simulation, experiment, simulator
from streams.process import RunResult, process

SPILLS = 10


@pytest.fixture(autouse=True)
def _ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the settings name this experiment."""
    monkeypatch.setenv("SPILLDECK_EXPERIMENT", __name__.rpartition(".")[0])
    experiment.cache_clear()
    yield
    experiment.cache_clear()


def simulated(*faults: str) -> Simulation:
    """Return a run with these faults."""
    return simulator().simulate(simulator().runs[1], SPILLS, 1).with_faults(faults)


def processed(run: Simulation) -> RunResult:
    """Return what is made of a run."""
    (result,) = process(run.records(), lambda _run: None).values()
    return result


def test_the_charges_are_those_of_the_particles() -> None:
    """Nothing is lost on the way, and nothing falls into another bin."""
    run = simulated()
    charges = [charge for _, line in run.records_and_truth() if line for charge in json.loads(line)["charges"]]
    plot = processed(run).book["counters_charge"]
    assert plot.view().tolist() == np.histogram(charges, 100, (0, 2000))[0].tolist()


def test_a_damaged_board_is_an_error_of_its_own_detector() -> None:
    """The spills are counted all the same."""
    totals = processed(simulated("damaged_bank:ADC0@3-4")).part.totals
    assert (totals.filled, totals.all_rejected) == (SPILLS, 0)
    assert dict(totals.errors) == {"counters": 2}
