"""Which colour a count has: a scale that changes in few and large steps, so that its bar does not jump."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

import numpy as np
import numpy.typing as npt

from dashboards.figures.theme import Theme

LABEL_WIDTH = 4
"""Characters beside the bar: as wide for few as for many, so that the picture keeps its width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountScale:
    """From a count to a place on the colours."""

    top: float
    """The count that has the last colour."""
    log: bool

    @classmethod
    def up_to(cls, most: int, *, log: bool) -> "CountScale":
        """Return the scale for counts up to this: its top is the next of 1, 2, 5, 10, 20, ...; a whole power if log."""
        if log:
            return cls(top=10.0 ** max(ceil(log10(max(most, 1))), 1), log=True)
        power = 10.0 ** floor(log10(max(most, 1)))
        return cls(top=next(step * power for step in (1, 2, 5, 10) if step * power >= most), log=False)

    def place(self, counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return where counts lie between 0 and `end`; NaN for none, so that one entry is seen."""
        found = np.asarray(counts, np.float64)
        found = np.where(found > 0, found, np.nan)
        return np.log10(found) if self.log else found

    @property
    def end(self) -> float:
        """Where the last colour lies."""
        return log10(self.top) if self.log else self.top

    def bar(self) -> dict[str, Any]:
        """Return the colour bar."""
        values = [10.0**power for power in range(round(self.end) + 1)] if self.log else [0, self.top / 2, self.top]
        return {
            "thickness": 10,
            "outlinewidth": 0,
            "xpad": 6,
            "tickfont": {"size": 11},
            "tickvals": [log10(v) for v in values] if self.log else values,
            "ticktext": [_short(v).ljust(LABEL_WIDTH, "\u2007") for v in values],
        }


def stops(colours: Sequence[str]) -> list[list[float | str]]:
    """Return colours as plotly's colour scale, evenly spread."""
    return [[place / (len(colours) - 1), colour] for place, colour in enumerate(colours)]


def colour_at(share: float, theme: Theme) -> str:
    """Return the colour at a share of the scale, 0 to 1."""
    at = min(max(share, 0.0), 1.0) * (len(theme.scale) - 1)
    left = min(int(at), len(theme.scale) - 2)
    pair = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in theme.scale[left : left + 2]]
    mixed = [round(low + (high - low) * (at - left)) for low, high in zip(*pair, strict=True)]
    return f"rgb({','.join(map(str, mixed))})"


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
