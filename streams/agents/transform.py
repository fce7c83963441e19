"""One message of spills.raw to what is sent on: a reconstructed spill or run control, and a rejected spill if any."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from schemas.records import MAX_PAYLOAD_BYTES, NO_RUN, RawFormat, RawSpill, RejectedSpill, RunControl
from schemas.wire import WireError, decode, encode
from streams.process import ConditionsOf
from streams.reconstruct import reconstruct

RAW_OFFSET = "raw-offset"
"""Header of a message of ``spills.reco``: the offset in ``spills.raw`` of what it was made of, in decimal."""
OFFSET_DIGITS = 19
"""Kafka's offsets have 63 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a message was read."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """What is sent on for one message."""

    run: int
    value: bytes = field(repr=False)
    """Message for ``spills.reco``: every message has one, so that every spill is counted."""
    rejected: bytes | None = field(default=None, repr=False)
    """Message for ``spills.rejected``."""


def transform(message: bytes, source: Source, conditions_of: ConditionsOf) -> Transformed:
    """Return what a message of ``spills.raw`` becomes."""
    try:
        record = decode(message)
        if isinstance(record, RunControl):
            return Transformed(run=record.run, value=message)
        if isinstance(record, RawSpill):
            raw, step = record, ""
        else:
            raw, step = _no_spill(message, f"a {type(record).__name__} has no place in this topic"), "envelope"
    except WireError as error:
        raw, step = _no_spill(message, str(error)), "envelope"
    spill = reconstruct(raw, conditions_of(raw.run) if raw.run != NO_RUN else None)
    if step and spill.rejection is not None:  # counted under the step that it is kept with
        spill = replace(spill, rejection=replace(spill.rejection, step=step))
    value = encode(spill)
    if spill.rejection is None:
        return Transformed(run=spill.run, value=value)
    rejected = RejectedSpill(
        run=spill.run,
        spill=spill.spill,
        step=spill.rejection.step,
        reason=spill.rejection.reason,
        source=raw.source,
        byte=raw.byte,
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        payload=message[:MAX_PAYLOAD_BYTES],
    )
    return Transformed(run=spill.run, value=value, rejected=encode(rejected))


def raw_offset_of(headers: Mapping[str, bytes | None]) -> int | None:
    """Return the offset that a message of ``spills.reco`` was made of; None if its headers do not say.

    They need not be ours: the header may be absent, or a number of thousands of digits.
    """
    header = headers.get(RAW_OFFSET) or b""
    return int(header) if header.isdigit() and len(header) <= OFFSET_DIGITS else None


def _no_spill(message: bytes, problem: str) -> RawSpill:
    """Return what stands for a message that is no spill: of no run, unreadable, rejected like any other."""
    return RawSpill(
        run=NO_RUN,
        spill=NO_RUN,
        time_us=0,
        format=RawFormat.UNREADABLE,
        source="",
        byte=0,
        events=0,
        payload=message,
        problem=problem,
    )
