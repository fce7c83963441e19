"""Trends of the data acquisition: one point a spill."""

import numpy as np

from schemas.columns import F8
from streams.plots.model import DetectorPlots, Trend, Words
from streams.plots.spillfacts import SpillFacts

_MANAGER = "DAQ expert on call"


def _trigger_rate(spills: SpillFacts) -> F8:
    """Return (n,) particle triggers over the time since the spill before, per second."""
    rate = np.full(len(spills), np.nan)
    seconds = np.diff(spills.time_us) / 1e6
    after = seconds > 0
    rate[1:][after] = spills.triggers[1:][after] / seconds[after]
    return rate


TRENDS = (
    Trend(
        name="daq_triggers",
        detector="daq",
        title="Particle triggers per spill",
        label="Particle triggers",
        unit="",
        value=lambda spills: spills.triggers,
        keywords=("DAQ", "triggers", "spill"),
        words=Words(
            shows="Particle triggers of each spill.",
            normal="Level within the fluctuation of the beam.",
            action="Near 0: beam off or trigger off; ask the beam operator, then look at the trigger.",
            call="Beam operator, then " + _MANAGER,
        ),
    ),
    Trend(
        name="daq_rate",
        detector="daq",
        title="Trigger rate",
        label="Trigger rate",
        unit="1/s",
        value=_trigger_rate,
        keywords=("DAQ", "triggers", "rate"),
        words=Words(
            shows="Particle triggers of a spill over the time since the spill before.",
            normal="Level. A dip of one point follows each missed spill.",
            action="Falling while triggers per spill are level: spills come more slowly; ask the beam operator.",
            call="Beam operator",
        ),
    ),
    Trend(
        name="daq_missed",
        detector="daq",
        title="Missed spills",
        label="Missed spills",
        unit="",
        value=lambda spills: spills.missed,
        keywords=("DAQ", "missed", "spill"),
        words=Words(
            shows="Spill numbers that never came, at the spill after the gap. Rejected ones came, but for those "
            "without a number, of which the file itself is damaged.",
            normal="0 all along.",
            action="Single ones: note them in the log. Many: the DAQ loses spills; stop the run and restart the DAQ.",
            call=_MANAGER,
        ),
    ),
    Trend(
        name="daq_size",
        detector="daq",
        title="Spill size",
        label="Raw spill",
        unit="kB",
        value=lambda spills: spills.size / 1e3,
        keywords=("DAQ", "size", "spill"),
        words=Words(
            shows="Bytes of each raw spill.",
            normal="Proportional to the particle triggers.",
            action="A step without one in the triggers: a board began or ceased to send data.",
            call=_MANAGER,
        ),
    ),
    Trend(
        name="daq_delay",
        detector="daq",
        title="Time from spill to plot",
        label="Time",
        unit="s",
        value=lambda spills: spills.delay_s,
        keywords=("DAQ", "workers", "delay"),
        words=Words(
            shows="Time from when Kafka had each spill until it was in the plots.",
            normal="Below 1 s.",
            action="Growing: the workers cannot follow; start another one. A hump: a worker was away; what came "
            "meanwhile was caught up.",
            call="Expert of the monitoring on call",
        ),
    ),
    Trend(
        name="daq_memory",
        detector="daq",
        title="Memory of the workers",
        label="Resident memory",
        unit="MB",
        value=lambda spills: spills.resident_mb,
        keywords=("DAQ", "workers", "memory"),
        words=Words(
            shows="Memory of the worker that brought each spill into the plots; several workers take turns.",
            normal="Level, 150 to 300 MB a worker.",
            action="Growing all along: restart the workers one after the other; no spill is lost or counted twice.",
            call="Expert of the monitoring on call",
        ),
    ),
)

DAQ = DetectorPlots(name="daq", title="DAQ", trends=TRENDS, overview=("daq_triggers", "daq_missed"))
