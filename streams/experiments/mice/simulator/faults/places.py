"""The parts of the detectors that faults can name, and the channels that each has.

A detector that takes part in faults is one entry of `DETECTORS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from streams.experiments.mice.boards import DBB, V1290, V1724, V1731, VLSB
from streams.experiments.mice.conditions.addresses import Address
from streams.experiments.mice.conditions.emr import BAR_NUMBERS, BARS
from streams.experiments.mice.conditions.kl import PMTS as KL_PMTS
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.conditions.tof import PLANES, PMTS, SLABS, STATIONS
from streams.experiments.mice.conditions.tracker import CHANNELS, TRACKERS
from streams.experiments.mice.conditions.tracker import PLANES as PLANES_OF_STATION
from streams.experiments.mice.conditions.tracker import STATIONS as TRACKER_STATIONS
from streams.experiments.mice.simulator.tracker_tables import TRACKER_LDCS

Part = tuple[Address, ...]
"""The channels of the smallest part of a detector that faults can name: of a photomultiplier, its TDC and its FADC."""
Path = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """How faults name the parts of a detector: its name, then a number for each level, as many as wanted."""

    levels: tuple[str, ...]
    parts: Callable[[Conditions], dict[Path, Part]]
    time_unit: str = ""
    """Unit in which its times can be shifted; none of a detector whose plots have no times."""
    counts: Mapping[int, float] = field(default_factory=dict)
    """Equipment type → counts of its clock in that unit; a board that is not named gives no time."""

    @property
    def syntax(self) -> str:
        """The levels, as a place has them."""
        return "".join(f"/{level}" for level in self.levels)


def _tof(station: int, conditions: Conditions) -> dict[Path, Part]:
    """Return TDC and FADC channel of each photomultiplier of a station, by plane, slab and number."""
    cabling = conditions.tof_cabling
    found: dict[Path, Part] = {}
    for kind, pmts in ((V1290, cabling.tdc), (V1724, cabling.fadc)) if cabling is not None else ():
        for ldc, geo, channel in np.argwhere(pmts // (PLANES * SLABS * PMTS) == station).tolist():
            pmt = int(pmts[ldc, geo, channel])
            path = (pmt // (SLABS * PMTS) % PLANES, pmt // PMTS % SLABS, pmt % PMTS)
            found[path] = (*found.get(path, ()), (ldc, geo, channel, kind))
    return found


def _ckov(conditions: Conditions) -> dict[Path, Part]:
    """Return the FADC channel of each photomultiplier, by counter (0: A, 1: B) and number."""
    return {divmod(pmt, 4): ((*place, V1731),) for pmt, place in enumerate(conditions.ckov_channels)}


def _kl(conditions: Conditions) -> dict[Path, Part]:
    """Return the FADC channel of each photomultiplier, by cell and number."""
    pmts = conditions.kl_pmts
    if pmts is None:
        return {}
    return {
        divmod(int(pmts.fadc[ldc, geo, channel]), KL_PMTS): ((ldc, geo, channel, V1724),)
        for ldc, geo, channel in np.argwhere(pmts.fadc >= 0).tolist()
    }


def _emr(conditions: Conditions) -> dict[Path, Part]:
    """Return the channel of each bar, by plane and bar; as bar 0 that of the plane's one photomultiplier."""
    cabling = conditions.emr_cabling
    found: dict[Path, Part] = {}
    for kind, channels in ((V1731, cabling.fadc * BAR_NUMBERS), (DBB, cabling.dbb)) if cabling is not None else ():
        for ldc, geo, channel in np.argwhere(channels >= 0).tolist():
            plane, bar = divmod(int(channels[ldc, geo, channel]), BAR_NUMBERS)
            if kind == V1731 or 0 < bar < BARS:
                found[plane, bar] = ((ldc, geo, channel, kind),)
    return found


def _tracker(tracker: int, conditions: Conditions) -> dict[Path, Part]:
    """Return each channel of a tracker's planes, by station, plane and number."""
    channels = conditions.tracker
    found: dict[Path, Part] = {}
    if channels is None:
        return found
    for bank, on_bank in np.argwhere(channels.fibres >= 0).tolist():
        plane, channel = divmod(int(channels.fibres[bank, on_bank]), CHANNELS)
        station, plane = divmod(plane, PLANES_OF_STATION)
        if station // TRACKER_STATIONS == tracker:
            path = (station % TRACKER_STATIONS + 1, plane, channel)
            found[path] = ((TRACKER_LDCS[tracker], bank, on_bank, VLSB),)
    return found


DETECTORS: dict[str, Named] = {
    **{
        f"tof{station}": Named(
            levels=("plane", "slab", "pmt"), parts=partial(_tof, station), time_unit="ns", counts={V1290: 40.0}
        )
        for station in range(STATIONS)
    },
    "ckov": Named(levels=("counter", "pmt"), parts=_ckov, time_unit="samples", counts={V1731: 1.0}),
    "kl": Named(levels=("cell", "pmt"), parts=_kl),
    "emr": Named(levels=("plane", "bar"), parts=_emr, time_unit="counts of 2.5 ns", counts={DBB: 1.0}),
    **{
        f"tracker{tracker}": Named(
            levels=("station", "plane", "channel"),
            parts=partial(_tracker, tracker),
            time_unit="TDC counts",
            counts={VLSB: 1.0},
        )
        for tracker in range(TRACKERS)
    },
}
