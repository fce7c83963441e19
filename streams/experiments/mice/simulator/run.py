"""A simulated run: the same records as a source makes of a file, and the truth beside them.

Faults that are asked for act in the order of their table: on the order of the records, on the beam, on the boards, and
on the spill's bytes.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Self

import numpy as np

from schemas.columns import Table
from schemas.records import ControlKind, RawFormat, RawSpill, RunControl
from streams.conditions.store import ConditionsStore
from streams.daq.times import SourceTimes
from streams.experiments.mice.boards import V977
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.simulator import date
from streams.experiments.mice.simulator.beam import Particles, make_particles
from streams.experiments.mice.simulator.ckov import read_out_ckov
from streams.experiments.mice.simulator.date import Stamp, equipment, super_event
from streams.experiments.mice.simulator.emr import read_out_emr
from streams.experiments.mice.simulator.emr_tables import EMR_LDC
from streams.experiments.mice.simulator.faults.crate import Crate
from streams.experiments.mice.simulator.faults.model import Fault, Step
from streams.experiments.mice.simulator.faults.parse import Possible, parse_faults
from streams.experiments.mice.simulator.kl import read_out_kl
from streams.experiments.mice.simulator.readout import Beam, ReadOut
from streams.experiments.mice.simulator.scalers import read_out_scalers
from streams.experiments.mice.simulator.spill_json import json_lines
from streams.experiments.mice.simulator.tables import LDC_DOWNSTREAM, LDC_UPSTREAM
from streams.experiments.mice.simulator.tof_boards import read_out_tof
from streams.experiments.mice.simulator.tracker import read_out_tracker
from streams.experiments.mice.simulator.tracker_tables import TRACKER_LDCS
from streams.experiments.mice.simulator.truth import truth_line

TRAILER = 110
_RECEIVED = {date.START_OF_BURST: 0x00200030, date.PHYSICS: 0x00020033, date.END_OF_BURST: 0x008000F3}
"""Words of the trigger receiver, as observed."""
_PHYSICS_US, _END_US = 180_000, 180_600
"""Times of the physics event and of the end of burst after the start of burst."""
_EVENTS = ((date.START_OF_BURST, 0), (date.PHYSICS, _PHYSICS_US), (date.END_OF_BURST, _END_US))
DETECTORS: dict[str, ReadOut] = {
    "tof": read_out_tof,
    "ckov": read_out_ckov,
    "scalers": read_out_scalers,
    "kl": read_out_kl,
    "emr": read_out_emr,
    "tracker": read_out_tracker,
}
_LDCS = {"emr": (EMR_LDC,), "tracker": TRACKER_LDCS}
"""Detector → the LDCs that it has for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSpill:
    """One spill as the DAQ writes it, and what was really there."""

    raw: RawSpill
    particles: Particles = field(repr=False)
    truths: Mapping[str, Table] = field(repr=False)
    """Detector → what a perfect reconstruction would find, of those for which it is more than the particles say."""
    faults: tuple[str, ...] = ()
    """Those that it has, as they were asked for."""
    again: bool = False
    """It is a duplicate of one that came before."""
    lost: bool = False
    """It is in no record."""


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
    detectors: tuple[str, ...] = tuple(DETECTORS)
    """Those that are read out, by their names in `DETECTORS`."""
    faults: tuple[Fault, ...] = ()
    """In the order in which they act."""

    @property
    def ldcs(self) -> tuple[int, ...]:
        """The LDCs of these detectors."""
        own = (ldc for name in self.detectors for ldc in _LDCS.get(name, ()))
        return (LDC_DOWNSTREAM, LDC_UPSTREAM, *own)

    def with_faults(self, asked: Sequence[str]) -> Self:
        """Return the run with these faults; `KINDS` has their names and how they are asked for.

        Raises
        ------
        UsageError
            Says what is possible where something is asked for that is not.
        """
        step = Step(run=self.run, index=0, first=0)
        crate, _ = self._crate(self._beam(step), step)
        possible = Possible(
            conditions=self.conditions, run=self.run, spills=self.spills, boards=crate.boards, ldcs=self.ldcs
        )
        return replace(self, faults=parse_faults(asked, possible))

    @property
    def conditions(self) -> Conditions:
        """The conditions that its bytes are made with, and are to be read with."""
        conditions = _store().for_run(self.run)
        if not isinstance(conditions, Conditions):
            raise ValueError(f"run {self.run} is none of the simulated ones")  # noqa: TRY004 - it is the number
        return conditions

    @property
    def source(self) -> str:
        """Name that the records give as theirs."""
        return f"simulated run {self.run}, seed {self.seed}"

    def at(self, start_us: int, period_s: float) -> Self:
        """Return the run as of another time, with another time between spills."""
        return replace(self, start_us=start_us, period_s=period_s)

    def records_and_truth(self) -> Iterator[tuple[RawSpill | RunControl | None, bytes]]:
        """Yield the records, None for a spill that is lost, and a line of what was really there."""
        for found in self.happenings():
            if isinstance(found, RunControl):
                yield found, b""
            else:
                yield (None if found.lost else found.raw), (b"" if found.again else truth_line(found))

    def written(self, record: RawSpill | RunControl, suffix: str) -> bytes:
        """Return what a file with this ending holds of a record: documents, or the DAQ's bytes."""
        return json_lines(record, self.conditions.detectors) if suffix == ".json" else record.payload

    def records(self) -> Iterator[RawSpill | RunControl]:
        """Yield start of run, spills, end of run."""
        for found in self.happenings():
            if isinstance(found, RunControl):
                yield found
            elif not found.lost:
                yield found.raw

    def happenings(self) -> Iterator[SimulatedSpill | RunControl]:
        """Yield start of run, spills with the truth of each, those that are lost too, end of run."""
        byte, neighbours = 0, SourceTimes()
        for step in self._steps():
            if step.control is not None:
                control = self._control(step, step.control)
                begins = step.control is ControlKind.START
                judged = neighbours.judge(control.run, [[control.time_us]], begins=begins)
                yield replace(control, byte=byte, time_us=judged.time_us, time_problem=judged.problem)
                byte += len(control.payload)
                continue
            spill = self._spill(step)
            raw = replace(spill.raw, byte=byte)
            if not step.lost:  # a source does not see it
                judged = neighbours.judge(raw.run, [[raw.time_us]])
                raw = replace(raw, time_us=judged.time_us, time_problem=judged.problem)
                byte += len(raw.payload)
            yield replace(spill, raw=raw)

    def _steps(self) -> Iterator[Step]:
        steps = self._plain_steps()
        for fault in self.faults:
            if fault.kind.on_order is not None:
                steps = fault.kind.on_order(steps, fault)
        return steps

    def _plain_steps(self) -> Iterator[Step]:
        yield Step(run=self.run, index=0, first=0, control=ControlKind.START)
        for index in range(self.spills):
            yield Step(run=self.run, index=index, first=0)
        yield Step(run=self.run, index=self.spills, first=0, control=ControlKind.END)

    def _control(self, step: Step, kind: ControlKind) -> RunControl:
        """Return start or end of the run: DATE writes each as a pair of events."""
        start = kind is ControlKind.START
        time_us = self._spill_us(step.index - start)
        payload = b""
        for number, phase in ((1, date.P_START), (2, date.P_END)):
            stamp = Stamp(
                type=date.START_OF_RUN if start else date.END_OF_RUN,
                run=step.run,
                number_in_run=number,
                number_in_burst=0,
                time_us=time_us,
                attributes=phase,
            )
            payload += super_event(stamp, dict.fromkeys(self.ldcs, ()))
        return RunControl(
            run=step.run, kind=kind, time_us=time_us, source=self.source, byte=0, events=2, payload=payload
        )

    def _spill_us(self, index: int) -> int:
        return self.start_us + round((index + 1) * self.period_s * 1e6)

    def spill(self, number: int) -> SimulatedSpill:
        """Return one spill."""
        return self._spill(Step(run=self.run, index=number, first=0))

    def _spill(self, step: Step) -> SimulatedSpill:
        number = step.index - step.first
        beam = self._beam(step)
        crate, truths = self._crate(beam, step)
        for fault in self._faults_of(step):
            if fault.kind.on_crate is not None:
                fault.kind.on_crate(self._generator(step, fault), crate, fault)
        begin_us = self._spill_us(step.index)
        payload = b""
        for in_burst, (kind, after_us) in enumerate(_EVENTS):
            equipments = [(LDC_UPSTREAM, equipment(V977, 0, [_RECEIVED[kind]]))]
            if kind == date.PHYSICS:
                equipments += crate.equipments
            stamp = Stamp(
                type=kind, run=step.run, number_in_run=number, number_in_burst=in_burst, time_us=begin_us + after_us
            )
            payload += super_event(stamp, _with_trailers(equipments, self.ldcs))
        raw = RawSpill(
            run=step.run,
            spill=number,
            time_us=begin_us + _PHYSICS_US,
            format=RawFormat.DATE,
            source=self.source,
            byte=0,
            events=len(_EVENTS),
            payload=payload,
        )
        for fault in self._faults_of(step):
            if fault.kind.on_spill is not None:
                raw = fault.kind.on_spill(self._generator(step, fault), raw, fault)
        faults = tuple(fault.text for fault in self._faults_of(step))
        return SimulatedSpill(
            raw=raw, particles=beam.particles, truths=truths, faults=faults, again=step.again, lost=step.lost
        )

    def _faults_of(self, step: Step) -> list[Fault]:
        return [fault for fault in self.faults if fault.covers(step.index)]

    def _beam(self, step: Step) -> Beam:
        particles = make_particles(self._generator(step, 0), self.mean_triggers)
        for fault in self._faults_of(step):
            if fault.kind.on_beam is not None:
                particles = fault.kind.on_beam(self._generator(step, fault), particles)
        clock_ns = round((step.index + 1) * self.period_s * 1e9)
        return Beam(
            number=step.index - step.first,
            particles=particles,
            ticks=(particles.trigger_ns + clock_ns) // 800,
            conditions=self.conditions,
        )

    def _crate(self, beam: Beam, step: Step) -> tuple[Crate, dict[str, Table]]:
        """Return the equipments of the physics event, and the truths of the detectors."""
        readouts = {
            name: read_out(self._generator(step, index), beam)
            for index, (name, read_out) in enumerate(DETECTORS.items(), start=1)
            if name in self.detectors
        }
        equipments = [one for readout in readouts.values() for one in readout.equipments]
        truths = {name: readout.truth for name, readout in readouts.items() if readout.truth is not None}
        return Crate(equipments, len(beam.particles)), truths

    def _generator(self, step: Step, what: int | Fault) -> np.random.Generator:
        """Return the random generator of the beam (0), of a detector, or of a fault in a spill."""
        of = [what] if isinstance(what, int) else [0, zlib.crc32(what.text.encode())]
        return np.random.default_rng([self.seed, step.run, step.index - step.first, *of])


@cache
def _store() -> ConditionsStore:
    """Return the one store of the simulated tables: reading them takes longer than simulating ten spills."""
    return ConditionsStore([])


def _with_trailers(equipments: Iterable[tuple[int, bytes]], ldcs: Iterable[int]) -> dict[int, list[bytes]]:
    """Return the equipments of an event by LDC: every LDC sends one, if only its trailer."""
    found: dict[int, list[bytes]] = {ldc: [] for ldc in ldcs}
    for ldc, one in equipments:
        found[ldc].append(one)
    for content in found.values():
        content.append(equipment(TRAILER, 0))
    return found
