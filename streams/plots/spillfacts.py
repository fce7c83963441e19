"""What is remembered of each spill that is in a book."""

from dataclasses import dataclass

from schemas.columns import F8, I4, I8, Table, column
from schemas.scalers import SCALER_CHANNELS


@dataclass(frozen=True, kw_only=True, eq=False)
class SpillFacts(Table):
    """One row a spill."""

    spill: I8 = column("<i8")
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
