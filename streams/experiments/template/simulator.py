"""A simulated run, as the MIDAS events that the DAQ would write; the same seed gives the same bytes."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from streams.midas.write import event, run_event
from streams.simulated_file import FaultKind, SimulatedFile

from .boards import BEGIN_OF_SPILL, BOARDS, CHANNELS, END_OF_SPILL, PARTICLE
from .counters import PEDESTAL

FAULTS = {
    "damaged_bank": FaultKind(
        places=[*BOARDS], does="Its words are those of no channel.", look="Errors of the detectors that read it."
    )
}


def write(run: SimulatedFile) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield the events of the run's begin, of each spill with what was really there, and of its end."""
    particles = 0
    yield run_event(run.run, run.time_us(0) // 1_000_000, begins=True), {}
    for spill in range(run.spills):
        rng, time_s = np.random.default_rng([run.seed, run.run, spill]), run.time_us(spill) // 1_000_000
        content, charges = event(BEGIN_OF_SPILL, spill, time_s, {}), []
        for _ in range(rng.poisson(40)):
            counter, charge = int(rng.binomial(CHANNELS - 1, 0.5)), round(rng.normal(1000, 100))
            banks = {"ADC0": _word(counter, PEDESTAL + charge)}
            banks |= dict.fromkeys(run.faults_of(spill, "damaged_bank"), _word(CHANNELS, 0))
            content += event(PARTICLE, particles, time_s, banks)
            particles += 1
            charges.append(charge)
        yield content + event(END_OF_SPILL, spill, time_s, {}), {"charges": charges}
    yield run_event(run.run, run.time_us(run.spills) // 1_000_000, begins=False), {}


def _word(channel: int, value: int) -> bytes:
    return struct.pack("<I", channel << 16 | value)
