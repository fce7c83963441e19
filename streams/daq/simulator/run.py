"""A simulated run: the same records as a source makes of a file, and the truth beside them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from schemas.columns import I8
from schemas.records import ControlKind, RawFormat, RawSpill, RunControl
from streams.boards import V830, V977, V1290, V1724, V1731
from streams.conditions.model import Conditions
from streams.conditions.store import ConditionsStore
from streams.conditions.tof import NOT_CABLED, TofCabling
from streams.daq.simulator import boards, ckov, date
from streams.daq.simulator.beam import Particles, make_particles
from streams.daq.simulator.date import Stamp, equipment, super_event
from streams.daq.simulator.tables import (
    CKOV_GEO,
    FADC_BOARDS,
    LDC_DOWNSTREAM,
    LDC_UPSTREAM,
    TDC_BOARDS,
)
from streams.daq.simulator.tof import PmtHits, make_pmt_hits

TRAILER = 110
_RECEIVED = {date.START_OF_BURST: 0x00200030, date.PHYSICS: 0x00020033, date.END_OF_BURST: 0x008000F3}
"""Words of the trigger receiver, as observed."""
_TDC_COUNT_NS = 0.025
_REQUEST_BEFORE_TRIGGER = 65
"""TDC counts."""
_SECOND_REQUEST = 0.02
"""Probability of a second trigger request in a trigger; the first is the true one."""
_PHYSICS_US, _END_US = 180_000, 180_600
"""Times of the physics event and of the end of burst after the start of burst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSpill:
    """One spill as the DAQ writes it, and what was really there."""

    raw: RawSpill
    truth: Particles = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SimulatedRun:
    """A run of the simulated beam line. The same parameters give the same bytes.

    Each spill has a random generator of its own, made of seed, run and number: it does not depend on the others.
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
    def _conditions(self) -> tuple[Conditions, TofCabling]:
        conditions = ConditionsStore([]).for_run(self.run)
        if conditions is None or conditions.tof_cabling is None:
            raise ValueError(f"run {self.run} is none of the simulated ones")
        return conditions, conditions.tof_cabling

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
            payload += super_event(stamp, {LDC_DOWNSTREAM: (), LDC_UPSTREAM: ()})
        return RunControl(
            run=self.run, kind=kind, time_us=time_us, source=self.source, byte=0, events=2, payload=payload
        )

    def _spill_us(self, number: int) -> int:
        return self.start_us + round((number + 1) * self.period_s * 1e6)

    def spill(self, number: int) -> SimulatedSpill:
        """Return one spill."""
        rng = np.random.default_rng([self.seed, self.run, number])
        truth = make_particles(rng, self.mean_triggers)
        begin_us = self._spill_us(number)
        payload = b"".join(
            super_event(
                Stamp(
                    type=kind,
                    run=self.run,
                    number_in_run=number,
                    number_in_burst=in_burst,
                    time_us=begin_us + after_us,
                ),
                self._boards(rng, number, truth) if kind == date.PHYSICS else _no_boards(kind),
            )
            for in_burst, (kind, after_us) in enumerate(
                ((date.START_OF_BURST, 0), (date.PHYSICS, _PHYSICS_US), (date.END_OF_BURST, _END_US))
            )
        )
        raw = RawSpill(
            run=self.run,
            spill=number,
            time_us=begin_us + _PHYSICS_US,
            format=RawFormat.DATE,
            source=self.source,
            byte=0,
            events=3,
            payload=payload,
        )
        return SimulatedSpill(raw=raw, truth=truth)

    def _boards(self, rng: np.random.Generator, number: int, truth: Particles) -> dict[int, list[bytes]]:
        """Return the equipments of the physics event, by LDC."""
        conditions, cabling = self._conditions
        assert conditions.tof_calibration is not None  # noqa: S101 - the simulated conditions have one
        hits = make_pmt_hits(rng, truth, conditions.tof_calibration)
        samples = ckov.make_samples(rng, truth)
        # The 800 ns counter of the boards runs on from spill to spill.
        ticks: I8 = (truth.trigger_ns + round((number + 1) * self.period_s * 1e9)) // 800
        found: dict[int, list[bytes]] = {LDC_DOWNSTREAM: [], LDC_UPSTREAM: []}
        found[LDC_UPSTREAM].append(equipment(V977, 0, [_RECEIVED[date.PHYSICS]]))
        for geo in TDC_BOARDS:
            words = _tdc_board(rng, geo, number, truth, ticks, hits, cabling)
            found[LDC_UPSTREAM].append(equipment(V1290, geo, words))
        found[LDC_UPSTREAM].append(equipment(V1731, CKOV_GEO, boards.v1731_words(CKOV_GEO, ticks, samples)))
        for ldc, geos in FADC_BOARDS.items():
            for geo in geos:
                row, channel = _cabled_to(hits, cabling.fadc[ldc, geo])
                words = boards.v1724_words(geo, ticks, hits.trigger[row], channel, hits.samples[row])
                found[ldc].append(equipment(V1724, geo, words))
        scalers = np.zeros(32, np.int64)
        scalers[:6] = [len(truth), len(truth) + rng.poisson(1), *rng.poisson([2000, 90, 60, 50])]
        scalers[12] = 32_000
        found[LDC_DOWNSTREAM].append(equipment(V830, 0, boards.v830_words(0, scalers.tolist())))
        for content in found.values():
            content.append(equipment(TRAILER, 0))
        return found


def _no_boards(kind: int) -> dict[int, list[bytes]]:
    """Return the equipments of start or end of burst: the trigger receiver alone has something to say."""
    receiver = equipment(V977, 0, [_RECEIVED[kind]])
    return {LDC_DOWNSTREAM: [equipment(TRAILER, 0)], LDC_UPSTREAM: [receiver, equipment(TRAILER, 0)]}


def _cabled_to(hits: PmtHits, pmt_of_channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of the hits on one board, and their channels."""
    channel_of_pmt = np.full(int(max(hits.pmt.max(initial=0), pmt_of_channel.max())) + 1, NOT_CABLED)
    channels = np.flatnonzero(pmt_of_channel != NOT_CABLED)
    channel_of_pmt[pmt_of_channel[channels]] = channels
    channel = channel_of_pmt[hits.pmt]
    row = np.flatnonzero(channel != NOT_CABLED)
    return row, channel[row]


def _tdc_board(
    rng: np.random.Generator,
    geo: int,
    number: int,
    truth: Particles,
    ticks: I8,
    hits: PmtHits,
    cabling: TofCabling,
) -> boards.Words:
    """Return the words of one TDC board: trigger and request on channels 0 and 1, photomultipliers on the others."""
    n = len(truth)
    # Each board counts from a start of its own; the counter wraps every 52.4 µs.
    trigger = np.rint(truth.trigger_ns / _TDC_COUNT_NS).astype(np.int64) + int(rng.integers(1 << 21))
    request = trigger - _REQUEST_BEFORE_TRIGGER - rng.integers(0, 8, n)
    again = np.flatnonzero(rng.random(n) < _SECOND_REQUEST)
    row, channel = _cabled_to(hits, cabling.tdc[LDC_UPSTREAM, geo])
    leading = request[hits.trigger[row]] + np.rint(hits.raw_ns[row] / _TDC_COUNT_NS).astype(np.int64)
    everyone = np.arange(n)
    return boards.v1290_words(
        geo,
        first_event=number * 1000,
        bunch_id=truth.trigger_ns // 25,
        time_tag=ticks,
        trigger=np.concatenate([everyone, everyone, again, hits.trigger[row]]).astype(np.int32),
        channel=np.concatenate([np.zeros(n), np.ones(n), np.ones(len(again)), channel]).astype(np.int32),
        leading=np.concatenate([trigger, request, request[again] + 20_000, leading]),
    )
