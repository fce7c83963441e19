"""Over many simulated runs, what plots measure scatters about what the simulator put there as its errors say."""

from collections import defaultdict

import numpy as np
import pytest

from streams.books.book import fill
from streams.books.key_number import measures_of
from streams.daq.simulator import SimulatedRun
from streams.daq.simulator.emr_particles import LIFETIME_NS
from streams.daq.simulator.tracker import EFFICIENCY
from streams.plots.catalogue import PLOTS
from streams.reconstruct import reconstruct

pytestmark = pytest.mark.nightly

RUNS, SPILLS, FIRST = 200, 8, 900_001
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
    **{f"Trk_Res{axis}_Tk{side}": (0,) * 5 + (None,) * 5 for axis in "XY" for side in "UD"},
}
"""Plot → the true value of each of its measures, where there is one."""


def test_pulls_of_200_runs_have_mean_0_and_width_1() -> None:
    pulls: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(RUNS):
        run = SimulatedRun(run=FIRST + number, mean_triggers=100, detectors=("tof", "emr", "tracker"))
        book = fill([reconstruct(run.spill(spill).raw, run.conditions) for spill in range(SPILLS)], {}).book
        for plot, true in ((PLOTS[name], true) for name, true in TRUE.items()):
            numbers = measures_of(plot, plot.axes, book[plot.name])
            for measure, its, found in zip(plot.measures, true, numbers, strict=True):
                if its is not None and found is not None:
                    pulls[plot.name, measure.label].append((found.value - its) / found.error)
    assert len(pulls) == 33
    for what, of in pulls.items():
        assert len(of) == RUNS, what
        assert abs(np.mean(of)) < 0.2, what
        assert abs(np.std(of) - 1) < 0.2, what
