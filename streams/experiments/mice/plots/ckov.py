"""Plots of the Cherenkov counters."""

import numpy as np
import numpy.typing as npt

from streams.experiments.mice.plots.tof_quantities import KINDS_NS, first_flight_ns, flight_time_ns
from streams.experiments.mice.tables.ckov import COUNTS_PER_PHOTO_ELECTRON, CkovDigits
from streams.plots.axis import YES_OR_NO
from streams.plots.batch import Batch
from streams.plots.measures import at, between, mean, share
from streams.plots.model import Axis, DetectorPlots, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_EXPERT = "Cherenkov expert on call"
_PMTS = 8
_MIN_LIGHT = 1.0
"""Photo-electrons in a counter that are more than noise."""
_NO_ARRIVAL = 255
"""An arrival time from here on means that no sample left the pedestal."""


def _light_against_flight(counter: int) -> Plot:
    letter = "AB"[counter]

    def fill(batch: Batch) -> _Values:
        digits = batch.join(CkovDigits)
        light = digits.photo_electrons[:, counter]
        flight = batch.once(first_flight_ns)[digits.trigger]
        taken = (light > 0) & ~np.isnan(flight)
        return light[taken], flight[taken]

    return Plot(
        name=f"tof_{letter}",
        detector="ckov",
        title=f"Cherenkov {letter}: light against time of flight",
        axes=(
            Axis(label="Photo-electrons", bins=100, low=0, high=50),
            Axis(label="Time TOF0 → TOF1", unit="ns", bins=200, low=15, high=35),
        ),
        fill=fill,
        canvas=f"CkovPE_{letter}_vs_TOF_0_to_1",
        keywords=("ckov", "tof", f"ckov{letter.lower()}"),
        words=Words(
            shows=f"Light in Cherenkov {letter} of particles with one space point in TOF0 and in TOF1.",
            normal="A band of many photo-electrons at the electrons' time; muons and pions with little light, "
            "depending on the momentum.",
            action="No light for electrons: check gas, high voltage and the charge of each photomultiplier.",
            call=_EXPERT,
        ),
    )


def _light(kind: str) -> Plot:
    low, high = KINDS_NS[kind]

    def fill(batch: Batch) -> _Values:
        digits = batch.join(CkovDigits)
        flight = batch.once(first_flight_ns)[digits.trigger]
        pulses = digits.pulse[(flight > low) & (flight < high)]
        return np.tile(np.arange(1, _PMTS + 1), len(pulses)), pulses.ravel() / COUNTS_PER_PHOTO_ELECTRON

    return Plot(
        name=f"ckov_light_{kind}",
        detector="ckov",
        title=f"Cherenkov: light of {kind} by photomultiplier",
        axes=(
            Axis(label="Photomultiplier", bins=_PMTS, low=0.5, high=_PMTS + 0.5),
            Axis(label="Light", unit="photo-electrons", bins=30, low=-0.5, high=29.5),
        ),
        fill=fill,
        expert=True,
        canvas="ckov_light",
        keywords=("ckov", "light", "pmt", kind),
        measures=tuple(at(mean("", "photo-electrons"), f"Light in {p + 1}", p) for p in range(_PMTS)),
        words=Words(
            shows=f"Light in each photomultiplier, 1 to 4 of counter A and 5 to 8 of B, of {kind}: particles that took "
            f"{low:g} to {high:g} ns from TOF0 to TOF1, right for momenta of 200 to 250 MeV/c.",
            normal="Electrons leave some photo-electrons in each, alike in the four of a counter; muons and pions few "
            "or none, more in B, which of them depends on the momentum.",
            action="One of four with less: its high voltage or coupling. All four of a counter: gas, or mirrors.",
            call=_EXPERT,
        ),
    )


def _threshold(counter: int) -> Plot:
    letter = "AB"[counter]

    def fill(batch: Batch) -> _Values:
        digits = batch.join(CkovDigits)
        flight = batch.once(first_flight_ns)[digits.trigger]
        there = ~np.isnan(flight)
        return flight[there], digits.photo_electrons[there, counter] > _MIN_LIGHT

    return Plot(
        name=f"ckov_threshold_{letter}",
        detector="ckov",
        title=f"Cherenkov {letter}: threshold",
        axes=(
            Axis(label="Time TOF0 → TOF1", unit="ns", bins=40, low=24, high=34),
            YES_OR_NO,
        ),
        fill=fill,
        expert=True,
        canvas="ckov_threshold",
        keywords=("ckov", "tof", "threshold", f"ckov{letter.lower()}"),
        measures=tuple(
            between(
                # Which of the others have light is the beam's momentum.
                share("", matters=0.05 if kind == "electrons" else None),
                f"Share of {kind} with light",
                low,
                high,
            )
            for kind, (low, high) in KINDS_NS.items()
        ),
        words=Words(
            shows=f"The share of particles that left more than one photo-electron in Cherenkov {letter}, by their time "
            "of flight: it falls where they come below the threshold.",
            normal="All electrons have light; of muons and pions those that are fast enough, in B before A.",
            action="Electrons without light: high voltage or gas. Slow particles with light: noise, or light from "
            "outside.",
            call=_EXPERT,
        ),
    )


def _charge(pmt: int) -> Plot:
    return Plot(
        name=f"hPMT{pmt + 1}",
        detector="ckov",
        title=f"Cherenkov {'AB'[pmt // 4]}: charge of photomultiplier {pmt + 1}",
        axes=(Axis(label="Charge", unit="ADC counts × samples", bins=550, low=-50, high=500),),
        fill=lambda batch: (batch.join(CkovDigits).pulse[:, pmt],),
        canvas=f"CkovCharge_PMT{pmt + 1}",
        keywords=("ckov", "charge", "pmt"),
        words=Words(
            shows="Area of the pulse inside the gate, one entry a particle trigger; 0 where there is no pulse.",
            normal="A high bin at 0 and a tail of pulses; 23 counts are one photo-electron.",
            action="No tail while the other three of the counter have one: check its high voltage.",
            call=_EXPERT,
        ),
        log=True,
    )


def _arrival(pmt: int) -> Plot:
    def fill(batch: Batch) -> _Values:
        arrival = batch.join(CkovDigits).arrival_time[:, pmt]
        return (arrival[arrival < _NO_ARRIVAL],)

    return Plot(
        name=f"harr_time{pmt + 1}",
        detector="ckov",
        title=f"Cherenkov {'AB'[pmt // 4]}: arrival time in photomultiplier {pmt + 1}",
        axes=(Axis(label="Arrival time", unit="samples", bins=200, low=0, high=200),),
        fill=fill,
        expert=True,
        canvas=f"CkovArrivalTimes_PMT{pmt + 1}",
        keywords=("ckov", "time", "pmt"),
        words=Words(
            shows="First sample that leaves the pedestal by more than two counts.",
            normal="A peak inside the gate, samples 20 to 80, over a flat floor of noise.",
            action="The peak moved: trigger timing or a cable changed. A flat plot: no light or too much noise.",
            call=_EXPERT,
        ),
    )


PLOTS = (
    *(_light_against_flight(c) for c in range(2)),
    *(_light(k) for k in KINDS_NS),
    *(_threshold(c) for c in range(2)),
    *(_charge(p) for p in range(8)),
    *(_arrival(p) for p in range(8)),
    Plot(
        name="htof",
        detector="ckov",
        title="Time of flight TOF0 → TOF1, wide",
        axes=(Axis(label="Time", unit="ns", bins=100, low=10, high=40),),
        fill=lambda batch: (flight_time_ns(batch, 0, 1),),
        expert=True,
        canvas="CkovTOF",
        keywords=("ckov", "tof"),
        words=Words(
            shows="Time between TOF0 and TOF1 on a wider axis.",
            normal="The peaks of the TOF page.",
            action="Empty while TOF has peaks: the Cherenkov counters were not read out.",
            call=_EXPERT,
        ),
    ),
)

CKOV = DetectorPlots(name="ckov", title="Cherenkov", plots=PLOTS, overview=("tof_A", "tof_B"))
