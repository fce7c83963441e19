"""The words of plots tell faults apart that look alike."""

from dataclasses import replace

import numpy as np

from schemas.records import RawSpill
from streams.books.book import Book
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.conditions.tof import NOT_CABLED, PLANES, PMTS, SLABS
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from tests.catalogue import PLOTS
from tests.dashboards.views import RUN

DROPPED = 0.9
"""Of its entries, a plot that a fault shows in has less."""


def without(conditions: Conditions, station: int, slab: int) -> Conditions:
    """Return conditions under which a photomultiplier of a slab of plane 0 is never read."""
    cabling = conditions.tof_cabling
    assert cabling is not None
    pmt = (station * PLANES * SLABS + slab) * PMTS
    dead = {name: np.where(of == pmt, NOT_CABLED, of) for name, of in (("tdc", cabling.tdc), ("fadc", cabling.fadc))}
    return replace(conditions, tof_cabling=replace(cabling, **dead))


def book(conditions: Conditions | None) -> Book:
    records = [r for r in SimulatedRun(run=RUN, spills=20, mean_triggers=60).records() if isinstance(r, RawSpill)]
    return process(records, lambda _: conditions)[RUN].book


def test_plots_that_a_silent_photomultiplier_of_the_trigger_station_changes_name_it_beside_the_beam() -> None:
    whole = ConditionsStore([]).for_run(RUN)
    assert whole is not None
    assert whole.tof_calibration is not None
    station = whole.tof_calibration.trigger_station
    full, short = book(whole), book(without(whole, station, slab=3))
    fewer = {name for name in PLOTS if 0 < full[name].sum(flow=True) * DROPPED > short[name].sum(flow=True)}
    assert {f"hspxy_{each}" for each in range(3)} <= fewer
    # What the words send the shifter to: slab hits need no trigger pixel, and those of other stations stay.
    slab_hits = {f"hslabhits{each}0" for each in range(3)}
    assert fewer & slab_hits == {f"hslabhits{station}0"}
    for name in fewer - slab_hits:
        words = PLOTS[name].words
        if PLOTS[name].detector == "tof" and not name.startswith("hpmthits"):
            assert "trigger station" in words.action, name
            assert not words.call.startswith("Beam operator"), name
