"""The electron-muon ranger's plots: what fills each."""

from dataclasses import replace

import numpy as np
import pytest

from streams.experiments.mice.plots.emr import PLOTS as OLD_PLOTS
from streams.experiments.mice.tables.emr import Emr
from streams.plots.batch import Batch
from tests.catalogue import PLOTS
from tests.records import reconstructed_spill

SPILLS = [reconstructed_spill(n) for n in range(4)]
BATCH = Batch([*SPILLS, reconstructed_spill(4, emr=None)])
MADE = [made for spill in SPILLS if (made := spill.get(Emr)) is not None]


def rows(table, *names):
    """Return the rows of all spills' tables, with the number of the spill."""
    found = []
    for number, made in enumerate(MADE):
        columns = (getattr(getattr(made, table), name).tolist() for name in names)
        found += [(number, *row) for row in zip(*columns, strict=True)]
    return found


def filled(name):
    """Return the entries of a plot."""
    return sorted(zip(*(np.asarray(values).tolist() for values in PLOTS[name].fill(BATCH)), strict=True))


@pytest.mark.parametrize(("name", "side"), [("emr_occupancy_xz", 0), ("emr_occupancy_yz", 1)])
def test_every_hit_with_a_tot_fills_the_occupancy_of_its_projection(name, side):
    hits = rows("hits", "plane", "bar", "tot") + rows("secondary_hits", "plane", "bar", "tot")
    assert filled(name) == sorted((plane, bar) for _, plane, bar, tot in hits if tot > 0 and plane % 2 == side)
    assert any(tot == 0 for *_, tot in hits)


def test_the_brightest_bars_of_planes_0_and_1_make_the_beam_profile():
    brightest = {}
    for spill, trigger, plane, bar, tot in rows("hits", "trigger", "plane", "bar", "tot"):
        brightest[spill, trigger, plane] = max(brightest.get((spill, trigger, plane), (-1, 0)), (tot, bar))
    triggers = {key[:2] for key in brightest}
    wanted = [tuple((brightest[*t, plane][1] - 30) * 17.0 for plane in (0, 1)) for t in triggers]
    assert filled("emr_beam_profile") == sorted(wanted)


def test_of_several_bars_of_plane_0_the_one_with_the_longest_tot_counts_and_plane_1_is_needed():
    hits = MADE[0].hits
    once = hits.rows(np.array([0, 0, 1, 2]))
    changes = {"bar": [10, 20, 40, 50], "tot": [7, 9, 5, 5]}
    one = type(hits)(**{name: changes.get(name, column) for name, column in vars(once).items()})
    made = Emr(**{name: one if name == "hits" else table for name, table in MADE[0].tables().items()})
    x, y = PLOTS["emr_beam_profile"].fill(Batch([reconstructed_spill(0, emr=made)]))
    assert (x.tolist(), y.tolist()) == ([-170], [170])


def test_planes_above_the_threshold_fill_the_depth_profile():
    assert filled("emr_depth") == sorted((p,) for _, p, charge in rows("planes", "plane", "charge") if charge > 10)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("emr_range_primary", "range_mm"),
        ("emr_charge_ma", "charge_ma"),
        ("emr_charge_sa", "charge_sa"),
        ("emr_charge_ratio", "charge_ratio"),
    ],
)
def test_tracks_fill_what_is_known_of_them(name, column):
    assert filled(name) == sorted((value,) for _, value in rows("tracks", column) if value == value)


def test_the_range_of_secondaries_is_of_those_with_a_mother():
    assert filled("emr_range_secondary") == [(60.5,)] * 4
    lone = MADE[0].daughters
    lone = type(lone)(**vars(lone) | {"mother": [-99]})
    made = Emr(**MADE[0].tables() | {"daughters": lone})
    assert len(PLOTS["emr_range_secondary"].fill(Batch([reconstructed_spill(0, emr=made)]))[0]) == 0


def test_chi2_is_shown_by_its_logarithm_against_density():
    tracks = rows("tracks", "density_ma", "chi2")
    wanted = sorted((density, np.log10(1 + chi2)) for _, density, chi2 in tracks if chi2 == chi2)
    np.testing.assert_allclose(filled("emr_chi2_density"), wanted)
    assert len(wanted) < len(tracks)


def test_match_efficiency_and_muon_fraction_are_the_means_of_their_plots():
    tracks = rows("tracks", "has_daughter", "density_ma", "chi2")
    assert filled("emr_matched") == sorted((float(has),) for _, has, _, _ in tracks)
    assert filled("emr_muons") == sorted((float(d > 0.9 and chi2 < 2),) for _, _, d, chi2 in tracks)
    assert len(filled("emr_range_secondary")) == sum(value for (value,) in filled("emr_matched"))


def test_what_older_messages_do_not_know_of_tracks_and_daughters_is_left_out():
    made = MADE[0]
    tracks = replace(made.tracks, density_ma=np.full(len(made.tracks), np.nan))
    older = replace(made, tracks=tracks, daughters=replace(made.daughters, wait=np.full(len(made.daughters), -99)))
    batch = Batch([reconstructed_spill(0, emr=older)])
    for name in ("emr_chi2_density", "emr_muons", "emr_momentum", "emr_decay"):
        assert len(PLOTS[name].fill(batch)[0]) == 0
    assert len(PLOTS["emr_range_primary"].fill(batch)[0]) == len(tracks)


def test_they_stand_on_the_two_canvases_of_the_old_system():
    keywords = {"EMR_occupancy": ("EMR", "Occupancy"), "EMR_recon": ("EMR", "Reconstructed")}
    for plot in OLD_PLOTS:
        assert plot.keywords == keywords[plot.canvas]
