"""spilldeck runs, spills, topics list: what is known of the runs, and what the topics hold."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from schemas.records import RawSpill, RunRecord, RunState
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.simulator import SimulatedRun
from streams.kafka import messages, reader, spans
from streams.reconstruct import reconstruct
from streams.topics import Topics
from tests.conftest import WAIT_S, wait_until_counted
from tests.live import OWN_TABLES, RUNS, Live, small_run
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.wire import decode

pytestmark = pytest.mark.servers

UNENDED = 900_398


def newest_records(live: Live) -> dict[int, str]:
    """Return the state in the newest record of each run in the topic of runs."""
    topic, found = Topics.of(live.settings).runs, {}
    with closing(reader(live.settings)) as consumer:
        ((_, stop),) = spans(consumer, topic, WAIT_S)
        for message in messages(consumer, topic, 0, 0, stop, WAIT_S):
            record = decode(message.value() or b"")
            assert isinstance(record, RunRecord)
            assert message.key() == str(record.run).encode()
            found[record.run] = record.state
    return found


def state_of(spilldeck_here: Spilldeck, live: Live, run: int) -> str:
    shown = json.loads(spilldeck_here("runs", "show", str(run), "--json", env=live.env).stdout)
    return str(shown["state"])


def test_runs_are_listed_with_their_states_and_counters(spilldeck_here: Spilldeck, live: Live) -> None:
    listed = {one["run"]: one for one in json.loads(spilldeck_here("runs", "list", "--json", env=live.env).stdout)}
    assert {OWN_TABLES, *RUNS} <= listed.keys()
    for run in RUNS:
        one = listed[run]
        assert (one["state"], one["spills"], one["duplicates"], one["last_spill"]) == ("ended", 7, 1, 7)
        assert sum(one["rejected"].values()) == 1
    assert str(RUNS[0]) in spilldeck_here("runs", "list", env=live.env).stdout
    assert "ended" in spilldeck_here("runs", "show", str(RUNS[0]), env=live.env).stdout
    said = json.loads(spilldeck_here("runs", "show", str(RUNS[0]), "--json", env=live.env).stdout)
    assert (said["missing"], said["last_came"], said["not_counted"]) == (0, 7, 0)  # one is rejected, not missing
    assert "there is no run 12" in assert_one_sentence(spilldeck_here("runs", "show", "12", env=live.env), 2)


def test_a_run_that_never_said_so_is_ended_by_hand_and_reopened_by_late_spills(
    spilldeck_here: Spilldeck, live: Live
) -> None:
    start, *spills = list(SimulatedRun(run=UNENDED, spills=3, mean_triggers=2, detectors=("tof",)).records())[:-1]
    live.send(start, *spills[:2])
    assert state_of(spilldeck_here, live, UNENDED) == RunState.RUNNING
    assert spilldeck_here("runs", "end", str(UNENDED), env=live.env).stdout == f"run {UNENDED} has ended\n"
    wait_until_counted(live.settings, live.reader)
    assert state_of(spilldeck_here, live, UNENDED) == RunState.ENDED
    live.send(spills[2])
    assert state_of(spilldeck_here, live, UNENDED) == RunState.REOPENED
    assert live.reader.runs()[UNENDED].filled == 3
    deadline = time.monotonic() + WAIT_S
    wanted = dict.fromkeys(RUNS, RunState.ENDED) | {UNENDED: RunState.REOPENED}
    while not wanted.items() <= (found := newest_records(live)).items():
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    line = assert_one_sentence(spilldeck_here("runs", "end", str(UNENDED), env=live.env), 2)
    assert "has its end already: reopened by late spills" in line


def test_a_spill_is_shown_with_all_its_columns_or_word_by_word_or_written(
    spilldeck_here: Spilldeck, live: Live, tmp_path: Path
) -> None:
    run = RUNS[6]
    raw = next(r for r in small_run(run) if isinstance(r, RawSpill) and r.spill == 4)
    place = ("--run", str(run), "--spill", "4")
    shown = json.loads(spilldeck_here("spills", "get", *place, "--json", env=live.env).stdout)
    expected = reconstruct(raw, ConditionsStore([]).for_run(run))
    hits = expected.detectors["tof"].tables()["hits"]
    assert shown["triggers"] == expected.triggers
    assert shown["digest"] == expected.digest.hex()
    assert np.array_equal(shown["detectors"]["tof"]["hits"]["raw_time_ns"], hits.raw_time_ns)  # type: ignore[attr-defined]
    assert f"{len(hits)} hits" in spilldeck_here("spills", "get", *place, env=live.env).stdout
    command = [sys.executable, "-m", "ops", "spills", "get", *place, "--out", "-"]
    assert (
        subprocess.run(command, env={**os.environ, **live.env}, capture_output=True, check=True).stdout == raw.payload
    )
    assert spilldeck_here("spills", "get", *place, "--out", tmp_path / "spill", env=live.env).returncode == 0
    assert (tmp_path / "spill").read_bytes() == raw.payload
    lines = spilldeck_here("spills", "get", *place, "--raw", env=live.env).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    found = re.findall(r"^ *(\d+)  ([0-9a-f]{8})  +\w", "\n".join(lines), re.MULTILINE)
    assert [int(byte) for byte, _ in found] == [*range(0, len(raw.payload), 4)]
    assert b"".join(int(word, 16).to_bytes(4, "little") for _, word in found) == raw.payload
    nowhere = spilldeck_here("spills", "get", *place, "--out", tmp_path / "no" / "spill", env=live.env)
    assert "cannot be written" in assert_one_sentence(nowhere, 2)
    both = spilldeck_here("spills", "get", *place, "--raw", "--out", "-", env=live.env)
    assert "exclude each other" in assert_one_sentence(both, 2)
    absent = spilldeck_here("spills", "get", "--run", str(run), "--spill", "99", env=live.env)
    assert f"Kafka has no spill 99 of run {run}" in assert_one_sentence(absent, 2)


def test_the_topics_say_what_they_hold_and_how_far_back(spilldeck_here: Spilldeck, live: Live) -> None:
    counted = json.loads(spilldeck_here("spills", "count", "--json", env=live.env).stdout)
    topics, run = Topics.of(live.settings), RUNS[6]
    spills = [r for r in small_run(run) if isinstance(r, RawSpill)]
    found = {one["topic"]: one for one in counted if one["run"] == str(run)}
    # Start and end of a run are in every partition.
    controls = 2 * live.settings.kafka.partitions
    # A worker was killed: some were reconstructed twice.
    assert found[topics.reco]["messages"] >= len(spills) + controls
    assert found[topics.rejected]["messages"] >= 1
    assert found[topics.raw]["size"] > sum(len(spill.payload) for spill in spills if spill.spill % 4 != 1)
    raw, reco, _ = json.loads(spilldeck_here("topics", "list", "--json", env=live.env).stdout)
    assert (raw["topic"], raw["partitions"], reco["oldest"]["key"]) == (topics.raw, 4, str(OWN_TABLES))
    assert raw["oldest"]["time_ms"] <= raw["newest"]["time_ms"]
    assert str(OWN_TABLES) in spilldeck_here("topics", "list", env=live.env).stdout
