"""Cabling and gains of the calorimeter: every row checked."""

from pathlib import Path

import numpy as np
import pytest

from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.experiments.mice.conditions.kl import read_pmts
from tests.conftest import PROJECT

CABLE, GAIN = "KLChannelKey 03 1 kl DAQChannelKey 00 12 07 120 kl\n", "KLChannelKey 03 1 kl 1.5\n"


def read(cables: str, gains: str):
    return read_pmts({"kl_channels": (Path("cables"), cables), "kl_gains": (Path("gains"), gains)})


def test_a_channel_has_its_photomultiplier_and_gain():
    found = read(CABLE, GAIN)
    assert found.fadc[0, 12, 7] == 7
    assert (found.fadc >= 0).sum() == 1
    assert found.gain[7] == 1.5


def test_one_table_alone_is_none():
    assert read_pmts({"kl_channels": (Path("cables"), CABLE)}) is None
    assert read_pmts({}) is None


@pytest.mark.parametrize(
    ("cables", "gains", "message"),
    [
        ("KLChannelKey 21 1 kl DAQChannelKey 0 12 7 120 kl", GAIN, "cables, line 1: word 2 is '21'"),
        ("KLChannelKey 3 2 kl DAQChannelKey 0 12 7 120 kl", GAIN, "cables, line 1: word 3 is '2'"),
        ("KLChannelKey 3 1 kl DAQChannelKey 0 12 7 121 kl", GAIN, "equipment type 121 where 120 belongs"),
        (2 * CABLE, GAIN, "line 2: the channel .* is cabled already"),
        (CABLE + CABLE.replace(" 07 ", " 06 "), GAIN, "line 2: the photomultiplier is cabled already"),
        (CABLE, "", "has no gain in gains"),
        (CABLE, 2 * GAIN, "gains, line 2: the photomultiplier has a gain already"),
        (CABLE, GAIN.replace("1.5", "0"), "the gain 0 is not above 0"),
        (CABLE, GAIN.replace("1.5", "-1"), "the gain -1 is not above 0"),
        (CABLE, GAIN.replace("1.5", "nan"), "'nan', not a number"),
    ],
)
def test_a_row_that_cannot_be_says_its_line(cables, gains, message):
    with pytest.raises(UsageError, match=message):
        read(cables, gains)


def test_simulated_runs_have_all_42_photomultipliers():
    found = ConditionsStore([]).for_run(900001).kl_pmts
    assert sorted(found.fadc[found.fadc >= 0]) == list(range(42))
    assert (np.abs(found.gain - 1) < 0.3).all()


def test_the_experiment_cables_42_photomultipliers_on_six_boards(shared):
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    store = ConditionsStore([(index, shared / "data" / "mice-conditions")])
    for run in (2873, 9000):
        found = store.for_run(run).kl_pmts
        assert sorted(found.fadc[found.fadc >= 0]) == list(range(42))
        assert set(np.nonzero(found.fadc >= 0)[1].tolist()) == set(range(12, 18))
        assert (found.gain.min(), found.gain.max()) == (0.74, 1.24)
