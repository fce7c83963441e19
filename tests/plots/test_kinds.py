"""Kinds of particles by time of flight, and the plots that go by them."""

from collections import defaultdict

import numpy as np
import pytest

from streams.experiments.mice.plots.kinds import KINDS, kinds
from streams.experiments.mice.plots.muon_range import momentum_mev_c, stopping_power
from streams.experiments.mice.plots.tof_quantities import KINDS_NS
from streams.experiments.mice.tables.emr import Emr
from streams.experiments.mice.tables.kl import Kl
from streams.experiments.mice.tables.tof import Tof
from streams.plots.batch import Batch
from tests.catalogue import PLOTS
from tests.records import reconstructed_spill

SPILLS = [reconstructed_spill(n) for n in range(6)]
TRACK = ("density_ma", "chi2", "last_plane", "range_mm")
ALL = [*SPILLS, reconstructed_spill(6, tof=None)]
BATCH = Batch(ALL)


def slow_kinds(spill) -> dict[int, int]:
    """Return the kind of each trigger that has one, by loops over space points."""
    times = defaultdict(list)
    points = spill.get(Tof).space_points
    columns = (points.trigger.tolist(), points.station.tolist(), points.time_ns.tolist())
    for trigger, station, time in zip(*columns, strict=True):
        times[trigger, station].append(time)
    found = {}
    for trigger in range(spill.triggers):
        if len(times[trigger, 0]) == len(times[trigger, 1]) == 1:
            flight = times[trigger, 1][0] - times[trigger, 0][0]
            for kind, (low, high) in enumerate(KINDS_NS.values()):
                if low <= flight < high:
                    found[trigger] = kind
    return found


def test_a_particle_s_kind_is_where_its_time_of_flight_lies() -> None:
    slow = [slow_kinds(spill).get(trigger, -1) for spill in SPILLS for trigger in range(spill.triggers)]
    found = kinds(BATCH).tolist()
    assert found[: len(slow)] == slow
    assert set(found[len(slow) :]) == {-1}
    assert len(set(slow)) > 2


def filled(name: str) -> list[tuple]:
    return sorted(zip(*(np.asarray(values).tolist() for values in PLOTS[name].fill(BATCH)), strict=True))


def test_charges_are_shown_by_kind_of_those_whose_kind_is_known() -> None:
    of_kl, of_emr = [], []
    for spill in SPILLS:
        kind, kl, emr = slow_kinds(spill), spill.get(Kl), spill.get(Emr)
        charge = defaultdict(int)
        for trigger, of_cell in zip(kl.hits.trigger.tolist(), kl.hits.charge.tolist(), strict=True):
            charge[trigger] += of_cell
        of_kl += [(kind[trigger], total) for trigger, total in charge.items() if trigger in kind]
        tracks = zip(emr.tracks.trigger.tolist(), emr.tracks.charge_ma.tolist(), strict=True)
        of_emr += [(kind[trigger], total) for trigger, total in tracks if trigger in kind]
    assert filled("kl_charge_kind") == sorted(of_kl)
    assert filled("emr_charge_kind") == sorted(of_emr)
    assert [measure.label for measure in PLOTS["emr_charge_kind"].measures] == [f"Mean charge of {k}" for k in KINDS]


def test_the_decay_time_is_that_of_daughters_with_a_mother() -> None:
    rows = [row for s in ALL for row in zip(s.get(Emr).daughters.mother, s.get(Emr).daughters.wait, strict=True)]
    assert filled("emr_decay") == sorted((2.5 * wait,) for mother, wait in rows if mother >= 0)


def test_the_momentum_is_of_what_looks_like_a_muon_and_stops() -> None:
    tracks = [row for s in ALL for row in zip(*(getattr(s.get(Emr).tracks, name) for name in TRACK), strict=True)]
    stopped = [mm for density, chi2, last, mm in tracks if density > 0.9 and chi2 < 2 and last < 47]
    assert filled("emr_momentum") == sorted((each,) for each in momentum_mev_c(np.array(stopped)).tolist())


@pytest.mark.parametrize(
    # Ranges of protons of 100 and 200 MeV in polystyrene (NIST's PSTAR), scaled by the masses.
    ("momentum", "range_g_cm2"),
    [(50.06, 7.87 * 105.658 / 938.272), (72.5, 26.5 * 105.658 / 938.272)],
)
def test_ranges_are_those_of_the_tables_within_two_percent(momentum: float, range_g_cm2: float) -> None:
    material_per_mm = 0.106 * (1 - 0.02117) * 17 / 17.5
    mm = np.linspace(1, 200, 2000)
    assert np.interp(momentum, momentum_mev_c(mm), mm) * material_per_mm == pytest.approx(range_g_cm2, rel=0.02)


def test_a_fast_muon_loses_two_mev_a_g_and_the_momentum_rises_with_the_range() -> None:
    momenta = np.linspace(50, 2000, 500)
    assert 1.9 < stopping_power(momenta).min() < 2.0
    assert (np.diff(momentum_mev_c(np.linspace(0, 840, 300))) > 0).all()
