"""Scalers: a strip chart of each that tells of the beam, and the table of all that have a name."""

from collections.abc import Callable

import numpy as np

from schemas.columns import F8
from schemas.records import MISSING
from streams.experiment import RECENT_SPILLS, TableRow
from streams.plots.model import DetectorPlots, Trend, Words
from streams.plots.spillfacts import SpillFacts

CHANNEL_NAMES = {
    0: "Triggers",
    1: "Trigger requests",
    2: "GVA",
    3: "TOF0",
    4: "TOF1",
    5: "TOF2",
    9: "LM12",
    10: "LM34",
    11: "LM1234",
    12: "10 MHz clock",
}
"""Channel of the V830 → what it counts; the others are not connected."""
STRIP_SPILLS = 400
"""Spills that a strip chart shows."""
_IN_STRIP_CHARTS = (0, 1, 3, 4, 5)
_EXPERT = "DAQ expert on call"


def scaler_table(spills: SpillFacts) -> list[TableRow]:
    """Return the named scalers' counts per spill, in the order of their channels."""
    rows = []
    for channel, name in CHANNEL_NAMES.items():
        counts = spills.scalers[:, channel]
        counts = counts[counts != MISSING]
        means = [float(part.mean()) if len(part) else np.nan for part in (counts[-1:], counts[-RECENT_SPILLS:], counts)]
        rows.append(TableRow(name=name, last=means[0], recent=means[1], run=means[2]))
    return rows


def _counts(channel: int) -> Callable[[SpillFacts], F8]:
    def value(spills: SpillFacts) -> F8:
        counts = spills.scalers[:, channel]
        return np.where(counts == MISSING, np.nan, counts)

    return value


def _strip_chart(channel: int) -> Trend:
    name = CHANNEL_NAMES[channel]
    return Trend(
        name=f"scaler_{name.lower().replace(' ', '_')}",
        detector="scalers",
        title=f"Scaler: {name}",
        label="Counts per spill",
        unit="",
        value=_counts(channel),
        last=STRIP_SPILLS,
        keywords=("Scalers", name),
        words=Words(
            shows=f"What the scaler {name} counted in each of the last {STRIP_SPILLS} spills.",
            normal="Level within the fluctuation of the beam.",
            action="All scalers fall together: the beam; ask the beam operator. One alone: its discriminator, cable or "
            "high voltage.",
            call="Beam operator, then " + _EXPERT,
        ),
    )


SCALERS = DetectorPlots(
    name="scalers",
    title="Scalers",
    trends=tuple(_strip_chart(channel) for channel in _IN_STRIP_CHARTS),
    overview=(),
)
