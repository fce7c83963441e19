"""An axis of equal bins."""

from dataclasses import dataclass

import numpy as np

from schemas.columns import F8


def with_unit(label: str, unit: str) -> str:
    """Return a label with its unit in brackets."""
    return f"{label} ({unit})" if unit else label


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis of equal bins."""

    label: str
    unit: str = ""
    bins: int
    low: float
    high: float
    names: tuple[str, ...] = ()
    """Of the bins, if they have some."""

    @property
    def title(self) -> str:
        """The label with its unit in brackets."""
        return with_unit(self.label, self.unit)

    @property
    def has_whole_edges(self) -> bool:
        """Whether each edge of a bin is a whole number."""
        return float(self.low).is_integer() and ((self.high - self.low) / self.bins).is_integer()

    @property
    def centres(self) -> F8:
        """(bins,) the middle of each."""
        return np.float64(self.low) + (self.high - self.low) / self.bins * (np.arange(self.bins) + 0.5)


YES_OR_NO = Axis(label="No (0) or yes (1)", bins=2, low=-0.5, high=1.5, names=("no", "yes"))
"""Of plots that answer a question."""
