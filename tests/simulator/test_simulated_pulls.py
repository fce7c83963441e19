"""Over many simulated runs, what plots measure scatters about what the simulator put there as its errors say."""

from collections import defaultdict
from math import hypot, sqrt

import numpy as np
import pytest

from streams.books.book import fill
from streams.books.key_number import measures_of
from streams.experiments.mice.plots.peaks import MASSES_MEV
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.beam import TOF01_NS, TOF01_SPREAD_NS, TOF12_PER_TOF01
from streams.experiments.mice.simulator.ckov import MEAN_PHOTO_ELECTRONS
from streams.experiments.mice.simulator.emr_particles import LIFETIME_NS
from streams.experiments.mice.simulator.tof import PMT_RESOLUTION_NS, SLAB_RESOLUTION_NS
from streams.experiments.mice.simulator.tracker import EFFICIENCY
from streams.reconstruct import reconstruct
from tests.catalogue import PLOTS

pytestmark = pytest.mark.nightly

RUNS, SPILLS, FIRST = 200, 8, 900_001
KINDS = tuple(MASSES_MEV)
STATION_NS = hypot(PMT_RESOLUTION_NS / sqrt(2), SLAB_RESOLUTION_NS) / sqrt(2)
_MUON, _PION = KINDS.index("muon"), KINDS.index("pion")


def _flight(pair: tuple[int, int]) -> tuple[float | None, ...]:
    """Return what is true of a pair of stations; not of the electrons' width, of whose tails the ground takes some."""
    longer = {(0, 1): 1.0, (1, 2): TOF12_PER_TOF01, (0, 2): 1 + TOF12_PER_TOF01}[pair]
    muon, pion = (
        (longer * TOF01_NS[kind], hypot(longer * TOF01_SPREAD_NS[kind], sqrt(2) * STATION_NS), None)
        for kind in (_MUON, _PION)
    )
    momenta = (MASSES_MEV[KINDS[kind]] / sqrt((TOF01_NS[kind] / TOF01_NS[0]) ** 2 - 1) for kind in (_MUON, _PION))
    return (0, longer * TOF01_NS[0], None, None, *muon, *pion, *momenta)


TRUE: dict[str, tuple[float | None, ...]] = {
    "emr_decay": (LIFETIME_NS,),
    # Of the stations with some points missing in a run: of one or two, a pull is not even.
    "Trk_Eff_TkU": tuple(true if true < 0.99 else None for true in EFFICIENCY[0]),
    "Trk_Eff_TkD": tuple(true if true < 0.99 else None for true in EFFICIENCY[1]),
    "Trk_Spot_TkU": (0, 0, None, None),
    "Trk_Angle_TkU": (0, 0, None, None),
    "Trk_Angle_TkD": (0, 0, None, None),
    "Trk_Jump": (0, 0, None, None),
    "Trk_Kink": (0, 0, None, None),
    **{"tof_flight{}{}".format(*pair): _flight(pair) for pair in ((0, 1), (1, 2), (0, 2))},
    **{f"tof_dt{station}": (0, 2 * STATION_NS, None) for station in range(3)},
    **{f"tof_profile{station}": (0, None, 0, None) for station in range(3)},
    # Pions give none in the first counter; of electrons a run has too few for pulls that are even.
    "ckov_light_muons": tuple(MEAN_PHOTO_ELECTRONS[pmt // 4][_MUON] / 4 for pmt in range(8)),
    "ckov_light_pions": (*[None] * 4, *[MEAN_PHOTO_ELECTRONS[1][_PION] / 4] * 4),
    **{f"Trk_Res{axis}_Tk{side}": (0,) * 5 + (None,) * 5 for axis in "XY" for side in "UD"},
}
"""Plot → the true value of each of its measures, where there is one."""


@pytest.mark.timeout(900)  # two minutes on a machine that does nothing else
def test_pulls_of_200_runs_have_mean_0_and_width_1() -> None:
    pulls: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(RUNS):
        run = SimulatedRun(run=FIRST + number, mean_triggers=100, detectors=("tof", "ckov", "emr", "tracker"))
        book = fill([reconstruct(run.spill(spill).raw, run.conditions) for spill in range(SPILLS)], {}).book
        for plot, true in ((PLOTS[name], true) for name, true in TRUE.items()):
            numbers = measures_of(plot, plot.axes, book[plot.name])
            for measure, its, found in zip(plot.measures, true, numbers, strict=True):
                if its is not None and found is not None:
                    pulls[plot.name, measure.label].append((found.value - its) / found.error)
    assert len(pulls) == 81
    for what, of in pulls.items():
        assert len(of) == RUNS, what
        assert abs(np.mean(of)) < 0.2, what
        assert abs(np.std(of) - 1) < 0.2, what
