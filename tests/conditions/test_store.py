"""Conditions by run; a table that cannot be says which line."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.conditions.store import ConditionsStore, places
from streams.errors import UsageError
from streams.experiments.mice.conditions.read import SIMULATED
from streams.settings import load_settings
from tests.conftest import PROJECT
from tests.tables import copy_tables

INDEX = '[[table]]\nkind = "{kind}"\nfile = "table.txt"\nfirst_run = 10\nlast_run = 19\n'

Source = Callable[[str, str], ConditionsStore]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Return what makes a store of one index and one table."""

    def make(index: str, table: str = "") -> ConditionsStore:
        (tmp_path / "index.toml").write_text(index)
        (tmp_path / "table.txt").write_text(table)
        return ConditionsStore([(tmp_path / "index.toml", tmp_path)])

    return make


def test_a_run_has_the_tables_whose_range_covers_it(source: Source) -> None:
    store = source(INDEX.format(kind="plot_ranges"), "ht01 100 0 10\n")
    assert store.for_run(9) is None
    assert store.for_run(20) is None
    found = store.for_run(15)
    assert found is not None
    assert found.plot_ranges == {"ht01": (100, 0.0, 10.0)}
    assert found.tof_cabling is None


def test_one_changed_number_changes_the_hash(source: Source) -> None:
    first = source(INDEX.format(kind="plot_ranges"), "ht01 100 0 10\n").for_run(15)
    second = source(INDEX.format(kind="plot_ranges"), "ht01 100 0 11\n").for_run(15)
    again = source(INDEX.format(kind="plot_ranges"), "ht01 100 0 10\n").for_run(15)
    assert first is not None
    assert second is not None
    assert again is not None
    assert first.digest != second.digest
    assert first.digest == again.digest


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("not toml at all =", "no TOML"),
        ("other = 1", "entries alone"),
        (INDEX.format(kind="nonsense"), "the kind 'nonsense' is none of"),
        (INDEX.format(kind="tof_t0").replace("19", "9"), "no range of runs"),
        (INDEX.format(kind="tof_t0") + "typo = 1\n", "unknown key typo"),
        (INDEX.format(kind="tof_t0").replace("10", '"a"'), "first_run is 'a'"),
        (INDEX.format(kind="tof_t0").replace("table.txt", "a\\u0000b"), "is no name of a file"),
        (INDEX.format(kind="tof_t0").replace("table.txt", 300 * "x"), "is no name of a file"),
        ("a = " + 5000 * "[", "no TOML"),
    ],
)
def test_an_index_that_cannot_be_says_what_is_wrong(source: Source, index: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        source(index, "").for_run(15)


def test_two_tables_of_a_kind_cost_the_runs_that_have_both_and_no_others(source: Source) -> None:
    second = INDEX.format(kind="plot_ranges").replace("19", "30")
    store = source(INDEX.format(kind="plot_ranges") + second, "ht01 100 0 10\n")
    for run in (10, 19):
        with pytest.raises(UsageError, match=r"two tables of the kind plot_ranges for runs 10 to 19: .*table.txt and"):
            store.for_run(run)
    assert store.for_run(20) is not None
    assert store.for_run(900_001) is not None


@pytest.mark.parametrize(
    ("old", "new", "runs"),
    [
        ('"plot_ranges"', '"plot_range"', (10, 19)),
        ('"plot_ranges"', "3", (10, 19)),
        ("last_run = 19", "lastrun = 19", (10, 899_999)),
        ("last_run = 19", 'last_run = "l9"', (10, 899_999)),
        ("first_run = 10", "first_run = 1.0", (0, 19)),
        ("first_run = 10", "first_run = 1000", (0, 899_999)),
        ("first_run = 10", "first_run = -10", (0, 899_999)),
    ],
)
def test_an_entry_that_cannot_be_costs_the_runs_that_it_may_be_for_and_no_others(
    source: Source, old: str, new: str, runs: tuple[int, int]
) -> None:
    other = INDEX.format(kind="pulse_definitions").replace("10", "0").replace("last_run = 19", "last_run = 899999")
    store = source(INDEX.format(kind="plot_ranges").replace(old, new) + other, "until_2012")
    (said,) = store.problems()
    assert "index.toml, table 1" in said
    for run in runs:
        with pytest.raises(UsageError, match=re.escape(said)):
            store.for_run(run)
    first, last = runs
    assert first == 0 or store.for_run(first - 1) is not None
    assert last == 899_999 or store.for_run(last + 1) is not None


def test_a_file_that_is_two_kinds_of_tables_is_read_as_each(source: Source) -> None:
    second = INDEX.format(kind="pulse_definitions").replace("10", "20").replace("19", "29")
    store = source(INDEX.format(kind="plot_ranges") + second, "ht01 100 0 10\n")
    assert store.for_run(15) is not None
    with pytest.raises(UsageError, match="line 1: 4 words where 1 belong"):
        store.for_run(25)


@pytest.mark.parametrize("what", ["pipe", "directory", "huge", "device", "nothing"])
@pytest.mark.parametrize("name", ["table.txt", "index.toml"])
def test_what_is_no_table_or_too_large_is_refused_at_once(source: Source, tmp_path: Path, what: str, name: str) -> None:
    index = INDEX.format(kind="plot_ranges")
    source(index)
    path = tmp_path / name
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    elif what == "huge":
        with path.open("wb") as file:
            file.truncate((64 << 20) + 1)
    elif what == "device":
        path.symlink_to("/dev/zero")
    reason = {"directory": "Is a directory", "huge": "longer than 64 MiB", "nothing": "No such file"}
    with pytest.raises(UsageError, match=f"{name} .*{reason.get(what, 'it is no regular file')}"):
        ConditionsStore([(tmp_path / "index.toml", tmp_path)]).for_run(15)


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        ("daq_channels", "DAQChannelKey 1 2 3 102", "line 1: 5 words where 6 belong"),
        ("daq_channels", "Other 1 2 3 102 tof0", "line 1: begins with 'Other'"),
        ("daq_channels", "\nDAQChannelKey 1 32 3 102 tof0", "line 2: word 3 is '32', not a whole number from 0 to 31"),
        ("daq_channels", "DAQChannelKey 1 2 x 102 tof0", "word 4 is 'x'"),
        ("daq_channels", 2 * "DAQChannelKey 1 2 3 102 tof0\n", "line 2: .* cabled to tof0 already"),
        (
            "tof_channels",
            "TOFChannelKey 0 0 0 0 tof0 DAQChannelKey 1 2 3 102 tof0 DAQChannelKey 1 2 3 102 tof0",
            "equipment type 102 where 120 belongs",
        ),
        (
            "tof_channels",
            "TOFChannelKey 3 0 0 0 t DAQChannelKey 1 2 3 120 t DAQChannelKey 1 2 3 102 t",
            "word 2 is '3'",
        ),
        ("tof_channels", "\n", "there is no row in it"),
        ("daq_channels", "", "there is no row in it"),
        ("plot_ranges", "ht01 100 10 10", "is no range"),
        ("plot_ranges", "ht01 --5 0 10", "line 1: word 2 is '--5', not a whole number"),
        ("plot_ranges", f"ht01 {5000 * '9'} 0 10", "line 1: word 2 is '9{40}', not a whole number"),
        ("plot_ranges", "ht01 5 0 1_0", "line 1: word 4 is '1_0', not a number"),
        ("plot_ranges", "ht01 5 0 10\nht01 6 0 10", "line 2: ht01 has line 1 already"),
        ("pulse_definitions", "until_2012\nsince_2013", "line 2: it has line 1 already"),
        ("pulse_definitions", "until_2011", "line 1: 'until_2011' is none of until_2012, since_2013"),
        ("plot_ranges", "ht01 0 0 10", "word 2 is '0'"),
        ("plot_ranges", "ht01 10 0 nan", "word 4 is 'nan', not a number"),
    ],
)
def test_a_row_that_cannot_be_says_its_line(source: Source, kind: str, rows: str, message: str) -> None:
    store = source(INDEX.format(kind=kind), rows)
    with pytest.raises(UsageError, match=message):
        store.for_run(15)


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("tof_t0", "TOFChannelKey 1 1 0 0 tof1 {} 3"),
        ("tof_time_walk", "TOFChannelKey 1 1 0 0 tof1 0 0 0 {}"),
        ("tof_trigger_delay", "TOFPixelKey 1 3 3 tof1 {}"),
    ],
)
def test_a_calibration_that_says_two_things_of_one_channel_is_refused(kind: str, row: str, tmp_path: Path) -> None:
    index = copy_tables(tmp_path / "tables", 10, 19)
    (index.parent / f"{kind}.txt").write_text(f"{row.format(1.5)}\n{row.format(2.5)}\n")
    with pytest.raises(UsageError, match=f"{kind}.txt, line 2: .* has line 1 already"):
        ConditionsStore([(index, index.parent)]).for_run(15)


def test_a_fault_in_the_code_that_reads_tables_costs_no_more_than_a_wrong_table(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    store = source(INDEX.format(kind="plot_ranges"), "ht01 100 0 10\n")
    monkeypatch.setattr("streams.experiments.mice.conditions.read._plot_ranges", fail)
    with pytest.raises(UsageError, match=r"fault in the code that reads table\.txt: ZeroDivisionError"):
        store.for_run(15)


def test_a_directory_that_is_not_there_is_left_out_and_said(tmp_path: Path) -> None:
    store = ConditionsStore(
        [(PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml", tmp_path / "none")]
    )
    assert store.missing == [tmp_path / "none"]
    assert store.for_run(6008) is None
    assert store.for_run(900001) is not None


def test_the_tables_of_another_experiment_are_left_out() -> None:
    sources = [
        {"index": name, "tables": name, "experiment": of} for name, of in (("a", "mice"), ("b", "it"), ("c", None))
    ]
    for experiment, found in (("mice", "ac"), ("it", "bc"), ("another", "c")):
        settings = load_settings(conditions=sources, experiment=experiment)
        assert [index.name for index, _ in places(settings)] == list(found)


def test_the_simulated_tables_cable_every_photomultiplier() -> None:
    found = ConditionsStore([]).for_run(900001)
    assert found is not None
    assert found.tof_cabling is not None
    assert sorted(found.tof_cabling.tdc[found.tof_cabling.tdc >= 0]) == sorted(
        found.tof_cabling.fadc[found.tof_cabling.fadc >= 0]
    )
    assert (found.tof_cabling.tdc >= 0).sum() == 108
    assert len(found.ckov_channels) == 8
    assert SIMULATED.is_dir()


def test_the_counters_moved_to_another_board_after_run_6540(shared: Path) -> None:
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    store = ConditionsStore([(index, shared / "data" / "mice-conditions")])
    before, after = store.for_run(6540), store.for_run(6541)
    assert before is not None
    assert after is not None
    assert {ldc for ldc, _, _ in before.ckov_channels} == {1}
    assert {ldc for ldc, _, _ in after.ckov_channels} == {0}
    changed = before.detectors.items() ^ after.detectors.items()
    assert {detector for _, detector in changed} == {"ckov"}
    assert len(changed) == 16
    assert before.digest != after.digest


def test_each_calibration_serves_the_runs_that_it_was_made_for_and_no_others(shared: Path) -> None:
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    store = ConditionsStore([(index, shared / "data" / "mice-conditions")])
    served = {run: {entry.kind: entry.file.name for entry in store.entries(run)} for run in (2873, 3400, 4000, 6008)}
    calibrations = {run: [kinds.get("tof_t0"), kinds.get("scifi_calibration")] for run, kinds in served.items()}
    assert calibrations == {
        2873: ["tofcalibT0_trTOF1_g4mice.txt", None],
        3400: ["tofcalibT0_trTOF1_dec2011.txt", None],
        4000: [None, None],
        6008: [None, "scifi_calibration.json.gz"],
    }
    conditions = store.for_run(4000)
    assert conditions is not None
    assert [*conditions.lacking] == ["tof.space_points", "tracker"]
    assert all(e.note for run in served for e in store.entries(run) if e.kind in ("tof_t0", "scifi_mapping"))


def test_the_ranges_of_plots_moved_with_tof2(shared: Path) -> None:
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    store = ConditionsStore([(index, shared / "data" / "mice-conditions")])
    early, late = store.for_run(2873), store.for_run(6008)
    assert early is not None
    assert late is not None
    assert early.plot_ranges["ht12"] == (200, 0.0, 20.0)
    assert late.plot_ranges == {}


def test_a_preferred_index_goes_before_the_others_for_the_runs_and_kinds_that_it_has(tmp_path: Path) -> None:
    for name, ranges in (("mine", "ht01 100 0 10\n"), ("theirs", "ht01 50 0 10\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.toml").write_text(INDEX.format(kind="plot_ranges"))
        (tmp_path / name / "table.txt").write_text(ranges)
    theirs = tmp_path / "theirs" / "index.toml"
    theirs.write_text(theirs.read_text().replace("19", "30"))
    store = ConditionsStore([(theirs, theirs.parent)], tmp_path / "mine" / "index.toml")
    assert [store.has_preferred(run) for run in (9, 10, 19, 20)] == [False, True, True, False]
    found = {run: store.for_run(run) for run in (15, 25)}
    assert {run: its.plot_ranges["ht01"][0] for run, its in found.items() if its is not None} == {15: 100, 25: 50}
