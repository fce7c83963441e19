"""Cabling of the electron-muon ranger: every row checked."""

from pathlib import Path

import pytest

from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.experiments.mice.conditions.emr import BAR_NUMBERS, NOT_CABLED, TRIGGER_BAR, EmrCabling, read_cabling
from tests.conftest import PROJECT

BAR = "EMRChannelKey 47 1 07 emr DAQChannelKey 2 40 63 141 emr\n"
PLANE = "EMRChannelKey 46 0 00 emr DAQChannelKey 2 5 7 121 emr\n"


def read(text):
    return read_cabling({"emr_channels": (Path("cables"), text)})


def cabled(cabling: EmrCabling):
    return sorted(cabling.dbb[cabling.dbb >= 0]), sorted(cabling.fadc[cabling.fadc >= 0])


def test_a_channel_has_its_bar_or_its_plane():
    for bar in (BAR, BAR.replace(" 141 ", " 143 ")):
        found = read(bar + PLANE)
        assert found.dbb[2, 40, 63] == 47 * BAR_NUMBERS + 7
        assert found.fadc[2, 5, 7] == 46
        assert cabled(found) == ([47 * BAR_NUMBERS + 7], [46])


def test_without_the_table_there_is_none():
    assert read_cabling({}) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BAR.replace(" 47 ", " 48 "), "line 1: word 2 is '48'"),
        (BAR.replace(" 47 1 ", " 47 0 "), "line 1: word 3 is '0', not a whole number from 1 to 1"),
        (BAR.replace(" 07 ", " 64 "), "word 4 is '64'"),
        (BAR.replace(" 07 ", " 60 "), "bar 60: there are 60, and 63 for the trigger"),
        (BAR.replace(" 63 ", " 64 "), "word 9 is '64'"),
        (BAR.replace(" 40 ", " 64 "), "word 8 is '64'"),
        (PLANE.replace(" 5 7 ", " 32 7 "), "word 8 is '32'"),
        (PLANE.replace(" 00 ", " 01 "), "word 4 is '01'"),
        (BAR.replace(" 141 ", " 120 "), "equipment type 120 where 121, 141 or 143 belongs"),
        (BAR + BAR.replace(" 07 ", " 08 "), r"line 2: the channel \(2, 40, 63\) is cabled already"),
        (PLANE + PLANE.replace(" 46 ", " 44 "), r"line 2: the channel \(2, 5, 7\) is cabled already"),
        (BAR + BAR.replace(" 63 ", " 62 "), "line 2: this bar or plane is cabled already"),
        (PLANE + PLANE.replace(" 7 ", " 6 "), "line 2: this bar or plane is cabled already"),
    ],
)
def test_a_row_that_cannot_be_says_its_line(text, message):
    with pytest.raises(UsageError, match=message):
        read(text)


def check_all(cabling):
    bars, planes = cabled(cabling)
    assert bars == [p * BAR_NUMBERS + bar for p in range(48) for bar in [*range(60), TRIGGER_BAR]]
    assert planes == list(range(48))


def test_simulated_runs_have_all_bars_and_planes():
    check_all(ConditionsStore([]).for_run(900001).emr_cabling)


def test_the_experiment_has_all_bars_and_planes_and_its_triggers_on_channel_4(shared):
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    cabling = ConditionsStore([(index, shared / "data" / "mice-conditions")]).for_run(9000).emr_cabling
    check_all(cabling)
    assert (cabling.dbb[2, :48, 4] % BAR_NUMBERS == TRIGGER_BAR).all()
    assert (cabling.dbb[[0, 1, 3], :, :] == NOT_CABLED).all()
