"""The channels of each detector, how they are called and which of them a digit is of; and the peaks that are watched.

Those that the same particles cross are together, so that each has its share of the digits: a station, a counter.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from schemas.columns import F8, I8
from streams.checks.channels import Channels, Whole
from streams.checks.peaks import Peak
from streams.experiments.mice.conditions import emr, kl, tracker
from streams.experiments.mice.conditions.tof import PMTS, STATIONS
from streams.experiments.mice.plots.tof_quantities import LIGHT_NS
from streams.experiments.mice.tables.ckov import Ckov
from streams.experiments.mice.tables.emr import Emr
from streams.experiments.mice.tables.kl import Kl
from streams.experiments.mice.tables.tof import Tof
from streams.experiments.mice.tables.tracker import Tracker

TOF_SLABS = (10, 7, 10)
"""Of each plane of TOF0, TOF1 and TOF2."""
_ORIENTATIONS = ("horizontal", "vertical")
_CKOV_PMTS = 4


def _tof(station: int, made: Tof) -> I8:
    digits = made.digits
    here = np.flatnonzero(digits.station == station)
    slab = digits.plane[here].astype(np.int64) * TOF_SLABS[station] + digits.slab[here]
    return slab * PMTS + digits.pmt[here]


def _ckov(counter: int, made: Ckov) -> I8:
    pulses = made.digits.pulse[:, counter * _CKOV_PMTS : (counter + 1) * _CKOV_PMTS]
    return np.nonzero(pulses)[1].astype(np.int64)


def _kl(made: Kl) -> I8:
    return made.digits.cell.astype(np.int64) * kl.PMTS + made.digits.pmt


def _tracker(side: int, station: int, made: Tracker) -> I8:
    digits = made.digits
    here = np.flatnonzero((digits.tracker == side) & (digits.station == station))
    return digits.plane[here].astype(np.int64) * tracker.CHANNELS + digits.channel[here]


def _emr(made: Emr) -> I8:
    return made.hits.plane.astype(np.int64) * emr.BARS + made.hits.bar


def _in_parts(*kinds: tuple[Sequence[str], int]) -> dict[str, range]:
    """Return parts that lie side by side, of each kind by their names and how many channels each has."""
    return {name: range(at * size, (at + 1) * size) for names, size in kinds for at, name in enumerate(names)}


TOF = tuple(
    Channels(
        name=f"TOF{station}",
        names=[
            f"{plane} slab {slab}, PMT {pmt}" for plane in _ORIENTATIONS for slab in range(slabs) for pmt in range(PMTS)
        ],
        of=partial(_tof, station),
        parts=_in_parts(
            (_ORIENTATIONS, slabs * PMTS),
            ([f"{plane} slab {slab}" for plane in _ORIENTATIONS for slab in range(slabs)], PMTS),
        ),
        whole=Whole("TOF", "stations"),
        plots=[
            f"hpmthits{station}{plane}{pmt}"
            for plane in range(len(_ORIENTATIONS))
            for _ in range(slabs)
            for pmt in range(PMTS)
        ],
    )
    for station, slabs in enumerate(TOF_SLABS)
)
CKOV = tuple(
    Channels(
        name=f"Ckov{letter}",
        names=[f"PMT {pmt}" for pmt in range(counter * _CKOV_PMTS, (counter + 1) * _CKOV_PMTS)],
        of=partial(_ckov, counter),
        whole=Whole("Ckov", "counters"),
        plots=[f"hPMT{pmt}" for pmt in range(counter * _CKOV_PMTS + 1, (counter + 1) * _CKOV_PMTS + 1)],
    )
    for counter, letter in enumerate("AB")
)
KL = (
    Channels(
        name="KL",
        names=[f"cell {cell}, PMT {pmt}" for cell in range(kl.CELLS) for pmt in range(kl.PMTS)],
        of=_kl,
        parts=_in_parts(([f"cell {cell}" for cell in range(kl.CELLS)], kl.PMTS)),
        plots=["h4"] * (kl.CELLS * kl.PMTS),
    ),
)
TRACKER = tuple(
    Channels(
        name=f"Tracker {where} station {station}",
        names=[f"plane {plane}, channel {channel}" for plane in "vwu" for channel in range(tracker.CHANNELS)],
        of=partial(_tracker, side, station),
        parts=_in_parts(([f"plane {plane}" for plane in "vwu"], tracker.CHANNELS)),
        whole=Whole(f"Tracker {where}", "stations"),
        plots=[f"Occ_Tk{where[0].upper()}"] * (3 * tracker.CHANNELS),
    )
    for side, where in enumerate(("upstream", "downstream"))
    for station in range(1, tracker.STATIONS + 1)
)
EMR = (
    Channels(
        name="EMR",
        names=[f"plane {plane}, bar {bar}" for plane in range(emr.PLANES) for bar in range(emr.BARS)],
        of=_emr,
        parts=_in_parts(([f"plane {plane}" for plane in range(emr.PLANES)], emr.BARS)),
        plots=[f"emr_occupancy_{'xy'[plane % 2]}z" for plane in range(emr.PLANES) for _ in range(emr.BARS)],
    ),
)


def _flight_ns(start: int, stop: int, made: Tof) -> F8:
    """Return times of flight between two stations, of triggers with exactly one space point in each."""
    points = made.space_points
    count = np.zeros((int(points.trigger.max(initial=-1)) + 1, STATIONS), np.int64)
    times = np.full(count.shape, np.nan)
    np.add.at(count, (points.trigger, points.station), 1)
    times[points.trigger, points.station] = points.time_ns
    single = (count[:, start] == 1) & (count[:, stop] == 1)
    flight: F8 = times[single, stop] - times[single, start]
    return flight


# Electrons come as light does, whatever the beam's momentum is.
TOF_PEAKS = tuple(
    Peak(
        name=f"Electrons TOF{start} → TOF{stop}",
        unit="ns",
        low=LIGHT_NS[start, stop] - 1,
        high=LIGHT_NS[start, stop] + 1,
        bins=100,
        matters=0.05,
        of=partial(_flight_ns, start, stop),
        moved_by={f"TOF{start}": -1, f"TOF{stop}": 1},
        plot=f"tof_flight{start}{stop}",
    )
    for start, stop in ((0, 1), (1, 2))
)
