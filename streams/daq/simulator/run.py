"""A simulated run: the same records as a source makes of a file, and the truth beside them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from schemas.columns import Table
from schemas.records import ControlKind, RawFormat, RawSpill, RunControl
from streams.boards import V977
from streams.conditions.model import Conditions
from streams.conditions.store import ConditionsStore
from streams.daq.simulator import date
from streams.daq.simulator.beam import Particles, make_particles
from streams.daq.simulator.ckov import read_out_ckov
from streams.daq.simulator.date import Stamp, equipment, super_event
from streams.daq.simulator.readout import Beam, ReadOut
from streams.daq.simulator.scalers import read_out_scalers
from streams.daq.simulator.tables import LDC_DOWNSTREAM, LDC_UPSTREAM
from streams.daq.simulator.tof_boards import read_out_tof

TRAILER = 110
_RECEIVED = {date.START_OF_BURST: 0x00200030, date.PHYSICS: 0x00020033, date.END_OF_BURST: 0x008000F3}
"""Words of the trigger receiver, as observed."""
_PHYSICS_US, _END_US = 180_000, 180_600
"""Times of the physics event and of the end of burst after the start of burst."""
_EVENTS = ((date.START_OF_BURST, 0), (date.PHYSICS, _PHYSICS_US), (date.END_OF_BURST, _END_US))
LDCS = (LDC_DOWNSTREAM, LDC_UPSTREAM)

DETECTORS: dict[str, ReadOut] = {"tof": read_out_tof, "ckov": read_out_ckov, "scalers": read_out_scalers}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSpill:
    """One spill as the DAQ writes it, and what was really there."""

    raw: RawSpill
    particles: Particles = field(repr=False)
    truths: Mapping[str, Table] = field(repr=False)
    """Detector → what a perfect reconstruction would find, of those for which it is more than the particles say."""


@dataclass(frozen=True, kw_only=True)
class SimulatedRun:
    """A run of the simulated beam line. The same parameters give the same bytes.

    In each spill each detector has a random generator of its own, made of seed, run and numbers.
    """

    run: int = 900_001
    """From 900000 to 999999: the runs that the simulated conditions cover."""
    spills: int = 200
    seed: int = 1
    start_us: int = 1_423_848_144_000_000
    """Time of the start of run, microseconds since 1970 UTC."""
    period_s: float = 2.56
    """Time between spills; the experiment's unless given."""
    mean_triggers: float = 60.0

    @cached_property
    def _conditions(self) -> Conditions:
        conditions = ConditionsStore([]).for_run(self.run)
        if conditions is None:
            raise ValueError(f"run {self.run} is none of the simulated ones")
        return conditions

    @property
    def source(self) -> str:
        """Name that the records give as theirs."""
        return f"simulated run {self.run}, seed {self.seed}"

    def records(self) -> Iterator[RawSpill | RunControl]:
        """Yield start of run, spills, end of run."""
        byte = 0
        for record in self._records():
            placed = replace(record, byte=byte)
            byte += len(placed.payload)
            yield placed

    def _records(self) -> Iterator[RawSpill | RunControl]:
        yield self._control(ControlKind.START)
        for number in range(self.spills):
            yield self.spill(number).raw
        yield self._control(ControlKind.END)

    def _control(self, kind: ControlKind) -> RunControl:
        """Return start or end of the run: DATE writes each as a pair of events."""
        start = kind is ControlKind.START
        time_us = self.start_us if start else self._spill_us(self.spills)
        payload = b""
        for number, phase in ((1, date.P_START), (2, date.P_END)):
            stamp = Stamp(
                type=date.START_OF_RUN if start else date.END_OF_RUN,
                run=self.run,
                number_in_run=number,
                number_in_burst=0,
                time_us=time_us,
                attributes=phase,
            )
            payload += super_event(stamp, dict.fromkeys(LDCS, ()))
        return RunControl(
            run=self.run, kind=kind, time_us=time_us, source=self.source, byte=0, events=2, payload=payload
        )

    def _spill_us(self, number: int) -> int:
        return self.start_us + round((number + 1) * self.period_s * 1e6)

    def spill(self, number: int) -> SimulatedSpill:
        """Return one spill."""
        particles = make_particles(self._generator(number, 0), self.mean_triggers)
        clock_ns = round((number + 1) * self.period_s * 1e9)
        beam = Beam(
            number=number,
            particles=particles,
            ticks=(particles.trigger_ns + clock_ns) // 800,
            conditions=self._conditions,
        )
        readouts = {
            name: read_out(self._generator(number, index), beam)
            for index, (name, read_out) in enumerate(DETECTORS.items(), start=1)
        }
        begin_us = self._spill_us(number)
        payload = b""
        for in_burst, (kind, after_us) in enumerate(_EVENTS):
            equipments = [(LDC_UPSTREAM, equipment(V977, 0, [_RECEIVED[kind]]))]
            if kind == date.PHYSICS:
                equipments += [one for readout in readouts.values() for one in readout.equipments]
            stamp = Stamp(
                type=kind, run=self.run, number_in_run=number, number_in_burst=in_burst, time_us=begin_us + after_us
            )
            payload += super_event(stamp, _with_trailers(equipments))
        raw = RawSpill(
            run=self.run,
            spill=number,
            time_us=begin_us + _PHYSICS_US,
            format=RawFormat.DATE,
            source=self.source,
            byte=0,
            events=len(_EVENTS),
            payload=payload,
        )
        truths = {name: readout.truth for name, readout in readouts.items() if readout.truth is not None}
        return SimulatedSpill(raw=raw, particles=particles, truths=truths)

    def _generator(self, number: int, index: int) -> np.random.Generator:
        """Return the random generator of the beam (0) or of a detector in a spill."""
        return np.random.default_rng([self.seed, self.run, number, index])


def _with_trailers(equipments: Iterable[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    """Return the equipments of an event by LDC: every LDC sends one, if only its trailer."""
    found: dict[int, list[bytes]] = {ldc: [] for ldc in LDCS}
    for ldc, one in equipments:
        found[ldc].append(one)
    for content in found.values():
        content.append(equipment(TRAILER, 0))
    return found
