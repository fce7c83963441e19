"""The counters, a detector: its tables, what makes them of hits, and its plots with their words for the shifter."""

from dataclasses import dataclass

from schemas.columns import I8, Detector, Table, column
from streams.checks.channels import Channels
from streams.experiment import Reconstruction, Subsystem
from streams.plots.measures import mean
from streams.plots.model import Axis, DetectorPlots, Plot, Words

from .boards import CHANNELS, BeamHits

PEDESTAL = 100
"""ADC counts of no signal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CounterHits(Table):
    """One row a counter that a particle crossed; ``trigger`` counts the particles of the spill."""

    trigger: I8 = column("<i8")
    counter: I8 = column("<i8")
    charge: I8 = column("<i8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Counters(Detector):
    """What the counters make of a spill."""

    hits: CounterHits


def reconstruct(hits: BeamHits, _conditions: object) -> Counters:
    """Return the charge of each hit."""
    adc = hits.boards["ADC0"]
    return Counters(hits=CounterHits(trigger=adc.trigger, counter=adc.channel, charge=adc.value - PEDESTAL))


PLOTS = DetectorPlots(
    name="counters",
    title="Counters",
    overview=("counters_charge",),
    plots=(
        Plot(
            name="counters_charge",
            detector="counters",
            title="Charge of the counters",
            axes=(Axis(label="Charge", unit="ADC counts", bins=100, low=0, high=2000),),
            fill=lambda batch: (batch.join(CounterHits).charge,),
            canvas="counters_charge",
            keywords=("counters", "charge"),
            words=Words(
                shows="Charge of every hit of the counters.",
                normal="One peak at 1,000 counts.",
                action="Moved: look at the high voltage of the counters.",
                call="Run coordinator",
            ),
            measures=(mean("Mean charge", "ADC counts"),),
        ),
    ),
)

COUNTERS = Subsystem(
    plots=PLOTS,
    reconstruction=Reconstruction(tables=Counters, step=reconstruct, needs_conditions=False),
    channels=(
        Channels(
            name="Counters", names=[f"counter {n}" for n in range(CHANNELS)], of=lambda counters: counters.hits.counter
        ),
    ),
)
