"""Plots of the Cherenkov counters."""

import numpy as np
import numpy.typing as npt

from schemas.ckov import CkovDigits
from streams.plots.batch import Batch
from streams.plots.model import Axis, DetectorPlots, Plot, Words
from streams.plots.tof_quantities import flight_time_ns, single_times_ns

_Values = tuple[npt.ArrayLike, ...]
_EXPERT = "Cherenkov expert on call"
_NO_ARRIVAL = 255
"""An arrival time from here on means that no sample left the pedestal."""


def _light_against_flight(counter: int) -> Plot:
    letter = "AB"[counter]

    def fill(batch: Batch) -> _Values:
        digits = batch.join(CkovDigits)
        light = digits.photo_electrons[:, counter]
        times = batch.once(single_times_ns)[digits.trigger]
        flight = times[:, 1] - times[:, 0]
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
