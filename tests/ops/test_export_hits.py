"""spilldeck export --tables: trees of ROOT hold the columns that the spills reconstruct to."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import uproot

from ops.export.hits import SPILLS_AT_ONCE, write_hits
from schemas.records import RawSpill, ReconstructedSpill
from streams.errors import SpilldeckError, UsageError
from streams.experiments.mice.simulator import SimulatedRun
from streams.reconstruct import reconstruct
from tests.catalogue import TABLES
from tests.live import RUNS
from tests.ops.conftest import Live, Spilldeck, assert_one_sentence


def spills(number: int = 3) -> list[ReconstructedSpill]:
    run = SimulatedRun(spills=number, mean_triggers=3)
    return [reconstruct(cast("RawSpill", run.spill(n).raw), run.conditions) for n in range(number)]


def test_every_column_of_every_table_comes_back(tmp_path: Path) -> None:
    made = spills()
    names = tuple(TABLES)
    file = write_hits(made, made[0].run, names, tmp_path)
    assert file.name == f"run{made[0].run:08d}_{'_'.join(names)}_hits.root"
    with uproot.open(file) as there:
        for name in names:
            for table, first in made[0].detectors[name].tables().items():
                joined = type(first).concat([spill.detectors[name].tables()[table] for spill in made])
                arrays = there[f"{name}_{table}"].arrays(library="np")
                lengths = [len(spill.detectors[name].tables()[table]) for spill in made]
                assert arrays.pop("run").tolist() == [made[0].run] * len(joined)
                assert arrays.pop("spill").tolist() == np.repeat([spill.spill for spill in made], lengths).tolist()
                assert arrays.keys() == vars(joined).keys()
                for column, values in arrays.items():
                    assert np.array_equal(values, getattr(joined, column), equal_nan=values.dtype.kind == "f"), column


def test_more_spills_than_are_joined_at_once_are_all_there_and_those_without_the_detector_are_not(
    tmp_path: Path,
) -> None:
    few = spills(2)
    del few[1].detectors["kl"]
    with uproot.open(write_hits(few * SPILLS_AT_ONCE, few[0].run, ["kl"], tmp_path)) as there:
        assert set(there["kl_digits"]["spill"].array(library="np")) == {0}
        assert there["kl_digits"].num_entries == SPILLS_AT_ONCE * len(few[0].detectors["kl"].tables()["digits"])


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no detector daq whose hits are kept: there are scalers, tof, ckov"):
        write_hits(spills(), 5, ["daq"], tmp_path)
    with pytest.raises(SpilldeckError, match="run 5 has no spill whose hits could be written"):
        write_hits([], 5, ["tof"], tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"nothing was written to .*file"):
        write_hits(spills(), 5, ["tof"], tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_hits_of_a_daq_file_need_no_server(spilldeck_here: Spilldeck, tmp_path: Path) -> None:
    run = SimulatedRun(spills=3, mean_triggers=3)
    (tmp_path / "run.000").write_bytes(b"".join(record.payload for record in run.records()))
    out = ("--out", str(tmp_path / "out"), "--from", str(tmp_path / "run.000"))
    nowhere = {"SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "SPILLDECK_REDIS__URL": "redis://127.0.0.1:1"}
    done = spilldeck_here("export", str(run.run), "--tables", "tof", "--tables", "kl", *out, env=nowhere)
    assert done.returncode == 0, done.stderr
    with uproot.open(done.stdout.strip()) as there:
        expected = [
            len(reconstruct(run.spill(n).raw, run.conditions).detectors["kl"].tables()["hits"]) for n in (0, 1, 2)
        ]
        assert there["kl_hits"].num_entries == sum(expected)
    for arguments, said in (
        (("12", "--tables", "tof", *out), "run 12"),
        ((str(run.run), "--tables", "tof", "--format", "csv", *out), "--format does not go with --tables"),
        ((str(run.run), "--format", "csv", *out), "--from does not go with plots"),
        ((str(run.run), *out[:2]), "--format is missing: there are json, zip"),
    ):
        assert said in assert_one_sentence(
            spilldeck_here("export", *arguments, env=nowhere), 1 if "12" in arguments else 2
        )


def test_what_trees_lack_is_said_with_a_reason(spilldeck_here: Spilldeck, tmp_path: Path) -> None:
    run = SimulatedRun(spills=3, mean_triggers=3, detectors=("tof", "kl"))
    run = run.with_faults(["corrupted_word:V1724/0/13@1"])
    (tmp_path / "run.000").write_bytes(b"".join(record.payload for record in run.records()))
    names = [word for name in ("tof", "kl", "emr") for word in ("--tables", name)]
    done = spilldeck_here("export", str(run.run), *names, "--out", str(tmp_path), "--from", str(tmp_path / "run.000"))
    assert done.returncode == 0, done.stderr
    emr, kl = done.stderr.splitlines()
    assert emr == "emr: nothing of 3 spills, the first of them spill 0: not read out"
    assert kl.startswith("kl: nothing of 1 spill, the first of them spill 1: V1724 of LDC 0, geo 13: unexpected word")


@pytest.mark.servers
def test_hits_of_a_stored_run_come_from_kafka(spilldeck_here: Spilldeck, live: Live, tmp_path: Path) -> None:
    run = RUNS[0]
    done = spilldeck_here("export", str(run), "--tables", "tof", "--out", str(tmp_path), env=live.env)
    assert done.returncode == 0, done.stderr
    with uproot.open(done.stdout.strip()) as there:
        found = {name: there[f"tof_{name}"].num_entries for name in ("digits", "hits", "space_points")}
    assert found == dict(live.reader.totals(run).detectors["tof"])
