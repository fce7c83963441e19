"""The scalers' table."""

from dataclasses import dataclass

from schemas.columns import I4, U1, Detector, Table, column
from streams.plots.spillfacts import SCALER_CHANNELS


@dataclass(frozen=True, kw_only=True, eq=False)
class ScalerCounts(Table):
    """One row a channel that was read out: what it counted in the spill."""

    channel: U1 = column("u1")
    count: I4 = column("<i4")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self) and self.channel.max() >= SCALER_CHANNELS:
            message = f"a scaler has channel {self.channel.max()}, not below {SCALER_CHANNELS}"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scalers(Detector):
    """What the scaler board (V830) counted in a spill."""

    counts: ScalerCounts
