"""spilldeck simulate: files, faults and the truth. Into Kafka: see test_produce."""

import json
from pathlib import Path

import pytest

from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.faults.kinds import KINDS
from tests.ops.conftest import Spilldeck, assert_one_sentence

FAULTS = ("dead_pmt:tof1/0/3/1@2-3", "lost_spills@4", "duplicated_spills@1")
ASKED = [word for fault in FAULTS for word in ("--fault", fault)]


def test_a_file_has_the_faults_that_were_asked_for_and_the_truth_has_all_spills(
    spilldeck: Spilldeck, tmp_path: Path
) -> None:
    done = spilldeck("simulate", "--spills", "6", *ASKED, "--out", "run.000", "--truth", "truth.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, "run 900001: 6 spills to run.000\n", "")
    run = SimulatedRun(spills=6).with_faults(FAULTS)
    assert (tmp_path / "run.000").read_bytes() == b"".join(record.payload for record in run.records())
    truth = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [one["spill"] for one in truth] == list(range(6))
    assert [one["lost"] for one in truth] == [False] * 4 + [True, False]
    assert [one["faults"] for one in truth] == [[], [FAULTS[2]], [FAULTS[0]], [FAULTS[0]], [FAULTS[1]], []]
    for number, one in enumerate(truth):
        assert one["particles"]["trigger_ns"] == run.spill(number).particles.trigger_ns.tolist()


def test_a_file_of_json_gives_the_counts_of_a_file_of_date(spilldeck: Spilldeck) -> None:
    counts = []
    for name in ("run.000", "run.json"):
        assert spilldeck("simulate", "--spills", "3", "--fault", "noisy_plane:tof0", "--out", name).returncode == 0
        counts.append(json.loads(spilldeck("process", name, "--json").stdout))
    assert counts[0] == counts[1]
    assert counts[0]["spills"] == 3


def test_all_faults_are_explained(spilldeck: Spilldeck) -> None:
    done = spilldeck("simulate", "--list-faults")
    assert (done.returncode, done.stderr) == (0, "")
    listed = json.loads(spilldeck("simulate", "--list-faults", "--json").stdout)
    assert [one["name"] for one in listed] == [*KINDS]
    for one in listed:
        assert one["name"] in done.stdout
        assert one["does"]
        assert one["look"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "dead_pmt:tof1/0/7", "--out", "x"], "tof1/0 has no slab '7': there are 0, 1, 2, 3, 4, 5, 6"),
        (["--fault", "dead", "--out", "x"], "there is no fault 'dead'"),
        (["--json", "--out", "x"], "--json goes with --list-faults alone"),
        (["--out", "x", "--truth", "x"], "give each a file of its own"),
        (["--out", "no/x"], "no/x cannot be written"),
        (["--out", "x", "--truth", "no/y"], "no/y cannot be written"),
    ],
)
def test_wrong_use_ends_in_one_sentence(spilldeck: Spilldeck, arguments: list[str], said: str) -> None:
    assert said in assert_one_sentence(spilldeck("simulate", "--spills", "2", *arguments), 2)
