"""One message of spills.raw to what is counted of it: the one path of live, replay, verify and ``process``.

Whatever a message holds, something comes out, and nothing is raised: a fault in the code on one spill rejects that
spill, with the error's words and the place in the code. So no spill can stop a worker.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.known import WireError
from schemas.records import (
    MAX_PAYLOAD_BYTES,
    MAX_TEXT,
    NO_RUN,
    RawFormat,
    RawSpill,
    ReconstructedSpill,
    RejectedSpill,
    Rejection,
    RunControl,
)
from schemas.wire import decode
from streams.errors import UsageError
from streams.experiment import experiment
from streams.plots.spillfacts import LedgerEntry
from streams.printable import printable
from streams.reconstruct import reconstruct, refuse
from streams.run_conditions import RunConditions

RAW_OFFSET = "raw-offset"
"""Header of a message of ``spills.reco``: the offset in ``spills.raw`` of what it was made of, in decimal."""
OFFSET_DIGITS = 19
"""Kafka's offsets have 63 bits."""
ENVELOPE = "envelope"
"""The step that rejects what is no message of ours."""
FAULT = "fault"
"""The step that rejects a spill on which the code itself failed."""
CONFLICT = "conflict"
"""The step that rejects a spill whose number came before with other bytes."""

ConditionsOf = Callable[[int], RunConditions | None]
"""Gives a run's conditions, None if it has none; raises `UsageError` if they cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of ``spills.raw``, and where it is."""

    partition: int
    offset: int
    start: int
    """The first offset that it stands for: between that and its own there is nothing to be counted."""
    gone_below: int = 0
    """Kafka's low watermark, where its offset is not its start: what is below was there, and is lost."""
    produced_ms: int
    """When it was produced, Unix milliseconds."""
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is counted of a message."""

    message: Message
    record: ReconstructedSpill | RunControl
    entry: LedgerEntry | None = None
    """What is remembered of a spill that may be filled; None of what may not."""
    source: str = ""
    byte: int = 0
    """Where the DAQ's bytes came from."""

    @property
    def run(self) -> int:
        """Its run, or `NO_RUN`."""
        return self.record.run

    def rejected(self, topic: str, step: str, reason: str) -> RejectedSpill:
        """Return what is kept of it when it is in no histogram."""
        record, message = self.record, self.message
        return RejectedSpill(
            run=record.run,
            spill=record.spill if isinstance(record, ReconstructedSpill) else NO_RUN,
            step=step,
            reason=printable(reason)[:MAX_TEXT],
            source=self.source,
            byte=self.byte,
            topic=topic,
            partition=message.partition,
            offset=message.offset,
            payload=message.value[:MAX_PAYLOAD_BYTES],
        )


def transform(message: Message, conditions_of: ConditionsOf) -> Outcome:
    """Return what is counted of a message."""
    try:
        record = decode(message.value)
        if isinstance(record, RawSpill | RunControl):
            return outcome(message, record, conditions_of)
        problem = f"a {type(record).__name__} has no place in this topic"
    except WireError as error:
        problem = str(error)
    nothing = _no_spill(message.value, problem)
    return Outcome(message=message, record=refuse(nothing, Rejection(step=ENVELOPE, reason=problem)))


def run_of(value: bytes) -> int:
    """Return the run that a message of ``spills.raw`` counts for; `NO_RUN` if it is none of ours."""
    try:
        record = decode(value)
    except WireError:
        return NO_RUN
    return record.run if isinstance(record, RawSpill | RunControl) else NO_RUN


def outcome(message: Message, record: RawSpill | RunControl, conditions_of: ConditionsOf) -> Outcome:
    """Return what is counted of a record that a message holds."""
    if isinstance(record, RunControl):
        return Outcome(message=message, record=record, source=record.source, byte=record.byte)
    try:
        spill = reconstruct(record, *_conditions(record.run, conditions_of))
        entry = ledger_entry(spill) if spill.rejection is None else None
    except Exception as error:  # noqa: BLE001 - whatever one spill provokes, the next one must go on
        spill, entry = refuse(record, Rejection(step=FAULT, reason=fault(error))), None
    return Outcome(message=message, record=spill, entry=entry, source=record.source, byte=record.byte)


def reconstructed(message: Message, record: ReconstructedSpill | RunControl) -> Outcome:
    """Return what is counted of a spill that is taken as it was reconstructed before."""
    is_good = isinstance(record, ReconstructedSpill) and record.rejection is None
    return Outcome(message=message, record=record, entry=ledger_entry(record) if is_good else None)  # type: ignore[arg-type]


def ledger_entry(spill: ReconstructedSpill) -> LedgerEntry:
    """Return what is remembered of a spill."""
    return LedgerEntry(
        time_us=spill.time_us,
        triggers=spill.triggers,
        size=spill.size,
        digest=spill.digest,
        scalers=tuple(experiment().scalers_of(spill)),
    )


def fault(error: BaseException) -> str:
    """Return an error of the code in words, with the place where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return printable(f"fault in the code: {type(error).__name__}: {error}{place}")[:MAX_TEXT]


def raw_offset_of(headers: Mapping[str, bytes | None]) -> int | None:
    """Return the offset that a message of ``spills.reco`` was made of; None if its headers do not say.

    They need not be ours: the header may be absent, or a number of thousands of digits.
    """
    header = headers.get(RAW_OFFSET) or b""
    return int(header) if header.isdigit() and len(header) <= OFFSET_DIGITS else None


def _conditions(run: int, conditions_of: ConditionsOf) -> tuple[RunConditions | None, str]:
    """Return a run's conditions, or why there are none."""
    if run == NO_RUN:
        return None, ""
    try:
        found = conditions_of(run)
    except UsageError as error:
        return None, f"the conditions of run {run} cannot be read: {error}"
    lacking = f"no conditions for run {run}: name an index that covers it in the settings"
    return found, "" if found is not None else lacking


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
