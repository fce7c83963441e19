"""What is odd about tables is said, with the runs for which it is so."""

from pathlib import Path

import pytest

from streams.conditions.check import Oddity, check
from streams.conditions.store import all_entries
from tests.catalogue import PLOTS
from tests.conftest import PROJECT
from tests.tables import copy_tables


def changed(directory: Path, table: str, old: str, new: str) -> list[Oddity]:
    """Return what is odd once a table of the simulated beam line, for runs 10 to 19, was changed."""
    index = copy_tables(directory / "tables", 10, 19)
    path = index.parent / table
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return [
        each
        for each in check(all_entries([(index, index.parent)]), PLOTS)
        if 10 <= each.first_run <= 19 or each.is_wrong
    ]


def test_of_the_experiments_own_tables_none_is_wrong_and_what_runs_lack_is_said(shared: Path) -> None:
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    found = check(all_entries([(index, shared / "data" / "mice-conditions")]), PLOTS)
    assert not [each for each in found if each.is_wrong]
    said = {(each.first_run, each.last_run, each.what) for each in found}
    assert (3600, 899_999, "no table of the kind tof_t0: no tof space points") in said
    assert (0, 5999, "no table of the kind scifi_mapping: no tracker") in said
    assert (0, 3299, "20 of 108 photomultipliers of tof are cabled and not calibrated") in said


@pytest.mark.parametrize(
    ("table", "old", "new", "what"),
    [
        (
            "index.toml",
            'file = "kl_gains.txt"\nfirst_run = 10',
            'file = "kl_gains.txt"\nfirst_run = 15',
            "kl_gains: no kl",
        ),
        ("kl_gains.txt", "KLChannelKey 20 1", "KLChannelKey 20 x", "kl_gains.txt, line 42: word 3 is 'x'"),
        ("kl_channels.txt", "DAQChannelKey 0 12 0 120", "DAQChannelKey 1 0 0 120", "is mapped twice: tof and kl"),
        ("kl_channels.txt", "DAQChannelKey 0 12 0 120", "DAQChannelKey 0 12 1 120", "is cabled already"),
        (
            "daq_channels.txt",
            "DAQChannelKey 0 12 0 120 kl",
            "DAQChannelKey 0 12 0 120 tof0",
            "and to tof0 in the table",
        ),
        ("daq_channels.txt", "DAQChannelKey 0 12 0 120 kl\n", "", "mapped to kl, and to nothing in the table"),
        (
            "kl_channels.txt",
            "KLChannelKey 0 0 kl DAQChannelKey 0 12 0 120 kl\n",
            "",
            "1 of 42 channels of equipment type 120 that daq_channels maps to kl are not in its own table",
        ),
        ("daq_channels.txt", "DAQChannelKey 2 0 0 121 emr", "DAQChannelKey 2 0 0 121 ckov", "to emr, and to ckov in"),
    ],
)
def test_what_is_changed_in_a_table_is_found(tmp_path: Path, table: str, old: str, new: str, what: str) -> None:
    before = {each.what for each in changed(tmp_path / "before", table, old, old)}
    found = [each for each in changed(tmp_path / "after", table, old, new) if each.what not in before]
    assert [each for each in found if what in each.what], found
    assert {(each.first_run, each.last_run) for each in found} == ({(10, 14)} if table == "index.toml" else {(10, 19)})


def test_a_range_of_a_plot_that_does_not_exist_is_found(tmp_path: Path) -> None:
    index = copy_tables(tmp_path / "tables", 10, 19)
    index.write_text(index.read_text() + '[[table]]\nkind = "plot_ranges"\nfile = "r"\nfirst_run = 10\nlast_run = 19\n')
    (index.parent / "r").write_text("ht01 100 0 10\nhto1 100 0 10\n")
    found = check(all_entries([(index, index.parent)]), PLOTS)
    assert [each.what for each in found if each.is_wrong] == ["there is no plot hto1, which has a range"]


def test_an_entry_that_cannot_be_is_found_and_the_rest_is_checked_all_the_same(tmp_path: Path) -> None:
    found = changed(tmp_path, "index.toml", 'kind = "kl_gains"', 'kind = "kl_gain"')
    wrong = [each for each in found if each.is_wrong]
    assert [(each.first_run, each.last_run) for each in wrong] == [(10, 19)]
    assert "the kind 'kl_gain' is none of" in wrong[0].what
    assert "no table of the kind kl_gains: no kl" in {each.what for each in found}


def test_ranges_that_overlap_are_found_and_the_rest_is_checked_all_the_same(tmp_path: Path) -> None:
    entry = '[[table]]\nkind = "kl_gains"\nfile = "kl_gains.txt"\nfirst_run = 19\nlast_run = 30\n'
    head = "# Tables of the simulated beam line"
    found = [each for each in changed(tmp_path, "index.toml", head, f"{entry}\n{head}") if "kl_gains" in each.what]
    (wrong,) = [each for each in found if each.is_wrong]
    assert (wrong.first_run, wrong.last_run) == (19, 19)
    assert wrong.what.startswith("two tables of the kind kl_gains for run 19: ")
