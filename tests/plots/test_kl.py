"""The calorimeter's plots: what fills each."""

import numpy as np

from streams.experiments.mice.tables.kl import Kl
from streams.plots.batch import Batch
from tests.catalogue import PLOTS
from tests.records import reconstructed_spill


def test_digits_fill_charge_profile_and_map_and_cell_hits_the_product():
    spills = [reconstructed_spill(n) for n in range(3)]
    batch = Batch([*spills, reconstructed_spill(3, kl=None)])
    made = [spill.get(Kl) for spill in spills]

    def joined(table, column):
        return np.concatenate([getattr(getattr(kl, table), column) for kl in made]).tolist()

    filled = {name: [np.asarray(v).tolist() for v in PLOTS[name].fill(batch)] for name in ("h1", "h2", "h3", "h4")}
    assert filled["h1"] == [joined("digits", "charge_mm")]
    assert filled["h2"] == [joined("hits", "charge_product")]
    assert filled["h3"] == [joined("digits", "cell")]
    assert filled["h4"] == [joined("digits", "cell"), joined("digits", "pmt")]


def test_they_stand_on_one_canvas_for_the_shifter():
    for name in ("h1", "h2", "h3", "h4"):
        plot = PLOTS[name]
        assert (plot.canvas, plot.keywords, plot.expert) == ("KL", ("KL",), False)
