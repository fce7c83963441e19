"""The messages: a raw spill, a run's start or end, a reconstructed spill, a rejected one, a run's record, an action."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from schemas.columns import Detector

_DetectorT = TypeVar("_DetectorT", bound=Detector)

MISSING = -99
"""Stands in integer columns for a number that the DAQ did not give (a TDC edge without its partner)."""

MAX_PAYLOAD_BYTES = 60 << 20
"""Bytes of a payload: what stands beside it must fit into the message too."""

DIGEST_BYTES = 8
"""Of a spill's bytes: they tell spills of one number apart, not forgeries."""
MAX_TEXT = 10_000
"""Characters of a text in a message: what is remembered of a run must stay small, whoever wrote the message."""

MAX_DECIDED_TEXT = 4 << 20
"""Characters of what was before and after an action: a replay of 50,000 runs has two million."""

MAX_TAKEN_OVER_TEXT = MAX_PAYLOAD_BYTES
"""Of what is taken over from Redis where Kafka has lost it: all that was ever decided, in ASCII."""

MAX_NAMES = 1_000
"""Names in a message's table of errors or of what was skipped."""

NO_RUN = -1
"""Stands for a run or spill number that could not be read."""

TIME = "time"
"""Stands among the detectors that failed on a spill whose time was impossible, and was replaced."""


class RawFormat(StrEnum):
    """What the payload of a raw spill is."""

    DATE = "date"
    """DATE super-events, one after the other: start of burst, physics, end of burst."""
    SPILL_JSON = "spill_json"
    """One spill document of the old online system, UTF-8."""
    MIDAS = "midas"
    """MIDAS events, one after the other, in the byte order of their file: from begin of spill to end of spill, and
    before it those that belong to no spill."""
    COLUMNS = "columns"
    """A file of Avro with one record, hits as columns, see `streams.avro.spills`."""
    UNREADABLE = "unreadable"
    """Bytes in which the source found no event; they are kept and rejected, never passed over."""


class ControlKind(StrEnum):
    """What a run-control message says."""

    START = "start"
    END = "end"
    WITHIN = "within"
    """Neither: what the DAQ wrote in the run that goes with no spill, as where one file of the run follows another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSpill:
    """The DAQ's own bytes of a spill in an envelope. The bytes are never altered."""

    run: int
    spill: int
    """Counts from 0 in each run; `NO_RUN` for unreadable bytes."""
    time_us: int
    """The spill's time, microseconds since 1970 UTC; 0 if unknown."""
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
    time_problem: str = ""
    """Why the time is not the one that its bytes give as the spill's own, see `streams.daq.times`; empty if it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunControl:
    """A run begins or ends, or goes on. Goes to every partition, so that each worker hears of it."""

    run: int
    kind: ControlKind
    time_us: int
    source: str
    byte: int
    events: int
    """DAQ events in the payload (DATE writes both start and end of a run as a pair)."""
    run_type: str = ""
    payload: bytes = field(default=b"", repr=False)
    time_problem: str = ""
    """As of a `RawSpill`."""
    partitions: int = 0
    """Of a start: over how many partitions the run's spills are spread, by their numbers; 0 if nobody said."""


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
    """The first `DIGEST_BYTES` of SHA-256 over the payload: tells a duplicate from a conflict."""
    code: str
    """Version of the code that reconstructed it."""
    conditions: str
    """Hash of the conditions that were used; empty if the run has none."""
    rejection: Rejection | None = None
    errors: dict[str, str] = field(default_factory=dict)
    """Detector → why it failed on this spill; `TIME` → why its time is not its own."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Equipment type that nothing here reads → how many of its payloads were skipped."""
    lacking: dict[str, str] = field(default_factory=dict)
    """Detector, or ``detector.table`` → which of the run's conditions are not there, without which it is not made."""
    detectors: dict[str, Detector] = field(default_factory=dict)
    """What each made, by its name; one that failed is not there."""
    left_out: tuple[str, ...] = ()
    """Detectors, tables and columns of the message that have no place here: it was written with others."""

    def get(self, kind: type[_DetectorT]) -> _DetectorT | None:
        """Return what a detector made; None if it failed."""
        return next((found for found in self.detectors.values() if isinstance(found, kind)), None)


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


class RunState(StrEnum):
    """What a run is doing."""

    ANNOUNCED = "announced"
    """The DAQ said that it began, and none of its spills has come."""
    RUNNING = "running"
    ENDED = "ended"
    """The DAQ said so."""
    ENDED_WITHOUT_ITS_END = "ended without its end"
    """Another run began after it, or no spill has come for long, and the DAQ has not said that it ended."""
    REOPENED = "reopened by late spills"
    """The DAQ said that it ended, and spills of it have come since, the last of them not long ago."""

    @property
    def is_over(self) -> bool:
        """Whether no more spills are expected."""
        return self in (RunState.ENDED, RunState.ENDED_WITHOUT_ITS_END)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What is known of a run when its state or its products change; times in microseconds since 1970 UTC, or 0."""

    run: int
    run_type: str
    state: RunState
    began_us: int
    ended_us: int
    """When it ended so far."""
    first_spill_us: int
    last_spill_us: int
    last_spill: int
    """The highest number of a spill in the book; `NO_RUN` without one."""
    spills: int
    """In the book."""
    particle_triggers: int
    received: int
    duplicates: int
    out_of_order: int
    rejected: dict[str, int]
    """Step that refused spills → how many."""
    errors: dict[str, int]
    """Detector or plot that failed on spills → on how many."""
    late_spills: bool
    """Whether something of it was produced after its end."""
    code: list[str]
    """Versions of the code that reconstructed its spills."""
    conditions: list[str]
    """Hashes of the conditions."""
    products: list[str]
    """Names of the files that were written of it."""
    log: str = ""
    """Id of the topic of raw spills that the offsets are of."""
    firsts: dict[str, int] = field(default_factory=dict)
    lasts: dict[str, int] = field(default_factory=dict)
    """Partition → offset of its first and its last message in ``spills.raw``, as far as they were counted."""
    counted: dict[str, int] = field(default_factory=dict)
    """Partition → an offset below which all was counted; the runs that begin before it have a record no later than
    this one. Empty in most."""


class ActionKind(StrEnum):
    """What somebody did; a newer version may know more."""

    PLAN_REPLAY = "plan replay"
    """Subject is the session, after it the plan."""
    DROP_REPLAY = "drop replay"
    """Subject is the session, before it the plan."""
    PROMOTE = "promote"
    """Subject is the session, before and after are the sessions whose books are those of its runs, null for live."""
    RESTORE = "restore"
    """Subject is the run, before and after as in a promotion."""
    PIN_REFERENCE = "pin reference"
    """Subject is a type of runs, before and after the run that they are compared with, null for the newest good one."""
    PIN_BOOK = "pin book"
    """Subject is a type of runs, before it as in a pin of a run, after it the book that they are compared with: of
    which run, its SHA-256, and itself, compressed and in base64."""
    END_RUN = "end run"
    """Subject is a run that its DAQ did not end, before it how it stood."""
    FLAG = "flag"
    """Subject is a run, after it a flag: its id, detector, verdict, spills; before it what it cuts."""
    WITHDRAW_FLAG = "withdraw flag"
    """Subject is a run, before it the flag, after it which one."""
    VERIFY_FLAG = "verify flag"
    """Subject is a run, after it which flag: somebody else than its author agrees."""
    PROPOSE_FLAGS = "propose flags"
    """Subject is a run that is over, after it what the checks say of it: the flags that they propose, its reference."""
    RAISE_ALARM = "raise alarm"
    """Subject is an alarm, after it what it is of, its words, its priority; by the checks, as the next."""
    CLEAR_ALARM = "clear alarm"
    """Subject is an alarm; the reason says why it is none any more."""
    ACKNOWLEDGE_ALARM = "acknowledge alarm"
    """Subject is an alarm, after it the action's id."""
    SHELVE_ALARM = "shelve alarm"
    """Subject is an alarm, after it the action's id, and until when nobody wants to hear of it."""
    TELL_ALARM = "tell alarm"
    """Subject is what was told, after it of which alarms, and how often each was told before."""
    ADD_ISSUE = "add known issue"
    """Subject is a known issue, after it of what it is, its text, its owner, its runs and until when it is."""
    EXTEND_ISSUE = "extend known issue"
    """Subject is a known issue, before it what it was, after it its new end."""
    WITHDRAW_ISSUE = "withdraw known issue"
    """Subject is a known issue, before it what it was, after it the action's id."""
    NOTE = "note"
    """Subject is a run, after it the note's id, what somebody wrote down, and of which plot."""
    TELL_NOTE = "tell note"
    """Subject is a run, after it the id of a note of it that the site's logbook has taken."""
    CHECKLIST = "checklist"
    """Subject is a run, after it its id, since when it was due, after which spill, and each line with its answers."""
    TAKE_OVER = "take over"
    """Subject is the offset at which it counts, after it all that Redis knew and the topic did not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a person decided, or the checks propose. What is true follows from all of them, in their order."""

    who: str
    """User and host."""
    at_us: int
    """Microseconds since 1970 UTC."""
    origin: str
    """The command line, or the page."""
    kind: str
    """One of `ActionKind`, or what a newer version knows."""
    subject: str
    """What it was done to: a run, or a session."""
    before: str
    """What it changed, JSON; empty if there was nothing."""
    after: str
    """What it made of it, JSON; empty if nothing is left."""
    reason: str
    """Why, as far as somebody said so."""


Record = RawSpill | RunControl | ReconstructedSpill | RejectedSpill | RunRecord | Action
