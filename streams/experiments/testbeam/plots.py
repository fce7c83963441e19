"""The plots of each detector, with their words for the shifter. A `fill` returns an array an axis, an entry each."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from streams.experiments.testbeam.tables import BlockHits, CounterHits, Flights, Points, Showers
from streams.plots.axis import YES_OR_NO
from streams.plots.batch import Batch
from streams.plots.measures import Measure, at, mean, of_spot, rms, share
from streams.plots.model import Axis, DetectorPlots, Plot, Words

_Fill = Callable[[Batch], tuple[ArrayLike, ...]]
_FLIGHT = Axis(label="Time of flight", unit="ns", bins=160, low=30, high=70)
_COUNTER, _BLOCK = (Axis(label=label, bins=n, low=-0.5, high=n - 0.5) for label, n in (("Counter", 4), ("Block", 9)))
_ENERGY = Axis(label="Energy", unit="MeV", bins=100, low=0, high=1000)
_X, _Y = (Axis(label=letter, unit="mm", bins=12, low=-30, high=30) for letter in "xy")
_DEAD = "look at its high voltage and its cable."
_MOVED = "moved: ask the beam operator for the last change of a magnet."


def _plot(
    name: str, title: str, axes: tuple[Axis, ...], fill: _Fill, shows: str, normal: str, action: str, *measures: Measure
) -> Plot:
    """Return a plot, on a picture of its own; the first word of its name is its detector."""
    detector = name.partition("_")[0]
    return Plot(
        name=name,
        detector=detector,
        title=title,
        axes=axes,
        fill=fill,
        canvas=name,
        keywords=(detector,),
        words=Words(shows=shows, normal=normal, action=action, call="Test-beam run coordinator"),
        measures=measures,
    )


def _efficiency(batch: Batch) -> tuple[ArrayLike, ArrayLike]:
    """Return counter, and whether it saw the particle, of particles that the three others saw."""
    hits, fired = batch.join(CounterHits), np.zeros((batch.triggers, 4), np.bool_)
    fired[hits.trigger, hits.counter] = True
    trigger, counter = np.nonzero(fired.sum(axis=1, keepdims=True) - fired == 3)
    return counter, fired[trigger, counter].astype(np.int64)


def _energy_by_flight(batch: Batch) -> tuple[ArrayLike, ArrayLike]:
    """Return time of flight and light of particles that have both; no light is 0 if the calorimeter was read."""
    flights, showers = batch.join(Flights), batch.join(Showers)
    energy = np.where(np.repeat(batch.having("calorimeter"), np.diff(batch.first)), 0.0, np.nan)
    energy[showers.trigger] = showers.energy_mev
    known = np.isfinite(energy[flights.trigger])
    return flights.time_ns[known], energy[flights.trigger][known]


def _profile(column: str) -> _Fill:
    return lambda batch: (getattr(batch.join(Points), column),)


COUNTERS = DetectorPlots(
    name="counters",
    title="Scintillators",
    overview=("counters_flight", "counters_efficiency"),
    plots=(
        _plot(
            "counters_flight",
            "Time of flight",
            (_FLIGHT,),
            lambda batch: (batch.join(Flights).time_ns,),
            "Time from the first two scintillators to the last two, of particles that all four saw.",
            "Electrons at 33.4 ns, pions at 34.2 ns, protons at 62 ns, each 0.15 ns wide.",
            "All peaks shifted: a scintillator's cable or t0 has changed. No protons: the beam's momentum has.",
            mean("Electrons", "ns", within=(32.8, 33.8), matters=0.1),
            mean("Protons", "ns", within=(60, 64)),
        ),
        _plot(
            "counters_efficiency",
            "Efficiency of the scintillators",
            (_COUNTER, YES_OR_NO),
            _efficiency,
            "Of the particles that the three others saw, the share that each scintillator saw.",
            "Above 0.95 for all.",
            f"One is low: {_DEAD}",
            *(at(share(f"Counter {counter}", matters=0.03), f"Counter {counter}", counter) for counter in range(4)),
        ),
        _plot(
            "counters_energy",
            "Energy in the scintillators",
            (_COUNTER, Axis(label="Energy", unit="MeV", bins=60, low=0, high=15)),
            lambda batch: (batch.join(CounterHits).counter, batch.join(CounterHits).energy_mev),
            "What each particle left in each scintillator.",
            "2 MeV for electrons and pions, 7 MeV for protons, alike in all.",
            f"Lower in one: {_DEAD}",
        ),
    ),
)

HODOSCOPE = DetectorPlots(
    name="hodoscope",
    title="Hodoscope",
    overview=("hodoscope_spot",),
    plots=(
        *(
            _plot(
                f"hodoscope_{letter}",
                f"Beam profile in {letter}",
                (axis,),
                _profile(f"{letter}_mm"),
                f"Where particles crossed in {letter}, a bin a strip.",
                f"One hump, {spread} mm wide, with its middle at {middle} mm.",
                f"An empty bin: that strip is silent, {_DEAD} The hump {_MOVED}",
                mean(f"Mean {letter}", "mm"),
                rms(f"Spread in {letter}", "mm"),
            )
            for letter, axis, middle, spread in (("x", _X, 6, 10), ("y", _Y, -4, 8))
        ),
        _plot(
            "hodoscope_spot",
            "Beam spot",
            (_X, _Y),
            lambda batch: (batch.join(Points).x_mm, batch.join(Points).y_mm),
            "Where particles crossed.",
            "One round spot at 6 and -4 mm.",
            f"The spot {_MOVED}",
            *of_spot("Mean {}", "Spread in {}", "mm"),
        ),
    ),
)

CALORIMETER = DetectorPlots(
    name="calorimeter",
    title="Lead glass",
    overview=("calorimeter_energy", "calorimeter_flight"),
    plots=(
        _plot(
            "calorimeter_energy",
            "Shower energy",
            (_ENERGY,),
            lambda batch: (batch.join(Showers).energy_mev,),
            "Light of all blocks of each particle that left any.",
            "Pions at 170 MeV with a tail to higher energies; electrons at 585 MeV, 8% wide.",
            "Both peaks moved: the gains have changed. Wide: look for a block without energy.",
            mean("Electrons", "MeV", within=(460, 740)),
            rms("Electrons' spread", "MeV", within=(460, 740)),
        ),
        _plot(
            "calorimeter_flight",
            "Shower energy by time of flight",
            (_FLIGHT, _ENERGY),
            _energy_by_flight,
            "Light of each particle against its time of flight.",
            "Electrons early and high, pions below them, protons late and without light.",
            "No electrons at their place: one of the two detectors is not calibrated; see their own plots.",
        ),
        _plot(
            "calorimeter_blocks",
            "Energy of the blocks",
            (_BLOCK, _ENERGY),
            lambda batch: (batch.join(BlockHits).block, batch.join(BlockHits).energy_mev),
            "Light in each block above the threshold.",
            "Most in block 4, the middle one; less in its neighbours, least at the corners.",
            f"A block is empty: {_DEAD}",
        ),
        _plot(
            "calorimeter_centre",
            "Centre of the showers",
            (_X, _Y),
            lambda batch: (batch.join(Showers).x_mm, batch.join(Showers).y_mm),
            "Mean place of the blocks, weighted with their light.",
            "One spot at the side to which the beam spot of the hodoscope lies.",
            f"At another side: two blocks are swapped, or one is silent. Both spots {_MOVED}",
            *of_spot("Mean {}", "Spread in {}", "mm"),
        ),
    ),
)
