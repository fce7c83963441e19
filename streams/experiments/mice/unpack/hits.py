"""Raw hits of a spill as columns, the same from DATE bytes and from JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.columns import F8, I4, I8, U1, Table, column
from streams.unpacked import Hits


@dataclass(frozen=True, kw_only=True, eq=False)
class BoardEvents(Table):
    """One row a trigger-driven board and particle trigger: what the board's own header and trailer say."""

    equipment: U1 = column("u1")
    """`V1290`, `V1724` or `V1731`."""
    ldc: U1 = column("u1")
    geo: U1 = column("u1")
    trigger: I4 = column("<i4")
    """Particle trigger within the spill, from 0."""
    event_counter: I4 = column("<i4")
    """The board's own count."""
    time_tag: I8 = column("<i8")
    """Trigger time tag, counts of 800 ns (V1290: 27 bits)."""
    bunch_id: I4 = column("<i4")
    """V1290 alone; else `MISSING`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TdcHits(Table):
    """One row a V1290 channel and index: its leading and trailing times, zipped."""

    ldc: U1 = column("u1")
    geo: U1 = column("u1")
    channel: U1 = column("u1")
    trigger: I4 = column("<i4")
    leading_time: I4 = column("<i4")
    """Counts of 25 ps, 21 bits; `MISSING` without a leading edge."""
    trailing_time: I4 = column("<i4")


@dataclass(frozen=True, kw_only=True, eq=False)
class FadcHits(Table):
    """One row a V1724 or V1731 channel that has samples: features of the pulse (facts: spill-json, 2)."""

    equipment: U1 = column("u1")
    ldc: U1 = column("u1")
    geo: U1 = column("u1")
    channel: U1 = column("u1")
    trigger: I4 = column("<i4")
    pedestal: F8 = column("<f8")
    """ADC counts."""
    charge_mm: I4 = column("<i4")
    """Maximum minus minimum, ADC counts."""
    charge_pm: I4 = column("<i4")
    """V1724: maximum minus pedestal; V1731: pedestal minus minimum (its pulses are negative)."""
    pulse_area: I4 = column("<i4")
    """ADC counts times samples."""
    position_min: I4 = column("<i4")
    """Sample of the minimum; `MISSING` where the source does not say."""
    position_max: I4 = column("<i4")
    arrival_time: I4 = column("<i4")


@dataclass(frozen=True, kw_only=True, eq=False)
class VlsbHits(Table):
    """One row a channel of the tracker boards and particle trigger, sorted by bank, trigger and channel."""

    ldc: I4 = column("<i4")
    """`MISSING` where the source does not say."""
    bank: U1 = column("u1")
    """0 to 63: of board ``bank // 4``, its ``bank % 4``."""
    channel: U1 = column("u1")
    """0 to 127."""
    trigger: I4 = column("<i4")
    adc: U1 = column("u1")
    tdc: U1 = column("u1")
    discriminator: U1 = column("u1")
    """1 if the channel was above its threshold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EngineTriggers(Table):
    """One row a trigger that the trigger engine (V1495) recorded, in its own order: at most 300 a spill."""

    ldc: U1 = column("u1")
    count: I4 = column("<i4")
    """The board's own count, 10 bits."""
    time: I4 = column("<i4")
    """Counts of 10 ns, 22 bits."""
    tof0: I4 = column("<i4")
    """20 bits: those of the slabs that fired."""
    tof1: I4 = column("<i4")
    tof2: I4 = column("<i4")


@dataclass(frozen=True, kw_only=True, eq=False)
class ProcessVariables(Table):
    """One row a process variable that the EPICS interface read in the spill."""

    ldc: U1 = column("u1")
    variable: U1 = column("u1")
    """Its place in the experiment's list: state, run number, trigger condition, spill gate, scalers, Hall probes ..."""
    value: F8 = column("<f8")


@dataclass(frozen=True, kw_only=True, eq=False)
class DbbSpills(Table):
    """One row a digitiser buffer board (DBB): what its header and trailer say of the spill."""

    ldc: U1 = column("u1")
    geo: U1 = column("u1")
    spill_number: I4 = column("<i4")
    """The board's own, 16 bits."""
    spill_width: I8 = column("<i8")
    """As the board gives it."""
    trigger_count: I4 = column("<i4")
    hit_count: I4 = column("<i4")
    """Edges, leading and trailing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DbbHits(Table):
    """One row a DBB channel and index: its leading and trailing times in the spill, zipped."""

    ldc: U1 = column("u1")
    geo: U1 = column("u1")
    channel: U1 = column("u1")
    leading_time: I4 = column("<i4")
    """Counts of 2.5 ns, 22 bits; `MISSING` without a leading edge."""
    trailing_time: I4 = column("<i4")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawHits(Hits):
    """All raw hits of one spill; every trigger-driven board that could be read has an event for each trigger."""

    boards: BoardEvents
    tdc: TdcHits
    fadc: FadcHits
    samples: dict[tuple[int, int, int], U1] = field(default_factory=dict)
    """(ldc, geo, channel) of a V1731 → (triggers, samples) uint8. Empty from JSON that keeps none."""
    scalers: Mapping[tuple[int, int], I4 | I8] = field(default_factory=dict)
    """(ldc, geo) of a V830 → its 32 channels, (32,): 26 bits each from DATE, 32 bits from JSON."""
    trigger_words: tuple[int, ...] = ()
    """Words of the trigger receiver (V977), in the order of the events."""
    trigger_engine: EngineTriggers = field(default_factory=EngineTriggers.empty)
    process_variables: ProcessVariables = field(default_factory=ProcessVariables.empty)
    dbb_spills: DbbSpills = field(default_factory=DbbSpills.empty)
    dbb_hits: DbbHits = field(default_factory=DbbHits.empty)
    vlsb: VlsbHits = field(default_factory=VlsbHits.empty)
    added: dict[str, Table] = field(default_factory=dict)
    """Name of a board that the experiment has added → its table."""
