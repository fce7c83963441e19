"""The messages: a raw spill, a run's start or end, a reconstructed spill, a rejected one."""

from dataclasses import dataclass, field
from enum import StrEnum

from schemas.columns import F8, I4, U1, Table, column

MISSING = -99
"""Stands in integer columns for a number that the DAQ did not give (a TDC edge without its partner)."""

MAX_PAYLOAD_BYTES = 60 << 20
"""Bytes of a payload: what stands beside it must fit into the message too."""

NO_RUN = -1
"""Stands for a run or spill number that could not be read."""


class RawFormat(StrEnum):
    """What the payload of a raw spill is."""

    DATE = "date"
    """DATE super-events, one after the other: start of burst, physics, end of burst."""
    SPILL_JSON = "spill_json"
    """One spill document of the old online system, UTF-8."""
    UNREADABLE = "unreadable"
    """Bytes in which the source found no event; they are kept and rejected, never passed over."""


class ControlKind(StrEnum):
    """What a run-control message says."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSpill:
    """The DAQ's own bytes of a spill in an envelope. The bytes are never altered."""

    run: int
    spill: int
    """Counts from 0 in each run; `NO_RUN` for unreadable bytes."""
    time_us: int
    """The spill's own time, microseconds since 1970 UTC; 0 if unknown."""
    format: RawFormat
    source: str
    """Name of the file or stream that it came from."""
    byte: int
    """Where in the source the payload begins."""
    events: int
    """DAQ events in the payload."""
    payload: bytes = field(repr=False)
    problem: str = ""
    """Why unreadable bytes are unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunControl:
    """A run begins or ends. Goes to every partition, so that each worker hears of it."""

    run: int
    kind: ControlKind
    time_us: int
    source: str
    byte: int
    events: int
    """DAQ events in the payload (DATE writes both start and end of a run as a pair)."""
    run_type: str = ""
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class TofDigits(Table):
    """One row a TDC hit of a TOF photomultiplier, with what belongs to it."""

    trigger: I4 = column("<i4")
    """Particle trigger within the spill, from 0."""
    station: U1 = column("u1")
    plane: U1 = column("u1")
    """0: horizontal slabs (measure y); 1: vertical slabs (measure x)."""
    slab: U1 = column("u1")
    pmt: U1 = column("u1")
    leading_time: I4 = column("<i4")
    """TDC counts of 25 ps, wrapping at 2^21."""
    trailing_time: I4 = column("<i4")
    trigger_time: I4 = column("<i4")
    """Leading time of the first trigger hit on the same board."""
    request_time: I4 = column("<i4")
    """Leading time of the first trigger-request hit on the same board."""
    charge_mm: I4 = column("<i4")
    """ADC counts, maximum minus minimum; 0 if the ADC was zero-suppressed."""
    charge_pm: I4 = column("<i4")
    """ADC counts, maximum minus pedestal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TofSlabHits(Table):
    """One row a slab whose two photomultipliers both fired; index 0 and 1 are the photomultipliers."""

    trigger: I4 = column("<i4")
    station: U1 = column("u1")
    plane: U1 = column("u1")
    slab: U1 = column("u1")
    raw_time_ns: F8 = column("<f8")
    """Mean of the two times, each relative to the trigger request, not calibrated."""
    raw_time0_ns: F8 = column("<f8")
    raw_time1_ns: F8 = column("<f8")
    charge: I4 = column("<i4")
    charge0: I4 = column("<i4")
    charge1: I4 = column("<i4")
    charge_product: I4 = column("<i4")
    """floor(q0 q1 / (q0 + q1)), or 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TofSpacePoints(Table):
    """One row a crossing of a plane-0 and a plane-1 slab hit whose calibrated times agree."""

    trigger: I4 = column("<i4")
    station: U1 = column("u1")
    slabx: U1 = column("u1")
    """The slab of plane 0 (the experiment's name for it)."""
    slaby: U1 = column("u1")
    """The slab of plane 1."""
    time_ns: F8 = column("<f8")
    dt_ns: F8 = column("<f8")
    """Time of the plane-0 hit minus time of the plane-1 hit."""
    charge: I4 = column("<i4")
    charge_product: I4 = column("<i4")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tof:
    """What the time-of-flight stations make of a spill."""

    digits: TofDigits
    slab_hits: TofSlabHits
    space_points: TofSpacePoints


@dataclass(frozen=True, kw_only=True, eq=False)
class CkovDigits(Table):
    """One row a particle trigger; columns of 8 are the photomultipliers (0-3 CkovA, 4-7 CkovB), of 2 the counters."""

    trigger: I4 = column("<i4")
    pulse: I4 = column("<i4", row=(8,))
    """Area of the pulse inside the gate, ADC counts times samples; else 0."""
    position_min: I4 = column("<i4", row=(8,))
    """Sample of the minimum inside the gate; else 300."""
    arrival_time: I4 = column("<i4", row=(8,))
    """First sample that leaves the pedestal; the last sample if none does."""
    total_charge: I4 = column("<i4", row=(2,))
    photo_electrons: F8 = column("<f8", row=(2,))
    coincidences: I4 = column("<i4", row=(2,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why a spill is in no histogram."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReconstructedSpill:
    """What a pure function makes of a raw spill and the run's conditions."""

    run: int
    spill: int
    time_us: int
    triggers: int
    """Particle triggers."""
    events: int
    """DAQ events."""
    size: int
    """Bytes of the raw spill's payload."""
    digest: bytes
    """8 bytes of BLAKE2b over the payload: tells a duplicate from a conflict."""
    code: str
    """Version of the code that reconstructed it."""
    conditions: str
    """Hash of the conditions that were used; empty if the run has none."""
    rejection: Rejection | None = None
    errors: dict[str, str] = field(default_factory=dict)
    """Detector → why it failed on this spill."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Equipment type that nothing here reads → how many of its payloads were skipped."""
    tof: Tof | None = None
    ckov: CkovDigits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedSpill:
    """The bytes of a message or spill that is in no histogram, and why."""

    run: int
    spill: int
    step: str
    reason: str
    source: str
    byte: int
    topic: str
    partition: int
    offset: int
    payload: bytes = field(repr=False)
    """The value of the Kafka message as it was read; of a longer one the first `MAX_PAYLOAD_BYTES`."""


Record = RawSpill | RunControl | ReconstructedSpill | RejectedSpill
