"""What is remembered of each spill that is in a book."""

from dataclasses import dataclass

from schemas.columns import F8, I4, I8, Table, column

SCALER_CHANNELS = 32
"""Of a scaler that is read out once a spill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What is remembered of a spill that is in the book."""

    time_us: int
    triggers: int
    size: int
    digest: bytes
    """Of the raw bytes, 8 bytes."""
    scalers: tuple[int, ...] = ()
    """Counts of the scaler's channels, `MISSING` where they were not read; empty if none was."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SpillFacts(Table):
    """One row a spill."""

    spill: I8 = column("<i8")
    missed: I8 = column("<i8")
    """Numbers between a spill and the one in the book before it that never came, a run beginning with spill 0."""
    produced_ms: I8 = column("<i8")
    """When the raw spill was produced, Unix milliseconds; 0 where nobody knows."""
    time_us: I8 = column("<i8")
    """The spill's own time, microseconds since 1970 UTC."""
    triggers: I4 = column("<i4")
    """Particle triggers."""
    size: I4 = column("<i4")
    """Bytes of the raw spill."""
    scalers: I4 = column("<i4", row=(SCALER_CHANNELS,))
    """Counts of the scaler's channels; `MISSING` where they were not read."""
    delay_s: F8 = column("<f8")
    """From the broker's acknowledgement until a worker had filled it; NaN where none did."""
    resident_mb: F8 = column("<f8")
    """Memory of that worker then."""
