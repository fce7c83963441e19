"""spilldeck conditions: which table serves a run, and what is odd about them."""

import hashlib
import json
from pathlib import Path

from tests.ops.conftest import Spilldeck
from tests.tables import copy_tables, naming


def test_a_run_is_shown_the_tables_that_serve_it_with_range_and_hash(
    spilldeck: Spilldeck, shared: Path, with_tables: dict[str, str]
) -> None:
    done = spilldeck("conditions", "show", "2873", "--json", env=with_tables)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    (t0,) = (table for table in found["tables"] if table["kind"] == "tof_t0")
    file = shared / "data/mice-conditions/tofcalibT0_trTOF1_g4mice.txt"
    assert (Path(t0["file"]), t0["first_run"], t0["last_run"]) == (file, 0, 3299)
    assert t0["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert "estimate" in t0["note"]
    assert [*found["lacking"]] == ["tracker"]


def test_a_run_without_a_calibration_of_its_own_is_told_so(spilldeck: Spilldeck, with_tables: dict[str, str]) -> None:
    done = spilldeck("conditions", "show", "6008", env=with_tables)
    assert done.returncode == 0
    assert "DAQChannelMap_preRun6541.txt" in done.stdout
    assert "not calibrated: tof space points: the run has no table of the kind tof_t0" in done.stderr
    nothing = spilldeck("conditions", "show", "2000000000", env=with_tables)
    assert (nothing.returncode, nothing.stdout) == (1, "No index has a table for run 2000000000.\n")


def test_of_a_run_whose_tables_contradict_each_other_all_are_shown_and_other_runs_go_on(
    spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    index = copy_tables(tmp_path / "tables", 10, 19)
    entry = '[[table]]\nkind = "kl_gains"\nfile = "none.txt"\nfirst_run = 15\nlast_run = 30\n'
    index.write_text(index.read_text() + entry)
    done = spilldeck_here("conditions", "show", "15", env=naming(index))
    assert done.returncode == 2
    assert "kl_gains.txt" in done.stdout
    assert "none.txt" in done.stdout
    assert "cannot be read" in done.stdout
    assert "the conditions of run 15 cannot be read: two tables of the kind kl_gains for runs 15 to 19" in done.stderr
    assert spilldeck_here("conditions", "show", "14", env=naming(index)).returncode == 0


def test_the_check_ends_with_1_if_a_table_is_wrong_and_with_0_if_runs_only_lack_some(
    spilldeck: Spilldeck, with_tables: dict[str, str], tmp_path: Path
) -> None:
    done = spilldeck("conditions", "check", "--json", env=with_tables)
    assert done.returncode == 0
    assert {each["is_wrong"] for each in json.loads(done.stdout)} == {False}
    index = copy_tables(tmp_path / "tables", 10, 19)
    (index.parent / "tof_t0.txt").write_text("nonsense\n")
    done = spilldeck("conditions", "check", env=naming(index) | {"COLUMNS": "200"})
    assert done.returncode == 1
    assert "tof_t0.txt, line 1: 1 words where 8 belong" in done.stdout
