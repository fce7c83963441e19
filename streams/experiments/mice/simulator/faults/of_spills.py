"""Faults of the beam, of a spill's bytes, and of what is written when."""

import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from schemas.records import ControlKind, RawSpill
from streams.date.framing import Event, EventHeader, EventType, headers, walk
from streams.experiments.mice.simulator.beam import MAX_TRIGGERS, Particles, particles_of
from streams.experiments.mice.simulator.date import HEAD_SIZE
from streams.experiments.mice.simulator.faults.model import Fault, Step

_SIZE = struct.Struct("<I")
_TIME = struct.Struct("<2I")
_TIME_AT = 72
"""Byte of seconds and microseconds in a header of DATE 3.14."""


def no_particles(_: np.random.Generator, __: Particles) -> Particles:
    """Return no particle."""
    return Particles.empty()


def many_particles(rng: np.random.Generator, _: Particles) -> Particles:
    """Return as many particles as the trigger takes."""
    return particles_of(rng, MAX_TRIGGERS)


def lose_ldc(_: np.random.Generator, raw: RawSpill, fault: Fault) -> RawSpill:
    """Take the sub-event of one LDC out of the physics event; with the last one, the event itself."""
    event = _physics(raw.payload)
    if event is None:
        return raw
    kept, lost = b"", 0
    at = event.start + event.header.head_size
    for start, header in _sub_events(raw.payload, at, event.stop):
        if header.ldc == fault.ldc:
            lost += header.size
        else:
            kept += raw.payload[start : start + header.size]
    head = _SIZE.pack(event.header.size - lost) + raw.payload[event.start + _SIZE.size : at] if kept else b""
    payload = raw.payload[: event.start] + head + kept + raw.payload[event.stop :]
    return replace(raw, payload=payload, events=raw.events - (not kept))


def truncate(rng: np.random.Generator, raw: RawSpill, _: Fault) -> RawSpill:
    """Cut the spill within its physics event, behind its header."""
    event = _physics(raw.payload)
    if event is None:
        return raw
    words = (event.header.size - event.header.head_size) // 4
    stop = event.start + event.header.head_size + 4 * int(rng.integers(words))
    whole = sum(isinstance(found, Event) for found in walk(raw.payload[: event.start]))
    return replace(raw, payload=raw.payload[:stop], events=whole)


def set_clock(_: np.random.Generator, raw: RawSpill, fault: Fault) -> RawSpill:
    """Move the times in all headers."""
    payload, off_us = bytearray(raw.payload), round(fault.value * 1e6)
    for at, header in headers(raw.payload, 0, len(raw.payload)):
        _TIME.pack_into(payload, at + _TIME_AT, *divmod(header.time_us + off_us, 1_000_000))
    return replace(raw, payload=bytes(payload), time_us=raw.time_us + off_us)


def _physics(payload: bytes) -> Event | None:
    """Return the physics event; None where a fault has taken it away."""
    events = (found for found in walk(payload) if isinstance(found, Event))
    return next((event for event in events if event.header.type is EventType.PHYSICS), None)


def _sub_events(payload: bytes, start: int, stop: int) -> Iterator[tuple[int, EventHeader]]:
    """Yield place and header of each sub-event."""
    while start < stop:
        header = next(headers(payload, start, stop))[1]
        yield start, header
        start += header.size


def twice(steps: Iterator[Step], fault: Fault) -> Iterator[Step]:
    """Yield each spill of the range twice."""
    for step in steps:
        yield step
        if _on(step, fault):
            yield replace(step, again=True)


def lose(steps: Iterator[Step], fault: Fault) -> Iterator[Step]:
    """Lose each spill of the range."""
    return (replace(step, lost=step.lost or _on(step, fault)) for step in steps)


def backwards(steps: Iterator[Step], fault: Fault) -> Iterator[Step]:
    """Yield the spills of the range last first, within each run."""
    held: list[Step] = []
    for step in steps:
        if _on(step, fault):
            held.append(step)
        else:
            yield from reversed(held)
            held.clear()
            yield step
    yield from reversed(held)


def change_run(steps: Iterator[Step], fault: Fault) -> Iterator[Step]:
    """Begin the next run at a spill."""
    shift, first = 0, 0
    for step in steps:
        if _on(step, fault) and not step.again:
            yield Step(run=step.run, index=step.index, first=step.first, control=ControlKind.END)
            shift, first = 1, step.index
            yield Step(run=step.run + shift, index=first, first=first, control=ControlKind.START)
        yield replace(step, run=step.run + shift, first=max(step.first, first))


def no_end(steps: Iterator[Step], _: Fault) -> Iterator[Step]:
    """Leave the ends of runs out."""
    return (step for step in steps if step.control is not ControlKind.END)


def _on(step: Step, fault: Fault) -> bool:
    return step.control is None and fault.covers(step.index)


assert _TIME_AT + _TIME.size == HEAD_SIZE  # noqa: S101 - the time is the last thing in a header
