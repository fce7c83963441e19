"""A spill as JSON is the same spill as its DATE bytes; and files with any faults are read."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.columns import Table
from schemas.records import RawFormat, RawSpill
from streams.conditions.store import ConditionsStore
from streams.daq.sources import read_source
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.spill_json import document, json_lines
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.spill_json import unpack_json
from streams.process import RunResult, process
from streams.reconstruct import reconstruct
from tests.lanes import again, first

SPILLS = 6
STORE = ConditionsStore([])
GOOD = [
    "dead_pmt:tof1/0/3/1",
    "dead_pmt:ckov/0",
    "hot_channel:tof0/0/2",
    "noisy_plane:tof2/1",
    "swapped_cables:tof0/0/4/0,tof2/0/5/0",
    "shifted_timing:tof0=2.5",
    "counter_wrap",
    "empty_spill@2-3",
    "many_triggers@4",
]
BAD = ["trigger_mismatch:V1290/1/1", "corrupted_word:V1724/1/3", "missing_ldc:0", "missing_ldc:1", "truncated_spill"]
ORDER = ["duplicated_spills@2-3", "lost_spills@1", "reordered_spills@3-5", "wrong_clock=-7@2", "run_without_end"]


def old_spelling(line: bytes) -> bytes:
    """Return a document as it was written until 2012."""
    for new, old in ((b"run_number", b"run_num"), (b"spill_number", b"spill_num"), (b"position_max", b"max_pos")):
        line = re.sub(b'"' + new + b'":', b'"' + old + b'":', line)
    return line


def by_address(table: Table) -> Table:
    """Return the hits by board, trigger and channel."""
    names = ("channel", "trigger", "geo", "ldc", "equipment")
    return table.rows(np.lexsort([getattr(table, name) for name in names if hasattr(table, name)]))


@settings(max_examples=25, deadline=None)
@given(
    number=st.integers(0, SPILLS - 1),
    seed=st.integers(0, 1000),
    faults=st.lists(st.sampled_from(GOOD), max_size=3, unique=True),
    old=st.booleans(),
)
def test_the_same_columns_come_out_of_json_as_out_of_date_bytes(number, seed, faults, old):
    run = SimulatedRun(spills=SPILLS, seed=seed, mean_triggers=5).with_faults(faults)
    raw = run.spill(number).raw
    hits = unpack_date(raw.payload)
    line = json.dumps(document(hits, raw, run.conditions.detectors), separators=(",", ":")).encode()
    line = old_spelling(line) if old else line
    again = unpack_json(line)
    assert again.triggers == hits.triggers
    # A document does not tell in which order the boards were read out.
    assert by_address(hits.tdc).equal(by_address(again.tdc))
    assert by_address(hits.fadc).equal(by_address(again.fadc))
    assert hits.vlsb.equal(again.vlsb)
    assert hits.samples.keys() == again.samples.keys() or not hits.triggers
    assert all(np.array_equal(hits.samples[place], kept) for place, kept in again.samples.items())
    assert hits.scalers.keys() == again.scalers.keys()
    assert all(np.array_equal(hits.scalers[place], kept) for place, kept in again.scalers.items())
    as_json = replace(raw, format=RawFormat.SPILL_JSON, payload=line)
    one, other = (reconstruct(each, run.conditions).detectors for each in (raw, as_json))
    assert one.keys() == other.keys()
    for name in one.keys() - {"raw"}:
        for kind, table in one[name].tables().items():
            assert table.equal(other[name].tables()[kind]), f"{name} {kind}"


def read(path: Path, content: bytes) -> dict[int, RunResult]:
    path.write_bytes(content)
    return process(read_source(path), STORE.for_run)


def lines(run: SimulatedRun) -> bytes:
    return b"".join(json_lines(record, run.conditions.detectors) for record in run.records())


@pytest.mark.parametrize("faults", [[], GOOD[:4], [*GOOD[6:], *ORDER], ["change_of_run@3"]])
@pytest.mark.parametrize("spelling", first([bytes, old_spelling], 1))
def test_the_same_books_come_out_of_a_file_of_json_as_of_date_bytes(tmp_path, faults, spelling):
    run = SimulatedRun(spills=SPILLS, mean_triggers=8).with_faults(faults)
    date = read(tmp_path / "run.000", b"".join(record.payload for record in run.records()))
    as_json = read(tmp_path / "run.json", spelling(lines(run)))
    assert date.keys() == as_json.keys()
    for number, one in date.items():
        other = as_json[number]
        assert one.to_json() == other.to_json()
        totals = [r.part.totals for r in (one, other)]
        for name in ("received", "filled", "duplicates", "out_of_order", "errors", "skipped", "detectors", "ended"):
            assert getattr(totals[0], name) == getattr(totals[1], name), name
        ledgers = [r.part.ledger for r in (one, other)]
        assert ledgers[0].keys() == ledgers[1].keys()
        for spill, entry in ledgers[0].items():
            # The documents have whole seconds.
            found = ledgers[1][spill]
            assert (found.time_us, found.triggers, found.scalers) == (
                entry.time_us // 1_000_000 * 1_000_000,
                entry.triggers,
                entry.scalers,
            )


def test_a_spill_that_is_no_good_one_has_its_error_in_place_of_its_data():
    run = SimulatedRun(spills=SPILLS, mean_triggers=5).with_faults(["trigger_mismatch:V1290/1/1"])
    _, physics, _ = map(json.loads, json_lines(run.spill(1).raw, run.conditions.detectors).splitlines())
    assert physics["daq_data"] is None
    assert "trigger mismatch" in physics["errors"]["unpack"]


ANY_FILE = given(
    faults=st.lists(
        st.sampled_from(GOOD + ORDER) | st.builds("{}@{}".format, st.sampled_from(BAD), st.integers(0, 5)), max_size=6
    ),
    as_json=st.booleans(),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@ANY_FILE
def test_files_with_any_faults_are_read_and_their_good_spills_all_counted(tmp_path, faults, as_json):
    check_a_file(tmp_path, faults, as_json)


@again
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@ANY_FILE
def test_more_files_with_any_faults_are_read(tmp_path, faults, as_json):
    check_a_file(tmp_path, faults, as_json)


def check_a_file(tmp_path, faults, as_json):
    run = SimulatedRun(spills=SPILLS, mean_triggers=3).with_faults(faults)
    records = list(run.records())
    found = read(tmp_path / "run", lines(run) if as_json else b"".join(record.payload for record in records))[run.run]
    # What is good of the records is what reconstruction takes of them one by one; documents have whole spills alone.
    spills = [(r.spill, reconstruct(r, run.conditions)) for r in records if isinstance(r, RawSpill)]
    good = Counter(spill for spill, made in spills if made.rejection is None and not (as_json and "raw" in made.errors))
    assert found.part.ledger.keys() == good.keys()
    assert found.part.totals.filled == len(good)
    assert found.part.totals.duplicates == sum(good.values()) - len(good)
    assert "conflict" not in found.part.totals.rejected
    assert bool(found.part.totals.all_rejected) == any(isinstance(r, RawSpill) and r.spill not in good for r in records)
